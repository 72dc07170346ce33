"""One training step of edge_scs_m, forward and backward, by precision and layout: python benchmarks/training_step.py

Random images of the recipes' sizes, one thread; the variants take turns, and ratios are to the first.
"""

import argparse
import statistics
import time

import torch

from edge_scs.models import registry

VARIANTS = {"fp32": (False, False), "channels_last": (False, True), "bf16": (True, False), "both": (True, True)}


def timed(part: str, bf16: bool, channels_last: bool) -> float:
    """Milliseconds of one step of ``part``."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = registry.create("edge_scs_m").to(memory_format=layout)
    patch, chroma, scene = (torch.rand(8, *shape) for shape in ((1, 48, 48), (2, 48, 48), (1, 120, 160)))
    patch, chroma, scene = (x.contiguous(memory_format=layout) for x in (patch, chroma, scene))
    model.colour.side = (120 * 160) ** 0.5
    for _ in range(2):  # the first is the warm-up
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = model.render(patch, chroma, (192, 192)) if part == "texture" else model.colour.logits(scene)
        out.float().mean().backward()
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    for part in ("texture", "colour"):
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(turns):
            for name, options in VARIANTS.items():
                times[name].append(timed(part, *options))
        base = statistics.median(times["fp32"])
        for name, values in times.items():
            median = statistics.median(values)
            print(f"{part:8s} {name:14s} {median:7.0f} ms  {base / median:.2f}x")


if __name__ == "__main__":
    main()
