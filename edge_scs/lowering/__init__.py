"""From a network with weights to an artifact that a phone runs."""
