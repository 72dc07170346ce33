"""Latency on phones: measured through the sample apps, read from the JSON that they write."""
