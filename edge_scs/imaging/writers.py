"""Writing an image while it is being made: PNG and TIFF take strips from top to bottom and never need the whole.

JPEG and WebP encoders want the whole image, so for them it is gathered first. Everything else about a file
(EXIF, XMP, IPTC, ICC, resolution) comes from ``metadata.Metadata``.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from edge_scs.files import atomic_path
from edge_scs.images import SAVE, check_writable
from edge_scs.imaging.arrays import ImageArray
from edge_scs.imaging.metadata import (
    EXIF_IFD,
    GPS_IFD,
    ICC_TAG,
    PHOTOSHOP_TAG,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    XMP_TAG,
    Y_RESOLUTION,
    Metadata,
)

QUALITY = 95
# What JPEG and WebP may hold: the whole image is in memory then, twice.
MAX_WHOLE_PIXELS = 200_000_000
# Level 4 behind PNG's "up" filter: within some percent of the best, several times faster.
_LEVEL = 4
_STRIP_BYTES = 1 << 20
_BIG_TIFF = (1 << 32) - (1 << 26)  # from here on TIFF's 32-bit offsets may not do


def check_target(path: Path, size: tuple[int, int]) -> None:
    """Raise InputError if a result of size (H, W) cannot become this file."""
    streamed = SAVE.get(path.suffix.lower(), ("",))[0] in ("PNG", "TIFF")
    check_writable(path, size, None if streamed else MAX_WHOLE_PIXELS)


def write_image(
    path: Path,
    strips: Iterator[ImageArray],
    size: tuple[int, int],
    channels: int,
    metadata: Metadata,
    quality: int | None = None,
) -> None:
    """Write strips (rows, W, 3 or 4), all uint8 or all uint16, that add up to size (H, W), in the suffix's format.

    A fourth channel is alpha, not premultiplied; JPEG has none and gets white paper behind it. JPEG and WebP have 8
    bits and take ``quality`` (1 to 100). Written whole or not at all; raises InputError like ``files.atomic_path``.
    """
    name = SAVE[path.suffix.lower()][0]
    with atomic_path(path) as temporary:
        first = next(strips)  # the first strip shows the depth, and that the network can serve this image at all
        rest = itertools.chain([first], strips)
        with open(temporary, "wb") as file:
            if name == "PNG":
                _write_png(file, rest, size, channels, first.dtype, metadata)
            elif name == "TIFF":
                _write_tiff(file, rest, size, channels, first.dtype, metadata)
            else:
                file.write(_encoded(name, np.concatenate(list(rest)), metadata, quality or QUALITY))


def _write_png(
    file: BinaryIO,
    strips: Iterable[ImageArray],
    size: tuple[int, int],
    channels: int,
    dtype: np.dtype,
    metadata: Metadata,
) -> None:
    """PNG, ISO/IEC 15948: every row filtered against the one above it, one zlib stream over all of them."""
    colour_type = {3: 2, 4: 6}[channels]
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", size[1], size[0], 8 * dtype.itemsize, colour_type, 0, 0, 0))
    if metadata.icc:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        _chunk(file, b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in metadata.dpi), 1))
    if exif := metadata.exif_bytes():
        _chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if metadata.xmp:
        _chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    packer = zlib.compressobj(_LEVEL)
    above = np.zeros(size[1] * channels * dtype.itemsize, np.uint8)
    for strip in strips:
        for rows in np.array_split(strip, max(1, strip.nbytes // (8 * _STRIP_BYTES))):
            data = rows.astype(dtype.newbyteorder(">")).reshape(len(rows), -1).view(np.uint8)
            filtered = np.empty((len(rows), data.shape[1] + 1), np.uint8)
            filtered[:, 0] = 2
            np.subtract(data[0], above, out=filtered[0, 1:])
            np.subtract(data[1:], data[:-1], out=filtered[1:, 1:])
            above = data[-1]
            if packed := packer.compress(filtered.data):
                _chunk(file, b"IDAT", packed)
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _write_tiff(
    file: BinaryIO,
    strips: Iterable[ImageArray],
    size: tuple[int, int],
    channels: int,
    dtype: np.dtype,
    metadata: Metadata,
) -> None:
    """TIFF 6.0 with deflate and horizontal differencing, little-endian, its directory at the end; BigTIFF above 4 GB.

    Pillow makes the directory: it knows the types of all EXIF tags and how their own directories nest.
    """
    row_bytes = size[1] * channels * dtype.itemsize
    big = row_bytes * size[0] > _BIG_TIFF
    header = b"II\x2b\0\x08\0\0\0" if big else b"II\x2a\0"
    file.write(header + bytes(8 if big else 4))
    height = max(1, min(size[0], _STRIP_BYTES // row_bytes))
    places, lengths = [], []
    for rows in _of_height(strips, height):
        data = rows.astype(dtype.newbyteorder("<"))
        data[:, 1:] -= rows[:, :-1]
        packed = zlib.compress(np.ascontiguousarray(data).data, _LEVEL)
        places.append(file.tell())
        lengths.append(len(packed))
        file.write(packed)
    file.write(bytes(file.tell() % 2))
    end = file.tell()
    storage = {
        256: size[1],
        257: size[0],
        258: (8 * dtype.itemsize,) * channels,
        259: 8,
        262: 2,
        277: channels,
        278: height,
        284: 1,
        317: 2,
    } | ({338: 2} if channels == 4 else {})
    try:
        directory = _directory(header, storage, places, lengths, end, metadata)
    except Exception:  # a strange tag of a strange file, not worth losing the image
        directory = _directory(header, storage, places, lengths, end, Metadata(Image.Exif(), dpi=metadata.dpi))
    file.write(directory)
    file.seek(len(header))
    file.write(struct.pack("<Q" if big else "<I", end))


def _of_height(strips: Iterable[ImageArray], height: int) -> Iterator[ImageArray]:
    """The same rows in strips of one height; only the last may be shorter."""
    waiting: list[ImageArray] = []
    have = 0
    for strip in strips:
        waiting.append(strip)
        have += len(strip)
        if have >= height:
            rows = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            whole = have // height * height
            yield from (rows[top : top + height] for top in range(0, whole, height))
            waiting, have = [rows[whole:]] if have > whole else [], have - whole
    if have:
        yield np.concatenate(waiting)


def _directory(
    header: bytes, storage: dict[int, object], places: list[int], lengths: list[int], end: int, metadata: Metadata
) -> bytes:
    """The image file directory that will stand at ``end``."""
    big = header[2] == 43
    table = TiffImagePlugin.ImageFileDirectory_v2(header + bytes(8 if big else 4))
    for tag, value in [*metadata.exif.items(), *storage.items()]:
        table[tag] = value
    for tag in (EXIF_IFD, GPS_IFD):
        if inner := dict(metadata.exif.get_ifd(tag)):
            table.tagtype[tag] = 4
            table[tag] = inner
    for tag, block in ((XMP_TAG, metadata.xmp), (ICC_TAG, metadata.icc), (PHOTOSHOP_TAG, _resources(metadata))):
        if block:
            table.tagtype[tag] = 7
            table[tag] = block
    if metadata.dpi:
        table[X_RESOLUTION], table[Y_RESOLUTION], table[RESOLUTION_UNIT] = *metadata.dpi, 2
    offsets = 16 if big else 4
    for tag, values in ((273, [0] * len(places)), (279, lengths)):
        table.tagtype[tag] = offsets
        table[tag] = tuple(values)
    data = bytearray(table.tobytes(end))
    # Pillow takes strip offsets to begin behind the directory; ours lie before it, so they are put in afterwards.
    count, entry, offset = ("<Q", "<HHQQ", "<Q") if big else ("<H", "<HHII", "<I")
    width = struct.calcsize(offset)
    for i in range(struct.unpack_from(count, data)[0]):
        at = struct.calcsize(count) + i * struct.calcsize(entry)
        tag, _, number, value = struct.unpack_from(entry, data, at)
        if tag == 273:
            where = at + struct.calcsize(entry) - width if number == 1 else value - end
            data[where : where + width * number] = struct.pack(f"<{number}{offset[1]}", *places)
    return bytes(data)


def _resources(metadata: Metadata) -> bytes | None:
    """Photoshop's resources (IPTC lives there) from a JPEG's APP13 block."""
    return metadata.photoshop.removeprefix(b"Photoshop 3.0\0") if metadata.photoshop else None


def _encoded(name: str, pixels: ImageArray, metadata: Metadata, quality: int) -> bytes:
    """A JPEG or WebP file. A block too large for the format (64 KB in a JPEG) is left out."""
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    image = Image.fromarray(pixels)
    if name == "JPEG" and image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    blocks: dict[str, object] = {"icc_profile": metadata.icc, "exif": metadata.exif_bytes(), "xmp": metadata.xmp}
    options: dict[str, object] = {"quality": quality}
    if name == "JPEG":
        options |= {"subsampling": 0}
        if metadata.dpi:
            options["dpi"] = tuple(min(65535, round(dots)) for dots in metadata.dpi)
        if metadata.photoshop:
            options["extra"] = b"\xff\xed" + struct.pack(">H", len(metadata.photoshop) + 2) + metadata.photoshop
        blocks = {key: block for key, block in blocks.items() if key == "icc_profile" or len(block or b"") < 65500}  # type: ignore[arg-type]
    buffer = io.BytesIO()
    image.save(buffer, name, **options, **{key: block for key, block in blocks.items() if block})
    return buffer.getvalue()
