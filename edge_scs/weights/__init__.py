"""Shipped weights and the one way to load any: safetensors with the network's spec in the metadata."""
