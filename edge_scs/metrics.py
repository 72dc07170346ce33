"""PSNR, SSIM, LPIPS and colourfulness, by the conventions of the super-resolution tables.

Images are uint8 RGB (h, w, 3): what a file would hold, so rounding and clamping are part of every metric. All
arithmetic is float64. ``crop`` pixels on each side are left out (the tables use the scale), because zero padding and
resampling make borders a matter of taste.
"""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_scs.models.features import LPIPS

UInt8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]
T = TypeVar("T", np.uint8, np.float64)

# BT.601 studio range, as MATLAB's rgb2ycbcr has it: luma in [16, 235] from R, G, B in [0, 255].
_STUDIO_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_STUDIO_BLACK = 16.0
_PEAK = 255.0
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5


def to_uint8(image: NDArray[np.floating]) -> UInt8:
    """[0, 1] -> uint8, rounded and clamped."""
    return np.clip(np.rint(np.asarray(image, np.float64) * _PEAK), 0, _PEAK).astype(np.uint8)


def studio_luma(rgb: UInt8 | Float64) -> Float64:
    """RGB in 0..255 (h, w, 3) -> luma (h, w), float64 in [16, 235], not rounded."""
    return _STUDIO_BLACK + rgb.astype(np.float64) @ _STUDIO_LUMA


def psnr(a: Float64, b: Float64, crop: int = 0) -> float:
    """Peak signal-to-noise ratio in dB at peak 255, over all planes at once (h, w, ...); infinite for equal images.

    Raises ValueError when the shapes differ or nothing is left inside the border.
    """
    a, b = _inside(a, b, crop)
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def psnr_y(a: UInt8 | Float64, b: UInt8, crop: int) -> float:
    """PSNR of the studio-range luma of two RGB images, dB: the metric of the published tables."""
    return psnr(studio_luma(a), studio_luma(b), crop)


def psnr_rgb(a: UInt8 | Float64, b: UInt8, crop: int) -> float:
    """PSNR over the three colour planes, dB, on uint8 with the same border as ``psnr_y``."""
    return psnr(a.astype(np.float64), b.astype(np.float64), crop)


def ssim_y(a: UInt8, b: UInt8, crop: int) -> float:
    """Structural similarity of the studio-range luma, at most 1 (Wang et al. 2004, its reference settings).

    An 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, weighted moments, averaged over the valid area.
    Raises ValueError when less than a window is left inside the border.
    """
    return _ssim(*_inside(studio_luma(a), studio_luma(b), crop))


def ssim_rgb(a: UInt8, b: UInt8, crop: int) -> float:
    """The same, on red, green and blue in 0..255, averaged over the three: SSIM of tables that are not of luma."""
    x, y = _inside(a.astype(np.float64), b.astype(np.float64), crop)
    return float(np.mean([_ssim(x[..., channel], y[..., channel]) for channel in range(3)]))


def _ssim(x: Float64, y: Float64) -> float:
    if min(x.shape) < _SSIM_WINDOW:
        raise ValueError(f"SSIM needs {_SSIM_WINDOW} pixels a side, the image has {min(x.shape)} inside its border")
    from skimage.metrics import structural_similarity

    # truncate = 3.5 standard deviations is the 11x11 window; K1 and K2 are scikit-image's defaults.
    similarity = structural_similarity(
        x, y, data_range=_PEAK, gaussian_weights=True, sigma=_SSIM_SIGMA, use_sample_covariance=False
    )
    return float(similarity)


def lpips(network: LPIPS, a: UInt8, b: UInt8, crop: int) -> float:
    """Learned perceptual distance of two RGB images, 0 for equal ones; its network is what it may be compared by.

    Raises ValueError when the network's pools leave nothing of what is inside the border.
    """
    import torch

    pair = [torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255 for x in _inside(a, b, crop)]
    with torch.inference_mode():
        return float(network(*pair))


def colourfulness(rgb: UInt8) -> float:
    """Hasler and Suesstrunk 2003, M3: 0 for grey, about 33 "moderately" and 59 "quite" colourful. Not SCSNet's CN."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(rg.std()), float(yb.std()))
    return spread + 0.3 * math.hypot(float(rg.mean()), float(yb.mean()))


def ab_error(a: UInt8, b: UInt8, crop: int = 0) -> float:
    """Mean distance of two RGB images in the a, b plane of CIELAB (D65); luminance does not count."""
    from skimage.color import rgb2lab

    difference = np.subtract(*(rgb2lab(x)[..., 1:] for x in _inside(a, b, crop)))
    return float(np.hypot(difference[..., 0], difference[..., 1]).mean())


def _inside(a: NDArray[T], b: NDArray[T], crop: int) -> tuple[NDArray[T], NDArray[T]]:
    if a.shape != b.shape:
        raise ValueError(f"images of shapes {a.shape} and {b.shape} cannot be compared")
    h, w = a.shape[:2]
    if min(h, w) <= 2 * crop:
        raise ValueError(f"nothing is left of {w}x{h} pixels without a border of {crop}")
    window = (slice(crop, h - crop), slice(crop, w - crop))
    return a[window], b[window]
