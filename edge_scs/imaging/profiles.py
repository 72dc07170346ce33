"""ICC profiles: an image's own colours to sRGB, which the networks know, and the answer back into the image's own.

Eight bits go through LittleCMS, which knows every kind of profile. Pillow gives it no deep images, so 16 bits are
converted here, for the profiles that are a curve and a matrix (ICC.1:2010, 8.3.3 and 8.4: Adobe RGB, ProPhoto, grey
gamma, dot gain): nearly all that scanners and photo editors embed at that depth.
"""

import io
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edge_scs.imaging.arrays import ImageArray

MAX_BYTES = 8 << 20
_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError)
_SAME = 2  # levels of 255 by which profiles that are all called sRGB differ from one another, at most
_RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
# sRGB's primaries adapted to D50, the profile connection space: columns are red, green, blue (IEC 61966-2-1, Bradford).
_SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
_STEPS = np.linspace(0.0, 1.0, 65536)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclass(frozen=True)
class Profile:
    """A usable ICC profile, known by what it does and not by its name.

    ``space`` is "RGB", "GRAY" or "CMYK"; ``is_srgb``: it does what sRGB does, nothing needs converting; ``writable``:
    colours can be brought into it (tables of scanners and telephones often know the way out only).
    """

    content: bytes
    space: str
    is_srgb: bool
    writable: bool
    _cms: ImageCms.ImageCmsProfile = field(repr=False)

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An 8-bit image (L, RGB, CMYK) in sRGB; grey stays L, also where the profile is one of RGB."""
        if self.is_srgb:
            return image
        grey = image.mode == "L"
        rgb = _converted(image.convert("RGB") if grey and self.space == "RGB" else image, self._cms, _srgb())
        return rgb.getchannel(1) if grey else rgb

    def from_srgb(self, rgb: ImageArray) -> ImageArray:
        """sRGB (h, w, 3) in the values of this RGB profile, which is ``writable``, at the same depth."""
        if self.is_srgb:
            return rgb
        if rgb.dtype == np.uint16:
            return _through(rgb, _srgb_curve(), _SRGB_TO_XYZ, *_matrix_shaper(self.content))
        return np.asarray(_converted(Image.fromarray(rgb), _srgb(), self._cms))

    def deep_to_srgb(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """uint16 grey (h, w) or RGB (h, w, 3) in sRGB. Raises ValueError if the profile is not curves and a matrix."""
        if self.is_srgb:
            return pixels
        curves, matrix = _matrix_shaper(self.content)
        if pixels.ndim == 3:
            return _through(pixels, curves, matrix, _srgb_curve(), _SRGB_TO_XYZ)
        if len(curves) == 1:
            table = np.rint(np.interp(curves[0], _srgb_curve()[0], _STEPS) * 65535).astype(np.uint16)
        else:
            greys = np.repeat(np.arange(65536, dtype=np.uint16)[:, None, None], 3, axis=2)
            table = _through(greys, curves, matrix, _srgb_curve(), _SRGB_TO_XYZ)[:, 0, 1]
        return table[pixels]


def read_profile(content: bytes | None, mode: str, notes: list[str]) -> Profile | None:
    """The profile of an image of this Pillow mode, or None: there is none, it is broken, or another space's.

    A grey image may have an RGB profile: its curves apply. ``notes`` say why a profile is not used.
    """
    if not content:
        return None
    if len(content) > MAX_BYTES:
        notes.append(f"colour profile left out: larger than {MAX_BYTES >> 20} MB")
        return None
    spaces = {"L": ("GRAY", "RGB"), "1": ("GRAY", "RGB"), "I;16": ("GRAY", "RGB"), "CMYK": ("CMYK",)}.get(
        mode, ("RGB",)
    )
    try:
        profile = _examined(content)
    except _BROKEN:
        notes.append("colour profile left out: it is broken, or of a kind that describes no image")
        return None
    if profile.space not in spaces:
        notes.append(f"colour profile left out: it is one of {profile.space}, the image is {spaces[0]}")
        return None
    return profile


@lru_cache(maxsize=8)
def _examined(content: bytes) -> Profile:
    """Raises what is in ``_BROKEN`` for a profile by which nothing can be converted to sRGB."""
    cms = ImageCms.ImageCmsProfile(io.BytesIO(content))
    space = cms.profile.xcolor_space.strip()
    if space != "RGB":
        _converted(Image.new({"GRAY": "L", "CMYK": "CMYK"}[space], (1, 1)), cms, _srgb())
        return Profile(content, space, False, False, cms)
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(27, 27, 3)
    shown = np.asarray(_converted(Image.fromarray(probe), cms, _srgb()))
    same = bool(np.abs(shown.astype(int) - probe).max() <= _SAME)
    try:
        _converted(Image.fromarray(probe), _srgb(), cms)
        writable = True
    except _BROKEN:
        writable = same
    return Profile(content, space, same, writable, cms)


def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _converted(image: Image.Image, source: Any, target: Any) -> Image.Image:
    rgb = ImageCms.profileToProfile(image, source, target, _RELATIVE, outputMode="RGB")
    assert rgb is not None
    return rgb


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
    pixels: ImageArray,
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
