"""Photographs to train on."""

from tests.training.conftest import folder

__all__ = ["folder"]
