"""`edge-scs web`: a page in the browser that restores photographs on this machine (extra ``[web]``)."""
