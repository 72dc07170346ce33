"""Reading and writing pictures: PNG, JPEG, WebP and TIFF, as uint8 arrays and nothing else.

What a file may hold, and what becomes of it: the EXIF orientation is applied; 16-bit (and 12-bit) grey is scaled to
8 bits; transparency is laid over white, the colour of the paper; palettes, CMYK and YCbCr become RGB; of several
frames or pages the first is read. 32-bit and LAB pictures are refused, because their range is anyone's guess.
"""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_scs.errors import InputError
from edge_scs.files import atomic_path

# Suffix -> Pillow's format and how it is written. JPEG at 95 with whole chroma: colour is what we add.
SAVE: dict[str, tuple[str, dict[str, object]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
SUFFIXES = tuple(SAVE)
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
# What a side may measure in each format. Others hold more than MAX_WRITE_PIXELS allows anyway.
MAX_SIDE = {"WEBP": 16383, "JPEG": 65500}
MAX_READ_PIXELS = 150_000_000  # medium-format scanners and cameras reach 100 to 150
MAX_WRITE_PIXELS = 500_000_000
MAX_MEGABYTES = 2048
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """The picture as uint8 RGB (h, w, 3); a grey one has three equal planes.

    Raises InputError, one line with the file and the mend, for whatever cannot be read whole.
    """
    return np.array(_open(Path(path)).convert("RGB"))


def decode_rgb(content: bytes, name: Path | str) -> NDArray[np.uint8]:
    """The picture in ``content`` as ``read_rgb`` would give it; ``name`` is what an InputError calls it."""
    if len(content) > MAX_MEGABYTES << 20:
        raise InputError(f"{name}: larger than {MAX_MEGABYTES} MB; crop or shrink it first")
    with _read(Path(name), io.BytesIO(content)) as image:
        check_sums(io.BytesIO(content), image)
        return np.array(_upright(Path(name), image).convert("RGB"))


def read_grey(path: Path | str) -> NDArray[np.uint8]:
    """The picture as uint8 luma (h, w): Pillow's ``convert("L")``, BT.601. Raises InputError like ``read_rgb``."""
    return np.array(_open(Path(path)).convert("L"))


def write_image(path: Path | str, array: NDArray[np.uint8]) -> None:
    """Write uint8 (h, w) or (h, w, 3) in the format that the suffix names, whole or not at all.

    Raises InputError for an unknown suffix, a picture too big for the format, or a place that cannot be written.
    """
    path = Path(path)
    check_writable(path, array.shape[:2])
    name, options = SAVE[path.suffix.lower()]
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, name, **options)


def check_writable(path: Path, size: tuple[int, ...], max_pixels: int | None = MAX_WRITE_PIXELS) -> None:
    """Raise InputError if a picture of size (h, w) cannot become this file, before hours go into making it."""
    if path.suffix.lower() not in SAVE:
        raise InputError(f"{path}: unknown picture format {path.suffix!r}; use one of {', '.join(SUFFIXES)}")
    name = SAVE[path.suffix.lower()][0]
    h, w = size
    if max(h, w) > MAX_SIDE.get(name, max(h, w)):
        raise InputError(f"{path}: {w}x{h} is more than {name} holds ({MAX_SIDE[name]} a side); write .png or .tif")
    if max_pixels is not None and h * w > max_pixels:
        limit = max_pixels // 1_000_000
        raise InputError(f"{path}: would be {w}x{h}, above {limit} megapixels; choose a smaller scale, or .tif")


def find_images(paths: Iterable[Path | str], unlisted: list[tuple[Path, str]] | None = None) -> list[Path]:
    """Pictures under the given files and folders, each once, sorted by path.

    Files are taken as given; folders are searched recursively for known suffixes, without hidden files and without
    following links to folders. Raises InputError for a path that does not exist, or a folder that holds no picture or
    cannot be listed; folders further down that cannot be are appended to ``unlisted`` instead, if that is given.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            inside = pictures_below(path, unlisted)
            if not inside:
                raise InputError(f"{path}: no pictures in this folder; it should hold {', '.join(SUFFIXES)} files")
            found.update(inside)
        elif path.exists():
            found.add(path)
        else:
            raise InputError(f"{path}: no such file or folder; check the path")
    return sorted(found)


def pictures_below(folder: Path, unlisted: list[tuple[Path, str]] | None) -> list[Path]:
    """Paths of the pictures in a folder and below, as ``find_images`` looks for them; it may hold none."""

    def refuse(error: OSError) -> None:
        if unlisted is not None and Path(error.filename) != folder:
            unlisted.append((Path(error.filename), f"cannot be listed ({error.strerror}); check its permissions"))
            return
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from error

    inside = []
    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside += [Path(root, name) for name in files if not name.startswith(".")]
    return [path for path in inside if path.suffix.lower() in SAVE]


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow's image, its size checked but nothing decoded yet; what goes wrong inside becomes InputError.

    Only the formats in FORMATS are tried, whatever the suffix says, so no other decoder ever sees the bytes.
    """
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, not a picture; give a file")
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
    with file, _read(path, file) as image:
        yield image


@contextmanager
def _read(path: Path, source: BinaryIO) -> Iterator[Image.Image]:
    """``opened`` for bytes from anywhere; ``path`` is what errors call them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and the like: the pixels decide
            with Image.open(source, formats=FORMATS) as image:
                _check_size(path, image.size)
                yield image
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a PNG, JPEG, WebP or TIFF picture; convert it to one of them") from error
    except Image.DecompressionBombError as error:
        limit = MAX_READ_PIXELS // 1_000_000
        raise InputError(f"{path}: claims far more than {limit} megapixels; crop or shrink it first") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except Exception as error:  # decoders meet arbitrary bytes and raise arbitrary types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: damaged or cut off ({reason}); copy or export it again") from error


def check_sums(source: Path | BinaryIO, image: Image.Image) -> None:
    """Raise, inside ``opened``, if a PNG's checksums do not fit: decoding alone does not look at all of them."""
    if image.format == "PNG":
        with Image.open(source, formats=("PNG",)) as again:
            again.verify()


def _open(path: Path) -> Image.Image:
    """The file as a loaded picture of mode L or RGB, upright."""
    with opened(path) as image:
        check_sums(path, image)
        return _upright(path, image)


def _upright(path: Path, image: Image.Image) -> Image.Image:
    return to_eight_bits(path, ImageOps.exif_transpose(image), dict(getattr(image, "tag_v2", {})))


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
        return _from_sixteen_bits(image, tags)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode in ("P", "RGB", "CMYK", "YCbCr", "RGBX", "RGBA", "LA", "PA"):
        return image.convert("RGB")
    raise InputError(f"{path}: pixels of type {image.mode} have no known range; save it as 8 or 16 bits a channel")


def _from_sixteen_bits(image: Image.Image, tags: dict[int, object]) -> Image.Image:
    return Image.fromarray(((sixteen_bits(image, tags).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def sixteen_bits(image: Image.Image, tags: dict[int, object]) -> NDArray[np.uint16]:
    """The values of a 16-bit (or 12-bit) grey picture, 0 black to 65535 white."""
    values = np.asarray(image).astype(np.uint16)
    if tags.get(_TIFF_BITS) == (12,):
        values = ((np.minimum(values, 4095).astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts such pictures at 8 bits only
        values = 65535 - values
    return values
