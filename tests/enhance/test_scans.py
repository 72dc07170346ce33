"""Pictures as they are: every depth, turn, colour space and channel that a file may have."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fuzz.mixed import photo, png
from PIL import Image, ImageCms, ImageOps

from edge_scs.enhance.scans import Scan, picture_size, read_reference, read_scan
from edge_scs.errors import InputError

# Adobe RGB (1998): its colorants adapted to D50, and a gamma of 563/256.
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A small ICC profile, version 2."""
    text = b"test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78 + 67 - 67),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content
    header = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", header, 0, start + len(data), b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(header) + struct.pack(">I", len(tags)) + table + data


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def adobe_rgb() -> bytes:
    tags = {name: xyz(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256)))


def read(path: Path, colour: bool = True, **options: object) -> Scan:
    return read_scan(path, colour, **({"scale": 2.0} | options))


@pytest.fixture
def deep() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (12, 17, 4)).astype(np.uint16)


def test_sixteen_bit_png_is_read_whole(tmp_path: Path, deep: np.ndarray) -> None:
    for channels in (1, 2, 3, 4):
        planes = deep[..., :channels] if channels > 1 else deep[..., 0]
        (tmp_path / "a.png").write_bytes(png(planes))
        scan = read(tmp_path / "a.png")
        assert scan.pixels.dtype == np.uint16
        if channels in (1, 3):
            assert np.array_equal(scan.pixels, planes)
            assert scan.alpha is None
        else:
            colour = planes[..., : channels - 1].squeeze()
            assert np.array_equal(scan.alpha, planes[..., -1])
            share = scan.alpha.astype(np.float64) / 65535
            expected = colour * (share if colour.ndim == 2 else share[..., None])
            assert np.abs(scan.pixels - expected).max() <= 0.51


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16), "compression": "zlib"}])
def test_sixteen_bit_tiff_is_read_whole(tmp_path: Path, deep: np.ndarray, order: str, options: dict) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, deep[..., :3], photometric="rgb", byteorder=order, **options)
    assert np.array_equal(read(path).pixels, deep[..., :3])
    tifffile.imwrite(path, deep[..., 0], photometric="minisblack", byteorder=order, **options)
    assert np.array_equal(read(path).pixels, deep[..., 0])
    if order == "<":  # big-endian ones are refused by Pillow
        tifffile.imwrite(path, deep[..., 0], photometric="miniswhite", byteorder=order, **options)
        assert np.array_equal(read(path).pixels, 65535 - deep[..., 0])
    tifffile.imwrite(path, deep, photometric="rgb", extrasamples=["unassalpha"], byteorder=order, **options)
    assert np.array_equal(read(path).alpha, deep[..., 3])


def test_premultiplied_sixteen_bit_tiff_stays_so(tmp_path: Path, deep: np.ndarray) -> None:
    deep[..., :3] = np.minimum(deep[..., :3], deep[..., 3:])
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extrasamples=["assocalpha"])
    assert np.abs(read(tmp_path / "a.tif").pixels.astype(int) - deep[..., :3]).max() <= 1


def test_sixteen_bits_in_separate_planes_are_refused(tmp_path: Path, deep: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(deep[..., :3], 2, 0), photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match="separate planes"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_any_turn_at_any_depth(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, "Somebody"
    image = Image.fromarray(photo(16, 1)[:, :10])
    image.save(tmp_path / "a.png", exif=exif)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    scan = read(tmp_path / "a.png", size=None)
    assert np.array_equal(scan.pixels, upright)
    assert picture_size(tmp_path / "a.png") == upright.shape[:2]
    assert scan.size == (upright.shape[0] * 2, upright.shape[1] * 2)
    assert (scan.metadata.exif[0x0112], scan.metadata.exif[0x013B]) == (1, "Somebody")
    Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.tif", exif=exif)
    assert np.array_equal(read(tmp_path / "a.tif").pixels, upright[..., 0].astype(np.uint16) * 257)


def test_grey_is_what_networks_get_unless_colour_is_asked_for(tmp_path: Path, deep: np.ndarray) -> None:
    image = Image.fromarray(photo(16, 1))
    image.save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png", colour=False).pixels, np.asarray(image.convert("L")))
    (tmp_path / "b.png").write_bytes(png(deep[..., :3]))
    grey = read(tmp_path / "b.png", colour=False).pixels
    expected = deep[..., :3] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey - expected).max() < 2


def test_adobe_rgb_becomes_srgb_and_goes_back(tmp_path: Path) -> None:
    rgb = photo(32, 5)
    Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=adobe_rgb())
    scan = read(tmp_path / "a.png")
    assert np.abs(scan.pixels.astype(int) - rgb).max() > 5
    assert scan.metadata.icc == adobe_rgb()
    assert np.abs(scan.profile.from_srgb(scan.pixels).astype(int) - rgb).mean() < 0.6
    # 16 bits go through our own arithmetic: it has to say what LittleCMS says.
    tifffile.imwrite(
        tmp_path / "a.tif", rgb.astype(np.uint16) * 257, photometric="rgb", iccprofile=adobe_rgb(), metadata=None
    )
    deep = read(tmp_path / "a.tif")
    assert np.abs(deep.pixels / 257 - scan.pixels).max() < 1.6
    inside = (deep.pixels > 0).all(-1) & (deep.pixels < 65535).all(-1)
    back = deep.profile.from_srgb(deep.pixels).astype(int)
    assert np.abs(back - rgb.astype(int) * 257)[inside].max() < 30


def test_references_are_srgb_of_8_bits_on_white(tmp_path: Path) -> None:
    rgb = photo(32, 5)
    Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=adobe_rgb())
    assert np.array_equal(read_reference(tmp_path / "a.png"), read(tmp_path / "a.png").pixels)
    tifffile.imwrite(tmp_path / "a.tif", rgb[..., 1].astype(np.uint16) * 257, metadata=None)
    assert np.array_equal(read_reference(tmp_path / "a.tif"), np.repeat(rgb[..., 1:2], 3, axis=2))
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    alpha[:4] = 0
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "b.png")
    half = read_reference(tmp_path / "b.png")
    assert (half[:4] == 255).all()
    assert np.array_equal(half[4:], rgb[4:])


def test_grey_profiles_become_srgb(tmp_path: Path) -> None:
    icc = profile(b"GRAY", {b"kTRC": gamma(1.0)})  # linear light
    Image.fromarray(np.array([[0, 55, 255]], np.uint8)).save(tmp_path / "a.png", icc_profile=icc)
    scan = read(tmp_path / "a.png")
    assert scan.pixels.tolist() == [[0, 128, 255]]
    assert ImageCms.ImageCmsProfile(__import__("io").BytesIO(scan.metadata.icc)).profile.xcolor_space == "RGB "
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 55 * 257, 65535]], np.uint16), iccprofile=icc, metadata=None)
    assert np.abs(read(tmp_path / "a.tif").pixels / 257 - scan.pixels).max() < 0.6


@pytest.mark.parametrize("icc", [b"nonsense", b"\0" * 200, adobe_rgb()[:300]])
def test_broken_profiles_do_not_cost_the_picture(tmp_path: Path, icc: bytes) -> None:
    Image.fromarray(photo(8, 1)).save(tmp_path / "a.png", icc_profile=icc)
    scan = read(tmp_path / "a.png")
    assert np.array_equal(scan.pixels, photo(8, 1))
    assert scan.metadata.icc is None


def test_pages_and_frames_are_mentioned(tmp_path: Path) -> None:
    first, second = Image.fromarray(photo(8, 1)), Image.fromarray(photo(8, 2))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second, second])
    scan = read(tmp_path / "a.tif")
    assert scan.notes == ["the first of 3 pages"]
    assert np.array_equal(scan.pixels, photo(8, 1))


def test_one_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    content = bytearray(png(photo(24, 3)))
    for place in range(50, len(content) - 20, 97):
        damaged = bytes(content[:place]) + bytes([content[place] ^ 1]) + bytes(content[place + 1 :])
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path / "a.png")


def test_the_limit_holds_before_anything_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(np.zeros((30, 40), np.uint8))[:60])
    with pytest.raises(InputError, match=r"would become 80x60, 0 megapixels.*--max-output-pixels 4800"):
        read(tmp_path / "a.png", max_pixels=4799)
