"""Files written strip by strip: other people's readers see the same pixels, and what the scan carried."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from archive.repeat import Repeat
from fuzz.mixed import photo, png
from PIL import Image

from edge_scs.archive.restore import Wanted, restore
from edge_scs.errors import InputError
from edge_scs.imaging import writers
from edge_scs.imaging.metadata import EXIF_IFD, GPS_IFD, Metadata
from edge_scs.imaging.scans import read_scan
from edge_scs.imaging.writers import write_image
from edge_scs.inference.request import Options

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="8"/></x:xmpmeta>'
CAPTION = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x00"


def strips(pixels: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    yield from (pixels[top : top + rows] for top in range(0, len(pixels), rows))


def bare() -> Metadata:
    return Metadata(Image.Exif())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
def test_lossless_formats_hold_every_value(
    tmp_path: Path, dtype: type, channels: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "_STRIP_BYTES", 5000)
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (101, 37, channels)).astype(dtype)
    write_image(tmp_path / "a.tif", strips(pixels, rows), (101, 37), channels, bare())
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)
    write_image(tmp_path / "a.png", strips(pixels, rows), (101, 37), channels, bare())
    with Image.open(tmp_path / "a.png") as image:
        image.verify()
    with Image.open(tmp_path / "a.png") as image, Image.open(tmp_path / "a.tif") as other:
        shown = np.asarray(image)
        assert np.array_equal(shown, pixels if dtype == np.uint8 else pixels >> 8)
        assert np.array_equal(np.asarray(other), shown)


def test_big_tiff_takes_over_where_offsets_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_BIG_TIFF", 0)
    metadata = bare()
    metadata.exif.get_ifd(EXIF_IFD)[0x9003] = "1912:05:01 00:00:00"
    write_image(tmp_path / "a.tif", strips(photo(50, 1), 9), (50, 50), 3, metadata)
    assert tifffile.TiffFile(tmp_path / "a.tif").is_bigtiff
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), photo(50, 1))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.getexif().get_ifd(EXIF_IFD)[0x9003] == "1912:05:01 00:00:00"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_what_a_scan_carried_is_carried_on(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8298] = 8, "Harbour, 1912", "The Archive"
    exif.get_ifd(EXIF_IFD).update({0x9003: "1912:05:01 00:00:00", 0xA002: 20, 0xA003: 30})
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (54.0, 19.0, 30.5)})
    extra = b"\xff\xed" + (len(CAPTION) + 2).to_bytes(2, "big") + CAPTION
    Image.fromarray(photo(32, 1)[:30, :20]).save(tmp_path / "a.jpg", exif=exif, xmp=XMP, dpi=(300, 200), extra=extra)
    restore(tmp_path / "a.jpg", tmp_path / f"b{suffix}", Repeat(), Wanted(scale=3.0))
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.size == (90, 60), "turned"
        kept = image.getexif()
        assert (kept[0x0112], kept[0x010E], kept[0x8298]) == (1, "Harbour, 1912", "The Archive")
        inner = kept.get_ifd(EXIF_IFD)
        assert (inner[0x9003], inner[0xA002], inner[0xA003]) == ("1912:05:01 00:00:00", 90, 60)
        assert kept.get_ifd(GPS_IFD)[2] == (54.0, 19.0, 30.5)
        assert b'tiff:Orientation="1"' in image.info["xmp"]
        if suffix != ".webp":
            assert image.info["dpi"] == pytest.approx((600, 900), abs=0.1)
        assert (kept[0x011A], kept[0x011B]) == (600, 900)
        if suffix == ".jpg":
            assert ("APP13", CAPTION) in image.applist


def test_blocks_too_long_for_a_jpeg_are_left_out(tmp_path: Path) -> None:
    metadata = Metadata(Image.Exif(), xmp=b"x" * 70_000)
    metadata.exif[0x010E] = "y" * 70_000
    write_image(tmp_path / "a.jpg", strips(photo(20, 1), 5), (20, 20), 3, metadata)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.size == (20, 20)


def test_alpha_is_enlarged_with_the_pixels_and_nothing_shines_through(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = (200, 100, 50, 255)
    rgba[:, 4:] = (255, 255, 255, 0)  # white behind full transparency must not bleed into the edge
    Image.fromarray(rgba).save(tmp_path / "a.png")
    restore(tmp_path / "a.png", tmp_path / "b.png", Repeat(), Wanted(scale=4.0, options=Options(keep_colour=True)))
    with Image.open(tmp_path / "b.png") as image:
        out = np.asarray(image)
    assert out.shape == (32, 32, 4)
    assert (out[:, :12, 3] == 255).all()
    assert (out[:, 20:, 3] == 0).all()
    assert 100 < out[0, 15, 3] < 255, "a soft edge"
    assert (out[:, :12, :3] == (200, 100, 50)).all()
    assert (out[:, 20:, :3] == 0).all()
    restore(tmp_path / "a.png", tmp_path / "b.jpg", Repeat(), Wanted(scale=4.0, options=Options(keep_colour=True)))
    with Image.open(tmp_path / "b.jpg") as image:
        paper = np.asarray(image)
    assert paper[:, 24:].min() > 250, "white paper behind it"


def test_sixteen_bits_come_out_as_they_went_in(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (9, 11, 4)).astype(np.uint16)
    deep[..., 3] = 65535
    (tmp_path / "a.png").write_bytes(png(deep))
    restore(tmp_path / "a.png", tmp_path / "b.tif", Repeat(), Wanted(scale=2.0, options=Options(keep_colour=True)))
    out = tifffile.imread(tmp_path / "b.tif")
    assert out.dtype == np.uint16
    assert np.array_equal(out[::2, ::2], deep)
    restore(tmp_path / "a.png", tmp_path / "b.jpg", Repeat(), Wanted(scale=2.0, options=Options(keep_colour=True)))
    assert read_scan(tmp_path / "b.jpg", scale=1.0).pixels.dtype == np.uint8


def test_quality_is_obeyed_and_limits_of_formats_are_told(tmp_path: Path) -> None:
    Image.fromarray(photo(64, 1)).save(tmp_path / "a.png")
    sizes = []
    for quality in (20, 95):
        restore(tmp_path / "a.png", tmp_path / "b.jpg", Repeat(), Wanted(scale=2.0, quality=quality))
        sizes.append((tmp_path / "b.jpg").stat().st_size)
    assert sizes[0] * 2 < sizes[1]
    Image.new("L", (20_000, 1)).save(tmp_path / "wide.png")
    with pytest.raises(InputError, match="more than JPEG holds"):
        restore(tmp_path / "wide.png", tmp_path / "wide.jpg", Repeat(), Wanted(scale=4.0))
    restore(tmp_path / "wide.png", tmp_path / "wide.tif", Repeat(), Wanted(scale=4.0))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_memory_is_that_of_a_strip(tmp_path: Path, suffix: str) -> None:
    strip = np.zeros((64, 1000, 3), np.uint8)
    tracemalloc.start()
    write_image(tmp_path / f"a{suffix}", (strip for _ in range(400)), (25_600, 1000), 3, bare())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * strip.nbytes, "of an image of 400 strips"
