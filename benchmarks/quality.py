"""The quality figures of the model cards: python benchmarks/quality.py --bench DIR [--model edge_scs_m] [--sets B100]

DIR holds the benchmark folders (B100, Set5, Set14). Prints Markdown tables, by the evaluator's protocol:

* ``psnr_grey`` by scale beside bicubic, and beside what ``--peer`` names (a checkpoint that import-weights has made);
* a magnification between two heads (x2.7) beside the x2 and the x3 answer, resized to it by Pillow's bicubic;
* colour at x4: automatic, guided by an elastically deformed copy of the image itself (the paper's self-reference), and
  guided by another image, the next one of the folder.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from PIL import Image

from edge_scs.data.pairs import draw_references
from edge_scs.evaluate import enlarge_bicubic, evaluate, fit_to_scale, run, shrink
from edge_scs.images import find_images, read_rgb
from edge_scs.inference.predictor import Predictor
from edge_scs.metrics import UInt8, ab_error, colourfulness, psnr_rgb, psnr_y
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.weights.loading import Loaded, load

BETWEEN, NEIGHBOURS = 2.7, (2, 3)


def detail(networks: dict[str, Loaded], bench: Path, sets: list[str], scales: list[float]) -> None:
    print("\n| psnr_grey, dB | " + " | ".join(f"x{scale:g}" for scale in scales) + " |")
    print("|---|" + "---|" * len(scales))
    for name in sets:
        rows: dict[str, list[str]] = {}
        for title, network in networks.items():
            for scale in scales:
                if not network.description.enlarges(scale):
                    rows.setdefault(title, []).append("-")
                    continue
                result = evaluate(network, bench / name, scale, say=lambda text: None)
                rows.setdefault(title, []).append(f"{result['psnr_grey']:.3f}")
                if network is next(iter(networks.values())):
                    rows.setdefault("bicubic", []).append(f"{result['bicubic']['psnr_grey']:.3f}")
        for title, cells in rows.items():
            print(f"| {name}, {title} | " + " | ".join(cells) + " |", flush=True)


def between(loaded: Loaded, folder: Path) -> None:
    """The continuous head, and what an app without one would do: take a neighbour's answer and resize it."""
    scores: dict[str, list[float]] = {}
    for path in find_images([folder]):
        truth, size = fit_to_scale(read_rgb(path), BETWEEN)
        lr = shrink(np.asarray(Image.fromarray(truth).convert("L")), size)[..., None]
        answers = {f"x{BETWEEN:g}": run(loaded.model, lr, truth.shape[:2])}
        for scale in NEIGHBOURS:
            whole = run(loaded.model, lr, (size[0] * scale, size[1] * scale))
            answers[f"the x{scale} answer, resized"] = enlarge_bicubic(whole, truth.shape[:2])
        for name, answer in answers.items():
            scores.setdefault(name, []).append(psnr_y(answer, truth, 3))
    print(f"\n| {loaded.name}, {folder.name}, x{BETWEEN:g} | psnr_grey, dB |\n|---|---|")
    for name, values in scores.items():
        print(f"| {name} | {fmean(values):.4f} |", flush=True)


def colour(loaded: Loaded, folder: Path, scale: int = 4) -> None:
    """RGB PSNR, ab error (the evaluator's protocol) and colourfulness, and what no colour at all would get."""
    predictor, random = Predictor(loaded), np.random.default_rng(0)
    figures: dict[str, list[float]] = {}
    paths = find_images([folder])
    for path, neighbour in zip(paths, paths[1:] + paths[:1], strict=True):
        truth, size = fit_to_scale(read_rgb(path), scale)
        lr = shrink(np.asarray(Image.fromarray(truth).convert("L")), size)
        pixels = torch.from_numpy(truth).permute(2, 0, 1)[None].contiguous()
        elastic = draw_references(1, 0.0, random).make(pixels, slice(0, 1))[0].permute(1, 2, 0)
        modes: dict[str, Callable[[], UInt8 | None]] = {
            "automatic": lambda: None,
            "guided by itself, deformed": lambda elastic=elastic: (elastic * 255).round().byte().numpy(),
            "guided by another image": lambda neighbour=neighbour: read_rgb(neighbour),
        }
        for mode, reference in modes.items():
            out = predictor.enhance(lr, truth.shape[:2], reference())
            figures.setdefault(f"{mode} | psnr_rgb", []).append(psnr_rgb(out, truth, scale))
            figures.setdefault(f"{mode} | ab error", []).append(ab_error(out, truth, scale))
            figures.setdefault(f"{mode} | colourfulness", []).append(colourfulness(out))
            if mode == "automatic":
                luma = (out @ np.array([0.299, 0.587, 0.114])).round().clip(0, 255).astype(np.uint8)
                plain = np.repeat(luma[..., None], 3, axis=2)
                figures.setdefault("without colour | psnr_rgb", []).append(psnr_rgb(plain, truth, scale))
                figures.setdefault("without colour | ab error", []).append(ab_error(plain, truth, scale))
        figures.setdefault("the photographs | colourfulness", []).append(colourfulness(truth))
    print(f"\n| {loaded.name}, {folder.name}, x{scale} | figure | mean of {len(paths)} |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {fmean(values):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--model", default="edge_scs_m")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--int8", action="store_true", help="also the int8 network of that name")
    parser.add_argument("--peer", type=Path, help="another network's checkpoint, beside it")
    parser.add_argument("--sets", nargs="+", default=["B100", "Set14", "Set5"])
    parser.add_argument("--scales", nargs="+", type=float, default=[2, 2.7, 3, 4, 6, 8])
    options = parser.parse_args()
    loaded = load(options.model, options.weights)
    networks = {loaded.name: loaded}
    if options.peer:
        peer = load(str(options.peer))
        networks[peer.name] = peer
    detail(networks, options.bench, options.sets, options.scales)
    if options.int8:
        detail({f"{loaded.name} int8": load_int8(options.model, None)}, options.bench, options.sets[:1], [2, 3, 4])
    if loaded.description.continuous is not None:
        between(loaded, options.bench / options.sets[0])
    if loaded.description.reference:
        colour(loaded, options.bench / options.sets[0])


if __name__ == "__main__":
    main()
