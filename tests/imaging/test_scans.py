"""Images as they are: every depth, turn, colour space and channel that a file may have."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fuzz.mixed import chunk, photo, png, with_chunks
from imaging.icc_files import adobe_rgb, gamma, profile
from PIL import Image, ImageCms, ImageOps

from edge_scs.errors import InputError
from edge_scs.images import read_rgb
from edge_scs.imaging.scans import Scan, image_size, read_reference, read_scan


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
    tifffile.imwrite(path, deep[..., 0], photometric="miniswhite", byteorder=order, **options)
    assert np.array_equal(read(path).pixels, 65535 - deep[..., 0])
    tifffile.imwrite(path, deep, photometric="rgb", extrasamples=["unassalpha"], byteorder=order, **options)
    assert np.array_equal(read(path).alpha, deep[..., 3])


def test_premultiplied_sixteen_bit_tiff_stays_so(tmp_path: Path, deep: np.ndarray) -> None:
    deep[..., :3] = np.minimum(deep[..., :3], deep[..., 3:])
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extrasamples=["assocalpha"])
    assert np.abs(read(tmp_path / "a.tif").pixels.astype(int) - deep[..., :3]).max() <= 1


def test_a_transparent_colour_at_sixteen_bits(tmp_path: Path, deep: np.ndarray) -> None:
    deep[2:5, 3] = 300, 301, 302, 0
    hole = (deep[..., :3] == (300, 301, 302)).all(-1)
    (tmp_path / "a.png").write_bytes(with_chunks(png(deep[..., :3]), chunk(b"tRNS", struct.pack(">3H", 300, 301, 302))))
    (tmp_path / "b.png").write_bytes(with_chunks(png(deep[..., 0]), chunk(b"tRNS", struct.pack(">H", 300))))
    for name, pixels in (("a.png", deep[..., :3]), ("b.png", deep[..., 0])):
        scan = read(tmp_path / name)
        assert np.array_equal(scan.alpha, np.where(hole, 0, 65535))
        assert np.array_equal(scan.pixels[~hole], pixels[~hole])
        shown = read_rgb(tmp_path / name)
        assert (shown[hole] == 255).all()
        assert np.abs(shown[~hole] - (pixels if pixels.ndim == 3 else pixels[..., None])[~hole] / 257).max() < 1.1


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
    assert image_size(tmp_path / "a.png") == upright.shape[:2]
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
def test_broken_profiles_do_not_cost_the_image(tmp_path: Path, icc: bytes) -> None:
    Image.fromarray(photo(8, 1)).save(tmp_path / "a.png", icc_profile=icc)
    scan = read(tmp_path / "a.png")
    assert np.array_equal(scan.pixels, photo(8, 1))
    assert scan.metadata.icc is None
    assert any("colour profile left out" in note for note in scan.notes)


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
