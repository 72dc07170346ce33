"""A quantised network: float weights, activation ranges and what stays float, as one checkpoint and one module."""

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from edge_scs.errors import InputError
from edge_scs.lowering.deploy import deploy
from edge_scs.quantization.prepare import convert, prepare
from edge_scs.quantization.ranges import Range, Ranges, observe_weights
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded

# Converted graphs that are kept: a benchmark's few image sizes, tile after tile of a folder.
KEPT = 4

# The lists of parts that stay float: arguments of ``Quantised``, keys of a recipe and of a file's metadata.
KEEP_FLOAT = ("keep_float", "keep_float_with_hints")


class Quantised(nn.Module):
    """``forward`` like the float network's, in int8 arithmetic as a runtime does it (fake-quantised in torch).

    ``network`` holds the fine-tuned weights in float, and ``ranges`` the activation ranges of each variant that was
    calibrated: "x4", "x3_ref". They serve every image size. ``keep_float`` names parts of the *deployed* network
    (``lowering.deploy``) that are not quantised, ``keep_float_with_hints`` further ones where hints are an input.
    """

    def __init__(
        self,
        network: nn.Module,
        ranges: Mapping[str, Sequence[Range]],
        keep_float: Sequence[str] = (),
        keep_float_with_hints: Sequence[str] = (),
    ):
        super().__init__()
        self.network = network
        self.keep_float, self.keep_float_with_hints = tuple(keep_float), tuple(keep_float_with_hints)
        self.variants = tuple(ranges)
        for variant, values in ranges.items():
            self.register_buffer(f"ranges_{variant}", torch.tensor([list(r) for r in values], dtype=torch.float64))
        self._graphs: OrderedDict[tuple[Any, ...], fx.GraphModule] = OrderedDict()

    def forward(
        self, small: Tensor, size: tuple[int, int], reference: Tensor | None = None, hints: Tensor | None = None
    ) -> Tensor:
        """small (1, c, h, w), size (H, W), reference (1, 3, hr, wr) -> RGB (1, 3, H, W), all in [0, 1].

        ``hints`` are planes as the float network takes them.

        A size that is met for the first time takes some seconds. Raises InputError like ``lowered``.
        """
        inputs = {"small": small} | {k: x for k, x in (("reference", reference), ("hints", hints)) if x is not None}
        return self.lowered(inputs, size)(*inputs.values())

    def lowered(self, example: Mapping[str, Tensor], size: tuple[int, int]) -> fx.GraphModule:
        """The int8 graph for inputs of these shapes, the small image first, the others by name.

        It is what the exporters take, and must not change, as it is kept.

        Raises InputError for a scale that was not calibrated, or when the quantiser is not installed.
        """
        (_, small), *others = example.items()
        key = (tuple(small.shape), *((name, tuple(x.shape)) for name, x in others), tuple(size), small.device)
        if key not in self._graphs:
            self._graphs[key] = self._made({name: torch.rand_like(x) for name, x in example.items()}, size)
            if len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]

    def _made(self, example: Mapping[str, Tensor], size: tuple[int, int]) -> fx.GraphModule:
        small = next(iter(example.values()))
        lr = (small.shape[-2], small.shape[-1])
        reference, hints = "reference" in example, "hints" in example
        variant = variant_name(size[0] / lr[0], reference, hints)
        if variant not in self.variants or size != (lr[0] * (size[0] // lr[0]), lr[1] * (size[0] // lr[0])):
            ways = ", ".join(self.variants)
            raise InputError(f"{lr[1]}x{lr[0]} to {size[1]}x{size[0]}: quantised for {ways} only; use one, or float")
        with torch.no_grad():
            inputs = list(example.values())
            keep_float = [*self.keep_float, *(self.keep_float_with_hints if hints else ())]
            graph = prepare(deploy(self.network, lr, size, reference, hints), inputs, keep_float)
            Ranges(graph).set(self.ranges_of(variant))
            observe_weights(graph)
            graph(*inputs)  # the weights' ranges
            return convert(graph)

    def ranges_of(self, variant: str) -> list[Range]:
        return [(float(low), float(high)) for low, high in self.get_buffer(f"ranges_{variant}")]


class Variant(NamedTuple):
    """A graph of its own: its magnification, and what it takes beside the small image."""

    scale: int
    reference: bool
    hints: bool


def variant_name(scale: float, reference: bool, hints: bool) -> str:
    return f"x{scale:g}{'_ref' if reference else ''}{'_hints' if hints else ''}"


def parse_variant(name: str) -> Variant:
    """ "x3_ref" -> (3, True, False). Raises InputError."""
    match = re.fullmatch(r"x(\d+)(_ref)?(_hints)?", name)
    if not match:
        raise InputError(
            f"variants: {name!r} is none; write x2, x3, x4, or x4_ref and x4_hints for those that take more"
        )
    return Variant(int(match[1]), bool(match[2]), bool(match[3]))


def save(path: Path, name: str, quantised: Quantised, extra: Mapping[str, str] | None = None) -> None:
    """Write a quantised checkpoint: the float tensors in half precision, ranges and the rest in the metadata.

    Half precision: its rounding is a 16th of int8's, and what was measured was measured on the file.
    """
    spec = {
        "quantised": json.dumps({name: getattr(quantised, name) for name in KEEP_FLOAT}),
        **{f"ranges_{v}": json.dumps(quantised.ranges_of(v)) for v in quantised.variants},
        **(extra or {}),
    }
    loading.save(path, name, quantised.network, spec, dtype=torch.float16)


def load(model: str, weights: Path | None = None, allow_untrained: bool = False, amount: float | None = 0.0) -> Loaded:
    """A quantised network by name (the shipped one), by name with a file, or by file. There are no untrained ones.

    ``amount`` of restoration: of a name's shipped weights 0 or 1; a file holds one end or the other.

    Raises InputError like ``weights.loading.load``, and for a file that holds a float network.
    """
    loaded = loading.load(model, weights, quantised=True, amount=amount)
    try:
        spec = {"keep_float_with_hints": [], **json.loads(loaded.spec["quantised"])}  # older files have one list only
        keep_float = {key: [str(name) for name in spec[key]] for key in KEEP_FLOAT}
        ranges = {
            key.removeprefix("ranges_"): [(float(low), float(high)) for low, high in json.loads(text)]
            for key, text in sorted(loaded.spec.items())
            if key.startswith("ranges_")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{loaded.source}: its quantisation is damaged ({error}); make it again") from error
    return replace(loaded, model=Quantised(loaded.model, ranges, **keep_float).eval())
