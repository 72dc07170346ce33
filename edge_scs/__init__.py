"""Edge-SCS: a small grey photograph in, a large colour one out, in one network that fits a phone."""

__version__ = "0.2.0"
