"""Degraded inputs to look at, good and bad: python benchmarks/restoration_sheet.py -o docs/images/restored.jpg

Freely licensed photographs (``samples.CREDITS``), made grey, two times smaller and worn (``data.wear``, preset "old",
fixed seeds), and the photograph of 1863 as it is. Columns: bicubic, the clean end of the weights, the restoring end; a
part of 150x110 LR pixels at x4 each.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_scs.data.wear import wear
from edge_scs.files import atomic_path
from edge_scs.inference.predictor import Predictor
from edge_scs.samples import OLD, ImageArray, photograph
from edge_scs.weights.loading import load

# (photograph, seed of its wear, top, left): faces, fur, flat sky, leaves.
INPUTS = (
    (OLD, None, 10, 5),
    ("astronaut", 3, 0, 40),
    ("chelsea", 11, 10, 30),
    ("china", 5, 30, 60),
    ("coffee", 8, 20, 60),
)
PART, SCALE, GAP, CAPTION = (110, 150), 4, 8, 24


def degraded(name: str, seed: int | None) -> ImageArray:
    """Grey LR (h, w): as it is, or half as large and worn."""
    image = Image.fromarray(photograph(name)).convert("L")
    if seed is None:
        return np.array(image)
    small = np.array(image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC))
    return wear(small, "old", np.random.default_rng(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="edge_scs_m")
    options = parser.parse_args()
    clean, restoring = (Predictor(load(options.model, amount=amount)) for amount in (0.0, 1.0))
    font, (h, w) = ImageFont.load_default(size=16), (PART[0] * SCALE, PART[1] * SCALE)
    page = Image.new("RGB", (3 * (w + GAP) + GAP, len(INPUTS) * (h + CAPTION + GAP)), "white")
    pen = ImageDraw.Draw(page)
    for place, (name, seed, top, left) in enumerate(INPUTS):
        gray = degraded(name, seed)[top : top + PART[0], left : left + PART[1]]
        plain = Image.fromarray(gray).resize((w, h), Image.Resampling.BICUBIC).convert("RGB")
        cells = [
            (f"{name}: bicubic", plain),
            ("restoration 0", Image.fromarray(clean.enhance(gray, (h, w)))),
            ("restoration 1", Image.fromarray(restoring.enhance(gray, (h, w)))),
        ]
        for column, (title, cell) in enumerate(cells):
            x, y = GAP + column * (w + GAP), place * (h + CAPTION + GAP)
            pen.text((x, y + 3), title, fill="black", font=font)
            page.paste(cell, (x, y + CAPTION))
    with atomic_path(options.out) as path:
        page.save(path, quality=88)


if __name__ == "__main__":
    main()
