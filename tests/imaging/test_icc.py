"""What a PNG says of its colours in chunks of its own is followed like an embedded profile."""

import struct
from pathlib import Path

import numpy as np
import pytest
from archive.repeat import Repeat
from fuzz.mixed import chunk, photo, png, with_chunks
from PIL import Image

from edge_scs.archive.restore import Wanted, restore
from edge_scs.imaging.icc import make_profile
from edge_scs.imaging.profiles import read_profile, srgb_profile
from edge_scs.imaging.scans import Scan, read_scan
from edge_scs.inference.request import Options

RGB = photo(24, 2)
D65, BT709 = (0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


def gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(*points: tuple[float, float]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for point in points for v in point)))


def cicp(*codes: int) -> bytes:
    return chunk(b"cICP", bytes(codes))


def read(path: Path, *chunks: bytes, pixels: np.ndarray = RGB) -> Scan:
    path.write_bytes(with_chunks(png(pixels), *chunks))
    return read_scan(path, colour=True, scale=1.0)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB levels, by IEC 61966-2-1."""
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_gamma_is_applied_at_either_depth(tmp_path: Path) -> None:
    expected = encoded((RGB / 255) ** 1.8)
    for pixels, levels in ((RGB, 1), (RGB.astype(np.uint16) * 257, 257)):
        scan = read(tmp_path / "a.png", gama(1 / 1.8), pixels=pixels)
        assert np.abs(scan.pixels / levels - expected).max() < 1.1
    assert np.abs(read(tmp_path / "a.png", gama(1.0)).pixels - encoded(RGB / 255)).max() < 1.1
    grey = read(tmp_path / "a.png", gama(1.0), pixels=RGB[..., 0])
    assert np.abs(grey.pixels - encoded(RGB[..., 0] / 255)).max() < 1.1


def test_primaries_are_applied(tmp_path: Path) -> None:
    for chunks in ([gama(1 / 2.2), chrm(D65, *P3)], [cicp(12, 4, 0, 1)]):
        scan = read(tmp_path / "a.png", *chunks)
        to_xyz = [np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T for points in (P3, BT709)]
        white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
        p3, bt709 = (m * np.linalg.solve(m, white) for m in to_xyz)
        expected = encoded((RGB / 255) ** 2.2 @ (np.linalg.inv(bt709) @ p3).T)
        assert np.abs(scan.pixels - expected).max() < 2.1


def test_the_result_carries_them_as_a_profile(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(with_chunks(png(RGB), gama(1.0)))
    assert (
        restore(tmp_path / "a.png", tmp_path / "b.tif", Repeat(), Wanted(scale=1.0, options=Options(keep_colour=True)))
        == []
    )
    with Image.open(tmp_path / "b.tif") as image:
        assert np.abs(np.asarray(image).astype(int) - RGB).mean() < 1  # dark levels lie close together in sRGB
        assert not read_profile(image.info["icc_profile"], "RGB", []).is_srgb


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(0.45455)],
        [gama(0.45455), chrm(D65, *BT709)],
        [chrm(D65, *BT709)],
        [chunk(b"sRGB", b"\0"), gama(1.0)],
        [cicp(1, 13, 0, 1), gama(1.0)],
        [],
    ],
)  # fmt: skip
def test_srgb_by_other_words_changes_nothing(tmp_path: Path, chunks: list) -> None:
    scan = read(tmp_path / "a.png", *chunks)
    assert np.array_equal(scan.pixels, RGB)
    assert (scan.notes, scan.metadata.icc) == ([], None)


def test_an_embedded_profile_comes_before_gamma_and_after_cicp(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "s.png", icc_profile=srgb_profile())
    content = (tmp_path / "s.png").read_bytes()
    for chunks, same in ([gama(1.0)], True), ([cicp(1, 8, 0, 1)], False):
        (tmp_path / "a.png").write_bytes(with_chunks(content, *chunks))
        assert np.array_equal(read_scan(tmp_path / "a.png", colour=True, scale=1.0).pixels, RGB) == same


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ([cicp(9, 16, 0, 1)], "cICP says PQ, a high dynamic range"),
        ([cicp(9, 18, 0, 1)], "cICP says HLG"),
        ([cicp(1, 13, 1, 1)], "cICP 1/13/1/1 is not known"),
        ([cicp(1, 13, 0, 0)], "cICP 1/13/0/0 is not known"),
        ([cicp(22, 13, 0, 1)], "cICP 22/13/0/1 is not known"),
        ([gama(0.00001)], "gAMA left out"),
        ([gama(0.0)], "gAMA left out"),
        ([chrm(D65, *[(0.3, 0.3)] * 3)], "cHRM left out"),
        ([chrm(D65, (0.64, 0.0), *BT709[1:])], "cHRM left out"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, chunks: list, note: str) -> None:
    scan = read(tmp_path / "a.png", *chunks)
    assert np.array_equal(scan.pixels, RGB)
    assert note in scan.notes[0]


def test_profiles_made_here_are_what_they_say() -> None:
    made = read_profile(
        make_profile("sRGB", (D65, *BT709), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)), "RGB", []
    )
    assert made.is_srgb
    assert not read_profile(make_profile("linear", (D65, *BT709), (1.0,)), "RGB", []).is_srgb
