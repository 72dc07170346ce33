"""Where the time goes: the time of every stage of a network, in eager PyTorch and in ExecuTorch.

* Time at one thread is processor time, which other work on the machine lengthens little; at more it is the clock's.
* In eager PyTorch the meter of ``stages.by_stage`` is read in whole forward passes.
* In ExecuTorch no clock fits inside a program: stages are lowered apart (``lower_stages``), as methods of one program
  beside the whole network, and take turns with it. A stage inside another one is taken off that one's time, and all of
  them off the whole's, which leaves ``rest``. Apart, a stage also hands over its result; where that makes the stages
  take longer together than the whole, ``rest`` is 0.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.lowering.deploy import deploy
from edge_scs.lowering.executorch import lower_methods
from edge_scs.lowering.methods import Method
from edge_scs.measure.stages import REST, by_stage, costs, stage_of, tensors_in
from edge_scs.measure.worker import Worker
from edge_scs.weights.loading import Loaded


@dataclass(frozen=True)
class Part:
    """One module of a stage, a program's method of its own: how often it is called, and the part that calls it."""

    stage: str
    around: int | None
    calls: int = 1


@dataclass(frozen=True)
class LoweredStages:
    """A program whose methods are "part_0", "part_1" ... for ``parts``, and "forward", the whole network.

    ``costs``: stage -> (MultAdds, bytes moved).
    """

    path: Path
    parts: list[Part]
    costs: dict[str, tuple[int, int]]


def measure_stages(
    loaded: Loaded,
    threads: int = 1,
    lr: tuple[int, int] = (180, 320),
    scale: float = 4,
    runs: int = 10,
    max_seconds: float = 60.0,
    runtimes: Sequence[str] = ("eager", "executorch"),
    lowered: LoweredStages | None = None,
) -> list[dict[str, Any]]:
    """The stages of one network for one image, ``lr`` = (h, w) pixels enlarged by ``scale``, without a reference.

    A row: {"model", "runtime", "threads", "stage", "mult_adds", "bytes_moved", "ms", "share": of all stages' time,
    "gmac_s": 10^9 multiply-accumulates a second, "intensity": MultAdds a byte moved, "reason"}. Medians over ``runs``
    turns, fewer but at least two once ``max_seconds`` are over. A runtime whose stages cannot be measured has one row,
    "whole network", with None for numbers, and ``reason`` says why; otherwise that is None. ``lowered``: what
    ``lower_stages`` made of the same network, ``lr`` and ``scale``; without it they are lowered here. Raises InputError
    for a scale that the network does not do.
    """
    x, hr = _example(loaded, lr, scale)
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
            with tempfile.TemporaryDirectory(prefix="edge-scs-stages-") as folder:
                apart = lowered or lower_stages(loaded, lr, scale, Path(folder))
                turns = _time_executorch(apart, threads, runs, max_seconds)
            counted = apart.costs
        whole = median(sum(turn.values()) for turn in turns)
        for stage, (mult_adds, moved) in counted.items():
            ms = median(turn.get(stage, 0.0) for turn in turns)
            rows.append(base | _row(stage, mult_adds, moved, ms, ms / whole))
    return rows


def lower_stages(loaded: Loaded, lr: tuple[int, int], scale: float, folder: Path) -> LoweredStages:
    """Lower the stages apart into a new file in ``folder``, for one image as in ``measure_stages``.

    Raises InputError for a scale that the network does not do, and where ExecuTorch is missing or cannot lower it.
    """
    x, hr = _example(loaded, lr, scale)
    deployed = deploy(loaded.model, lr, hr)
    parts, methods = _apart(deployed, loaded.name, x)
    methods["forward"] = Method(deployed, {"x": x})
    content = lower_methods(methods).content
    with tempfile.NamedTemporaryFile(prefix=f"{loaded.name}-", suffix=".pte", dir=folder, delete=False) as file:
        file.write(content)
    return LoweredStages(Path(file.name), parts, costs(deployed, loaded.name, [x], fused=True))


def _example(loaded: Loaded, lr: tuple[int, int], scale: float) -> tuple[Tensor, tuple[int, int]]:
    """An image (1, c, h, w) and the size (H, W) that the network makes of it."""
    if not loaded.description.enlarges(scale):
        can = loaded.description.magnifications
        raise InputError(f"scale {scale:g}: {loaded.name} does {can}; choose one it does")
    x = torch.rand(1, 3 if loaded.description.input == "rgb" else 1, *lr)
    return x, (round(lr[0] * scale), round(lr[1] * scale))


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


def _apart(model: nn.Module, model_name: str, x: Tensor) -> tuple[list[Part], dict[str, Method]]:
    """The stages' modules as one forward pass calls them, as parts and as methods of a program.

    A module called again with the same shapes is one part.
    """
    found: dict[Any, int] = {}
    parts: list[Part] = []
    methods: dict[str, Method] = {}
    running: list[int] = []

    def enter(stage: str, module: nn.Module, given: Any) -> None:
        inputs = {str(i): x.detach().clone() for i, x in enumerate(tensors_in(given))}
        key = (module, *(x.shape for x in inputs.values()))
        if key in found:
            known = parts[found[key]]
            parts[found[key]] = replace(known, calls=known.calls + 1)
        else:
            found[key] = len(parts)
            methods[f"part_{len(parts)}"] = Method(module, inputs, channels_last=True)
            parts.append(Part(stage, running[-1] if running else None))
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
        model(x)
    return parts, methods


def _time_executorch(lowered: LoweredStages, threads: int, runs: int, max_seconds: float) -> list[dict[str, float]]:
    """For every turn: milliseconds by stage."""
    methods = [*(f"part_{i}" for i in range(len(lowered.parts))), "forward"]
    clock = "cpu_ms" if threads == 1 else "ms"
    turns: list[dict[str, float]] = []
    worker = Worker(lowered.path.name, "executorch")
    try:
        program = {"subject": str(lowered.path), "mode": "executorch", "device": "cpu", "lr": [], "scale": 0}
        worker.ask({"do": "load"} | program)
        worker.ask({"do": "threads", "count": threads, "warmup": 1})
        begun = time.perf_counter()
        while not _enough(len(turns), begun, runs, max_seconds):
            ms = {method: worker.ask({"do": "run", "method": method})[clock] for method in methods}
            turns.append(_without_inner(ms, lowered.parts))
    finally:
        worker.close()
    return turns


def _without_inner(ms: dict[str, float], parts: Sequence[Part]) -> dict[str, float]:
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
