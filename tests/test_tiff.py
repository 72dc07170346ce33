"""16-bit TIFFs of the kinds that Pillow reads wrongly or not at all: read right, or refused with the true reason."""

import logging
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from edge_scs.errors import InputError
from edge_scs.images import read_grey, read_rgb
from edge_scs.imaging.scans import image_size, read_scan

DEEP = np.random.default_rng(0).integers(0, 65536, (12, 17, 4)).astype(np.uint16)
DEEP[..., 3] = np.maximum(DEEP[..., 3], 20_000)


def separate(planes: np.ndarray) -> np.ndarray:
    return np.moveaxis(planes, 2, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_separate_planes_are_read_whole(tmp_path: Path, order: str, options: dict) -> None:
    path = tmp_path / "a.tif"
    more = {"photometric": "rgb", "planarconfig": "separate", "byteorder": order} | options
    tifffile.imwrite(path, separate(DEEP[..., :3]), **more)
    assert np.array_equal(read_scan(path, colour=True, scale=1.0).pixels, DEEP[..., :3])
    assert np.abs(read_rgb(path) - DEEP[..., :3] / 257).max() <= 0.51
    tifffile.imwrite(path, separate(DEEP), extrasamples=["unassalpha"], **more)
    scan = read_scan(path, colour=True, scale=1.0)
    share = DEEP[..., 3:] / 65535
    assert np.array_equal(scan.alpha, DEEP[..., 3])
    assert np.abs(scan.pixels - DEEP[..., :3] * share).max() <= 1
    assert np.abs(read_rgb(path) / 255 - (DEEP[..., :3] / 65535 * share + 1 - share)).max() < 0.003


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate", "compression": "zlib"}])
def test_premultiplied_pixels_are_multiplied_once(tmp_path: Path, options: dict) -> None:
    product = np.rint(DEEP[..., :3] * (DEEP[..., 3:] / 65535)).astype(np.uint16)
    planes = np.dstack([product, DEEP[..., 3]])
    planes = separate(planes) if "planarconfig" in options else planes
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", extrasamples=["assocalpha"], **options)
    scan = read_scan(tmp_path / "a.tif", colour=True, scale=1.0)
    assert np.array_equal(scan.alpha, DEEP[..., 3])
    assert np.abs(scan.pixels.astype(int) - product).max() <= 3


def test_predictors_and_tiles(tmp_path: Path) -> None:
    more = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "tile": (16, 16)}
    tifffile.imwrite(tmp_path / "a.tif", separate(DEEP[..., :3]), predictor=True, **more)
    assert np.array_equal(read_scan(tmp_path / "a.tif", colour=True, scale=1.0).pixels, DEEP[..., :3])


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_with_alpha_and_white_is_zero(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.tif"
    grey = DEEP[..., [0, 3]]
    tifffile.imwrite(path, grey, photometric="minisblack", extrasamples=["unassalpha"], byteorder=order, metadata=None)
    scan = read_scan(path, colour=True, scale=1.0)
    assert np.array_equal(scan.alpha, grey[..., 1])
    assert np.abs(scan.pixels - grey[..., 0] * (grey[..., 1] / 65535)).max() <= 1
    assert image_size(path) == (12, 17)
    tifffile.imwrite(path, DEEP[..., 0], photometric="miniswhite", byteorder=order, metadata=None)
    assert np.array_equal(read_scan(path, colour=True, scale=1.0).pixels, 65535 - DEEP[..., 0])
    assert np.abs(read_grey(path) - (255 - DEEP[..., 0] / 257)).max() <= 0.51


def test_turned_ones_stand_upright(tmp_path: Path) -> None:
    more = {"photometric": "rgb", "planarconfig": "separate", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", separate(DEEP[..., :3]), extratags=[(274, 3, 1, 6, True)], **more)
    scan = read_scan(tmp_path / "a.tif", colour=True, scale=2.0)
    assert np.array_equal(scan.pixels, np.rot90(DEEP[..., :3], -1))
    assert scan.size == (34, 24)
    assert read_rgb(tmp_path / "a.tif").shape == (17, 12, 3)


@pytest.mark.parametrize(
    ("values", "more", "reason"),
    [
        (DEEP[..., 0].astype(np.int16), {}, "signed"),
        (DEEP[..., 0].astype(np.float16), {}, "floating-point"),
        (DEEP[..., 0].astype(np.float32), {}, "floating-point"),
        (DEEP[..., 0].astype(np.uint32), {}, "32-bit|32 bits"),
        (separate(DEEP), {"photometric": "separated", "planarconfig": "separate"}, "neither grey nor RGB"),
    ],
)  # fmt: skip
def test_others_are_refused_with_the_true_reason(tmp_path: Path, values: np.ndarray, more: dict, reason: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, **({"photometric": "minisblack", "metadata": None} | more))
    for read in (read_rgb, lambda path: read_scan(path, scale=1.0)):
        with pytest.raises(InputError, match=reason) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_a_strip_that_unpacks_to_more_than_its_pixels_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, separate(DEEP[..., :3]), photometric="rgb", planarconfig="separate", compression="zlib", metadata=None
    )
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        offsets, counts = tags[273], tags[279]
        bomb = zlib.compress(bytes(1 << 20))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, offsets.valueoffset, len(content))
    struct.pack_into("<I" if counts.dtype == 4 else "<H", content, counts.valueoffset, len(bomb))
    path.write_bytes(bytes(content) + bomb)
    with pytest.raises(InputError, match="unpacks to more than its pixels"):
        read_scan(path, scale=1.0)


def test_no_library_speaks_for_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, separate(DEEP[..., :3]), photometric="rgb", planarconfig="separate", metadata=None)
    content = path.read_bytes()
    for cut in (200, 500, len(content) - 100):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError):
            read_scan(path, scale=1.0)
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        Image.fromarray(np.tile(DEEP[..., :3] >> 8, (5, 5, 1)).astype(np.uint8)).save(path, compression=compression)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError):
            read_scan(path, scale=1.0)
    assert capfd.readouterr() == ("", "")
    print("heard", file=sys.stderr, flush=True)
    assert capfd.readouterr().err == "heard\n"


def test_pillows_log_stays_off_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("PIL"), "propagate", False)  # pytest's own handlers would hide it
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8, 3), np.uint8), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[277].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, at, 60_000)  # samples per pixel
    path.write_bytes(content)
    with pytest.raises(InputError, match="60000 samples"):
        read_scan(path, scale=1.0)
    assert capfd.readouterr() == ("", "")
