"""From a network with weights to an artifact that a phone runs, and the proof that both answer the same."""
