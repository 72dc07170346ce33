"""The networks: mathematics only. Nothing here knows files, devices or command-line arguments."""
