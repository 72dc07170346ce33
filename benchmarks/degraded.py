"""Detail on degraded inputs: python benchmarks/degraded.py --bench DIR [--model edge_scs_m] [--restoration 0 0.5 1]

DIR holds the benchmark folders (B100, Set14). Protocol, per image: HR cropped to a multiple of the scale, grey by
Pillow's ``convert("L")``, LR by Pillow's bicubic, then degraded at LR size (``DEGRADATIONS``; the generator's seed is
the image's place in the folder). Figures are of luma: PSNR-Y as in ``edge_scs/metrics.py`` as the gain over Pillow's
bicubic of the same degraded input, LPIPS of grey images (``--lpips``, the network is named), NIQE (``--niqe``), and
the deviation of what a 5x5 mean leaves in the flat tenth of the image (``--flat``), against bicubic's. Means over the
images; at x1 "bicubic" is the input, and PSNR-Y is that of the images that are degraded.

``--peers`` adds the official PCARN-M (GAN) and PCARN-M-L1 from $EDGE_SCS_ASSETS/peers/pcarn, ``--weights NAME=FILE``
other checkpoints, and ``--end FILE --amounts 0.5 1`` the blends from the shipped restoring weights to a checkpoint that
was fine-tuned from them. What needs files that are not at hand is left out with a line that names them.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from edge_scs.data.wear import wear
from edge_scs.distribution import load_niqe, niqe
from edge_scs.errors import InputError
from edge_scs.evaluate import enlarge_bicubic, fit_to_scale, run, shrink
from edge_scs.images import find_images, read_rgb
from edge_scs.metrics import UInt8, lpips, psnr_y
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.weights.features import load_lpips
from edge_scs.weights.importing import import_weights
from edge_scs.weights.loading import Loaded, load
from edge_scs.weights.restoration import blended

Generator = np.random.Generator
STDERR = Console(stderr=True)
PEERS = {"PCARN-M (GAN), official": "PCARN-M.pth", "PCARN-M-L1, official": "PCARN-M-L1.pth"}


def _bytes(x: NDArray[Any]) -> UInt8:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def noise(deviation: float) -> Callable[[UInt8, Generator], UInt8]:
    """Gaussian noise of this deviation in levels."""
    return lambda x, rng: _bytes(x + deviation * rng.standard_normal(x.shape))


def grain(deviation: float) -> Callable[[UInt8, Generator], UInt8]:
    """Noise correlated over 0.8 pixels, twice as strong in mid-tones as in blacks and whites."""

    def degrade(x: UInt8, rng: Generator) -> UInt8:
        drawn = ndimage.gaussian_filter(rng.standard_normal(x.shape), 0.8)
        level = x / 255
        return _bytes(x + deviation * drawn / drawn.std() * (0.5 + 2 * level * (1 - level)))

    return degrade


def jpeg(quality: int) -> Callable[[UInt8, Generator], UInt8]:
    def degrade(x: UInt8, rng: Generator) -> UInt8:
        buffer = io.BytesIO()
        Image.fromarray(x).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return degrade


def blur(deviation: float) -> Callable[[UInt8, Generator], UInt8]:
    """A Gaussian of this deviation in LR pixels."""
    return lambda x, rng: _bytes(ndimage.gaussian_filter(x.astype(float), deviation))


def mild_mix(x: UInt8, rng: Generator) -> UInt8:
    """Blur 0.6, noise 4, JPEG 60."""
    return jpeg(60)(noise(4)(blur(0.6)(x, rng), rng), rng)


DEGRADATIONS: dict[str, Callable[[UInt8, Generator], UInt8]] = {
    "clean": lambda x, rng: x,
    "noise 5": noise(5),
    "noise 10": noise(10),
    "noise 20": noise(20),
    "grain 10": grain(10),
    "JPEG 90": jpeg(90),
    "JPEG 70": jpeg(70),
    "JPEG 40": jpeg(40),
    "blur 1": blur(1),
    "mild mix": mild_mix,
    "old": lambda x, rng: wear(x, "old", rng),
}


def inputs(folder: Path, scale: int, kind: str, limit: int) -> list[tuple[UInt8, UInt8]]:
    """(HR grey (H, W), degraded LR grey (h, w)) of every image of a folder."""
    pairs = []
    for place, path in enumerate(find_images([folder])[: limit or None]):
        hr, size = fit_to_scale(read_rgb(path), scale)
        gray = np.asarray(Image.fromarray(hr).convert("L"))
        small = gray if scale == 1 else shrink(gray, size)
        pairs.append((gray, DEGRADATIONS[kind](small, np.random.default_rng(place))))
    return pairs


def three(gray: UInt8) -> UInt8:
    return np.repeat(gray[..., None], 3, axis=2)


def luma(rgb: UInt8) -> UInt8:
    return np.asarray(Image.fromarray(rgb).convert("L"))


def flat_deviation(image: UInt8, truth: UInt8) -> float:
    """Deviation, in levels, of what a 5x5 mean leaves of ``image`` where ``truth`` varies least (a tenth of it)."""
    x = truth.astype(float)
    variance = ndimage.uniform_filter(x * x, 9) - ndimage.uniform_filter(x, 9) ** 2
    detail = image - ndimage.uniform_filter(image.astype(float), 5)
    return float(detail[variance <= np.quantile(variance, 0.1)].std())


def lattice(image: UInt8) -> float:
    """Power at the frequencies (a / 4, b / 4) above the median around each, in dB: what the phases of x4 print."""
    h, w = (extent // 8 * 8 for extent in image.shape)
    x = image[:h, :w] - image[:h, :w].mean()
    power = np.abs(np.fft.fft2(x * np.hanning(h)[:, None] * np.hanning(w))) ** 2
    ratios = []
    for a, b in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2), (1, 2), (2, 1), (1, -1)):
        rows, cols = (np.arange(place - 6, place + 7) for place in (a * h // 4, b * w // 4))
        around = power[np.ix_(rows % h, cols % w)]
        ratios.append(around[5:8, 5:8].mean() / np.median(around))
    return float(10 * np.log10(ratios).mean())


def answer(network: Loaded | None, small: UInt8, size: tuple[int, ...]) -> UInt8:
    """Grey LR (h, w) -> grey HR; ``None`` is bicubic."""
    if network is None:
        return small if small.shape == size else enlarge_bicubic(small, size)
    seen = three(small) if network.description.input == "rgb" else small[..., None]
    return luma(run(network.model, seen, size))


def peers() -> dict[str, Loaded]:
    """The official networks of PCARN-M whose files are at hand."""
    folder = Path(os.environ.get("EDGE_SCS_ASSETS", "")) / "peers" / "pcarn"
    found: dict[str, Loaded] = {}
    with tempfile.TemporaryDirectory() as converted:
        for name, file in PEERS.items():
            if (folder / file).is_file():
                found[name] = import_weights(folder / file, "pcarn_m", Path(converted) / f"{file}.safetensors")
            else:
                STDERR.print(f"no row {name}: no peers/pcarn/{file} in $EDGE_SCS_ASSETS")
    return found


def blends(model: str, end: Path, amounts: list[float]) -> dict[str, Loaded]:
    """Networks between the shipped restoring weights of ``model`` (0) and the checkpoint ``end`` (1)."""
    found: dict[str, Loaded] = {}
    for amount in amounts:
        network, other = load(model, amount=1.0), load(str(end))
        state = blended(network.model.state_dict(), other.model.state_dict(), amount, end)
        network.model.load_state_dict(state)
        found[f"{end.stem} {amount:g}"] = network
    return found


def psnr(rows: dict[str, list[dict[str, float]]]) -> dict[str, list[float]]:
    return {kind: [row["PSNR-Y"] for row in images] for kind, images in rows.items()}


def gain(bicubic: list[float], network: list[float]) -> str:
    """The mean gain over the images that are degraded; at x1 the others are their own truth. Without any, the PSNR-Y of
    the network in brackets.
    """
    gains = [ours - theirs for theirs, ours in zip(bicubic, network, strict=True) if isfinite(theirs)]
    return f"{fmean(gains):+.2f}" if gains else f"({fmean(network):.2f})"


def table(networks: dict[str, Loaded], folder: Path, scale: int, options: argparse.Namespace) -> None:
    metric = load_lpips() if options.lpips else None
    natural = load_niqe() if options.niqe else None
    if options.lpips and metric is None:
        STDERR.print("no LPIPS: no peers/features with peers/lpips_lin in $EDGE_SCS_ASSETS")
    if options.niqe and natural is None:
        STDERR.print("no NIQE: no peers/niqe/niqe_pris_params.npz in $EDGE_SCS_ASSETS")
    scores: dict[str, dict[str, list[dict[str, float]]]] = {}
    for kind in track(options.kinds, f"{folder.name} x{scale}", console=STDERR):
        for gray, small in inputs(folder, scale, kind, options.limit):
            for name, network in {"bicubic": None, **networks}.items():
                out = answer(network, small, gray.shape)
                row = {"PSNR-Y": psnr_y(three(out), three(gray), scale), "flat": flat_deviation(out, gray)}
                if options.lattice:
                    row["lattice"] = lattice(out[8:-8, 8:-8])
                if metric is not None:
                    row["LPIPS"] = lpips(metric[0], three(out), three(gray), scale)
                if natural is not None:
                    with contextlib.suppress(ValueError):  # too small, or flat everywhere
                        row["NIQE"] = niqe(three(out), natural, scale)
                scores.setdefault(name, {}).setdefault(kind, []).append(row)
    print(
        f"\n| {folder.name}, x{scale}, {len(gray) and len(scores['bicubic'][kind])} images | "
        + " | ".join(options.kinds)
        + " |"
    )
    print("|---|" + "---|" * len(options.kinds))
    base = scores.pop("bicubic")
    bicubic = psnr(base)
    cells = [f"{fmean(known):.2f}" if (known := [*filter(isfinite, bicubic[kind])]) else "-" for kind in options.kinds]
    print("| bicubic, PSNR-Y, dB | " + " | ".join(cells) + " |")
    for name, rows in scores.items():
        cells = [gain(bicubic[kind], values) for kind, values in psnr(rows).items()]
        print(f"| {name}, gain, dB | " + " | ".join(cells) + " |", flush=True)
    extra = {
        "LPIPS": f"LPIPS ({metric[1]})" if metric else "",
        "NIQE": "NIQE" if natural else "",
        "flat": "deviation on flat areas, levels" if options.flat else "",
        "lattice": "lattice, dB" if options.lattice else "",
    }
    for key, label in extra.items():
        for name, rows in {"bicubic": base, **scores}.items() if label else ():
            found = [[row[key] for row in rows[kind] if key in row] for kind in options.kinds]
            cells = [f"{fmean(values):.3f}" if values else "-" for values in found]
            print(f"| {name}, {label} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--model", default="edge_scs_m")
    parser.add_argument("--restoration", nargs="+", type=float, default=[0.0, 1.0])
    parser.add_argument("--int8", action="store_true", help="also the int8 networks of that name, both ends")
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=FILE", help="other checkpoints")
    parser.add_argument("--sets", nargs="+", default=["B100"])
    parser.add_argument("--scales", nargs="+", type=int, default=[4])
    parser.add_argument("--kinds", nargs="+", choices=list(DEGRADATIONS), default=list(DEGRADATIONS))
    parser.add_argument("--limit", type=int, default=0, help="images of a folder; 0: all")
    parser.add_argument("--lpips", action="store_true")
    parser.add_argument("--niqe", action="store_true")
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--lattice", action="store_true", help="what the phases of a x4 head print")
    parser.add_argument("--peers", action="store_true", help="also the official PCARN-M and PCARN-M-L1")
    parser.add_argument("--end", type=Path, help="a checkpoint fine-tuned from the restoring weights")
    parser.add_argument("--amounts", nargs="+", type=float, default=[1.0], help="blends towards it")
    options = parser.parse_args()
    networks = {f"restoration {end:g}": load(options.model, amount=end) for end in options.restoration}
    if options.int8:
        networks |= {f"restoration {end}, int8": load_int8(options.model, amount=end) for end in (0, 1)}
    for item in options.weights:
        name, _, file = item.partition("=")
        networks[name] = load(file)
    if options.end:
        networks |= blends(options.model, options.end, options.amounts)
    if options.peers:
        networks |= peers()
    for name in options.sets:
        for scale in options.scales:
            table(networks, options.bench / name, scale, options)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"degraded: {error}", file=sys.stderr)
        sys.exit(2)
