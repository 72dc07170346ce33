"""What a recipe's stage spends: the loader alone against the step: python benchmarks/loader.py RECIPE --data DIR

Images a second of batches as they are drawn (one process, no workers), from memory (kept), from a store on disk, and
decoded whenever they are drawn (cold); with ``data.on_device``, windows from the store (sent) and nothing but what a
batch shows (resident); and of training steps. --set as in `edge-scs train`. On the CPU unless a GPU is there. The
loader's numbers are per second of processor time, so that other work on the machine changes them little: a step that
sees N images a second needs N / images cores. --loader leaves the steps out.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from edge_scs.data.on_device import PlannedBatches
from edge_scs.data.pairs import Batch
from edge_scs.data.photographs import load_photographs
from edge_scs.models import registry
from edge_scs.recipes import load_recipe
from edge_scs.training.stage import StageRun


def median_seconds(work: Callable[[int], object], turns: int, cuda: bool) -> float:
    """Of one call, the first left out."""
    times = []
    for turn in range(turns + 1):
        begun = time.perf_counter()
        work(turn)
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def processor_seconds(draws: dict[str, Callable[[int], object]], turns: int) -> dict[str, float]:
    """Median processor time of one call of each, all threads together; they take turns, and the first is left out."""
    times: dict[str, list[float]] = {name: [] for name in draws}
    for turn in range(turns + 1):
        for name, draw in draws.items():
            begun = time.process_time()
            draw(turn)
            times[name].append(time.process_time() - begun)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    from accelerate import Accelerator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--loader", action="store_true", help="only draw batches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(options.recipe, options.set)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    cuda = accelerator.device.type == "cuda"
    with tempfile.TemporaryDirectory(prefix="edge-scs-loader-") as folder:
        ways = {
            "kept": load_photographs(options.data, recipe.min_side, 1 << 20),
            "store": load_photographs(options.data, recipe.min_side, 0, store_mb=1 << 20, cache=Path(folder)),
            "cold": load_photographs(options.data, recipe.min_side, 0),
        }
        print(f"{recipe.model}, {len(ways['kept'])} photographs, median of {options.turns}")
        for number, name in enumerate(recipe.stages):
            model = registry.create(recipe.model, recipe.config)
            run = StageRun(accelerator, recipe, name, number, model, ways["kept"])
            batch = recipe.stage[name].data.batch
            kinds = {way: copy.copy(run.batches) for way in ways}
            for way, batches in kinds.items():
                batches.photographs = ways[way]
            data = recipe.stage[name].data
            if data.degradation == "clean" and not data.fade and not data.own_scales:
                for way, resident in (("sent", False), ("resident", True)):
                    planned = PlannedBatches(ways["store"], data, run.seed, 0, 1, run.colour, run.heads, True)
                    planned.resident = resident
                    kinds[way] = planned
            drawn = processor_seconds({way: batches.__getitem__ for way, batches in kinds.items()}, options.turns)
            line = "  ".join(f"{way} {batch / seconds:8.1f}" for way, seconds in drawn.items())
            print(f"{name:14s} loader, images a second and core: {line}", flush=True)
            if options.loader:
                continue
            ready = [run.batches[turn] for turn in range(options.turns + 1)]

            def step(turn: int, run: StageRun = run, ready: list[Batch] = ready) -> object:
                return run.step(iter([ready[turn]]), turn)

            stepped = median_seconds(step, options.turns, cuda)
            memory = f"  {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if cuda else ""
            print(f"{name:14s} step on {accelerator.device}: {batch / stepped:8.1f} images/s{memory}", flush=True)


if __name__ == "__main__":
    main()
