"""What an artifact offers: its methods, each a deployed module with example inputs and named ports."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.artifacts.presets import Preset, Shape
from edge_scs.artifacts.quantised_network import QuantisedNetwork
from edge_scs.errors import InputError
from edge_scs.lowering.deploy import deploy, share_chroma
from edge_scs.models.colour import answer_size
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded


class UnsupportedError(InputError):
    """This network, or this converter, cannot do what the preset requests: not a failure when everything is tried."""


@dataclass(frozen=True)
class Method:
    """One entry point to lower. ``inputs`` are examples by name, in the order of ``module.forward``.

    ``varying``: input -> {axis: dimension}, for axes whose length is chosen at run time, and ``bounds``: dimension ->
    (least, most). Every other axis keeps the example's length. ``inferred``: ``torch.export`` finds out how dimensions
    depend on one another; else each is free of the others. ``channels_last``: features (more than three channels)
    arrive in NHWC order, as XNNPACK keeps them inside a program: for parts of a network that are timed apart.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = ("rgb",)
    varying: dict[str, dict[int, str]] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    inferred: bool = False
    channels_last: bool = False

    @property
    def dynamic_shapes(self) -> Any:
        """As ``torch.export`` wants them, by position; None where nothing varies."""
        if not self.varying:
            return None
        used = {name for axes in self.varying.values() for name in axes.values()}
        dims = {name: self._dim(name, *self.bounds[name]) for name in used}
        return tuple({axis: dims[dim] for axis, dim in self.varying.get(name, {}).items()} for name in self.inputs)

    def _dim(self, name: str, least: int, most: int) -> Any:
        dim = torch.export.Dim
        return dim.AUTO(min=least, max=most) if self.inferred else dim(name, min=least, max=most)

    def limit(self, name: str, least: bool = False) -> list[int]:
        """The largest (or smallest) shape that an input may have."""
        axes = self.varying.get(name, {})
        side = 0 if least else 1
        return [self.bounds[axes[i]][side] if i in axes else n for i, n in enumerate(self.inputs[name].shape)]


def fixed_methods(loaded: Loaded, preset: Preset) -> dict[str, Method]:
    """A method for every size that the preset names: the deployed network, or the int8 graph of a quantised one.

    Raises InputError for a size, scale or reference that the network does not do.
    """
    methods = {}
    for shape in preset.shapes:
        inputs = example_inputs(loaded.description, preset, shape)
        if isinstance(loaded.model, QuantisedNetwork):
            made = loaded.model.lowered(inputs, shape.size)
        else:
            made = share_chroma(deploy(loaded.model, shape.lr, shape.size, preset.reference, preset.hints))
        methods[shape.method] = Method(made, inputs)
    return methods


def float_network(loaded: Loaded) -> Loaded:
    """The network whose arithmetic is counted: a quantised one has the float one inside it."""
    return replace(loaded, model=loaded.model.network) if isinstance(loaded.model, QuantisedNetwork) else loaded


def example_inputs(description: Description, preset: Preset, shape: Shape | None = None) -> dict[str, Tensor]:
    """Seeded inputs by name, the small image first, of the preset's first size or another.

    Raises InputError for what the network cannot do.
    """
    if description.no_export:
        why = f"cannot be exported: {description.no_export}; use it with PyTorch"
        raise UnsupportedError(f"{description.name}: {why}")
    shape = shape or preset.shapes[0]
    if preset.reference and not description.reference:
        raise UnsupportedError(f"{description.name}: takes no reference; use a preset with reference = false")
    if preset.hints and not description.hints:
        raise UnsupportedError(f"{description.name}: takes no colour hints; use a preset with hints = false")
    if not description.enlarges(shape.scale):
        raise UnsupportedError(
            f"{description.name}: cannot enlarge x{shape.scale:g}; it does {description.magnifications}"
        )
    random = torch.Generator().manual_seed(0)
    grey = description.input == "grey"
    example = {"gray" if grey else "rgb_lr": torch.rand(1, 1 if grey else 3, *shape.lr, generator=random)}
    if preset.reference:
        example["reference"] = torch.rand(1, 3, preset.reference_side, preset.reference_side, generator=random)
    if preset.hints:
        example["hints"] = torch.rand(1, 3, *answer_size(shape.lr), generator=random)
    return example


def check(loaded: Loaded, preset: Preset) -> None:
    """Raise InputError for what the network cannot do, before any work."""
    if isinstance(loaded.model, QuantisedNetwork) != (preset.precision == "int8"):
        kind = "a quantised network" if isinstance(loaded.model, QuantisedNetwork) else "a float one"
        raise UnsupportedError(f"preset {preset.name}: {preset.precision} cannot be made of {kind}, {loaded.source}")
    if preset.continuous and not isinstance(loaded.model, EdgeSCS):
        name = loaded.description.name
        raise UnsupportedError(
            f"{name}: preset {preset.name} needs a network of separate colour, texture and continuous parts, as "
            "edge_scs has; use a preset of fixed sizes"
        )
    for shape in preset.shapes if not preset.continuous else []:
        example_inputs(loaded.description, preset, shape)
