"""What an image carries besides its pixels: EXIF, XMP, IPTC, ICC and resolution, made true for the enlarged one."""

import contextlib
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from edge_scs.imaging.geometry import corrected, corrected_xmp

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_WIDTH, _HEIGHT, _INTEROP = 0xA002, 0xA003, 0xA005
XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG = 700, 33723, 34377, 34675
# Tags that say how the old file stored its pixels. Everything else is about the photograph, and is kept.
_STORAGE = {
    *range(254, 267), 273, ORIENTATION, 277, 278, 279, 280, 281, X_RESOLUTION, Y_RESOLUTION, 284, *range(288, 294),
    RESOLUTION_UNIT, 301, *range(317, 326), 330, 332, 333, 334, 336, 338, 339, 340, 341, 342, 343, 347,
    *range(512, 522), *range(529, 533), XMP_TAG, 32995, 32996, 33421, 33422, 34022, ICC_TAG, 37724, 50341, EXIF_IFD,
    GPS_IFD, _INTEROP,
}  # fmt: skip
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*=\s*["']|<tiff:Orientation>\s*)\d""")
_MAX_BLOCK = 16 << 20


@dataclass
class Metadata:
    """``exif`` without thumbnail and storage tags, orientation 1; ``dpi`` (x, y) or None; blocks as bytes or None."""

    exif: Image.Exif
    xmp: bytes | None = None
    icc: bytes | None = None
    photoshop: bytes | None = None
    dpi: tuple[float, float] | None = None

    def exif_bytes(self) -> bytes:
        """The EXIF block, "" when there is nothing to say or it cannot be said."""
        if not self.exif and not any(self.exif.get_ifd(tag) for tag in (EXIF_IFD, GPS_IFD)):
            return b""
        with contextlib.suppress(Exception):  # strange tag types in strange files
            return self.exif.tobytes()
        return b""


def orientation_of(image: Image.Image) -> int:
    """How the decoded pixels are still to be turned, 1 to 8 in EXIF's numbers. Pillow turns TIFF pages itself."""
    return 1 if image.format == "TIFF" else _tagged_orientation(image)


def _tagged_orientation(image: Image.Image) -> int:
    with contextlib.suppress(Exception):
        value = exif_of(image).get(ORIENTATION, 1)
        return value if value in range(1, 9) else 1
    return 1


def exif_of(image: Image.Image) -> Image.Exif:
    """The EXIF block, without decoding the image, as Pillow would for a PNG that may have it behind its pixels."""
    if image.format != "PNG" or "exif" in image.info:
        return image.getexif()
    if "Raw profile type exif" in image.info:  # ImageMagick's; a PNG's own ``getexif`` would decode the image first
        return Image.Image.getexif(image)
    exif = Image.Exif()
    if block := _late_exif(image.fp):  # type: ignore[attr-defined]
        exif.load(b"Exif\0\0" + block)
    elif match := _XMP_ORIENTATION.search(_block(image.info.get("XML:com.adobe.xmp")) or b""):
        exif[ORIENTATION] = int(match[0][-1:])
    return exif


def _late_exif(file: BinaryIO) -> bytes | None:
    """A PNG's eXIf chunk, wherever it stands; the file is left where it was."""
    before, found = file.tell(), None
    file.seek(8)
    while found is None and len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf" and length <= _MAX_BLOCK:
            found = file.read(length)
        file.seek(length + 4, 1)
    file.seek(before)
    return found


def read_metadata(image: Image.Image, size: tuple[int, int], ratios: tuple[float, float], notes: list[str]) -> Metadata:
    """The opened image's metadata for an upright result of ``size`` (H, W), enlarged by ``ratios`` (down, across).

    Broken blocks are left out: the pixels matter more. What describes the old geometry is corrected, or left out and
    named in ``notes``. The ICC profile is the caller's business.
    """
    turned = _tagged_orientation(image) >= 5
    exif = Image.Exif()
    with contextlib.suppress(Exception):
        old = exif_of(image)
        upright = _tagged_orientation(image) == 1
        for tag, value in corrected(
            {t: v for t, v in old.items() if t not in _STORAGE}, ratios, upright, notes
        ).items():
            exif[tag] = value
        for number in (EXIF_IFD, GPS_IFD):
            inner = {tag: value for tag, value in old.get_ifd(number).items() if tag != _INTEROP}
            inner = corrected(inner, ratios, upright, notes) if number == EXIF_IFD else inner
            if number == EXIF_IFD and (_WIDTH in inner or _HEIGHT in inner):
                inner |= {_WIDTH: size[1], _HEIGHT: size[0]}
            if inner:
                exif.get_ifd(number).update(inner)
        if ORIENTATION in old:
            exif[ORIENTATION] = 1
    dpi = _resolution(image)
    if dpi is not None:
        dpi = dpi[::-1] if turned else dpi
        dpi = (dpi[0] * ratios[1], dpi[1] * ratios[0])
        if exif or exif.get_ifd(EXIF_IFD):
            exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[RESOLUTION_UNIT] = *dpi, 2
    xmp = _block(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))
    if xmp is not None:
        xmp = corrected_xmp(_XMP_ORIENTATION.sub(rb"\g<1>1", xmp), size, dpi)
    return Metadata(exif, xmp, None, _photoshop(image), dpi)


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch (x, y); None where the file gives none, or only an aspect."""
    if image.format == "JPEG" and image.info.get("jfif_unit") == 0 and not exif_of(image).get(X_RESOLUTION):
        return None
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 2 <= x <= 1e5 and 2 <= y <= 1e5 else None  # 1: Pillow's word for none in a TIFF


def _photoshop(image: Image.Image) -> bytes | None:
    """A JPEG's APP13 block, where IPTC captions live. In a TIFF they are tags, and kept with the others."""
    blocks = [data for name, data in getattr(image, "applist", []) if name == "APP13"]
    return blocks[0] if len(blocks) == 1 and len(blocks[0]) < 65500 else None


def _block(value: object) -> bytes | None:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return value if isinstance(value, bytes) and 0 < len(value) <= _MAX_BLOCK else None
