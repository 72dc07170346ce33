"""Colour hints in one table: python benchmarks/hints.py --bench DIR --data PHOTOGRAPHS... [--model CHECKPOINT]

As in benchmarks/colour.py the coarse chroma lies on the true luma, LR at x4 (B100) or x2 (validation split); inputs are
grey by Pillow's ``convert("L")``. Hints are pixels at random places, seeded with the image's place in its set, whose
colour is the mean of the photograph around them (7x7 pixels). For 0, 1, 2, 5, 10, 20 and 50 hints:

* RGB PSNR minus that without hints, mean over the images;
* error at the hints: mean distance in CIELAB's ab plane between the answer at the hinted pixels and the hints.

Reach and restraint, from one hint of a wrong colour (the photograph's chroma at that place, turned by a quarter) in
every image: the mean change in ab at distances from it, as shares of the image's longer side, on the same object
(pixels whose luma and true ab lie near those of the hinted one) and elsewhere.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from colour import ab, distance, rgb, validation_split
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.evaluate import fit_to_scale, shrink
from edge_scs.images import find_images, read_rgb
from edge_scs.inference.hint_points import Hint, planes_of
from edge_scs.metrics import UInt8, psnr_rgb
from edge_scs.weights.loading import Loaded, load

STDERR = Console(stderr=True)
COUNTS = (0, 1, 2, 5, 10, 20, 50)
RINGS = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)  # shares of the longer side


class Hinted:
    """One image, and its colours by a network with any hints; hints are given as rows, columns and RGB in HR pixels."""

    def __init__(self, loaded: Loaded, truth: UInt8, scale: int):
        self.branch = loaded.model.colour
        self.truth, size = fit_to_scale(truth, scale)
        self.scale = scale
        pixels = torch.from_numpy(self.truth.copy()).permute(2, 0, 1)[None]
        self.luma = rgb_to_ycc(pixels.float() / 255)[:, :1]
        self.small = shrink(np.asarray(Image.fromarray(self.truth).convert("L")), size)
        self.smooth = np.stack([ndimage.uniform_filter(self.truth[..., c].astype(float), 7) for c in range(3)], -1)

    @torch.inference_mode()
    def coloured(self, places: list[tuple[int, int]], colours: list[Any]) -> UInt8:
        lr = (self.small.shape[0], self.small.shape[1])
        hints = [
            Hint((x + 0.5) / self.scale - 0.5 if x else 0, (y + 0.5) / self.scale - 0.5 if y else 0, _hex(colour))
            for (y, x), colour in zip(places, colours, strict=True)
        ]
        gray = torch.from_numpy(self.small.copy())[None, None].float() / 255
        planes: Tensor | None = planes_of(hints, lr, self.branch.answer_size(lr)) if hints else None
        chroma = self.branch(gray, None, planes)
        return rgb(self.luma, F.interpolate(chroma, self.truth.shape[:2], mode="bilinear", align_corners=False))


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{round(float(np.clip(v, 0, 255))):02x}" for v in colour)


def measure(hinted: Hinted, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    h, w = hinted.truth.shape[:2]
    places = [(int(rng.integers(2, h - 2)), int(rng.integers(2, w - 2))) for _ in range(max(COUNTS))]
    colours = [hinted.smooth[place] for place in places]
    row: dict[str, Any] = {"gain": {}, "error": {}}
    for count in COUNTS:
        answer = hinted.coloured(places[:count], colours[:count])
        score = psnr_rgb(answer, hinted.truth, 0)
        if not count:
            automatic, base = answer, score
        row["gain"][count] = score - base
        if count:
            wanted = ab(_on_luma(hinted, places[:count], colours[:count]))
            found = ab(np.stack([answer[place] for place in places[:count]])[None])
            row["error"][count] = float(distance(found, wanted).mean())
    row["change"] = _reach(hinted, places[0], automatic)
    return row


def _on_luma(hinted: Hinted, places: list[tuple[int, int]], colours: list[Any]) -> UInt8:
    """The hints' chroma on the luma of the pixels that they lie on, (1, n, 3)."""
    chroma = rgb_to_ycc(torch.tensor(np.array(colours)).float().T[None, :, None] / 255)[:, 1:]
    luma = torch.stack([hinted.luma[..., y, x] for y, x in places], dim=-1).reshape(1, 1, 1, -1)
    return rgb(luma, chroma)


def _reach(hinted: Hinted, place: tuple[int, int], automatic: UInt8) -> dict[str, list[tuple[float, int]]]:
    """By ring around the hint: sums of the change in ab and pixels, on the hinted object and elsewhere."""
    colour = torch.tensor(hinted.smooth[place]).float().reshape(1, 3, 1, 1) / 255
    ycc = rgb_to_ycc(colour)
    turned = torch.stack([ycc[:, 0], -ycc[:, 2], ycc[:, 1]], dim=1)
    strong = turned[:, 1:] * (0.12 / turned[:, 1:].norm().clamp(min=0.12)).clamp(max=1)
    if float(strong.norm()) < 0.08:
        strong = torch.tensor([0.08, 0.08]).reshape(1, 2, 1, 1)
    wrong = ycc_to_rgb(torch.cat([ycc[:, :1], strong], dim=1)).flatten().numpy() * 255
    changed = distance(ab(hinted.coloured([place], [wrong])), ab(automatic))
    real = np.concatenate([hinted.luma[0, 0, :, :, None].numpy() * 100, ab(hinted.smooth.astype(np.uint8))], axis=-1)
    own = np.linalg.norm(real - real[place], axis=-1) < 12
    h, w = own.shape
    away = np.hypot(*np.mgrid[-place[0] : h - place[0], -place[1] : w - place[1]]) / max(h, w)
    rings = [(away >= low) & (away < high) for low, high in pairwise(RINGS)]
    return {
        name: [(float(changed[ring & part].sum()), int((ring & part).sum())) for ring in rings]
        for name, part in (("the hinted object", own), ("elsewhere", ~own))
    }


def table(title: str, files: list[Path], scale: int, loaded: Loaded) -> None:
    rows = []
    for place in track(range(len(files)), title, console=STDERR):
        rows.append(measure(Hinted(loaded, read_rgb(files[place]), scale), place))
    print(f"\n| {title}, {len(files)} images; hints | " + " | ".join(map(str, COUNTS[1:])) + " |")
    print("|---|" + "---:|" * len(COUNTS[1:]))
    print("| RGB PSNR over automatic, dB | " + " | ".join(f"{_mean(rows, 'gain', n):+.2f}" for n in COUNTS[1:]) + " |")
    print("| ab error at the hints | " + " | ".join(f"{_mean(rows, 'error', n):.1f}" for n in COUNTS[1:]) + " |")
    ranges = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(RINGS)]
    print("\n| change in ab by one wrong hint, at | " + " | ".join(ranges) + " |\n|---|" + "---:|" * len(ranges))
    for name in rows[0]["change"]:
        sums = np.array([row["change"][name] for row in rows]).sum(0)
        print(f"| {name} | " + " | ".join(f"{total / max(n, 1):.1f}" for total, n in sums) + " |", flush=True)


def _mean(rows: list[dict[str, Any]], key: str, count: int) -> float:
    return fmean(row[key][count] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="the folder of the benchmark folders")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="folders of training photographs")
    parser.add_argument("--model", default="edge_scs_m", help="a name or a checkpoint")
    parser.add_argument("--limit", type=int, default=0, help="images of a set; 0: all")
    options = parser.parse_args()
    loaded, limit = load(options.model), options.limit or None
    if options.bench is not None:
        table("B100", find_images([options.bench / "B100"])[:limit], 4, loaded)
    if options.data:
        table("validation split", [path for path, _ in validation_split(options.data)][:limit], 2, loaded)


if __name__ == "__main__":
    main()
