"""Activation ranges: measured on photographs, then frozen, and carried from one image size to another.

torchao's fake quantisers would follow a moving average of each activation's range during training; here the ranges are
measured once, over photographs, and left alone (docs/quantise.md). Weights keep their observers: a weight's range
is that of the weight as it is.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx

from edge_scs.errors import InputError
from edge_scs.quantization.prepare import clamp_of_answer, inside, owner

# Operators whose answers stay within the range of their input, and which appear or not as the image's size demands:
# what they give is quantised as what they were given.
FOLLOWERS = ("upsample_bilinear2d", "avg_pool2d")
Range = tuple[float, float]  # the least and the greatest value that int8 reaches
PIXELS: Range = (0.0, 1.0)  # 256 even steps from 0 to 1: the values of an 8-bit image
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
SAMPLE = 20_000  # values of an activation and batch that are enough to decide by


class Ranges:
    """The activation quantisers of a prepared graph, in the order of the data.

    ``own`` are those with a range of their own: the same ones, in the same order, for every image size, so that a
    list of ranges fits any graph of the same network. ``followers`` take theirs from another. ``pixels`` is the one
    whose values are clamped to [0, 1] and then the answer: its range is PIXELS, so that it has an 8-bit image's
    values and saturates where the clamp would act, which then has nothing left to do (``prepare.convert``).
    """

    def __init__(self, prepared: fx.GraphModule):
        place = {node: index for index, node in enumerate(prepared.graph.nodes)}
        own: dict[int, tuple[int, Any]] = {}  # by identity: joined tensors share a quantiser under several names
        following: dict[int, tuple[Any, Any]] = {}
        for node in prepared.graph.nodes:
            if not _is_activation_quantiser(prepared, node):
                continue
            quantiser = prepared.get_submodule(str(node.target))
            source = _source(prepared, node)
            if source is not None:
                following[id(quantiser)] = (quantiser, prepared.get_submodule(source))
            else:
                first = min(own.get(id(quantiser), (len(place), None))[0], place[node.all_input_nodes[0]])
                own[id(quantiser)] = (first, quantiser)
        self.own = [quantiser for _, quantiser in sorted(own.values(), key=lambda item: item[0])]
        nodes = list(prepared.graph.nodes)
        self.owners = {key: owner(nodes[first]) for key, (first, _) in own.items()}  # submodules, by identity
        self.followers = [pair for key, pair in following.items() if key not in own]
        clamped = clamp_of_answer(prepared)
        given = None if clamped is None else clamped.args[0]
        is_own = isinstance(given, fx.Node) and _is_activation_quantiser(prepared, given)
        self.pixels = prepared.get_submodule(str(given.target)) if is_own else None  # type: ignore[union-attr]

    def get(self) -> list[Range]:
        return [_range(quantiser) for quantiser in self.own]

    def set(self, ranges: Sequence[Sequence[float]]) -> None:
        """Freeze these ranges. Raises InputError when they are not of this network."""
        if len(ranges) != len(self.own):
            raise InputError(
                f"{len(ranges)} activation ranges for {len(self.own)} quantisers: made for another network"
            )
        for quantiser, values in zip(self.own, ranges, strict=True):
            _freeze(quantiser, *(PIXELS if quantiser is self.pixels else values))
        for quantiser, source in self.followers:
            _freeze(quantiser, *_range(source))

    @torch.no_grad()
    def calibrate(
        self,
        prepared: fx.GraphModule,
        images: Sequence[Sequence[Tensor]],
        whole: Sequence[Sequence[Tensor]] = (),
        except_in: str = "colour",
        pixels_in: str = "head.base",
    ) -> list[Range]:
        """Set the ranges to those that int8 represents the float network's activations on these inputs best with.

        First the least and the greatest value of each activation, and zero. Then that range times each of ``CLIPS``:
        the one with the least squared error is kept. A few outliers are worth less than the steps they cost the rest.
        Activations on the inputs ``whole`` are not cut off, but in the part ``except_in``. ``pixels_in`` gives the
        enlarged input, whose range is PIXELS: grey levels are then exact, and what lies beyond the answer is cut off.
        """
        seen = self._extremes(prepared, images)
        if not seen:
            raise InputError("calibration: no photograph; name a folder of images with --data")
        errors = {key: torch.zeros(len(CLIPS), dtype=torch.float64) for key in seen}

        def observe(quantiser: Any, inputs: tuple[Tensor]) -> None:
            x = inputs[0].flatten()
            x = x[:: max(1, len(x) // SAMPLE)]
            low, high = seen[id(quantiser)]
            errors[id(quantiser)] += torch.stack(
                [(x - _int8(x, low * k, high * k)).square().sum() for k in CLIPS]
            ).cpu()

        self._watch(prepared, images, observe)
        best = {key: CLIPS[int(error.argmin())] for key, error in errors.items()}
        ranges = {key: (low * best[key], high * best[key]) for key, (low, high) in seen.items()}
        for key, (low, high) in self._extremes(prepared, whole).items():
            if not inside(self.owners[key], except_in):
                ranges[key] = (min(ranges[key][0], low), max(ranges[key][1], high))
        ranges |= {key: PIXELS for key, owner in self.owners.items() if owner == pixels_in}
        self.set([ranges[id(q)] for q in self.own])
        return self.get()

    def _extremes(self, prepared: fx.GraphModule, images: Sequence[Sequence[Tensor]]) -> dict[int, Range]:
        """The least and the greatest value, or zero, of each activation of the float network."""
        seen: dict[int, Range] = {}

        def extend(quantiser: Any, inputs: tuple[Tensor]) -> None:
            low, high = seen.get(id(quantiser), (0.0, 0.0))
            seen[id(quantiser)] = (min(low, float(inputs[0].min())), max(high, float(inputs[0].max())))

        self._watch(prepared, images, extend)
        return seen

    def _watch(self, prepared: fx.GraphModule, images: Sequence[Sequence[Tensor]], look: Callable[..., None]) -> None:
        """Call ``look`` with every activation of the float network."""
        hooks = [quantiser.register_forward_pre_hook(look) for quantiser in self.own]
        try:
            with without_quantisation(prepared):
                for inputs in images:
                    prepared(*inputs)
        finally:
            for hook in hooks:
                hook.remove()


@contextmanager
def without_quantisation(prepared: fx.GraphModule) -> Any:
    """The prepared graph as the float network."""
    switches = _quantisers(prepared)
    before = [(int(m.fake_quant_enabled), int(m.observer_enabled)) for m in switches]
    for module in switches:
        module.fake_quant_enabled.fill_(0)
        module.observer_enabled.fill_(0)
    yield
    for module, (fake, observe) in zip(switches, before, strict=True):
        module.fake_quant_enabled.fill_(fake)
        module.observer_enabled.fill_(observe)


def observe_weights(prepared: fx.GraphModule) -> None:
    """Let every weight's range be that of the weight now, not a moving average of what it was."""
    for module in _quantisers(prepared):
        if not _per_tensor(module):
            module.activation_post_process.averaging_constant = 1.0
            module.observer_enabled.fill_(1)


def _range(quantiser: Any) -> Range:
    observer = quantiser.activation_post_process
    return float(observer.min_val), float(observer.max_val)


def _freeze(quantiser: Any, low: float, high: float) -> None:
    # The range and not only scale and zero point: the fused kernel derives those from it again at every call.
    observer = quantiser.activation_post_process
    observer.min_val.resize_(()).fill_(low)
    observer.max_val.resize_(()).fill_(high)
    scale, zero_point = observer.calculate_qparams()
    quantiser.scale.resize_(1).copy_(scale.reshape(1))
    quantiser.zero_point.resize_(1).copy_(zero_point.reshape(1))
    quantiser.observer_enabled.fill_(0)
    quantiser.fake_quant_enabled.fill_(1)


def _quantisers(prepared: fx.GraphModule) -> list[Any]:
    return [module for module in prepared.modules() if hasattr(module, "fake_quant_enabled")]


def _int8(x: Tensor, low: float, high: float) -> Tensor:
    """What 256 even steps from ``low`` to ``high`` make of x, zero being one of them."""
    scale = max(high - low, 1e-9) / 255
    zero_point = round(-128 - low / scale)
    return torch.fake_quantize_per_tensor_affine(x, scale, min(127, max(-128, zero_point)), -128, 127)


def _per_tensor(module: Any) -> bool:
    return module.qscheme in (torch.per_tensor_affine, torch.per_tensor_symmetric)


def _is_activation_quantiser(prepared: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    module = prepared.get_submodule(str(node.target))
    return hasattr(module, "fake_quant_enabled") and _per_tensor(module)


def _source(prepared: fx.GraphModule, node: fx.Node) -> str | None:
    """The quantiser that this one follows, or None when it has a range of its own."""
    before: Any = node.args[0]
    if not _follows(before):
        return None
    while _follows(before):
        before = before.args[0]
    if _is_activation_quantiser(prepared, before):
        return str(before.target)
    # What came in is quantised too, but for another user: the grey image, say.
    return next((str(user.target) for user in before.users if _is_activation_quantiser(prepared, user)), None)


def _follows(node: Any) -> bool:
    return node.op == "call_function" and any(name in str(node.target) for name in FOLLOWERS)
