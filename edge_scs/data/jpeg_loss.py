"""What JPEG takes from a small grey image, without writing a file: for 32x32 pixels a third of the time.

Cosine transform of 8x8 blocks, coefficients rounded to multiples of the standard's luminance table (ITU-T T.81, Annex
K) at libjpeg's scale for a quality, and back. Entropy coding loses nothing, so it is left out.
"""

import numpy as np
from numpy.typing import NDArray

_FREQUENCY, _PLACE = np.arange(8)[:, None], np.arange(8)[None]
_COSINES = np.cos(np.pi * (2 * _PLACE + 1) * _FREQUENCY / 16) * np.where(_FREQUENCY == 0, 8**-0.5, 0.5)
COSINES = _COSINES.astype(np.float32)
HALF = np.float32(0.5 + 1e-4)  # halves are rounded away from zero, and float32 may have come out a little short
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def quantisation(quality: int) -> NDArray[np.float32]:
    """The luminance table (8, 8) at a quality from 1 to 100, as libjpeg scales it."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((LUMINANCE * scale + 50) // 100, 1, 255).astype(np.float32)


def through_jpeg(grey: NDArray[np.uint8], quality: int) -> NDArray[np.float32]:
    """uint8 (h, w) -> whole levels (h, w), as Pillow reads its own JPEG, but for ties of rounding: a level or so."""
    h, w = grey.shape
    rows, cols = (np.minimum(np.arange(-(-side // 8) * 8), side - 1) for side in (h, w))  # the last pixel goes on
    blocks = grey[rows][:, cols].astype(np.float32).reshape(len(rows) // 8, 8, -1, 8).swapaxes(1, 2) - 128
    table = quantisation(quality)
    steps = COSINES @ blocks @ COSINES.T / table
    coefficients = np.trunc(steps + np.copysign(HALF, steps)) * table
    levels = np.clip(np.rint(COSINES.T @ coefficients @ COSINES + 128), 0, 255)
    return levels.swapaxes(1, 2).reshape(len(rows), len(cols))[:h, :w]
