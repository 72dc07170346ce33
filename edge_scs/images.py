"""Reading images (PNG, JPEG, WebP, TIFF, BMP, GIF) as uint8 arrays, and writing the first four.

What a file may hold, and what becomes of it: the EXIF orientation is applied; 16-bit (and 12-bit) grey is scaled to
8 bits; transparency is laid over white, the colour of the paper; palettes, CMYK and YCbCr become RGB; of several
frames or pages the first is read. 32-bit, signed and CIELAB images are refused.
"""

import io
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_scs import png, tiff
from edge_scs.errors import InputError
from edge_scs.files import atomic_path

# Suffix -> Pillow's format and how it is written. JPEG at 95 with whole chroma: colour is what we add.
SAVE: dict[str, tuple[str, dict[str, object]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpe": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jfif": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
SUFFIXES = (*SAVE, ".bmp", ".gif")  # what is looked for in folders; the last two are read and not written
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
# What a side may measure in each format. Others hold more than MAX_WRITE_PIXELS allows anyway.
MAX_SIDE = {"WEBP": 16383, "JPEG": 65500}
T = TypeVar("T", bound=np.generic)
MAX_READ_PIXELS = 150_000_000  # medium-format scanners and cameras reach 100 to 150
MAX_WRITE_PIXELS = 500_000_000
MAX_MEGABYTES = 2048
_RARE_COMPRESSIONS = ("webp", "zstd", "lzma")  # of TIFFs; not every build of libtiff has them
_TIFF_BITS, _TIFF_PHOTOMETRIC, _ORIENTATION, _WHITE_IS_ZERO = 258, 262, 274, 0
# How other files begin that one meets in a folder of images: (place, bytes, what it is).
_OTHERS = (
    (4, b"ftypavif", "an AVIF image"), (4, b"ftypavis", "an AVIF image"), (4, b"ftyphei", "a HEIC image"),
    (4, b"ftyphev", "a HEIC image"), (4, b"ftypmif1", "a HEIC image"), (4, b"ftypcrx", "a camera's raw file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"), (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"), (0, b"\xff\x0a", "a JPEG XL image"), (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF file"), (0, b"%!PS", "a PostScript file"), (0, b"<!", "an HTML page"),
    (0, b"<html", "an HTML page"), (0, b"<HTML", "an HTML page"), (0, b"<svg", "an SVG drawing"),
    (0, b"version https://git-lfs", "a pointer of Git LFS"),
)  # fmt: skip
# Pillow logs some damage. A logger without a handler writes to stderr, where the line would name no file.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """The image as uint8 RGB (h, w, 3); a grey one has three equal planes.

    Raises InputError, one line with the file and the fix, for whatever cannot be read whole.
    """
    return np.array(_open(Path(path)).convert("RGB"))


def decode_rgb(content: bytes, name: Path | str) -> NDArray[np.uint8]:
    """The image in ``content`` as ``read_rgb`` would give it; ``name`` is what an InputError calls it."""
    with opened_bytes(content, Path(name)) as image:
        check_sums(image)
        return np.array(_upright(Path(name), image).convert("RGB"))


def read_grey(path: Path | str) -> NDArray[np.uint8]:
    """The image as uint8 luma (h, w): Pillow's ``convert("L")``, BT.601. Raises InputError like ``read_rgb``."""
    return np.array(_open(Path(path)).convert("L"))


def write_image(path: Path | str, array: NDArray[np.uint8]) -> None:
    """Write uint8 (h, w) or (h, w, 3) in the format that the suffix names, whole or not at all.

    Raises InputError for an unknown suffix, an image too big for the format, or a place that cannot be written.
    """
    path = Path(path)
    check_writable(path, array.shape[:2])
    name, options = SAVE[path.suffix.lower()]
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, name, **options)


def check_writable(path: Path, size: tuple[int, ...], max_pixels: int | None = MAX_WRITE_PIXELS) -> None:
    """Raise InputError if an image of size (h, w) cannot become this file, before hours go into making it."""
    if path.suffix.lower() not in SAVE:
        raise InputError(f"{path}: unknown image format {path.suffix!r}; use one of {', '.join(SAVE)}")
    name = SAVE[path.suffix.lower()][0]
    h, w = size
    if max(h, w) > MAX_SIDE.get(name, max(h, w)):
        raise InputError(f"{path}: {w}x{h} is more than {name} holds ({MAX_SIDE[name]} a side); write .png or .tif")
    if max_pixels is not None and h * w > max_pixels:
        limit = max_pixels // 1_000_000
        raise InputError(f"{path}: would be {w}x{h}, above {limit} megapixels; choose a smaller scale, or .tif")


def find_images(
    paths: Iterable[Path | str],
    unlisted: list[tuple[Path, str]] | None = None,
    passed: list[Path] | None = None,
) -> list[Path]:
    """Images under the given files and folders, each once, sorted by path.

    Files are taken as given; folders are searched recursively for known suffixes, without hidden files and without
    following links to folders. Raises InputError for a path that does not exist, or a folder that holds no image or
    cannot be listed; folders further down that cannot be are appended to ``unlisted`` instead, if that is given.
    Files of other suffixes, hidden ones aside, are appended to ``passed``.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            inside = images_below(path, unlisted, passed)
            if not inside:
                raise InputError(f"{path}: no images in this folder; it should hold {', '.join(SUFFIXES)} files")
            found.update(inside)
        elif path.exists():
            found.add(path)
        else:
            raise InputError(f"{path}: no such file or folder; check the path")
    return sorted(found)


def images_below(folder: Path, unlisted: list[tuple[Path, str]] | None, passed: list[Path] | None = None) -> list[Path]:
    """Paths of the images in a folder and below, as ``find_images`` looks for them; it may hold none."""

    def refuse(error: OSError) -> None:
        if unlisted is not None and Path(error.filename) != folder:
            unlisted.append((Path(error.filename), f"cannot be listed ({error.strerror}); check its permissions"))
            return
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from error

    inside = []
    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside += [Path(root, name) for name in files if not name.startswith(".")]
    if passed is not None:
        passed += [path for path in inside if path.suffix.lower() not in SUFFIXES]
    return [path for path in inside if path.suffix.lower() in SUFFIXES]


@contextmanager
def opened(path: Path, notes: list[str] | None = None) -> Iterator[Image.Image]:
    """The file as Pillow's image, its size checked but nothing decoded yet; what goes wrong inside becomes InputError.

    Only the formats in FORMATS are tried, whatever the suffix says, so no other decoder ever sees the bytes. A PNG's
    ancillary chunks that cannot be read are left out and named in ``notes``; its cICP chunk is in ``info["cicp"]``.
    """
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, not an image; give a file")
    if not os.path.isfile(path):  # false, not an exception, in a folder that may not be entered
        raise InputError(f"{path}: no such file; check the path")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy it again")
    if size > MAX_MEGABYTES << 20:
        raise InputError(f"{path}: larger than {MAX_MEGABYTES} MB; crop or shrink it first")
    # From an open file, not a name: Pillow maps files by name, which turns some TIFFs wrongly, and a mapped file that
    # somebody cuts off meanwhile kills the process.
    try:
        file = open(path, "rb")  # noqa: SIM115 -- closed below
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    with file, _read(path, file, notes) as image:
        yield image


@contextmanager
def opened_bytes(content: bytes, name: Path) -> Iterator[Image.Image]:
    """``opened`` for a file's content; ``name`` is what an InputError calls it."""
    if len(content) > MAX_MEGABYTES << 20:
        raise InputError(f"{name}: larger than {MAX_MEGABYTES} MB; crop or shrink it first")
    with _read(name, io.BytesIO(content)) as image:
        yield image


@contextmanager
def _read(path: Path, source: BinaryIO, notes: list[str] | None = None) -> Iterator[Image.Image]:
    """``opened`` for bytes from anywhere; ``path`` is what errors call them."""
    image: Image.Image | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and the like: the pixels decide
            with _identified(source, notes) as image:
                _check_size(path, image.size)
                with tiff.libtiff_silenced() if image.format == "TIFF" else nullcontext():
                    yield image
    except (InputError, MemoryError):
        raise
    except tiff.UnsupportedError as error:
        raise InputError(f"{path}: {error}; save it as unsigned 8 or 16 bits a channel, interleaved") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: {error}") from error
    except Image.DecompressionBombError as error:
        limit = MAX_READ_PIXELS // 1_000_000
        raise InputError(f"{path}: claims far more than {limit} megapixels; crop or shrink it first") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except Exception as error:  # decoders meet arbitrary bytes and raise arbitrary types
        reason = " ".join(str(error).split()) or type(error).__name__
        if reason.startswith("Unsupported"):  # Pillow's word for sound files too
            raise InputError(f"{path}: a kind that is not read ({reason}); convert it to PNG, JPEG or TIFF") from error
        if image is not None and (packed := image.info.get("compression")) in _RARE_COMPRESSIONS:
            raise InputError(
                f"{path}: damaged, or its {packed} compression is not read; save it with deflate"
            ) from error
        raise InputError(f"{path}: damaged or cut off ({reason}); copy or export it again") from error


def _identified(source: BinaryIO, notes: list[str] | None) -> Image.Image:
    """The image in one of FORMATS. Raises UnidentifiedImageError that says what the file is instead."""
    head = source.read(32)
    source.seek(0)
    screened = png.screen(source) if head.startswith(png.SIGNATURE) else png.Screened(source)
    try:
        image: Image.Image = Image.open(screened.source, formats=FORMATS)
    except UnidentifiedImageError as error:
        if not tiff.is_tiff(head):
            raise UnidentifiedImageError(_foreign(head)) from error
        source.seek(0)
        try:
            image = tiff.WideTiff(source)
        except SyntaxError as reason:
            raise UnidentifiedImageError(f"{reason}; save it as unsigned 8 or 16 bits a channel") from error
    if notes is not None:
        notes += screened.notes
    if screened.icc is not None:
        image.info["icc_profile"] = screened.icc
    if b"cICP" in screened.colour:
        image.info["cicp"] = screened.colour[b"cICP"]
    return image


def _foreign(head: bytes) -> str:
    """What a file that begins like this is, and what to do."""
    for start, content in ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"), (b"BM", "BMP")):
        if head.startswith(start):
            return f"damaged or cut off, or a kind of {content} that is not read; copy or export it again"
    for place, start, name in _OTHERS:
        if head[place:].startswith(start):
            return f"is {name}, which is not read; convert it to PNG, JPEG or TIFF"
    return "not a PNG, JPEG, WebP, TIFF, BMP or GIF image; convert it to one of them"


def check_sums(image: Image.Image) -> None:
    """Raise, inside ``opened``, if a PNG's checksums do not fit: decoding alone does not look at all of them."""
    if image.format == "PNG":
        at = image.fp.tell()  # type: ignore[attr-defined]
        png.check(image.fp)  # type: ignore[attr-defined]
        image.fp.seek(at)  # type: ignore[attr-defined]


def _open(path: Path) -> Image.Image:
    """The file as a loaded image of mode L or RGB, upright."""
    with opened(path) as image:
        check_sums(image)
        return _upright(path, image)


def _upright(path: Path, image: Image.Image) -> Image.Image:
    if tiff.needs_tifffile(image):
        values, alpha, premultiplied = tiff.samples(image)
        light = values.astype(np.float32) / 65535
        if alpha is not None:
            share = (alpha.astype(np.float32) / 65535).reshape(alpha.shape + (1,) * (light.ndim - 2))
            light = (light if premultiplied else light * share) + 1 - share
        levels = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(turned(levels, image.tag_v2.get(_ORIENTATION, 1)))  # type: ignore[attr-defined]
    key = image.info.get("transparency")
    if raw_mode(image) == "RGB;16B" and isinstance(key, tuple):  # Pillow takes the high bytes of pixels, not of the key
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return to_eight_bits(path, ImageOps.exif_transpose(image), dict(getattr(image, "tag_v2", {})))


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for how the file stores a pixel, such as "RGB;16B"; "" once it is loaded."""
    tiles = getattr(image, "tile", [])
    if not tiles:
        return ""
    args = tiles[0].args
    return str(args if isinstance(args, str) else args[0] if args else "")


def turned(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """EXIF orientation 1 to 8 applied (Exif 2.3, 4.6.4) to (h, w, ...); anything else is taken for 1."""
    if orientation not in range(2, 9):
        return pixels
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1] if orientation in (2, 3) else pixels[::-1]
    if orientation in (3, 4):
        pixels = pixels[::-1]
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _check_size(path: Path, size: tuple[int, int]) -> None:
    w, h = size
    if w < 1 or h < 1:
        raise InputError(f"{path}: has no pixels ({w}x{h}); export it again")
    if w * h > MAX_READ_PIXELS:
        limit = MAX_READ_PIXELS // 1_000_000
        raise InputError(f"{path}: {w}x{h} is above {limit} megapixels; crop or shrink it first")


def to_eight_bits(path: Path, image: Image.Image, tags: dict[int, object]) -> Image.Image:
    """Mode L or RGB from any mode with a known range; ``tags`` are a TIFF's own."""
    if image.mode.startswith("I;16"):
        levels = _from_sixteen_bits(image, tags)
        if (key := image.info.get("transparency")) is not None:
            levels[np.asarray(image) == key] = 255
        return Image.fromarray(levels)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode in ("P", "RGB", "CMYK", "YCbCr", "RGBX", "RGBA", "LA", "PA"):
        return image.convert("RGB")
    if image.mode == "LAB":
        raise InputError(f"{path}: its colours are CIELAB, which is not read; save it as grey or RGB")
    kind = {"I": "signed or 32-bit integers", "F": "floating-point numbers"}.get(image.mode, f"of type {image.mode}")
    raise InputError(f"{path}: its samples are {kind}, whose range nobody knows; save it as 8 or 16 bits a channel")


def _from_sixteen_bits(image: Image.Image, tags: dict[int, object]) -> NDArray[np.uint8]:
    return ((sixteen_bits(image, tags).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def sixteen_bits(image: Image.Image, tags: dict[int, object]) -> NDArray[np.uint16]:
    """The values of a 16-bit (or 12-bit) grey image, 0 black to 65535 white."""
    values = np.asarray(image).astype(np.uint16)
    if tags.get(_TIFF_BITS) == (12,):
        values = ((np.minimum(values, 4095).astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts such images at 8 bits only
        values = 65535 - values
    return values
