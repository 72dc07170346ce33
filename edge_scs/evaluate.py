"""Networks on folders of photographs, by the protocols of the published tables.

How an image is scored (``scale`` may be any number of at least 1; docs of ``metrics`` say how each metric is computed):

* LR is floor(HR / scale) pixels a side; HR is cropped at the right and bottom to round(LR * scale), which for whole
  scales is the usual crop to a multiple. The enlarging is always from LR to exactly that size.
* *Colour in* (networks with ``input="rgb"``): LR = Pillow's bicubic of the colour HR image.
* *Grey in*: grey = Pillow's ``convert("L")`` of HR, LR = Pillow's bicubic of that; RGB networks get it three times.
* Both LR images are uint8, as they would be in a file. The border left out is ceil(scale) pixels; ``border`` gives
  another number, or "liif": scale + 6 pixels and PSNR of outputs that are not rounded, as LIIF and CiaoSR have it on
  DIV2K.
* With ``reference`` ("self", "other" or a folder) a network sees one (``references``): SCSNet's "Ours-Ref".

=================== ========================================== ==================================
key                 RGB networks                               grey networks
=================== ========================================== ==================================
psnr_y, ssim_y      colour in, luma against the colour HR      grey in, the same
psnr_rgb, ssim_rgb  colour in, against the colour HR           grey in, coloured output against it
psnr_grey           grey in, luma against the colour HR        the same as psnr_y
ab_error            colour in, against the colour HR           grey in, coloured output against it
colourfulness       null: the colours were given, not made     of the coloured output
colourfulness_real  of the colour HR images                  the same
lpips               colour in, against the colour HR           grey in, coloured output against it
lpips_network       the features that lpips stands on          the same
niqe                colour in, no original                     grey in, coloured output
frechet             colour in, outputs against all HR          grey in, coloured outputs against them
frechet_network     the features that frechet stands on        the same
=================== ========================================== ==================================

``bicubic`` holds what Pillow's bicubic enlargement of the same LR images gets. LPIPS needs features and heads that
are not shipped (``weights.features.load_lpips``); without them ``lpips`` and ``lpips_network`` are null. Published
tables use AlexNet's; values of different networks must not be compared. Images under 64 pixels a side get no LPIPS.
NIQE and the Frechet distance need other people's files too (``distribution``), and two images, and are null without.
The Frechet distance is FID with other features than FID's, so it is not comparable with published FID.
"""

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edge_scs import metrics
from edge_scs.distribution import BLOCK as NIQE_BLOCK
from edge_scs.distribution import NiqeModel, frechet, load_niqe, niqe
from edge_scs.errors import InputError
from edge_scs.images import find_images, read_rgb
from edge_scs.metrics import Float64, UInt8
from edge_scs.models.features import LPIPS, Features
from edge_scs.models.registry import Description
from edge_scs.references import References
from edge_scs.weights.features import load_lpips, load_pooled
from edge_scs.weights.loading import Loaded

_SAY_EVERY = 10
_LPIPS_SIDE = 64
LIIF_BORDER = 6  # pixels more than the scale
_FIGURES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "psnr_grey", "ab_error", "colourfulness", "lpips", "niqe")


@dataclass(frozen=True)
class Criteria:
    """What an image is judged by beside PSNR and SSIM: ``None`` where it is not asked for, or not at hand.

    ``border`` pixels are left out (None: ceil(scale)); ``exact``: PSNR of outputs that are not rounded.
    """

    border: int | None = None
    exact: bool = False
    lpips: LPIPS | None = None
    niqe: NiqeModel | None = None
    features: Features | None = None


def evaluate(
    loaded: Loaded,
    data: Path,
    scale: float,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    lpips: bool = False,
    border: str | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    """Mean metrics of a network over the images under ``data`` (a folder, or one file).

    ``lpips`` adds what stands on other people's files too: LPIPS, NIQE, the Frechet distance. ``border`` is a
    number of pixels or "liif", ``reference`` "self", "other" or a folder.

    Returns {"model", "weights", "data", "scale", "border", "reference", "images", "skipped", the metrics of the table
    above, "bicubic": {the metrics again}}; ``images`` counts the images that were scored and ``skipped`` has one line
    for each that could not be, with the reason. Metrics that do not apply, or are infinite, are None. Raises InputError
    for a scale, border or reference that the network does not have, a folder without images, or one in which no
    image can be scored.
    """
    if not loaded.description.enlarges(scale):
        raise InputError(f"scale {scale:g}: {loaded.name} does {loaded.description.magnifications}; choose one it does")
    if reference is not None and not loaded.description.reference:
        raise InputError(f"--reference: {loaded.name} takes no reference; leave it out, or choose another network")
    files = find_images([data])
    references = References(reference, files) if reference is not None else None
    model = loaded.model.to(device).eval()
    network, network_name = (load_lpips() if lpips else None) or (None, None)
    pooled, pooled_name = (load_pooled() if lpips else None) or (None, None)
    pixels, exact = _border(border, scale)
    criteria = Criteria(pixels, exact, network, load_niqe() if lpips else None, pooled)
    rows: list[dict[str, dict[str, float]]] = []
    spread: list[dict[str, Float64]] = []
    skipped: list[str] = []
    for done, file in enumerate(files, 1):
        try:
            shown = references.of(done - 1).to(device) if references is not None else None
            row, seen = _metrics_of(model, loaded.description, read_rgb(file), scale, device, criteria, shown)
            rows.append(row)
            spread.append(seen)
        except InputError as error:
            skipped.append(str(error))
            say(f"skipped {skipped[-1]}")
        except ValueError as error:
            skipped.append(f"{file}: {error}")
            say(f"skipped {skipped[-1]}")
        if done % _SAY_EVERY == 0 or done == len(files):
            say(f"{done} of {len(files)} images")
    if not rows:
        raise InputError(f"{data}: none of its {len(files)} images can be scored; the first: {skipped[0]}")
    means = _means(row["model"] for row in rows)
    distances = _distances(spread)
    return {
        "model": loaded.name,
        "weights": loaded.origin,
        "data": str(data),
        "scale": int(scale) if scale == int(scale) else scale,
        "border": "liif" if exact else math.ceil(scale) if pixels is None else pixels,
        "reference": reference,
        "images": len(rows),
        "skipped": skipped,
        **{key: means.get(key) for key in _FIGURES},
        "lpips_network": network_name,
        "frechet": distances.get("model"),
        "frechet_network": pooled_name if distances else None,
        "colourfulness_real": _means(row["real"] for row in rows)["colourfulness"],
        "bicubic": _means(row["bicubic"] for row in rows) | {"frechet": distances.get("bicubic")},
    }


def figures_of(
    model: torch.nn.Module, description: Description, folder: Path, scale: float, device: torch.device
) -> dict[str, float]:
    """The metrics of a network that is being trained, without those that do not apply: ``training``'s [benchmarks]."""
    found = evaluate(Loaded(description.name, model, description, "in training"), folder, scale, str(device))
    return {key: found[key] for key in _FIGURES if found[key] is not None}


def _border(border: str | None, scale: float) -> tuple[int | None, bool]:
    """Pixels, None for the usual ones, and whether PSNR is of unrounded outputs."""
    if border is None:
        return None, False
    if border == "liif":
        return math.ceil(scale) + LIIF_BORDER, True
    if not border.isdecimal():
        raise InputError(f"--border {border}: give a number of pixels, or liif")
    return int(border), False


def metrics_of(
    model: torch.nn.Module,
    description: Description,
    hr: UInt8,
    scale: float,
    device: str = "cpu",
    lpips: LPIPS | None = None,
) -> dict[str, dict[str, float]]:
    """One image: uint8 RGB (h, w, 3) -> the metrics of the network, of bicubic, and of the real image.

    Raises ValueError when the image is too small to be scored at this scale.
    """
    return _metrics_of(model, description, hr, scale, device, Criteria(lpips=lpips), None)[0]


def _metrics_of(
    model: torch.nn.Module,
    description: Description,
    hr: UInt8,
    scale: float,
    device: str,
    criteria: Criteria,
    reference: Tensor | None,
) -> tuple[dict[str, dict[str, float]], dict[str, Float64]]:
    """``metrics_of``, and the pooled features of the network's, bicubic's and the real image where requested."""
    hr, lr_size = fit_to_scale(hr, scale)
    border = math.ceil(scale) if criteria.border is None else criteria.border
    size = hr.shape[:2]
    grey = np.asarray(Image.fromarray(hr).convert("L"))
    grey_lr = shrink(grey, lr_size)
    grey_enlarged = _three(enlarge_bicubic(grey_lr, size))
    if description.input == "rgb":
        lr = shrink(hr, lr_size)
        exact = run_exact(model, lr, size, device)
        grey_exact = run_exact(model, _three(grey_lr), size, device)
        bicubic = enlarge_bicubic(lr, size)
    else:
        exact = grey_exact = run_exact(model, grey_lr[..., None], size, device, reference)
        bicubic = grey_enlarged
    output, grey_output = metrics.to_uint8(exact), metrics.to_uint8(grey_exact)
    figures = _compare(output, hr, border, criteria) | {"psnr_grey": metrics.psnr_y(grey_output, hr, border)}
    if criteria.exact:
        unrounded, grey_unrounded = (x.clip(0, 1) * 255 for x in (exact, grey_exact))
        figures |= {
            "psnr_y": metrics.psnr_y(unrounded, hr, border),
            "psnr_rgb": metrics.psnr_rgb(unrounded, hr, border),
            "psnr_grey": metrics.psnr_y(grey_unrounded, hr, border),
        }
    if description.input != "rgb":
        figures["colourfulness"] = metrics.colourfulness(output)
    seen = {}
    if criteria.features is not None:
        images = {"model": output, "bicubic": bicubic, "real": hr}
        seen = {key: pooled(criteria.features, image) for key, image in images.items()}
    return {
        "model": figures,
        "bicubic": _compare(bicubic, hr, border, criteria) | {"psnr_grey": metrics.psnr_y(grey_enlarged, hr, border)},
        "real": {"colourfulness": metrics.colourfulness(hr)},
    }, seen


def pooled(features: Features, image: UInt8) -> Float64:
    """uint8 RGB (h, w, 3) -> the mean of the last tap's channels (c), float64."""
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return features(x)[-1].mean((0, 2, 3)).double().numpy()


def _distances(spread: list[dict[str, Float64]]) -> dict[str, float]:
    """Frechet distance of the network's and of bicubic's images to the real ones; empty for fewer than two."""
    if len(spread) < 2 or not spread[0]:
        return {}
    real, *others = (np.stack([row[key] for row in spread]) for key in ("real", "model", "bicubic"))
    return dict(zip(("model", "bicubic"), (frechet(other, real) for other in others), strict=True))


def fit_to_scale(hr: UInt8, scale: float) -> tuple[UInt8, tuple[int, int]]:
    """HR cropped at the right and bottom to what LR * scale gives, and the LR size (h, w)."""
    lr_size = tuple(math.floor(side / scale + 1e-9) for side in hr.shape[:2])
    if min(lr_size) < 1:
        raise ValueError(f"{hr.shape[1]}x{hr.shape[0]} pixels are too few to shrink by {scale:g}")
    h, w = (min(round(low * scale), side) for low, side in zip(lr_size, hr.shape[:2], strict=True))
    return hr[:h, :w], (lr_size[0], lr_size[1])


def shrink(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Pillow's antialiased bicubic (a = -0.5) to (h, w), rounded to uint8: how the LR images are made."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def enlarge_bicubic(image: UInt8, size: tuple[int, ...]) -> UInt8:
    """Pillow's bicubic to (H, W): the baseline."""
    return shrink(image, (size[0], size[1]))


def run(model: torch.nn.Module, lr: UInt8, size: tuple[int, ...], device: str = "cpu") -> UInt8:
    """uint8 (h, w, c) through a network -> uint8 RGB (H, W, 3)."""
    return metrics.to_uint8(run_exact(model, lr, size, device))


def run_exact(
    model: torch.nn.Module, lr: UInt8, size: tuple[int, ...], device: str = "cpu", reference: Tensor | None = None
) -> Float64:
    """uint8 (h, w, c) through a network, with a reference (1, 3, h, w) or without -> RGB (H, W, 3) in [0, 1]."""
    x: Tensor = torch.from_numpy(np.array(lr)).to(device).permute(2, 0, 1)[None].float() / 255
    given = () if reference is None else (reference,)
    with torch.inference_mode():
        y = model(x.contiguous(), (size[0], size[1]), *given)
    return y[0].permute(1, 2, 0).cpu().double().numpy()


def _three(grey: UInt8) -> UInt8:
    return np.repeat(grey[..., None], 3, axis=2)


def _compare(output: UInt8, hr: UInt8, border: int, criteria: Criteria) -> dict[str, float]:
    figures = {
        "psnr_y": metrics.psnr_y(output, hr, border),
        "ssim_y": metrics.ssim_y(output, hr, border),
        "psnr_rgb": metrics.psnr_rgb(output, hr, border),
        "ssim_rgb": metrics.ssim_rgb(output, hr, border),
        "ab_error": metrics.ab_error(output, hr, border),
    }
    inside = [side - 2 * border for side in hr.shape[:2]]
    if criteria.lpips is not None and min(inside) >= _LPIPS_SIDE:
        figures["lpips"] = metrics.lpips(criteria.lpips, output, hr, border)
    if criteria.niqe is not None and (inside[0] // NIQE_BLOCK) * (inside[1] // NIQE_BLOCK) >= 2:
        with contextlib.suppress(ValueError):  # an image that is flat everywhere has no NIQE
            figures["niqe"] = niqe(output, criteria.niqe, border)
    return figures


def _means(rows: Iterable[dict[str, float]]) -> dict[str, float | None]:
    """The mean of every metric; None for one that is not finite, because JSON has no infinity."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    means = {key: float(np.mean(values)) for key, values in columns.items()}
    return {key: value if math.isfinite(value) else None for key, value in means.items()}
