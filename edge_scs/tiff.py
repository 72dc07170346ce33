"""TIFFs of 16 bits that Pillow reads wrongly or not at all, by tifffile: separate planes, grey with alpha, white is 0.

Everything else about a TIFF, its tags and its other kinds, is Pillow's. Samples whose range is anyone's guess (signed,
floating-point, more than 16 bits) are refused with that reason.
"""

import logging
import math
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

_PHOTOMETRIC, _BITS, _SAMPLES, _PLANES, _EXTRA, _FORMAT = 262, 258, 277, 284, 338, 339
_SEPARATE, _WHITE_IS_ZERO = 2, 0
_KINDS = {2: "signed", 3: "floating-point", 4: "untyped", 5: "complex", 6: "complex"}
_DEFLATE = (8, 32946)
_COMPRESSIONS = (1, 32773, *_DEFLATE)  # none and PackBits too: what tifffile unpacks without a codec library
_lock, _inside = threading.Lock(), 0
_saved: int | None = None
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class UnsupportedError(ValueError):
    """A sound TIFF of a kind that is not read; the message says which, without the file's name."""


class WideTiff(TiffImagePlugin.TiffImageFile):
    """The tags of a 16-bit grey TIFF of a kind that Pillow has no mode for; ``samples`` are its pixels.

    For Pillow it has 8 bits and must not be loaded. Raises SyntaxError, as plugins do, for any other kind.
    """

    def _setup(self) -> None:
        tags = self.tag_v2
        bits = tags.get(_BITS, (1,))
        if set(bits) != {16} or set(tags.get(_FORMAT, (1,))) != {1} or tags.get(_PHOTOMETRIC, 0) not in (0, 1):
            raise SyntaxError(describe(tags))
        tags[_BITS] = (8,) * len(bits)
        try:
            super()._setup()
        finally:
            tags[_BITS] = bits


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a TIFF or BigTIFF."""
    return head[:4] in _MAGIC


def describe(tags: Any) -> str:
    """Why a TIFF with these tags (number -> value) is not read."""
    kinds = set(tags.get(_FORMAT, (1,))) - {1}
    if kinds:
        kind = " and ".join(_KINDS.get(number, "unknown") for number in sorted(kinds))
        return f"its samples are {kind}, whose black and white nobody knows"
    bits = sorted(set(tags.get(_BITS, (1,))))
    number, colours = tags.get(_SAMPLES, 1), tags.get(_PHOTOMETRIC, 0)
    return f"a TIFF of {number} samples of {' and '.join(map(str, bits))} bits, colour space {colours}, is not read"


def needs_tifffile(image: Image.Image) -> bool:
    """Whether an opened TIFF has 16 bits a sample in an arrangement that Pillow would read at 8, or not at all."""
    if isinstance(image, WideTiff):
        return True
    tags = getattr(image, "tag_v2", {})
    separate = tags.get(_PLANES, 1) == _SEPARATE and tags.get(_SAMPLES, 1) > 1
    return image.format == "TIFF" and separate and 16 in tags.get(_BITS, ())


def samples(image: Image.Image) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None, bool]:
    """Pixels, grey (h, w) or RGB (h, w, 3), alpha (h, w) or None, and whether the pixels are multiplied by it.

    As they are stored: not yet turned upright. ``image`` is an opened TIFF of which ``needs_tifffile`` is true.
    Raises UnsupportedError for other kinds, and ValueError, also without a file name, for what is damaged.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]
    grey, extra = tags.get(_PHOTOMETRIC, 0) in (0, 1), tags.get(_EXTRA, ())
    colours = 1 if grey else 3
    if not grey and tags.get(_PHOTOMETRIC) != 2:
        raise UnsupportedError("16 bits a channel in separate planes, and neither grey nor RGB")
    planes = _planes(image.fp)  # type: ignore[attr-defined]
    if planes.shape[2] < colours:
        raise ValueError("fewer planes than colours")
    pixels = planes[..., 0] if grey else planes[..., :3]
    if tags.get(_PHOTOMETRIC, 0) == _WHITE_IS_ZERO:
        pixels = 65535 - pixels
    has_alpha = len(extra) > 0 and extra[0] in (1, 2) and planes.shape[2] > colours
    return np.ascontiguousarray(pixels), planes[..., colours] if has_alpha else None, has_alpha and extra[0] == 1


def _planes(file: BinaryIO) -> NDArray[np.uint16]:
    """The first page, uint16 (h, w, samples)."""
    import tifffile

    file.seek(0)
    with _silent(), tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        if not isinstance(page, tifffile.TiffPage) or page.dtype != np.uint16 or page.fillorder != 1:
            raise UnsupportedError("its 16-bit samples are stored in a way that is not read")
        if page.compression not in _COMPRESSIONS:
            name = getattr(page.compression, "name", page.compression)
            raise UnsupportedError(f"16-bit samples of this arrangement cannot be read with {name} compression")
        if page.compression in _DEFLATE:
            _check_segments(page)
        separate, depth, _, _, together = page.shaped
        if depth != 1:
            raise UnsupportedError("a volume, not an image")
        values = page.asarray(maxworkers=1).reshape(page.shaped)[:, 0]
        return np.moveaxis(values[..., 0], 0, 2) if separate > 1 or together == 1 else values[0]


def _check_segments(page: Any) -> None:
    """Raise ValueError where a strip or tile unpacks to more than it has pixels for: a decompression bomb."""
    most = math.prod(page.chunks) * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(offset)
        unpack = zlib.decompressobj()
        if len(unpack.decompress(page.parent.filehandle.read(count), most + 1)) > most:
            raise ValueError("a strip unpacks to more than its pixels")


@contextmanager
def libtiff_silenced() -> Iterator[None]:
    """Drop what libtiff writes to the process's stderr about damage, without a file's name; Pillow raises as well.

    Several threads may be inside: the first one redirects, the last one restores.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            try:
                _saved = os.dup(2)
            except OSError:  # closed already: nothing can be written there
                _saved = None
            if _saved is not None:
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, 2)
                os.close(sink)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved is not None:
                os.dup2(_saved, 2)
                os.close(_saved)


@contextmanager
def _silent() -> Iterator[None]:
    """tifffile logs what it finds strange; the one line that a user gets is the caller's."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
