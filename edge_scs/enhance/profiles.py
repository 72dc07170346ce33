"""ICC profiles: a picture's own colours to sRGB, which the networks know, and the answer back into the picture's own.

Eight bits go through LittleCMS, which knows every kind of profile. Pillow gives it no deep pictures, so 16 bits are
converted here, for the profiles that are a curve and a matrix (ICC.1:2010, 8.3.3 and 8.4: Adobe RGB, ProPhoto, grey
gamma, dot gain): nearly all that scanners and photo editors embed at that depth.
"""

import io
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edge_scs.enhance.pictures import Picture

MAX_BYTES = 8 << 20
_RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
# sRGB's primaries adapted to D50, the profile connection space: columns are red, green, blue (IEC 61966-2-1, Bradford).
_SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
_STEPS = np.linspace(0.0, 1.0, 65536)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclass
class Profile:
    """A usable ICC profile. ``space`` is "RGB", "GRAY" or "CMYK"; ``is_srgb``: nothing needs converting."""

    content: bytes
    space: str
    is_srgb: bool
    _cms: ImageCms.ImageCmsProfile = field(repr=False)

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An 8-bit picture (L, RGB, CMYK, matching ``space``) in sRGB; grey stays L."""
        if self.is_srgb:
            return image
        target = ImageCms.createProfile("sRGB")
        rgb = ImageCms.profileToProfile(image, self._cms, target, _RELATIVE, outputMode="RGB")
        assert rgb is not None
        return rgb.getchannel(1) if image.mode == "L" else rgb

    def from_srgb(self, rgb: Picture) -> Picture:
        """sRGB (h, w, 3) in this RGB profile's own values, at the same depth."""
        if self.is_srgb:
            return rgb
        if rgb.dtype == np.uint16:
            return _through(rgb, _srgb_curve(), _SRGB_TO_XYZ, *_matrix_shaper(self.content))
        source = ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(Image.fromarray(rgb), source, self._cms, _RELATIVE, outputMode="RGB")
        return np.asarray(image)

    def deep_to_srgb(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """uint16 grey (h, w) or RGB (h, w, 3) in sRGB. Raises ValueError if the profile is not curves and a matrix."""
        if self.is_srgb:
            return pixels
        curves, matrix = _matrix_shaper(self.content)
        if pixels.ndim == 2:
            table = np.interp(curves[0], _srgb_curve()[0], _STEPS)
            return np.rint(table * 65535).astype(np.uint16)[pixels]
        return _through(pixels, curves, matrix, _srgb_curve(), _SRGB_TO_XYZ)


def read_profile(content: bytes | None, mode: str) -> Profile | None:
    """The profile of a picture of this Pillow mode; None if there is none, or it is broken or another space's."""
    if not content or len(content) > MAX_BYTES:
        return None
    space = {"L": "GRAY", "1": "GRAY", "I;16": "GRAY", "CMYK": "CMYK"}.get(mode, "RGB")
    try:
        cms = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if cms.profile.xcolor_space.strip() != space:
            return None
        name = ImageCms.getProfileDescription(cms)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return Profile(content, space, space == "RGB" and "sRGB" in name, cms)


def _matrix_shaper(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(curves (1 or 3, 65536): value -> linear light, matrix (3, 3) to XYZ). Raises ValueError for other profiles."""
    tags = {}
    try:
        for i in range(min(struct.unpack_from(">I", content, 128)[0], 100)):
            name, offset, size = struct.unpack_from(">4sII", content, 132 + 12 * i)
            tags[name] = content[offset : offset + size]
        if content[16:20] == b"GRAY":
            return _curve(tags[b"kTRC"])[None], np.eye(3)
        if b"A2B0" in tags:
            raise ValueError("the profile is a table")
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (KeyError, struct.error) as error:
        raise ValueError("the profile is no curves and matrix") from error
    matrix = np.array(columns).T / 65536
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError("the profile's colours span no space")
    return curves, matrix


def _curve(tag: bytes) -> NDArray[np.float64]:
    """A curveType or parametricCurveType (ICC.1:2010, 10.5 and 10.15) at 65536 steps from 0 to 1."""
    if tag[:4] == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return _STEPS
        if count == 1:
            return _STEPS ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        points = np.frombuffer(tag, ">u2", count=count, offset=12) / 65535
        return np.maximum.accumulate(np.interp(_STEPS, np.linspace(0, 1, count), points))
    if tag[:4] != b"para":
        raise ValueError("the profile has a curve of unknown kind")
    kind = struct.unpack_from(">H", tag, 8)[0]
    if kind > 4:
        raise ValueError("the profile has a curve of unknown kind")
    count = (1, 3, 4, 5, 7)[kind]
    given = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    g, a, b, c, d, e, f = given + [0.0] * (7 - count)
    if kind == 0:
        return _STEPS**g
    start = d if kind >= 3 else (-b / a if a else 0.0)
    low = c * _STEPS + f if kind >= 3 else np.full_like(_STEPS, c)
    high = np.maximum(a * _STEPS + b, 0) ** g + (e if kind == 4 else c if kind == 2 else 0.0)
    return np.clip(np.maximum.accumulate(np.where(start <= _STEPS, high, low)), 0, 1)


def _srgb_curve() -> NDArray[np.float64]:
    linear = np.where(_STEPS <= 0.04045, _STEPS / 12.92, ((_STEPS + 0.055) / 1.055) ** 2.4)
    return np.stack([linear] * 3)


def _through(
    pixels: Picture,
    curves: NDArray[np.float64],
    matrix: NDArray[np.float64],
    target_curves: NDArray[np.float64],
    target_matrix: NDArray[np.float64],
) -> NDArray[np.uint16]:
    """uint16 (h, w, 3) from one space of curves and matrix to another, some rows at a time."""
    across = (np.linalg.inv(target_matrix) @ matrix).astype(np.float32)
    light = curves.astype(np.float32)
    out = np.empty(pixels.shape, np.uint16)
    for row in range(0, pixels.shape[0], 64):
        part = pixels[row : row + 64]
        linear = np.stack([light[i][part[..., i]] for i in range(3)], axis=-1) @ across.T
        for i in range(3):
            levels = np.interp(linear[..., i], target_curves[i], _STEPS)
            out[row : row + 64, ..., i] = np.rint(levels * 65535)
    return out
