"""Colour on held-out photographs, by which training is steered: python benchmarks/held_out.py --data DIR [--data DIR]

Every fiftieth image by name is held out of training (``Photographs.split``). The network's chroma is laid on the true
luma, so RGB PSNR and colourfulness speak of colour alone; grey LR at x4; automatic, and guided by the image itself,
mirrored or not and elastically deformed. Means over the held-out images.
"""

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.data.degradation import grey, to_lr
from edge_scs.data.pairs import draw_references
from edge_scs.data.photographs import load_photographs
from edge_scs.metrics import colourfulness
from edge_scs.weights.loading import load


def score(chroma: Tensor, hr: Tensor) -> tuple[float, float]:
    """(RGB PSNR in dB, colourfulness) of a coarse chroma (1, 2, h, w) on the luma of hr (1, 3, H, W), uint8."""
    truth = hr.float() / 255
    luma = rgb_to_ycc(truth)[:, :1]
    rgb = ycc_to_rgb(torch.cat([luma, F.interpolate(chroma, luma.shape[-2:], mode="bilinear")], dim=1)).clamp(0, 1)
    image = (rgb[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return float(-10 * torch.log10(F.mse_loss(rgb, truth))), colourfulness(image)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--model", default="edge_scs_m")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--temperature", type=float, help="instead of the checkpoint's own")
    options = parser.parse_args()
    branch = load(options.model, options.weights).model.colour
    branch.temperature = options.temperature or branch.temperature
    _, held_out = load_photographs(options.data).split()
    random = np.random.default_rng(0)
    scores: dict[str, list[tuple[float, float]]] = {"without colour": [], "automatic": [], "self-reference": []}
    real = []
    for index in range(len(held_out)):
        image = held_out[index]
        h, w = (extent // 4 * 4 for extent in image.shape[1:])
        hr = image[None, :, :h, :w]
        gray = to_lr(grey(hr), (h // 4, w // 4))
        reference = draw_references(1, 0.0, random).make(hr, slice(0, 1))
        scores["without colour"].append(score(torch.zeros(1, 2, 1, 1), hr))
        scores["automatic"].append(score(branch(gray), hr))
        scores["self-reference"].append(score(branch(gray, reference), hr))
        real.append(colourfulness(hr[0].permute(1, 2, 0).numpy()))
    print(f"{len(real)} held-out photographs, colourfulness {fmean(real):.1f}")
    for name, values in scores.items():
        psnr, colour = (fmean(column) for column in zip(*values, strict=True))
        print(f"{name:15s} {psnr:6.2f} dB  colourfulness {colour:5.1f}")


if __name__ == "__main__":
    main()
