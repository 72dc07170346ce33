"""What time, film, printing and files do to a photograph: the degradations that restoring weights are trained on.

One module for luma and colour. Every draw comes from the generator that it is given, so a degraded image is a function
of (seed, step, image). Lengths are LR pixels, tones are 8-bit levels. Strengths are drawn with a density that falls
linearly from mild to strong (``_mild``), so most images are slightly worn and few are bad.

Sources: order, kernels, second order and shifted JPEG grids follow BSRGAN (Zhang et al. 2021) and Real-ESRGAN (Wang et
al. 2021), with milder ranges: their chains are too strong for clean inputs (docs/log/round-10.md). Grain, halftone
screens, dust, scratches, stains, fading and frames are ours.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, signal

from edge_scs.data.jpeg_loss import through_jpeg

Plane = NDArray[np.floating]  # (h, w) or (h, w, 3), levels 0 ... 255, not clipped


@dataclass(frozen=True)
class Wear:
    """Probabilities and largest strengths of one preset. ``clean`` is the share of images that get nothing at all."""

    clean: float = 0.2
    blur: float = 0.45  # probability; deviation up to ``blur_width`` LR pixels
    blur_width: float = 1.8
    halo: float = 0.08  # unsharp mask of amount up to 1
    noise: float = 0.5  # Gaussian, Poisson or grain, deviation up to ``noise_levels``
    noise_levels: float = 25.0
    marks: float = 0.08  # dust and scratches, up to 3 pixels wide: what a 41-pixel receptive field can fill
    halftone: float = 0.02
    jpeg: float = 0.6
    jpeg_quality: tuple[int, int] = (30, 95)
    again: float = 0.2  # a second, milder round: copies of copies


PRESETS = {
    "worn": Wear(
        clean=0.35, blur_width=1.2, noise_levels=15.0, marks=0.0, halftone=0.0, jpeg_quality=(40, 95), again=0.1
    ),
    "old": Wear(),
    "copied": Wear(clean=0.15, blur=0.45, jpeg=0.6),  # as old, more of it blurred and compressed
}


def wear(image: NDArray[np.uint8], preset: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 (h, w) or (h, w, 3) at LR size -> the same, worn as ``preset`` (a key of PRESETS) says."""
    kind = PRESETS[preset]
    if rng.random() < kind.clean:
        return image
    x = _round(image.astype(np.float32), kind, rng, 1.0)
    if rng.random() < kind.again:
        x = _round(x, kind, rng, 0.5)
    return _bytes(x)


def _round(x: Plane, kind: Wear, rng: np.random.Generator, strength: float) -> Plane:
    if rng.random() < kind.blur:
        x = blur(x, _mild(rng, 0.3, strength * kind.blur_width), rng)
    if rng.random() < kind.halo:
        x = x + _mild(rng, 0.2, 1.0) * (x - _gaussian(x, rng.uniform(0.7, 2.0)))
    if rng.random() < kind.noise:
        x = noise(x, _mild(rng, 1.0, strength * kind.noise_levels), rng)
    if rng.random() < kind.marks:
        x = scratch(x, rng)
    if rng.random() < kind.halftone:
        x = halftone(x, rng)
    if rng.random() < kind.jpeg:
        low, high = kind.jpeg_quality
        x = jpeg(x, round(rng.uniform(low if strength == 1 else (low + high) / 2, high)), rng)
    return x


def _mild(rng: np.random.Generator, low: float, high: float) -> float:
    """low ... high, with a density that falls linearly to zero at ``high``."""
    return low + max(high - low, 0.0) * float(min(rng.random(2)))


FFT_PAYS = 200_000  # products: with more of them, a convolution by Fourier transforms is faster


def blur(x: Plane, deviation: float, rng: np.random.Generator) -> Plane:
    """Defocus and shake: a Gaussian, round (half of the time) or elongated, a disk, or a line of that deviation."""
    kind = rng.random()
    if kind < 0.5:
        return _gaussian(x, deviation)
    across, angle = deviation * rng.uniform(0.2, 1.0), rng.uniform(0, np.pi)
    radius = min(int(np.ceil(3 * deviation)), min(x.shape[:2]) - 1)
    rows, cols = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    u, v = cols * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - cols * np.sin(angle)
    if kind < 0.75:
        kernel = np.exp(-0.5 * ((u / deviation) ** 2 + (v / across) ** 2))
    elif kind < 0.9:  # a disk of radius r has a deviation of r / 2; its edge is half a pixel soft
        kernel = np.clip(2 * deviation + 0.5 - np.hypot(u, v), 0, 1)
    else:  # a line of length l has a deviation of l / sqrt(12)
        kernel = np.clip(1.73 * deviation + 0.5 - np.abs(u), 0, 1) * np.clip(1 - np.abs(v), 0, 1)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    if x.shape[0] * x.shape[1] * kernel.size < FFT_PAYS:
        return _by_channel(x, lambda plane: ndimage.convolve(plane, kernel, mode="reflect"))
    return _by_channel(x, lambda plane: signal.fftconvolve(np.pad(plane, radius, "symmetric"), kernel, mode="valid"))


def noise(x: Plane, deviation: float, rng: np.random.Generator) -> Plane:
    """Gaussian noise, Poisson noise, or film grain: correlated over 0.4 to 1.2 pixels and strongest in mid-tones.

    In colour images half of it is the same in all channels, as in a scanned grey print.
    """
    shape = x.shape if rng.random() < 0.5 else (*x.shape[:2], *(1 for _ in x.shape[2:]))
    kind, drawn = rng.random(), rng.standard_normal(shape, np.float32)
    if kind < 0.4:
        return x + deviation * drawn
    level = np.clip(x, 0, 255) / 255
    if kind < 0.6:  # variance proportional to the tone, ``deviation`` at mid-grey
        return x + deviation * np.sqrt(2 * level) * drawn
    grain = _gaussian(drawn, rng.uniform(0.4, 1.2))
    grain /= grain.std() + 1e-6
    return x + deviation * grain * (0.4 + 2.4 * level * (1 - level))


SPECK = ((0.6, 1.6), (0.5, 1.5), (0.3, 1))  # how much narrower than tall, radius in pixels, strength


def scratch(x: Plane, rng: np.random.Generator) -> Plane:
    """Some specks of up to 3 pixels, and up to two thin lines, lighter or darker than what they cover."""
    h, w = x.shape[:2]
    rows, cols = np.mgrid[:h, :w].astype(np.float32)
    cover = np.zeros((h, w), np.float32)
    for _ in range(rng.poisson(h * w / 1500)):
        y, x0, squeeze, radius, strength = (float(rng.uniform(*span)) for span in ((0, h), (0, w), *SPECK))
        reach = (radius + 0.5) / min(squeeze, 1.0)
        near = tuple(slice(max(0, int(at - reach)), int(at + reach) + 2) for at in (y, x0))
        away = np.hypot(rows[near] - y, (cols[near] - x0) * squeeze)
        cover[near] = np.maximum(cover[near], np.clip(radius + 0.5 - away, 0, 1) * strength)
    for _ in range(rng.integers(0, 3)):
        angle, bend = rng.normal(0, 0.15) + (np.pi / 2 if rng.random() < 0.3 else 0), rng.normal(0, 2e-3)
        along, across = rows * np.cos(angle) + cols * np.sin(angle), cols * np.cos(angle) - rows * np.sin(angle)
        away = np.abs(across - rng.uniform(across.min(), across.max()) + bend * along**2)
        cover = np.maximum(cover, np.clip(rng.uniform(0.3, 1.2) + 0.5 - away, 0, 1) * rng.uniform(0.3, 1))
    tone = rng.uniform(170, 255) if rng.random() < 0.7 else rng.uniform(0, 80)
    cover = cover.reshape(h, w, *(1 for _ in x.shape[2:]))
    return x * (1 - cover) + tone * cover


def halftone(x: Plane, rng: np.random.Generator) -> Plane:
    """A printing screen of 2.5 to 5 pixels, turned by any angle, scanned softly."""
    h, w = x.shape[:2]
    rows, cols = np.mgrid[:h, :w].astype(np.float32)
    angle, period = rng.uniform(0, np.pi / 2), rng.uniform(2.5, 5.0)
    u, v = cols * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - cols * np.sin(angle)
    screen = np.cos(2 * np.pi * u / period) * np.cos(2 * np.pi * v / period)
    level = np.clip(x, 0, 255) / 255
    amount = rng.uniform(20, 90) * (0.2 + 3.2 * level * (1 - level))
    return x + amount * screen.reshape(h, w, *(1 for _ in x.shape[2:]))


FILE_PAYS = 100 * 100  # pixels: with more of them, writing and reading a file is faster


def jpeg(x: Plane, quality: int, rng: np.random.Generator) -> Plane:
    """Through a JPEG of this quality whose grid of blocks starts anywhere."""
    top, left = (int(n) for n in rng.integers(0, 8, 2))
    rows, cols = (np.abs(np.arange(-more, side)) for more, side in ((top, x.shape[0]), (left, x.shape[1])))
    padded = _bytes(x)[np.minimum(rows, x.shape[0] - 1)][:, np.minimum(cols, x.shape[1] - 1)]  # np.pad takes longer
    if padded.ndim == 2 and padded.size < FILE_PAYS:
        return through_jpeg(padded, quality)[top:, left:]
    buffer = io.BytesIO()
    Image.fromarray(padded).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer, formats=("JPEG",)))[top:, left:].astype(np.float32)


def fade(gray: Plane, rng: np.random.Generator) -> Plane:
    """A print's tones: another gamma, less contrast, paler blacks; a third of them stained, an eighth framed.

    For the colour branch alone: tones say less about colours than what an image shows, and what is larger than the
    texture branch's receptive field cannot be undone there.
    """
    h, w = gray.shape
    contrast = 1.0 - _mild(rng, 0.0, 0.6)
    x = 255 * np.clip(gray / 255, 0, 1) ** float(np.exp(rng.uniform(-0.5, 0.5)))
    x = contrast * x + rng.uniform(0, 1 - contrast) * 255
    if rng.random() < 1 / 3:  # a smooth blotch, or an edge that went pale or dark
        spots = ndimage.zoom(rng.standard_normal((4, 4)), (h / 4, w / 4), order=3)[:h, :w]
        x = x + _mild(rng, 5, 60) * np.clip(spots, -1, 1).astype(np.float32)
    if rng.random() < 1 / 8:
        rim = max(1, int(min(h, w) * _mild(rng, 0.01, 0.1)))
        framed = np.full_like(x, rng.choice([rng.uniform(0, 40), rng.uniform(200, 255)]))
        framed[rim : h - rim, rim : w - rim] = x[rim : h - rim, rim : w - rim]
        x = framed
    return np.clip(x, 0, 255).astype(np.float32)


def _gaussian(x: Plane, deviation: float) -> Plane:
    return _by_channel(x, lambda plane: ndimage.gaussian_filter(plane, deviation, mode="reflect", truncate=3.0))


def _by_channel(x: Plane, function: Callable[[Plane], Plane]) -> Plane:
    if x.ndim == 2:
        return function(x)
    return np.stack([function(np.ascontiguousarray(x[..., i])) for i in range(x.shape[2])], axis=2)


def _bytes(x: Plane) -> NDArray[np.uint8]:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)
