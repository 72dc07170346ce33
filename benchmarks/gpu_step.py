"""How long a step would take on an H100, estimated without one: python benchmarks/gpu_step.py RECIPE --data DIR

The real step, backward and optimizers included, is followed on a GPU that is not there (tests/device/fake.py). Counted
are its convolutions and matrix products, what its operations read and write, and their number. The estimate is the
longest of three times: FLOPs at a share of the dense peak (--share; of bf16 or TF32, as the recipe has it), bytes at a
share of the memory's peak (half of them with bf16), and operations at what launching a kernel costs (--launch, in
microseconds). A real step takes longer than each, so the images per second are the most that a loader has to make.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge_scs.data.photographs import load_photographs
from edge_scs.models import registry
from edge_scs.models.features import Features
from edge_scs.recipes import load_recipe
from edge_scs.training import perceptual
from edge_scs.training.speed import PEAKS
from edge_scs.training.stage import StageRun
from tests.device.fake import DEVICE, fake_gpu, real

GPU, BANDWIDTH = "NVIDIA H100", 3.35e12  # SXM, bytes a second


def without_weights() -> None:
    """VGG's layers without VGG's weights: what they compute costs the same."""
    features: Any = perceptual
    features.find_features = lambda name, *_: Path(name)
    features.load_features = lambda name, taps, path: Features(name, taps)


def counted(run: StageRun, steps: range) -> tuple[float, float, float]:
    """FLOPs, bytes and operations of a step, means over some.

    The first step, which makes the optimizers' state, is left out.
    """
    found = []
    with fake_gpu() as gpu:
        gpu.weigh = True
        for step in steps:
            with real():
                batches = [run.batches[step * run.stage.accumulate + turn] for turn in range(run.stage.accumulate)]
            gpu.launched = gpu.traffic = 0
            with FlopCounterMode(display=False) as counter:
                run.step(iter(batches), step)
            found.append((counter.get_total_flops(), gpu.traffic, gpu.launched))
    flops, traffic, launched = zip(*found[1:], strict=True)
    return statistics.mean(flops), statistics.mean(traffic), statistics.mean(launched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--bandwidth", type=float, default=0.8, help="share of the memory's peak")
    parser.add_argument("--launch", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    without_weights()
    recipe = load_recipe(options.recipe, options.set)
    photographs = load_photographs(options.data, recipe.min_side)
    peak = PEAKS[GPU][recipe.precision == "no"]
    print("| stage | batch | GFLOP an image | MB an image | operations | ms by each | images a second |")
    print("|---|---|---|---|---|---|---|")
    for number, name in enumerate(recipe.stages):
        stage = replace(recipe.stage[name], encoder_init="")
        plan = replace(recipe, stage=recipe.stage | {name: stage})
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(cpu=True)
        with fake_gpu():
            for state in (PartialState, AcceleratorState):
                state._shared_state["device"] = torch.device(DEVICE)
            with real():
                model = registry.create(plan.model, plan.config)
            run = StageRun(accelerator, plan, name, number, model, photographs)
        flops, traffic, operations = counted(run, range(options.steps))
        images = stage.data.batch * stage.accumulate
        traffic /= 2 if plan.precision == "bf16" else 1
        times = [
            1e3 * flops / (options.share * peak),
            1e3 * traffic / (options.bandwidth * BANDWIDTH),
            operations * options.launch / 1e3,
        ]
        print(
            f"| {name} | {images} | {flops / images / 1e9:.3g} | {traffic / images / 1e6:.3g} | {operations:.0f} "
            f"| {', '.join(f'{each:.1f}' for each in times)} | {images / max(times) * 1e3:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
