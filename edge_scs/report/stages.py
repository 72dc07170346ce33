"""Where the time goes: MultAdds, bytes moved and time of every stage of a network, in eager PyTorch and in ExecuTorch.

A stage is one module or several of them (``_STAGES``), and what is counted for it leaves out the stages inside it: a
colour branch whose encoder is a stage of its own is what remains of it, and ``rest`` is what no stage holds. One
mechanism measures everything: ``by_stage`` reads a meter (a clock, a count) whenever a stage is entered or left.

* ``mult_adds``: as in ``mult_adds.py``; ``bytes_moved``: what an executor reads and writes that works operator by
  operator, keeping nothing in its caches: inputs, weights and outputs of all of them but views. XNNPACK fuses ReLU and
  clamp with what comes before, so there they move nothing.
* Time at one thread is processor time, which other work on the machine lengthens little; at more it is the clock's.
* In eager PyTorch the meter is read in whole forward passes.
* In ExecuTorch no clock fits inside a program: stages are lowered apart, as methods of one program beside the whole
  network, and take turns with it. A stage inside another one is taken off that one's time, and all of them off the
  whole's, which leaves ``rest``. Apart, a stage also hands over its result; where that makes the stages take longer
  together than the whole, ``rest`` is 0.
"""

import copy
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.export.deploy import deploy
from edge_scs.export.executorch import lower_methods
from edge_scs.export.methods import Method
from edge_scs.report.latency import Worker
from edge_scs.weights.loading import Loaded

REST = "rest"
# By the beginning of a network's name: stage -> the modules that are it, as a pattern of their whole names in the eager
# network and in the deployed one (export.deploy). The first that matches; without an entry, every child is a stage.
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
    "pcarn": {
        "entry": r"entry",
        "residual blocks": r"body\.units\.\d+\.units\.\d+",
        "cascades": r"body",
        "upsampler": r"upsamplers\.\d",
        "exit": r"exit",
    },
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
        "non-local attention": r"nonlocals\.\d+",
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
            self.bytes += sum(x.numel() * x.element_size() for x in _tensors([args, out]))
        return out


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for item in value for x in _tensors(item)] if isinstance(value, (list, tuple)) else []


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


def measure_stages(
    loaded: Loaded,
    threads: int = 1,
    lr: tuple[int, int] = (180, 320),
    scale: float = 4,
    runs: int = 10,
    max_seconds: float = 60.0,
    runtimes: Sequence[str] = ("eager", "executorch"),
) -> list[dict[str, Any]]:
    """The stages of one network for one picture, ``lr`` = (h, w) pixels enlarged by ``scale``, without a reference.

    A row: {"model", "runtime", "threads", "stage", "mult_adds", "bytes_moved", "ms", "share": of all stages' time,
    "gmac_s": 10^9 multiply-accumulates a second, "intensity": MultAdds a byte moved, "reason"}. Medians over ``runs``
    turns, fewer but at least two once ``max_seconds`` are over. A runtime whose stages cannot be measured has one row,
    "whole network", with None for figures, and ``reason`` says why; otherwise that is None.
    """
    hr = (round(lr[0] * scale), round(lr[1] * scale))
    x = torch.rand(1, 3 if loaded.description.input == "rgb" else 1, *lr)
    rows: list[dict[str, Any]] = []
    for runtime in runtimes:
        base = {"model": loaded.name, "runtime": runtime, "threads": threads}
        if runtime == "eager":
            counted = costs(loaded.model, loaded.name, [x, hr])
            turns = _time_eager(loaded, x, hr, threads, runs, max_seconds)
        elif loaded.description.no_export:
            rows.append(base | _row("whole network", None, None, None, None, loaded.description.no_export))
            continue
        else:
            deployed = deploy(loaded.model, lr, hr)
            counted = costs(deployed, loaded.name, [x], fused=True)
            turns = _time_executorch(deployed, loaded.name, x, threads, runs, max_seconds)
        whole = median(sum(turn.values()) for turn in turns)
        for stage, (mult_adds, moved) in counted.items():
            ms = median(turn.get(stage, 0.0) for turn in turns)
            rows.append(base | _row(stage, mult_adds, moved, ms, ms / whole))
    return rows


def _row(
    stage: str,
    mult_adds: int | None,
    moved: int | None,
    ms: float | None,
    share: float | None,
    reason: str | None = None,
) -> dict[str, Any]:
    return {
        "stage": stage,
        "mult_adds": mult_adds,
        "bytes_moved": moved,
        "ms": None if ms is None else round(ms, 3),
        "share": None if share is None else round(share, 4),
        "gmac_s": round(mult_adds / ms / 1e6, 2) if mult_adds and ms else None,
        "intensity": round(mult_adds / moved, 3) if mult_adds and moved else None,
        "reason": reason,
    }


def _enough(turns: int, begun: float, runs: int, max_seconds: float) -> bool:
    return turns >= runs or (turns >= 2 and time.perf_counter() - begun > max_seconds)


def _time_eager(
    loaded: Loaded, x: Tensor, hr: tuple[int, int], threads: int, runs: int, max_seconds: float
) -> list[dict[str, float]]:
    """For every turn: milliseconds by stage."""
    clock = time.process_time if threads == 1 else time.perf_counter
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    turns: list[dict[str, float]] = []
    try:
        with torch.inference_mode():
            loaded.model(x, hr)
            begun = time.perf_counter()
            while not _enough(len(turns), begun, runs, max_seconds):
                seconds = by_stage(loaded.model, loaded.name, lambda: loaded.model(x, hr), clock)
                turns.append({stage: value * 1000 for stage, value in seconds.items()})
    finally:
        torch.set_num_threads(before)
    return turns


@dataclass
class _Part:
    """One module of a stage, to be a program of its own: what it is given, how often, and the part that calls it."""

    stage: str
    module: nn.Module
    inputs: dict[str, Tensor]
    around: int | None
    calls: int = 1


def _parts(model: nn.Module, model_name: str, inputs: Sequence[Tensor]) -> list[_Part]:
    """The stages' modules as one forward pass calls them; a module called again with the same shapes is one part."""
    found: dict[Any, int] = {}
    parts: list[_Part] = []
    running: list[int] = []

    def enter(stage: str, module: nn.Module, given: Any) -> None:
        tensors = {str(i): x.detach().clone() for i, x in enumerate(_tensors(given))}
        key = (module, *(x.shape for x in tensors.values()))
        if key in found:
            parts[found[key]].calls += 1
        else:
            found[key] = len(parts)
            parts.append(_Part(stage, module, tensors, running[-1] if running else None))
        running.append(found[key])

    def leave() -> None:
        running.pop()

    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            if stage := stage_of(model_name, name):
                before = module.register_forward_pre_hook(lambda m, given, stage=stage: enter(stage, m, given))
                after = module.register_forward_hook(lambda *_: leave())
                hooks.callback(before.remove)
                hooks.callback(after.remove)
        model(*inputs)
    return parts


def _time_executorch(
    deployed: nn.Module, model_name: str, x: Tensor, threads: int, runs: int, max_seconds: float
) -> list[dict[str, float]]:
    """For every turn: milliseconds by stage."""
    parts = _parts(deployed, model_name, [x])
    methods = {f"part_{i}": Method(part.module, part.inputs, channels_last=True) for i, part in enumerate(parts)}
    methods["forward"] = Method(deployed, {"x": x})
    clock = "cpu_ms" if threads == 1 else "ms"
    turns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="edge-scs-stages-") as folder:
        path = Path(folder) / f"{model_name}_stages.pte"
        path.write_bytes(lower_methods(methods).content)
        worker = Worker(path.name, "executorch")
        try:
            worker.ask(
                {"do": "load", "subject": str(path), "mode": "executorch", "device": "cpu", "lr": [], "scale": 0}
            )
            worker.ask({"do": "threads", "count": threads, "warmup": 1})
            begun = time.perf_counter()
            while not _enough(len(turns), begun, runs, max_seconds):
                ms = {method: worker.ask({"do": "run", "method": method})[clock] for method in methods}
                turns.append(_without_inner(ms, parts))
        finally:
            worker.close()
    return turns


def _without_inner(ms: dict[str, float], parts: Sequence[_Part]) -> dict[str, float]:
    """Milliseconds by method -> by stage, without the stages inside it."""
    own = [part.calls * ms[f"part_{i}"] for i, part in enumerate(parts)]
    rest = ms["forward"]
    for part, whole in zip(parts, tuple(own), strict=True):
        if part.around is None:
            rest -= whole
        else:
            own[part.around] -= whole
    spent: dict[str, float] = {}
    for part, value in zip(parts, own, strict=True):
        spent[part.stage] = spent.get(part.stage, 0.0) + value
    return {stage: max(0.0, value) for stage, value in (spent | {REST: rest}).items()}
