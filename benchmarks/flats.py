"""Flat areas at every magnification: by how many levels of 255 black, mid-grey and white come back changed.

    python benchmarks/flats.py                                    # the shipped networks, float and int8
    python benchmarks/flats.py --weights NEW.safetensors
    python benchmarks/flats.py --weights NEW.safetensors --out LEVEL.safetensors     # corrected, as training.flats does

"inside" is an area without borders, before rounding. "image" is a whole flat image of 48x48 as a file would hold it:
borders, where the network sees zero padding, clamping and rounding included.
"""

import argparse
from pathlib import Path

import torch

from edge_scs.models.edge_scs import SHUFFLE_SCALES, EdgeSCS
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.training.flats import SCALES, flat_error, level_out
from edge_scs.weights import loading
from edge_scs.weights.loading import load

LEVELS = (0, 128, 255)


def image_error(model: EdgeSCS, scale: float, level: int) -> int:
    """Levels by which the luma of a whole flat image is off, at most."""
    gray = torch.full((1, 1, 48, 48), level / 255)
    size = (round(48 * scale), round(48 * scale))
    with torch.no_grad():
        luma = model.render(gray, torch.zeros(1, 2, 48, 48), size)[:, 0]
    return int(((luma.clamp(0, 1) * 255).round() - level).abs().max())


def int8_error(name: str, scale: int, level: int) -> float:
    """Levels by which the luma of a flat image of the int8 network is off, at most; its colours count as they come."""
    gray = torch.full((1, 1, 48, 48), level / 255)
    with torch.no_grad():
        rgb = load_int8(name).model(gray, (48 * scale, 48 * scale))
    luma = (rgb * torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1)
    return float((luma * 255 - level).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, action="append", help="checkpoints instead of the shipped networks")
    parser.add_argument("--out", type=Path, help="write the one checkpoint, corrected")
    parser.add_argument("--no-int8", action="store_true", help="leave the shipped int8 networks out")
    given = parser.parse_args()
    names = [str(path) for path in given.weights or []] or ["edge_scs_s", "edge_scs_m"]
    print(f"| network | scale | inside, {LEVELS} | image, {LEVELS} |\n|---|---|---|---|")
    for name in names:
        loaded = load(name)
        assert isinstance(loaded.model, EdgeSCS)
        if given.out is not None:
            level_out(loaded.model)
            extra = {key: value for key, value in loaded.spec.items() if key not in ("format", "model", "config")}
            loading.save(given.out, loaded.name, loaded.model, extra)
        for scale in sorted({*SCALES, *map(float, SHUFFLE_SCALES)}):
            inside = ", ".join(f"{flat_error(loaded.model, scale, level / 255):.2f}" for level in LEVELS)
            whole = ", ".join(str(image_error(loaded.model, scale, level)) for level in LEVELS)
            print(f"| {Path(name).stem} | x{scale:g} | {inside} | {whole} |", flush=True)
    if given.weights is None and not given.no_int8:
        for name in names:
            for scale in SHUFFLE_SCALES:
                found = ", ".join(f"{int8_error(name, scale, level):.2f}" for level in LEVELS)
                print(f"| {name}, int8 | x{scale} | | {found} (not rounded) |", flush=True)


if __name__ == "__main__":
    main()
