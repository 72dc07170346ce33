"""Networks on folders of photographs, by the protocols of the published tables.

How an image is scored (``scale`` may be any number of at least 1; docs of ``metrics`` say how each metric is computed):

* LR is floor(HR / scale) pixels a side; HR is cropped at the right and bottom to round(LR * scale), which for whole
  scales is the usual crop to a multiple. The enlarging is always from LR to exactly that size.
* *Colour in* (networks with ``input="rgb"``): LR = Pillow's bicubic of the colour HR image.
* *Grey in*: grey = Pillow's ``convert("L")`` of HR, LR = Pillow's bicubic of that; RGB networks get it three times.
* Both LR images are uint8, as they would be in a file. The border left out is ceil(scale) pixels.

=================== ========================================== ==================================
key                 RGB networks                               grey networks
=================== ========================================== ==================================
psnr_y, ssim_y      colour in, luma against the colour HR      grey in, the same
psnr_rgb            colour in, against the colour HR           grey in, coloured output against it
psnr_grey           grey in, luma against the colour HR        the same as psnr_y
ab_error            colour in, against the colour HR           grey in, coloured output against it
colourfulness       null: the colours were given, not made     of the coloured output
colourfulness_real  of the colour HR images                  the same
lpips               colour in, against the colour HR           grey in, coloured output against it
lpips_network       the features that lpips stands on          the same
=================== ========================================== ==================================

``bicubic`` holds what Pillow's bicubic enlargement of the same LR images gets. LPIPS needs features and heads that
are not shipped (``weights.features.load_lpips``); without them ``lpips`` and ``lpips_network`` are null. Published
tables use AlexNet's; values of different networks must not be compared. Images under 64 pixels a side get no LPIPS.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edge_scs import metrics
from edge_scs.errors import InputError
from edge_scs.images import find_images, read_rgb
from edge_scs.metrics import UInt8
from edge_scs.models.features import LPIPS
from edge_scs.models.registry import Description
from edge_scs.weights.features import load_lpips
from edge_scs.weights.loading import Loaded

_SAY_EVERY = 10
_LPIPS_SIDE = 64
_FIGURES = ("psnr_y", "ssim_y", "psnr_rgb", "psnr_grey", "ab_error", "colourfulness", "lpips")


def evaluate(
    loaded: Loaded,
    data: Path,
    scale: float,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    lpips: bool = False,
) -> dict[str, Any]:
    """Mean metrics of a network over the images under ``data`` (a folder, or one file); ``lpips`` adds that one.

    Returns {"model", "weights", "data", "scale", "images", "skipped", "psnr_y", "ssim_y", "psnr_rgb", "psnr_grey",
    "colourfulness", "colourfulness_real", "lpips", "lpips_network", "bicubic": {the metrics again}}; ``images`` counts
    the images that were scored and ``skipped`` has one line for each that could not be, with the reason. Metrics that
    do not apply, or are infinite, are None. Raises InputError for a scale that the network does not have, a folder
    without images, or one in which no image can be scored.
    """
    if not loaded.description.enlarges(scale):
        raise InputError(f"scale {scale:g}: {loaded.name} does {loaded.description.magnifications}; choose one it does")
    files = find_images([data])
    model = loaded.model.to(device).eval()
    network, network_name = (load_lpips() if lpips else None) or (None, None)
    rows: list[dict[str, dict[str, float]]] = []
    skipped: list[str] = []
    for done, file in enumerate(files, 1):
        try:
            rows.append(metrics_of(model, loaded.description, read_rgb(file), scale, device, network))
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
    return {
        "model": loaded.name,
        "weights": loaded.origin,
        "data": str(data),
        "scale": int(scale) if scale == int(scale) else scale,
        "images": len(rows),
        "skipped": skipped,
        **{key: means.get(key) for key in _FIGURES},
        "lpips_network": network_name,
        "colourfulness_real": _means(row["real"] for row in rows)["colourfulness"],
        "bicubic": _means(row["bicubic"] for row in rows),
    }


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
    hr, lr_size = fit_to_scale(hr, scale)
    border = math.ceil(scale)
    size = hr.shape[:2]
    grey = np.asarray(Image.fromarray(hr).convert("L"))
    grey_lr = shrink(grey, lr_size)
    grey_enlarged = _three(enlarge_bicubic(grey_lr, size))
    if description.input == "rgb":
        lr = shrink(hr, lr_size)
        output = run(model, lr, size, device)
        grey_output = run(model, _three(grey_lr), size, device)
        bicubic = enlarge_bicubic(lr, size)
    else:
        output = grey_output = run(model, grey_lr[..., None], size, device)
        bicubic = grey_enlarged
    figures = _compare(output, hr, border, lpips) | {"psnr_grey": metrics.psnr_y(grey_output, hr, border)}
    if description.input != "rgb":
        figures["colourfulness"] = metrics.colourfulness(output)
    return {
        "model": figures,
        "bicubic": _compare(bicubic, hr, border, lpips) | {"psnr_grey": metrics.psnr_y(grey_enlarged, hr, border)},
        "real": {"colourfulness": metrics.colourfulness(hr)},
    }


def fit_to_scale(hr: UInt8, scale: float) -> tuple[UInt8, tuple[int, int]]:
    """HR cropped at the right and bottom to what LR * scale gives, and the LR size (h, w)."""
    lr_size = tuple(math.floor(side / scale + 1e-9) for side in hr.shape[:2])
    if min(lr_size) < 1:
        raise ValueError(f"{hr.shape[1]}x{hr.shape[0]} pixels are too few to shrink by {scale:g}")
    h, w = (min(round(low * scale), side) for low, side in zip(lr_size, hr.shape[:2], strict=True))
    return hr[:h, :w], (lr_size[0], lr_size[1])


def shrink(picture: UInt8, size: tuple[int, int]) -> UInt8:
    """Pillow's antialiased bicubic (a = -0.5) to (h, w), rounded to uint8: how the LR images are made."""
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))


def enlarge_bicubic(picture: UInt8, size: tuple[int, ...]) -> UInt8:
    """Pillow's bicubic to (H, W): the baseline."""
    return shrink(picture, (size[0], size[1]))


def run(model: torch.nn.Module, lr: UInt8, size: tuple[int, ...], device: str = "cpu") -> UInt8:
    """uint8 (h, w, c) through a network -> uint8 RGB (H, W, 3)."""
    x: Tensor = torch.from_numpy(np.array(lr)).to(device).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        y = model(x.contiguous(), (size[0], size[1]))
    return metrics.to_uint8(y[0].permute(1, 2, 0).cpu().numpy())


def _three(grey: UInt8) -> UInt8:
    return np.repeat(grey[..., None], 3, axis=2)


def _compare(output: UInt8, hr: UInt8, border: int, lpips: LPIPS | None) -> dict[str, float]:
    figures = {
        "psnr_y": metrics.psnr_y(output, hr, border),
        "ssim_y": metrics.ssim_y(output, hr, border),
        "psnr_rgb": metrics.psnr_rgb(output, hr, border),
        "ab_error": metrics.ab_error(output, hr, border),
    }
    if lpips is not None and min(hr.shape[:2]) - 2 * border >= _LPIPS_SIDE:
        figures["lpips"] = metrics.lpips(lpips, output, hr, border)
    return figures


def _means(rows: Iterable[dict[str, float]]) -> dict[str, float | None]:
    """The mean of every metric; None for one that is not finite, because JSON has no infinity."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    means = {key: float(np.mean(values)) for key, values in columns.items()}
    return {key: value if math.isfinite(value) else None for key, value in means.items()}
