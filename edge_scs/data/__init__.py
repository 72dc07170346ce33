"""Photographs in, training batches out: (grey LR, colour HR, reference), each a pure function of (seed, step)."""
