"""The quality figures of the model cards: python benchmarks/quality.py --bench DIR [--model edge_scs_m] [--sets B100]

DIR holds the benchmark folders (B100, Set5, Set14). Prints Markdown tables: ``psnr_grey`` by scale beside bicubic, and
colour at x4, automatic and led by an elastically deformed copy of the picture itself (the paper's self-reference).
"""

import argparse
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from edge_scs.data.pairs import draw_references
from edge_scs.enhance.predictor import Predictor
from edge_scs.evaluate import evaluate, fit_to_scale, shrink
from edge_scs.images import find_images, read_rgb
from edge_scs.metrics import colourfulness, psnr_rgb
from edge_scs.weights.loading import Loaded, load


def detail(loaded: Loaded, bench: Path, sets: list[str], scales: list[float]) -> None:
    print(f"\n| psnr_grey, dB: {loaded.name} (bicubic) | " + " | ".join(f"x{scale:g}" for scale in scales) + " |")
    print("|---|" + "---|" * len(scales))
    for name in sets:
        cells = []
        for scale in scales:
            result = evaluate(loaded, bench / name, scale, say=lambda text: None)
            cells.append(f"{result['psnr_grey']:.3f} ({result['bicubic']['psnr_grey']:.3f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def colour(loaded: Loaded, folder: Path, scale: int = 4) -> None:
    """RGB PSNR (the evaluator's protocol) and colourfulness, and what the picture without any colour would get."""
    predictor, random = Predictor(loaded), np.random.default_rng(0)
    figures: dict[str, list[float]] = {}
    for path in find_images([folder]):
        truth, size = fit_to_scale(read_rgb(path), scale)
        grey = (truth @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
        lr = shrink(grey, size)
        pixels = torch.from_numpy(truth).permute(2, 0, 1)[None].contiguous()
        elastic = draw_references(pixels, foreign=0.0, rng=random)[0].permute(1, 2, 0)
        reference = (elastic * 255).round().byte().numpy()
        for mode, guide in (("automatic", None), ("self-reference", reference)):
            out = predictor.enhance(lr, truth.shape[:2], guide)
            figures.setdefault(f"{mode} psnr_rgb", []).append(psnr_rgb(out, truth, scale))
            figures.setdefault(f"{mode} colourfulness", []).append(colourfulness(out))
            if mode == "automatic":
                luma = (out @ np.array([0.299, 0.587, 0.114])).round().clip(0, 255).astype(np.uint8)
                plain = np.repeat(luma[..., None], 3, axis=2)
                figures.setdefault("without colour psnr_rgb", []).append(psnr_rgb(plain, truth, scale))
        figures.setdefault("real colourfulness", []).append(colourfulness(truth))
    print(f"\n| {loaded.name}, {folder.name}, x{scale} | mean of {len(figures['real colourfulness'])} |\n|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {fmean(values):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--model", default="edge_scs_m")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sets", nargs="+", default=["B100", "Set14", "Set5"])
    parser.add_argument("--scales", nargs="+", type=float, default=[2, 3, 4])
    options = parser.parse_args()
    loaded = load(options.model, options.weights)
    detail(loaded, options.bench, options.sets, options.scales)
    if loaded.description.reference:
        colour(loaded, options.bench / options.sets[0])


if __name__ == "__main__":
    main()
