"""From a network with weights to an artifact that a phone runs, and the check that both answer the same."""
