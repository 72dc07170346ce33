"""What an image carries besides its pixels is made true for the enlarged one, each axis by its own ratio."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from archive.repeat import Repeat
from fuzz.mixed import chunk, photo, png, with_chunks
from PIL import Image

from edge_scs.archive.restore import Wanted, restore
from edge_scs.imaging.geometry import corrected, corrected_xmp
from edge_scs.imaging.metadata import EXIF_IFD, Metadata, exif_of, orientation_of, read_metadata
from edge_scs.imaging.scans import read_scan

SCALE, TIES, MATRIX, KEYS = 33550, 33922, 34264, 34735
AREA = (1, 1, 0, 1, 1025, 0, 1, 1)  # GeoKeyDirectory: pixel is area
POINT = (1, 1, 0, 1, 1025, 0, 1, 2)


def placed(tags: dict, at: tuple[float, float]) -> tuple[float, float]:
    """Where a GeoTIFF's raster position (i, j) lies on the map: by its matrix, or by scale and tie point."""
    i, j = at
    if MATRIX in tags:
        a, b, _, d, e, f, _, h = tags[MATRIX][:8]
        return a * i + b * j + d, e * i + f * j + h
    (sx, sy, _), (ti, tj, _, x, y, _) = tags[SCALE], tags[TIES]
    return x + (i - ti) * sx, y - (j - tj) * sy


@pytest.mark.parametrize("keys", [AREA, POINT])
@pytest.mark.parametrize(
    "position",
    [
        {SCALE: (2.0, 3.0, 0.0), TIES: (5.0, 7.0, 0.0, 1000.0, 2000.0, 0.0)},
        {MATRIX: (2.0, 0.5, 0.0, 1000.0, 0.25, -3.0, 0.0, 2000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)},
    ],
)
def test_a_map_stays_where_it_is(keys: tuple, position: dict) -> None:
    notes: list[str] = []
    new = corrected(position | {KEYS: keys}, (4.0, 2.0), True, notes)
    shift = 0.5 if keys is POINT else 0.0  # positions count from the first pixel's centre there
    for column, row in ((0.0, 0.0), (10.0, 20.0)):  # measured in old pixels, from the corner
        before = placed(position, (column - shift, row - shift))
        assert placed(new, (2 * column - shift, 4 * row - shift)) == pytest.approx(before)
    assert (new[KEYS], notes) == (keys, [])


def test_a_map_that_is_turned_or_bent_loses_its_position() -> None:
    tags = {SCALE: (2.0, 3.0, 0.0), TIES: (0.0,) * 6, KEYS: AREA, 270: "Harbour"}
    for given, upright in ((tags, False), (tags | {50844: (1.0,) * 92}, True)):
        notes: list[str] = []
        assert corrected(given, (2.0, 2.0), upright, notes) == {270: "Harbour"}
        assert notes == ["GeoTIFF position left out: it is that of the source's pixels"]
    assert corrected(tags, (1.0, 1.0), True, []) == tags


@pytest.mark.parametrize(
    "text",
    [
        '{"shape": [32, 512, 3]}',
        "ImageJ=1.53t\nimages=3\nslices=3\n",
        '<?xml version="1.0" encoding="UTF-8"?><!-- note --><OME xmlns="x"><Pixels SizeX="512"/></OME>',
    ],
)
def test_descriptions_for_programs_are_left_out(text: str) -> None:
    notes: list[str] = []
    assert corrected({270: text}, (2.0, 2.0), True, notes) == {}
    assert notes == ["ImageDescription left out: it described the array of the source"]
    assert corrected({270: "shape of a harbour"}, (2.0, 2.0), True, []) == {270: "shape of a harbour"}


def test_places_in_the_image_move_with_it() -> None:
    tags = {0x9214: (10, 20, 30, 40), 0xA214: (10, 20), 0xA20E: 100.0, 0xA20F: 50.0}
    assert corrected(tags, (4.0, 2.0), True, []) == {
        0x9214: (20, 80, 60, 160), 0xA214: (20, 80), 0xA20E: 200.0, 0xA20F: 200.0,
    }  # fmt: skip
    notes: list[str] = []
    assert corrected(tags, (4.0, 2.0), False, notes) == {0xA20E: 400.0, 0xA20F: 100.0}
    assert len(notes) == 2


def test_sizes_in_xmp_are_the_results() -> None:
    xmp = b'<r tiff:ImageWidth="20" exif:PixelYDimension="30"><tiff:XResolution>300/1</tiff:XResolution></r>'
    assert corrected_xmp(xmp, (90, 40), (600.0, 900.0)) == (
        b'<r tiff:ImageWidth="40" exif:PixelYDimension="90"><tiff:XResolution>6000000/10000</tiff:XResolution></r>'
    )
    assert corrected_xmp(xmp, (90, 40), None).count(b"300/1") == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize(("orientation", "expected"), [(1, (600, 400)), (6, (400, 600))])
def test_each_axis_has_its_own_resolution(tmp_path: Path, suffix: str, orientation: int, expected: tuple) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(EXIF_IFD).update({0xA002: 20, 0xA003: 30})
    Image.fromarray(photo(32, 1)[:30, :20]).save(tmp_path / "a.jpg", dpi=(300, 100), exif=exif)
    size = (40, 120) if orientation == 1 else (120, 40)  # twice as wide and four times as high, as the file is stored
    if orientation == 6:  # 30 across, 20 down once upright
        expected = (400, 600)
    restore(tmp_path / "a.jpg", tmp_path / f"b{suffix}", Repeat(), Wanted(size=size))
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.size == size
        assert image.info["dpi"] == pytest.approx(expected, abs=0.1)
        inner = image.getexif().get_ifd(EXIF_IFD)
        assert (inner[0xA002], inner[0xA003]) == size


def test_a_png_may_say_its_turn_anywhere(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    content = png(photo(8, 1)[:, :6])
    for name, whole in (("a.png", with_chunks(content, block)), ("b.png", content[:-12] + block + content[-12:])):
        (tmp_path / name).write_bytes(whole)
        with Image.open(tmp_path / name) as image:
            assert orientation_of(image) == 8
            assert exif_of(image)[0x0112] == 8


@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_may_say_its_turn_as_imagemagick_does(tmp_path: Path, depth: int) -> None:
    """In a packed text, as hexadecimal numbers. Pillow's own reader would decode the image over it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Somebody"
    block = exif.tobytes()
    text = f"\nexif\n{len(block):8d}\n{block.hex()}\n".encode()
    pixels = photo(8, 1)[:, :6].astype(np.uint16 if depth == 16 else np.uint8) * (257 if depth == 16 else 1)
    content = with_chunks(png(pixels), chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    (tmp_path / "a.png").write_bytes(content)
    scan = read_scan(tmp_path / "a.png", colour=True, scale=1.0)
    assert np.array_equal(scan.pixels, np.rot90(pixels, -1))
    assert (scan.metadata.exif[0x0112], scan.metadata.exif[0x013B]) == (1, "Somebody")
    broken = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n   6\nno hex\n"))
    (tmp_path / "a.png").write_bytes(with_chunks(png(pixels), broken))
    assert np.array_equal(read_scan(tmp_path / "a.png", colour=True, scale=1.0).pixels, pixels)


def test_what_says_nothing_writes_nothing() -> None:
    assert Metadata(Image.Exif()).exif_bytes() == b""


def test_resolutions_that_are_none_are_none(tmp_path: Path) -> None:
    Image.fromarray(photo(8, 1)).save(tmp_path / "a.tif")  # Pillow writes 1 where nothing was given
    (tmp_path / "b.png").write_bytes(with_chunks(png(photo(8, 1)), chunk(b"pHYs", struct.pack(">IIB", 3, 2, 0))))
    for name in ("a.tif", "b.png"):
        with Image.open(tmp_path / name) as image:
            assert read_metadata(image, (16, 16), (2.0, 2.0), []).dpi is None


def test_geotiff_tags_reach_the_result(tmp_path: Path) -> None:
    import tifffile

    extra = [(SCALE, 12, 3, (2.0, 3.0, 0.0), True), (TIES, 12, 6, (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), True)]
    extra.append((KEYS, 3, 8, AREA, True))
    tifffile.imwrite(tmp_path / "a.tif", np.asarray(photo(8, 1)), extratags=extra, description="Harbour")
    restore(tmp_path / "a.tif", tmp_path / "b.tif", Repeat(), Wanted(size=(16, 32)))
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        tags = tiff.pages[0].tags
        assert tags[SCALE].value == pytest.approx((1.0, 0.75, 0.0))
        assert tags[TIES].value[3:5] == pytest.approx((1000.0, 2000.0))
        assert tags[KEYS].value == AREA
        assert tags[270].value == "Harbour"
