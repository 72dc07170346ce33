"""What exporters and parity checks need to know of a quantised network, wherever it comes from."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class QuantisedNetwork(Protocol):
    """What exporting needs of a quantised network (``quantization.quantised_model``), which answers in int8."""

    network: nn.Module

    def lowered(self, example: Mapping[str, Tensor], size: tuple[int, int]) -> nn.Module:
        """The int8 graph for inputs of these shapes, to be lowered in place of a deployed network."""
