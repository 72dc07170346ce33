"""What a stage of a network is, and what it costs on paper: MultAdds and bytes moved. ``stage_times`` times them.

A stage is one module or several of them (``_STAGES``), and what is counted for it leaves out the stages inside it: a
colour branch whose encoder is a stage of its own is what remains of it, and ``rest`` is what no stage holds. One
mechanism measures everything: ``by_stage`` reads a meter (a clock, a count) whenever a stage is entered or left.

* ``mult_adds``: as in ``mult_adds.py``; ``bytes_moved``: what an executor reads and writes that works operator by
  operator, keeping nothing in its caches: inputs, weights and outputs of all of them but views. XNNPACK fuses ReLU and
  clamp with what comes before, so there they move nothing.
"""

import copy
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

REST = "rest"
_CASCADES = {
    "entry": r"entry",
    "residual blocks": r"body\.units\.\d+\.units\.\d+",
    "cascades": r"body",
    "upsampler": r"upsamplers\.\d",
    "exit": r"exit",
}
# By the beginning of a network's name: stage -> the modules that are it, as a pattern of their whole names in the eager
# network and in the deployed one (lowering.deploy). The first that matches; without an entry, every child is a stage.
_STAGES = {
    "edge_scs": {
        "colour encoder": r"colour(\.branch)?\.encoder",
        "attention": r"colour(\.branch)?\.attention",
        "colour decoder": r"colour",
        "stem": r"texture\.stem",
        "texture": r"texture\.blocks\.\d+",
        "fusion": r"texture",
        "head": r"heads\.\d|continuous|head",
    },
    "pcarn": _CASCADES,
    "carn": _CASCADES,
    "scsnet": {
        "initial": r"initial",
        "colour encoder": r"encoder|extractor",
        "attention": r"decoder\.0",
        "colour decoder": r"decoder",
        "texture": r"texture",
        "head": r"cpm",
    },
    "ciaosr": {
        "encoder": r"encoder",
        "non-local attention": r"nonlocals(\.\d+)?",
        "head": r"attention",
    },
    "liif": {"encoder": r"encoder", "head": r"perceptron\..*"},
    "edsr": {"encoder": r"encoder", "upsampler": r"upsamplers\.\d", "exit": r"exit"},
}
_FUSED = ("relu", "clamp", "hardtanh")


def stage_of(model_name: str, module_name: str) -> str | None:
    """The stage that a module is, by the name of the network and its own dotted name, or None."""
    module_name = module_name.removeprefix("model.")  # deploy.FixedSize wraps a network
    table = next((table for prefix, table in _STAGES.items() if model_name.startswith(prefix)), None)
    if table is None:
        return module_name if module_name and "." not in module_name else None
    return next((stage for stage, pattern in table.items() if re.fullmatch(pattern, module_name)), None)


def by_stage(
    model: nn.Module, model_name: str, run: Callable[[], object], meter: Callable[[], float]
) -> dict[str, float]:
    """How far ``meter`` advances in every stage, without the stages inside it, while ``run`` runs the network.

    In the order in which stages are entered, then REST.
    """
    spent: dict[str, float] = {}
    inside: list[float] = [0.0]  # for every stage that is running: what the stages in it have spent; first the network
    entered: list[float] = []

    def enter(stage: str) -> None:
        spent.setdefault(stage, 0.0)
        inside.append(0.0)
        entered.append(meter())

    def leave(stage: str) -> None:
        passed = meter() - entered.pop()
        spent[stage] += passed - inside.pop()
        inside[-1] += passed

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if stage := stage_of(model_name, name):
                before = module.register_forward_pre_hook(lambda *_, stage=stage: enter(stage))
                after = module.register_forward_hook(lambda *_, stage=stage: leave(stage))
                hooks.callback(before.remove)
                hooks.callback(after.remove)
        begun = meter()
        run()
        total = meter() - begun
    return spent | {REST: total - inside[0]}


class Traffic(TorchDispatchMode):
    """Counts the bytes that operators read and write, views excepted; those named ``fused`` move none."""

    def __init__(self, fused: Sequence[str] = ()):
        super().__init__()
        self.bytes = 0
        self.fused = tuple(fused)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and not name.startswith((*self.fused, "empty")):
            self.bytes += sum(x.numel() * x.element_size() for x in tensors_in([args, out]))
        return out


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors among nested arguments."""
    if isinstance(value, Tensor):
        return [value]
    return [x for item in value for x in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def costs(model: nn.Module, model_name: str, inputs: Sequence[Any], fused: bool = False) -> dict[str, tuple[int, int]]:
    """Stage -> (MultAdds, bytes moved) of one forward pass, counted on the meta device, where nothing is computed."""
    model = copy.deepcopy(model).to("meta").eval()
    inputs = [x.to("meta") if isinstance(x, Tensor) else x for x in inputs]
    counter, traffic = FlopCounterMode(display=False), Traffic(_FUSED if fused else ())
    with torch.no_grad(), counter:
        flops = by_stage(model, model_name, lambda: model(*inputs), counter.get_total_flops)
    with torch.no_grad(), traffic:
        moved = by_stage(model, model_name, lambda: model(*inputs), lambda: traffic.bytes)
    return {stage: (int(flops[stage]) // 2, int(moved[stage])) for stage in flops}
