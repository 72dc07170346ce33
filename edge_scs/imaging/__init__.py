"""Image files as they are: read, written, with profiles, metadata and sizes."""
