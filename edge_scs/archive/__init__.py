"""Files and folders of images through an engine: what can be done is done, the rest is listed."""
