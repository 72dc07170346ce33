"""A folder of images of every kind an archive holds, and of files that only look like images."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageCms

# What each kind is, by the name its files begin with. ``write_mixed`` goes round and round through them.
GOOD = (
    "grey", "colour", "sepia", "exif", "turned", "grey16", "colour16", "alpha", "alpha16", "greyalpha", "palette",
    "bilevel", "cmyk", "pages", "animated", "icc", "progressive", "tall", "wide", "newline\nname", "bidi\u202egnp",
    "webp", "tiled16", "dot",
)  # fmt: skip
BROKEN = ("empty", "text", "torn", "torn_jpeg", "torn_tiff", "bomb", "loop", "dangling", "avif", "flipped")


def png(pixels: NDArray[np.generic]) -> bytes:
    """A PNG of 8 or 16 bits, 1 to 4 channels: Pillow writes no 16-bit colour."""
    h, w = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(h, -1).view(np.uint8)
    raw = np.concatenate([np.zeros((h, 1), np.uint8), rows], axis=1).tobytes()
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", w, h, 8 * pixels.dtype.itemsize, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's chunk, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(content: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks, right behind its header."""
    return content[:33] + b"".join(chunks) + content[33:]


def photo(side: int, seed: int) -> NDArray[np.uint8]:
    """A window of the astronaut, another for every seed."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 512 - 2 * side, 2)
    return skimage.data.astronaut()[top : top + 2 * side : 2, left : left + 2 * side : 2]


def write_good(folder: Path, kind: str, number: int, side: int = 24) -> Path:
    """One image that can be enhanced."""
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    rgb = photo(side, number)
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    alpha = np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))
    deep = rgb.astype(np.uint16) * 257
    image = Image.fromarray(rgb)

    def path(suffix: str) -> Path:
        return folder / f"{kind}-{number}{suffix}"

    if kind == "grey":
        Image.fromarray(grey).save(path(".jpg"), dpi=(300, 300))
        return path(".jpg")
    if kind == "sepia":
        tint = np.rint(grey[..., None] * np.array([1.0, 0.85, 0.65])).astype(np.uint8)
        Image.fromarray(tint).save(path(".jpg"))
        return path(".jpg")
    if kind in ("exif", "turned"):
        exif = Image.Exif()
        exif[0x010E], exif[0x0112] = "Harbour, 1912", 6 if kind == "turned" else 1
        exif.get_ifd(0x8769)[0x9003] = "1912:05:01 00:00:00"
        image.save(path(".jpg"), exif=exif)
        return path(".jpg")
    if kind == "grey16":
        Image.fromarray(deep[..., 0]).save(path(".tif"))
        return path(".tif")
    if kind in ("colour16", "alpha16"):
        planes = deep if kind == "colour16" else np.dstack([deep, alpha.astype(np.uint16) * 257])
        path(".png").write_bytes(png(planes))
        return path(".png")
    if kind == "tiled16":
        tifffile.imwrite(path(".tiff"), deep, photometric="rgb", tile=(16, 16), compression="zlib")
        return path(".tiff")
    if kind in ("alpha", "greyalpha"):
        image = np.dstack([rgb, alpha]) if kind == "alpha" else np.dstack([grey, alpha])
        Image.fromarray(image, "RGBA" if kind == "alpha" else "LA").save(path(".png"))
        return path(".png")
    if kind == "palette":
        image.quantize(32).save(path(".png"))
        return path(".png")
    if kind == "bilevel":
        image.convert("1").save(path(".tif"), compression="group4")
        return path(".tif")
    if kind == "cmyk":
        image.convert("CMYK").save(path(".jpg"))
        return path(".jpg")
    if kind == "pages":
        image.save(path(".tif"), save_all=True, append_images=[Image.fromarray(255 - rgb)])
        return path(".tif")
    if kind == "animated":
        image.save(path(".webp"), save_all=True, append_images=[Image.fromarray(255 - rgb)])
        return path(".webp")
    if kind == "icc":
        image.save(path(".png"), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        return path(".png")
    if kind == "progressive":
        image.save(path(".jpeg"), progressive=True)
        return path(".jpeg")
    if kind in ("tall", "wide", "dot"):
        shape = {"tall": (600, 1), "wide": (1, 600), "dot": (1, 1)}[kind]
        Image.fromarray(np.resize(grey, shape)).save(path(".png"))
        return path(".png")
    suffix = ".webp" if kind == "webp" else ".png"
    image.save(path(suffix))
    return path(suffix)


def write_broken(folder: Path, kind: str, number: int, side: int = 24) -> Path:
    """One file that cannot be enhanced."""
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(photo(side, number))
    path = folder / f"{kind}-{number}{'.jpg' if 'jpeg' in kind else '.tif' if 'tiff' in kind else '.png'}"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("<html>not found</html>")
    elif kind.startswith("torn"):
        image.save(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    elif kind == "bomb":
        content = bytearray(png(np.zeros((1, 1), np.uint8)))
        content[16:24] = struct.pack(">II", 60_000, 60_000)
        content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
        path.write_bytes(bytes(content))
    elif kind == "loop":
        os.symlink(path.name, path)
    elif kind == "dangling":
        os.symlink("nowhere.png", path)
    elif kind == "avif":
        image.save(path, "AVIF")
    else:  # one bit of the pixels: PNG has a checksum for that
        content = bytearray(png(np.asarray(image)))
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    return path


def write_mixed(folder: Path, good: int, broken: int, side: int = 24) -> None:
    """``good`` images and ``broken`` files in a tree of folders, with a link that leads back to its top."""
    for number in range(good):
        write_good(folder / ("", "a", "a/deep")[number % 3], GOOD[number % len(GOOD)], number, side)
    for number in range(broken):
        write_broken(folder / ("", "b")[number % 2], BROKEN[number % len(BROKEN)], number, side)
    os.symlink(folder, folder / "a" / "round")
