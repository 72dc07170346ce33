"""Who else looks at a run: experiment trackers through accelerate, PyTorch's profiler, evaluation on benchmarks."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_scs.errors import InputError
from edge_scs.models.registry import Description
from edge_scs.recipes import Recipe
from edge_scs.training.log import Tracker

# Steps before the profiler records: the first ones choose algorithms and fill caches.
SKIPPED, WARMUP = 10, 2
# A network, its description, a folder, a magnification, a device -> figures by name: ``evaluate.figures_of``.
Evaluate = Callable[[nn.Module, Description, Path, float, torch.device], dict[str, float]]


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def check_trackers(recipe: Recipe) -> None:
    """Raise InputError for a tracker that is not installed."""
    for name in recipe.trackers:
        if not installed(name):
            raise InputError(f"trackers: {name} is not installed; pip install {name}, or leave it out")


def start_trackers(accelerator: Any, recipe: Recipe, lines: list[str], out: Path) -> Tracker | None:
    """Start the recipe's trackers, on the first process; what takes the metrics, or None without any.

    ``lines`` are the recipe's keys and values. A resumed run continues the same run of wandb, known by its folder.
    """
    if not recipe.trackers:
        return None
    own = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    accelerator.init_trackers(
        "edge-scs",
        config=dict(line.split(" = ", 1) for line in lines),
        init_kwargs={"wandb": {"dir": str(out), "id": own, "resume": "allow", "name": out.name}},
    )
    before = [0]
    for name in recipe.stages:
        before.append(before[-1] + recipe.stage[name].steps)

    def track(number: int, step: int, figures: dict[str, float]) -> None:
        accelerator.log(figures, step=before[number] + step)

    return track


@contextmanager
def profiled(steps: int, path: Path, on_gpu: bool, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Record ``steps`` steps of the block, after the first ones, into ``path``, a Chrome trace; 0: nothing.

    Yields what is to be called after each step.
    """
    if not steps:
        yield lambda: None
        return
    from torch.profiler import ProfilerActivity, profile, schedule

    def write(recorded: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(path))
        say(f"{path}: {steps} steps recorded; open it in ui.perfetto.dev")

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    plan = schedule(wait=SKIPPED, warmup=WARMUP, active=steps, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as profiler:
        yield profiler.step


def check_benchmarks(recipe: Recipe, described: Description, evaluate: Evaluate | None) -> None:
    """Raise InputError naming the key for folders that are missing, or scales that the network does not do."""
    wanted = recipe.benchmarks
    if not wanted.every:
        return
    if evaluate is None or not wanted.folders or not wanted.scales:
        raise InputError("benchmarks.every: needs benchmarks.folders and benchmarks.scales; set it to 0 for none")
    for folder in wanted.folders:
        if not Path(folder).is_dir():
            raise InputError(f"benchmarks.folders: {folder}: no such folder")
    for scale in wanted.scales:
        if not described.enlarges(scale):
            raise InputError(f"benchmarks.scales: {described.name} does {described.magnifications}, not x{scale:g}")


def benchmarked(
    recipe: Recipe, model: nn.Module, described: Description, device: torch.device, evaluate: Evaluate
) -> dict[str, float]:
    """Figures of all folders and scales, "B100_x4_psnr_y"."""
    return {
        f"{Path(folder).name}_x{scale:g}_{key}": value
        for folder in recipe.benchmarks.folders
        for scale in recipe.benchmarks.scales
        for key, value in evaluate(model, described, Path(folder), scale, device).items()
    }
