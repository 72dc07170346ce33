"""An image file as it is: at its own depth, upright, in sRGB, its transparency and its metadata beside the pixels.

8 bits stay 8, 9 to 16 bits become 16. Of an animation or several pages the first is read, and said so. What the
networks never see but the result gets back: alpha, EXIF, XMP, IPTC, the ICC profile, the resolution.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_scs import tiff
from edge_scs.errors import InputError
from edge_scs.images import check_sums, opened, opened_bytes, raw_mode, sixteen_bits, to_eight_bits, turned
from edge_scs.imaging.arrays import ImageArray, as_grey
from edge_scs.imaging.icc import described
from edge_scs.imaging.metadata import ORIENTATION, Metadata, orientation_of, read_metadata
from edge_scs.imaging.profiles import Profile, read_profile, srgb_profile
from edge_scs.imaging.sizes import target_size

# Pillow unpacks a 16-bit colour channel to its high byte; given the other byte order, it unpacks the low one.
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B"}


@dataclass
class Scan:
    """uint8 or uint16 ``pixels`` in sRGB: grey (h, w) or RGB (h, w, 3), upright; premultiplied where there is ``alpha``
    (h, w). ``size`` (H, W) is what they are to become. ``profile`` is the image's own, for the way back; ``notes``
    say what a user may want to know.
    """

    pixels: ImageArray
    alpha: ImageArray | None
    size: tuple[int, int]
    metadata: Metadata
    profile: Profile | None
    notes: list[str]

    @property
    def top(self) -> int:
        """White: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)


def image_size(path: Path) -> tuple[int, int]:
    """(h, w) as it will stand upright, from the header alone. Raises InputError like ``read_scan``."""
    with opened(path) as image:
        return _upright(image)


def size_in(content: bytes, name: Path) -> tuple[int, int]:
    """``image_size`` of a file's content; ``name`` is what an InputError calls it."""
    with opened_bytes(content, name) as image:
        return _upright(image)


def read_scan(
    path: Path,
    colour: bool = False,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> Scan:
    """Read an image that is to be enlarged by ``scale`` or to ``size`` (W, H); grey unless ``colour``.

    The target is checked before anything is decoded. Raises InputError, one line with the file and the fix, for
    whatever cannot be read whole or would have more than ``max_pixels`` pixels.
    """
    notes: list[str] = []
    with opened(path, notes) as image:
        lr = _upright(image)
        hr = target_size(lr, scale, size)
        check_pixels(path, hr, max_pixels)
        check_sums(image)
        metadata = read_metadata(image, hr, (hr[0] / lr[0], hr[1] / lr[1]), notes)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a telephone's preview is no second image
            notes.append(f"the first of {frames} {'pages' if image.format == 'TIFF' else 'frames'}")
        turn = orientation_of(image)
        pixels, alpha, profile = _decode(path, image, colour, notes)
    pixels, alpha = turned(pixels, turn), None if alpha is None else turned(alpha, turn)
    if alpha is not None:
        pixels = _premultiplied(pixels, alpha)
    if profile is not None:
        metadata.icc = profile.content if profile.writable else srgb_profile()
        if profile.space == "RGB" and not profile.writable:
            notes.append("colours cannot be brought back into its profile; the result is sRGB")
    return Scan(pixels, alpha, hr, metadata, profile, notes)


def read_reference(path: Path) -> NDArray[np.uint8]:
    """An image to take colours from: RGB (h, w, 3) in sRGB, upright, on white where it is transparent.

    Raises InputError like ``read_scan``.
    """
    scan = read_scan(path, colour=True, scale=1.0)
    pixels = scan.pixels if scan.pixels.ndim == 3 else np.repeat(scan.pixels[..., None], 3, axis=2)
    if scan.alpha is not None:
        pixels = pixels + (scan.top - scan.alpha)[..., None]
    return (pixels >> 8 if pixels.dtype == np.uint16 else pixels).astype(np.uint8)


def check_pixels(path: Path, size: tuple[int, int], max_pixels: int | None) -> None:
    """Raise InputError if the result of size (H, W) would have more than ``max_pixels`` pixels."""
    if max_pixels is not None and size[0] * size[1] > max_pixels:
        pixels, limit = size[0] * size[1] / 1e6, max_pixels / 1e6
        raise InputError(
            f"{path}: would become {size[1]}x{size[0]}, {pixels:.0f} megapixels, more than the {limit:.0f} allowed; "
            f"choose a smaller --scale, or --max-output-pixels {size[0] * size[1]}"
        )


def _upright(image: Image.Image) -> tuple[int, int]:
    return image.size if orientation_of(image) >= 5 else (image.size[1], image.size[0])


def _decode(
    path: Path, image: Image.Image, colour: bool, notes: list[str]
) -> tuple[ImageArray, ImageArray | None, Profile | None]:
    """Pixels (grey unless ``colour``), alpha, and the profile that the pixels came from, all in the file's own turn."""
    icc = described(image.info, notes)
    deep = _sixteen_bits(path, image, notes)
    if deep is not None:
        pixels, alpha = deep
        return _deep_srgb(pixels, alpha, read_profile(icc, "RGB" if pixels.ndim == 3 else "I;16", notes), colour, notes)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    profile = read_profile(icc, image.mode, notes)
    image = image.convert("L") if image.mode == "1" else image
    if profile is not None:
        image = profile.to_srgb(image if image.mode in ("L", "CMYK") else image.convert("RGB"))
    image = to_eight_bits(path, image, {})
    return np.array(image if colour else image.convert("L")), alpha, profile


def _sixteen_bits(
    path: Path, image: Image.Image, notes: list[str]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None] | None:
    """Grey (h, w) or RGB (h, w, 3), and alpha (h, w), of an image of 9 to 16 bits a sample; None for any other."""
    key = image.info.get("transparency")  # a PNG's: one colour that is to be seen through
    if tiff.needs_tifffile(image):
        pixels, alpha, premultiplied = tiff.samples(image)
        turn = image.tag_v2.get(ORIENTATION, 1)  # type: ignore[attr-defined] # Pillow turns only what it decodes
        pixels, alpha = turned(pixels, turn), None if alpha is None else turned(alpha, turn)
        return (_divided(pixels, alpha) if premultiplied and alpha is not None else pixels), alpha
    if image.mode.startswith("I;16"):
        pixels = sixteen_bits(image, dict(getattr(image, "tag_v2", {})))
        return pixels, None if key is None else np.where(pixels == key, 0, 65535).astype(np.uint16)
    raw = raw_mode(image)
    if raw.endswith(tuple(_OTHER_BYTE)) and not raw.startswith("CMYK"):
        pixels, alpha = _sixteen_bit_colour(image, raw)
        if alpha is None and isinstance(key, tuple):
            alpha = np.where((pixels == np.array(key)).all(axis=-1), 0, 65535).astype(np.uint16)
        return pixels, alpha
    if image.format == "TIFF" and 16 in image.tag_v2.get(258, ()):  # type: ignore[attr-defined]
        if image.mode != "CMYK" or not raw.endswith(tuple(_OTHER_BYTE)):
            why = tiff.describe(image.tag_v2)  # type: ignore[attr-defined]
            raise InputError(f"{path}: {why}; save it as unsigned 8 or 16 bits a channel, grey or RGB")
        notes.append("16-bit CMYK read at 8 bits")
    return None


def _deep_srgb(
    pixels: NDArray[np.uint16], alpha: ImageArray | None, profile: Profile | None, colour: bool, notes: list[str]
) -> tuple[ImageArray, ImageArray | None, Profile | None]:
    if profile is not None:
        try:
            pixels = profile.deep_to_srgb(pixels)
        except ValueError as error:
            notes.append(f"colour profile kept but not applied, {error}")
            profile = replace(profile, is_srgb=True, writable=True) if profile.space == "RGB" else None
    return pixels if colour or pixels.ndim == 2 else as_grey(pixels), alpha, profile


def _sixteen_bit_colour(image: Image.Image, raw: str) -> tuple[ImageArray, ImageArray | None]:
    """RGB (h, w, 3) or grey (h, w), and alpha (h, w), of a 16-bit image with several channels."""
    if raw == "LA;16B":  # four bytes a pixel, read as if they were RGBA
        wide = _unpacked(image, "RGBA").astype(np.uint16)
        return wide[..., 0] << 8 | wide[..., 1], wide[..., 2] << 8 | wide[..., 3]
    depth = raw[-3:]
    name = raw.removesuffix(depth).replace("RGBa;", "RGBA;")  # its premultiplied values as they are, for now
    deep = _unpacked(image, name + depth).astype(np.uint16) << 8
    deep |= _unpacked(image, name + _OTHER_BYTE[depth])
    if deep.shape[2] == 3 or raw.startswith("RGBX"):
        return deep[..., :3], None
    rgb, alpha = deep[..., :3], deep[..., 3]
    return (_divided(rgb, alpha) if raw.startswith("RGBa") else rgb), alpha


def _divided(pixels: ImageArray, alpha: ImageArray) -> ImageArray:
    """uint16 pixels that were multiplied by their alpha as they were before."""
    share = (np.maximum(alpha, 1).astype(np.float32) / 65535).reshape(alpha.shape + (1,) * (pixels.ndim - 2))
    return np.rint(np.minimum(pixels / share, 65535)).astype(np.uint16)


def _unpacked(image: Image.Image, raw: str) -> NDArray[np.uint8]:
    """The image's bytes as Pillow unpacks them if pixels are stored like ``raw``."""
    image.fp.seek(0)  # type: ignore[attr-defined]
    again = Image.open(image.fp, formats=(image.format or "",))  # type: ignore[attr-defined] # closed by ``opened``
    again.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in again.tile  # type: ignore[attr-defined]
    ]
    return np.asarray(again)


def _premultiplied(pixels: ImageArray, alpha: ImageArray) -> ImageArray:
    top = int(np.iinfo(pixels.dtype).max)
    if int(alpha.min()) == top:
        return pixels
    share = alpha.astype(np.float32) / top
    return np.rint(pixels * (share if pixels.ndim == 2 else share[..., None])).astype(pixels.dtype)
