"""Colour in one table: python benchmarks/colour.py --bench DIR --data PHOTOGRAPHS... [--weights NAME=FILE ...]

Sets: the benchmark folders (B100, Set14) and the validation split of the training photographs (every fiftieth name of
each folder). The coarse chroma of the colour branch is laid on the true luma, so that everything speaks of colour
alone, except "x4, own luma": there the whole network answers, and the same answer without chroma is its baseline.
Columns are networks: the shipped one and every ``--weights`` checkpoint, each at every ``--vividness``. Inputs are grey
by Pillow's ``convert("L")``.

* gain: RGB PSNR minus that of the true luma without colour, mean over the images, LR at x4 (B100, Set14) or x2 (split,
  whose images are small); and the share of images that are worse than grey;
* colourfulness (Hasler and Suesstrunk 2003) relative to the photographs';
* stability: mean distance in CIELAB's ab plane between the colours of an input and of the same input perturbed, full
  size, on the same luma: what a perturbation changes;
* edge bleeding: mean ab error within 8 pixels of the strongest twentieth of luma edges, and elsewhere;
* references: gain over automatic by the image itself (elastically deformed), another one of its group, an unrelated one
  (mean, and the worst image), and by its own grey copy, as the branch answers it (``enhance`` ignores grey ones);
* hue: the share of chroma with a CIELAB hue of 30 to 95 degrees on images of people (on all, where no groups are
  known), and the photographs' own;
* Frechet distance between ImageNet features (SqueezeNet 1.1, layer 12, averaged) of coloured and real photographs.

Noise is seeded with the image's place in its set, deformation with 0.
"""

import argparse
import copy
import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy import ndimage
from skimage.color import rgb2lab
from torch import Tensor
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.data.pairs import draw_references
from edge_scs.data.photographs import HOLD_OUT
from edge_scs.distribution import frechet
from edge_scs.errors import InputError
from edge_scs.evaluate import fit_to_scale, shrink
from edge_scs.images import find_images, read_rgb
from edge_scs.metrics import UInt8, colourfulness, psnr_rgb, to_uint8
from edge_scs.weights.features import find_features, load_features
from edge_scs.weights.loading import Loaded, load

STDERR = Console(stderr=True)
EDGE_PIXELS, EDGE_SHARE = 8, 0.05


def perturbations(gray: UInt8, seed: int) -> dict[str, UInt8]:
    """Grey (h, w) -> the same, perturbed in each way; "shift" and "mirror" move pixels."""
    import io

    rng, x = np.random.default_rng(seed), gray.astype(float)
    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, "JPEG", quality=50)
    drawn = rng.standard_normal(gray.shape)
    return {
        **{f"noise {d}": np.clip(np.rint(x + d * drawn), 0, 255).astype(np.uint8) for d in (3, 8, 15)},
        "faded, 60 + 0.5 g": np.rint(60 + 0.5 * x).astype(np.uint8),
        "gamma 0.9": np.rint(255 * (x / 255) ** 0.9).astype(np.uint8),
        "JPEG 50": np.asarray(Image.open(buffer)),
        "shift 8": gray[:, 8:],
        "mirror": np.ascontiguousarray(gray[:, ::-1]),
    }


class Colouring:
    """A network's colour branch: grey uint8 (h, w) -> chroma (1, 2, H, W), enlarged bilinearly to ``size``."""

    def __init__(self, loaded: Loaded):
        self.loaded, self.branch = loaded, loaded.model.colour

    @torch.inference_mode()
    def __call__(self, gray: UInt8, size: tuple[int, ...], reference: Tensor | None = None) -> Tensor:
        chroma = self.branch(torch.from_numpy(gray.copy())[None, None].float() / 255, reference)
        return F.interpolate(chroma, size, mode="bilinear", align_corners=False)

    @torch.inference_mode()
    def whole(self, gray: UInt8, scale: int) -> Tensor:
        """Luma and chroma (1, 3, H, W) of the whole network."""
        x = torch.from_numpy(gray.copy())[None, None].float() / 255
        return rgb_to_ycc(self.loaded.model(x, (gray.shape[0] * scale, gray.shape[1] * scale)))


def rgb(luma: Tensor, chroma: Tensor) -> UInt8:
    """Luma (1, 1, h, w) and chroma (1, 2, h, w) -> uint8 RGB (h, w, 3)."""
    return to_uint8(ycc_to_rgb(torch.cat([luma, chroma], dim=1))[0].permute(1, 2, 0).clamp(0, 1).numpy())


def ab(image: UInt8) -> Any:
    return rgb2lab(image)[..., 1:]


def distance(one: Any, other: Any) -> Any:
    return np.hypot(*np.moveaxis(one - other, -1, 0))


def measure(colouring: Colouring, truth: UInt8, scale: int, seed: int, others: dict[str, UInt8]) -> dict[str, Any]:
    """Every figure of one image. ``others``: references of the group and unrelated ones."""
    truth, size = fit_to_scale(truth, scale)
    gray = np.asarray(Image.fromarray(truth).convert("L"))
    pixels = torch.from_numpy(truth.copy()).permute(2, 0, 1)[None]
    luma = rgb_to_ycc(pixels.float() / 255)[:, :1]
    small = shrink(gray, size)
    plain = rgb(luma, torch.zeros_like(luma).repeat(1, 2, 1, 1))
    automatic = rgb(luma, colouring(small, truth.shape[:2]))
    row: dict[str, Any] = {
        "gain": psnr_rgb(automatic, truth, 0) - psnr_rgb(plain, truth, 0),
        "colourfulness": (colourfulness(automatic), colourfulness(truth)),
        "images": (automatic, truth),
    }
    whole = colouring.whole(small, scale)
    h, w = whole.shape[-2:]
    seen, without = rgb(whole[:, :1], whole[:, 1:]), rgb(whole[:, :1], torch.zeros_like(whole[:, 1:]))
    row["gain, own luma"] = psnr_rgb(seen, truth[:h, :w], scale) - psnr_rgb(without, truth[:h, :w], scale)

    base = ab(rgb(luma, colouring(gray, gray.shape)))
    row["mean chroma"] = float(distance(base, 0 * base).mean())
    for name, perturbed in perturbations(gray, seed).items():
        chroma = colouring(perturbed, perturbed.shape)
        if name == "mirror":
            chroma = chroma.flip(-1)
        offset = 8 if name == "shift 8" else 0
        changed = ab(rgb(luma[..., offset:], chroma))
        row[name] = float(distance(changed, base[:, offset:]).mean())

    strength = ndimage.gaussian_gradient_magnitude(gray.astype(float), 1.0)
    near = ndimage.binary_dilation(strength >= np.quantile(strength, 1 - EDGE_SHARE), iterations=EDGE_PIXELS)
    error = distance(base, ab(truth))
    row["near edges"], row["elsewhere"] = float(error[near].mean()), float(error[~near].mean() if (~near).any() else 0)
    hue, chroma_length = np.degrees(np.arctan2(base[..., 1], base[..., 0])), distance(base, 0 * base)
    row["hue"] = (float(chroma_length[(hue >= 30) & (hue <= 95)].sum()), float(chroma_length.sum()))
    real = ab(truth)
    hue, chroma_length = np.degrees(np.arctan2(real[..., 1], real[..., 0])), distance(real, 0 * real)
    row["real hue"] = (float(chroma_length[(hue >= 30) & (hue <= 95)].sum()), float(chroma_length.sum()))

    references = {name: _reference(image) for name, image in others.items()}
    references["itself"] = draw_references(1, 0.0, np.random.default_rng(0)).make(pixels, slice(0, 1))
    references["its grey copy"] = references["itself"].mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    for name, reference in references.items():
        guided = rgb(luma, colouring(small, truth.shape[:2], reference))
        row[f"reference: {name}"] = psnr_rgb(guided, truth, 0) - psnr_rgb(automatic, truth, 0)
    return row


def _reference(image: UInt8) -> Tensor:
    small = Image.fromarray(image).resize((128, 128), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255


def coloured_apart(features: Callable[[Tensor], list[Tensor]], pairs: Sequence[tuple[UInt8, UInt8]]) -> float:
    """Frechet distance of the features' means over space, between both sides of ``pairs``."""
    sides = []
    for side in (0, 1):
        rows = []
        for pair in pairs:
            x = torch.from_numpy(pair[side].copy()).permute(2, 0, 1)[None].float() / 255
            with torch.inference_mode():
                rows.append(features(x)[0].mean((2, 3))[0].double().numpy())
        sides.append(np.stack(rows))
    return frechet(sides[0], sides[1])


def validation_split(folders: list[Path]) -> list[tuple[Path, str]]:
    """(image, group) of every fiftieth name of each folder; groups by the ``.tsv`` beside the folder, where one is."""
    chosen = []
    for folder in folders:
        table, groups = folder.with_suffix(".tsv"), {}
        if table.is_file():
            with table.open(encoding="utf-8", newline="") as file:
                groups = {row["file"]: row.get("group", "") for row in csv.DictReader(file, delimiter="\t")}
        chosen += [(path, groups.get(path.name, "")) for path in sorted(find_images([folder]))[::HOLD_OUT]]
    return chosen


def table(title: str, files: list[tuple[Path, str]], scale: int, networks: dict[str, Loaded]) -> None:
    try:
        features = load_features("squeezenet1_1", (12,), find_features("squeezenet1_1"))
    except InputError as error:
        STDERR.print(f"no Frechet distance: {error}")
        features = None
    images = [read_rgb(path) for path, _ in files]
    columns: dict[str, dict[str, str]] = {}
    for name, network in networks.items():
        colouring, rows = Colouring(network), []
        for place in track(range(len(files)), f"{title}: {name}", console=STDERR):
            group = files[place][1]
            same = [i for i, (_, other) in enumerate(files) if group and other == group and i != place]
            strange = [i for i, (_, other) in enumerate(files) if i != place and (not group or other != group)]
            others = {"unrelated": images[strange[(7 * place) % len(strange)]]} if strange else {}
            if same:
                others["same group"] = images[same[(7 * place) % len(same)]]
            rows.append(measure(colouring, images[place], scale, place, others))
        people = [row for row, (_, group) in zip(rows, files, strict=True) if group in ("people", "")]
        columns[name] = _summary(rows, people, features)
    print(f"\n| {title}, {len(files)} images | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for key in next(iter(columns.values())):
        print(f"| {key} | " + " | ".join(column[key] for column in columns.values()) + " |", flush=True)


def _summary(rows: list[dict[str, Any]], people: list[dict[str, Any]], features: Any) -> dict[str, str]:
    def mean(key: str) -> float:
        return fmean(row[key] for row in rows if key in row)

    worse = sum(row["gain"] < 0 for row in rows)
    made, real = (fmean(row["colourfulness"][i] for row in rows) for i in (0, 1))
    hues = [sum(r[k][0] for r in people) / max(sum(r[k][1] for r in people), 1e-9) for k in ("hue", "real hue")]
    stable = list(perturbations(np.zeros((9, 9), np.uint8), 0))
    out = {
        "gain over no colour, dB": f"{mean('gain'):+.2f}",
        "the same, whole network with its own luma, dB": f"{mean('gain, own luma'):+.2f}",
        "worse than grey": f"{worse} of {len(rows)}",
        "colourfulness of the photographs'": f"{100 * made / real:.0f} %",
        "mean chroma (ab)": f"{mean('mean chroma'):.1f}",
        **{f"ab change by {key}": f"{mean(key):.2f}" for key in stable},
        "ab error near edges / elsewhere": f"{mean('near edges'):.1f} / {mean('elsewhere'):.1f}",
        "hue share 30 to 95 degrees, people (photographs)": f"{hues[0]:.2f} ({hues[1]:.2f})",
    }
    for key in sorted({key for row in rows for key in row if key.startswith("reference: ")}):
        values = [row[key] for row in rows if key in row]
        out[f"{key}, dB over automatic (worst)"] = f"{fmean(values):+.2f} ({min(values):+.2f})"
    if features is not None:
        out["Frechet distance, SqueezeNet 1.1"] = f"{coloured_apart(features, [row['images'] for row in rows]):.2f}"
    return out


def _vivid(network: Loaded, vividness: float) -> Loaded:
    """A copy whose colours are multiplied by ``vividness`` instead of what its config says."""
    model = copy.deepcopy(network.model)
    model.colour.vividness = vividness
    return replace(network, model=model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="the folder of the benchmark folders")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="folders of training photographs")
    parser.add_argument("--model", nargs="+", default=["edge_scs_m"])
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=FILE", help="other checkpoints")
    parser.add_argument(
        "--vividness", nargs="+", type=float, default=[], help="a column for each: the curve of a network"
    )
    parser.add_argument("--sets", nargs="+", default=["B100", "Set14"])
    parser.add_argument("--limit", type=int, default=0, help="images of a set; 0: all")
    options = parser.parse_args()
    networks = {name: load(name) for name in options.model}
    for item in options.weights:
        name, _, file = item.partition("=")
        networks[name] = load(file)
    if options.vividness:
        networks = {
            f"{name}, {v:g}": _vivid(network, v) for name, network in networks.items() for v in options.vividness
        }
    limit = options.limit or None
    if options.bench is not None:
        for name in options.sets:
            table(name, [(path, "") for path in find_images([options.bench / name])][:limit], 4, networks)
    if options.data:
        table("validation split", validation_split(options.data)[:limit], 2, networks)


if __name__ == "__main__":
    main()
