"""Exported artifacts: manifests, how they are run or evaluated here, and the check against the network."""
