"""What a recipe's stage spends: the loader alone against the step: python benchmarks/loader.py RECIPE --data DIR

Pictures/s of batches as they are drawn (one process, no workers) and of training steps. The ratio of their times is how
many loader workers keep up with one trainer. --set as in `edge-scs train`. On the CPU unless a GPU is there.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

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


def main() -> None:
    from accelerate import Accelerator

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--cold", action="store_true", help="decode every image when it is drawn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(options.recipe, options.set)
    photographs = load_photographs(options.data, recipe.min_side, 0 if options.cold else recipe.cache_mb)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    cuda = accelerator.device.type == "cuda"
    print(f"{recipe.model} on {accelerator.device}, {len(photographs)} photographs, median of {options.turns}")
    for number, name in enumerate(recipe.stages):
        model = registry.create(recipe.model, recipe.config)
        run = StageRun(accelerator, recipe, name, number, model, photographs)
        drawn = median_seconds(run.batches.__getitem__, options.turns, cuda)
        ready = [run.batches[turn] for turn in range(options.turns + 1)]

        def step(turn: int, run: StageRun = run, ready: list[Batch] = ready) -> object:
            return run.step(iter([ready[turn]]), turn)

        stepped = median_seconds(step, options.turns, cuda)
        batch = recipe.stage[name].data.batch
        memory = f"  {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if cuda else ""
        print(
            f"{name:10s} loader {batch / drawn:8.1f} images/s  step {batch / stepped:8.1f} pictures/s"
            f"  loader / step {drawn / stepped:.4f}{memory}"
        )


if __name__ == "__main__":
    main()
