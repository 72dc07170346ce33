"""What needs no original: NIQE of one image, and the Frechet distance of two collections of them.

NIQE (Mittal, Soundararajan, Bovik, "Making a 'completely blind' image quality analyzer", IEEE SPL 2013) stands on the
authors' model of pristine photographs, which is not shipped: ``peers/niqe/niqe_pris_params.npz`` below
$EDGE_SCS_ASSETS, BasicSR's copy of their ``modelparameters.mat``.

FID (Heusel et al. 2017) is the Frechet distance over one network's features, TensorFlow's Inception of 2015. No other
features give its figures, so what is measured here carries the name of the network that it stands on.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_scs.errors import InputError
from edge_scs.metrics import Float64, UInt8, studio_luma

BLOCK = 96  # pixels a side, as the authors' model has them
# Mean, covariance and window of the pristine model.
NiqeModel = tuple[Float64, Float64, Float64]


def load_niqe() -> NiqeModel | None:
    """The published parameters; None where they are not at hand. Raises InputError when the file is another one."""
    assets = os.environ.get("EDGE_SCS_ASSETS")
    path = Path(assets or "") / "peers" / "niqe" / "niqe_pris_params.npz"
    if not assets or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance, window = (
                np.asarray(file[key], np.float64) for key in ("mu_pris_param", "cov_pris_param", "gaussian_window")
            )
        if (mean.size, covariance.shape, window.shape) != (36, (36, 36), (7, 7)):
            raise ValueError(f"shapes {mean.shape}, {covariance.shape}, {window.shape}")
    except Exception as error:  # whatever a damaged archive makes numpy raise
        raise InputError(
            f"{path}: not NIQE's parameters ({type(error).__name__}); fetch BasicSR's file again"
        ) from error
    return mean.reshape(36), covariance, window


def niqe(rgb: UInt8, model: NiqeModel, crop: int = 0) -> float:
    """Naturalness of a uint8 RGB image (h, w, 3), 0 at best; ``crop`` pixels on each side are left out.

    On its studio-range luma, rounded, in blocks of 96 pixels. Raises ValueError when fewer than two blocks fit.
    """
    from scipy.ndimage import convolve

    luma = np.rint(studio_luma(rgb)[crop : rgb.shape[0] - crop, crop : rgb.shape[1] - crop])
    rows, cols = luma.shape[0] // BLOCK, luma.shape[1] // BLOCK
    if rows * cols < 2:
        raise ValueError(f"NIQE needs two blocks of {BLOCK}x{BLOCK} pixels inside the border")
    luma = luma[: rows * BLOCK, : cols * BLOCK]
    mean, covariance, window = model
    features = []
    for side in (BLOCK, BLOCK // 2):
        local = convolve(luma, window, mode="nearest")
        spread = np.sqrt(np.abs(convolve(luma**2, window, mode="nearest") - local**2))
        normalised = (luma - local) / (spread + 1)
        blocks = normalised.reshape(rows, side, cols, side).transpose(2, 0, 1, 3).reshape(-1, side, side)
        features.append(np.array([_block_features(block) for block in blocks]))
        luma = _halved(luma)
    own = np.concatenate(features, axis=1)
    own_mean = np.nanmean(own, axis=0)
    own_covariance = np.cov(own[~np.isnan(own).any(axis=1)], rowvar=False)
    if not np.isfinite(own_covariance).all():
        raise ValueError("NIQE has nothing to measure in an image that is flat almost everywhere")
    difference = mean - own_mean
    return float(np.sqrt(difference @ np.linalg.pinv((covariance + own_covariance) / 2) @ difference))


def _block_features(block: Float64) -> list[float]:
    """18 statistics of a block: of its values, and of the products of neighbours in four directions."""
    alpha, left, right = _generalised_gaussian(block)
    features = [alpha, (left + right) / 2]
    from scipy.special import gamma

    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        alpha, left, right = _generalised_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        features += [alpha, (right - left) * float(gamma(2 / alpha) / gamma(1 / alpha)), left, right]
    return features


@cache
def _shapes() -> tuple[Float64, Float64]:
    """The shapes that are tried, and the ratio that tells each (NIQE's Matlab code: 0.2 to 10 in steps of 0.001)."""
    from scipy.special import gamma

    shapes = np.arange(0.2, 10.001, 0.001)
    inverse = 1 / shapes
    return shapes, gamma(2 * inverse) ** 2 / (gamma(inverse) * gamma(3 * inverse))


def _generalised_gaussian(values: Float64) -> tuple[float, float, float]:
    """Shape and both scales of the asymmetric generalised Gaussian with these moments."""
    from scipy.special import gamma

    flat = values.ravel()
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(np.mean(flat[flat < 0] ** 2)) if (flat < 0).any() else np.nan
        right = np.sqrt(np.mean(flat[flat > 0] ** 2)) if (flat > 0).any() else np.nan
        ratio = left / right
        wanted = np.mean(np.abs(flat)) ** 2 / np.mean(flat**2)
        wanted *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
        shapes, ratios = _shapes()
        alpha = float(shapes[np.argmin((ratios - wanted) ** 2)])
        scale = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
        return alpha, float(left * scale), float(right * scale)


def _halved(plane: Float64) -> Float64:
    """Matlab's ``imresize(plane, 0.5)``: bicubic, antialiased, mirrored at the border."""
    near = np.array([0.25, 0.75, 1.25, 1.75])
    inner = 1.5 * near**3 - 2.5 * near**2 + 1
    outer = -0.5 * near**3 + 2.5 * near**2 - 4 * near + 2
    half = np.where(near <= 1, inner, outer) / 2
    weights = np.concatenate([half[::-1], half])
    for axis in (0, 1):
        padded = np.pad(plane, [(3, 3) if own == axis else (0, 0) for own in (0, 1)], mode="symmetric")
        count = plane.shape[axis] // 2
        taps = [np.take(padded, np.arange(start, start + 2 * count, 2), axis) for start in range(8)]
        plane = sum(weight * tap for weight, tap in zip(weights, taps, strict=True))  # type: ignore[assignment]
    return plane


def frechet(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Frechet distance of two sets of features (n, c), (m, c), as Gaussians. Raises ValueError for fewer than two.

    |mu_a - mu_b|^2 + tr(A) + tr(B) - 2 tr((A^(1/2) B A^(1/2))^(1/2)), which is FID's formula for covariances A, B.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("the Frechet distance needs two images or more")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(first))
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root).clip(min=0)).sum()
    distance = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(np.atleast_2d(first))
    return float(distance + np.trace(np.atleast_2d(second)) - 2 * shared)
