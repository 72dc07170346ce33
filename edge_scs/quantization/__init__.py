"""Quantisation-aware fine-tuning: a float network into an int8 one, for both export targets."""
