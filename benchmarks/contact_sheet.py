"""Colours to look at, good and bad: python benchmarks/contact_sheet.py -o docs/images/colours.jpg

Photographs that come with scikit-image and scikit-learn, made grey and four times smaller. Columns: the grey image,
the answer without a reference, guided by the same scene from the other side, guided by another image, the photograph.
Above each answer: its RGB PSNR and how colourful it is next to the photograph.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_scs.files import atomic_path
from edge_scs.inference.predictor import Predictor
from edge_scs.metrics import colourfulness, psnr_rgb
from edge_scs.samples import ImageArray, Job, photograph, restore
from edge_scs.weights.loading import load

IMAGES = ("china", "flower", "chelsea", "coffee", "rocket", "astronaut", "retina", "immunohistochemistry")
CELL = (300, 220)  # pixels: width, height
GAP, CAPTION = 8, 24


def fitted(image: ImageArray) -> Image.Image:
    """An image as large as a cell allows; a small one shows its pixels."""
    drawn, factor = Image.fromarray(image).convert("RGB"), min(np.divide(CELL, image.shape[1::-1]))
    size = (round(drawn.width * factor), round(drawn.height * factor))
    return drawn.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)


def judged(title: str, answer: ImageArray, truth: ImageArray) -> str:
    psnr, share = psnr_rgb(answer, truth, 4), colourfulness(answer) / colourfulness(truth)
    return f"{title}: {psnr:.1f} dB, colour {share:.0%}"


def row(name: str, other: str, predictor: Predictor) -> list[tuple[str, ImageArray]]:
    """The cells of one photograph, with their captions; ``other``: whose colours lead it astray."""
    alone = restore(Job(name, 4, False), predictor.enhance)
    led = restore(Job(name, 4, True), predictor.enhance)
    foreign = np.array(Image.fromarray(photograph(other)).resize((128, 128), Image.Resampling.BICUBIC))
    astray = predictor.enhance(alone.lr, alone.truth.shape[:2], foreign)
    return [
        (f"{name}, {alone.lr.shape[1]}x{alone.lr.shape[0]}", alone.lr),
        (judged("automatic", alone.answer, alone.truth), alone.answer),
        (judged("itself", led.answer, led.truth), led.answer),
        (judged(other, astray, alone.truth), astray),
        ("the photograph", alone.truth),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="edge_scs_m")
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    predictor = Predictor(load(options.model, options.weights))
    others = (*IMAGES[1:], IMAGES[0])
    rows = [row(name, other, predictor) for name, other in zip(IMAGES, others, strict=True)]
    width, height = CELL[0] + GAP, CELL[1] + CAPTION + GAP
    page = Image.new("RGB", (GAP + width * len(rows[0]), GAP + height * len(rows)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for line, cells in enumerate(rows):
        for column, (caption, image) in enumerate(cells):
            left, top = GAP + column * width, GAP + line * height
            pen.text((left, top), caption, fill="black", font=font)
            page.paste(fitted(image), (left, top + CAPTION))
    with atomic_path(options.out) as temporary:
        page.save(temporary, Image.registered_extensions()[options.out.suffix], quality=85)


if __name__ == "__main__":
    main()
