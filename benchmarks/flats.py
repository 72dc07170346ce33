"""Flat images at every magnification: by how many levels of 255 black, greys and white come back changed.

    python benchmarks/flats.py                                # the shipped networks, both ends, float and int8
    python benchmarks/flats.py --weights NEW.safetensors

Whole images of 48x48 LR pixels, borders included, the luma before rounding. The answer of an int8 network is RGB in
steps of one level with colours of its own, so that its luma may be off by half a level in a network without any error.
"""

import argparse
from pathlib import Path

import torch

from edge_scs.color import luma
from edge_scs.models.edge_scs import SHUFFLE_SCALES
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.training.flats import LEVELS, SIDE, worst
from edge_scs.weights.loading import load

NETWORKS = [(name, amount) for name in ("edge_scs_s", "edge_scs_m") for amount in (0.0, 1.0)]


def int8_errors(name: str, amount: float, scale: int) -> tuple[float, float]:
    """Levels by which luma is off, at most and on average, in the worst of the flat images."""
    network = load_int8(name, amount=amount).model
    off = []
    for level in LEVELS:
        with torch.no_grad():
            rgb = network(torch.full((1, 1, SIDE, SIDE), level / 255), (SIDE * scale, SIDE * scale))
        off.append(luma(rgb) * 255 - level)
    return max(float(x.abs().max()) for x in off), max(float(x.mean().abs()) for x in off)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, action="append", help="checkpoints instead of the shipped networks")
    parser.add_argument("--no-int8", action="store_true", help="leave the shipped int8 networks out")
    given = parser.parse_args()
    print("| network | restoration | levels off, at most |\n|---|---|---|")
    for path in given.weights or []:
        found = ", ".join(f"x{scale:g} {off:.2f}" for scale, off in worst(load(str(path)).model))
        print(f"| {path.stem} | | {found} |", flush=True)
    if given.weights:
        return
    for name, amount in NETWORKS:
        found = ", ".join(f"x{scale:g} {off:.2f}" for scale, off in worst(load(name, amount=amount).model))
        print(f"| {name} | {amount:g} | {found} |", flush=True)
    for name, amount in [] if given.no_int8 else NETWORKS:
        off = {scale: int8_errors(name, amount, scale) for scale in SHUFFLE_SCALES}
        found = ", ".join(f"x{scale} {most:.2f} (mean {mean:.2f})" for scale, (most, mean) in off.items())
        print(f"| {name}, int8 | {amount:g} | {found} |", flush=True)


if __name__ == "__main__":
    main()
