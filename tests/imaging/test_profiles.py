"""Profiles are judged by what they do: not by their names, nor by the kind of image that they lie in."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from archive.repeat import Repeat
from fuzz.mixed import photo
from imaging.icc_files import SRGB, adobe_rgb, gamma, matrix, one_way, profile, srgb_curve
from PIL import Image, ImageCms

from edge_scs.archive.restore import Wanted, restore
from edge_scs.imaging.profiles import read_profile, srgb_profile
from edge_scs.imaging.scans import read_scan
from edge_scs.inference.request import Options

RGB = photo(24, 2)


def by_littlecms(image: Image.Image, icc: bytes) -> np.ndarray:
    """What LittleCMS makes of an image in sRGB, relative colorimetric."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    target = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image.convert("RGB"), source, target, intent, outputMode="RGB"))


@pytest.mark.parametrize("name", ["sRGB IEC61966-2.1", "GIMP built-in Linear sRGB", "anything"])
def test_names_decide_nothing(name: str) -> None:
    linear = read_profile(matrix(SRGB, gamma(1.0), name), "RGB", [])
    assert not linear.is_srgb
    assert np.array_equal(
        np.asarray(linear.to_srgb(Image.fromarray(RGB))), by_littlecms(Image.fromarray(RGB), linear.content)
    )
    assert read_profile(matrix(SRGB, srgb_curve(), name), "RGB", []).is_srgb
    assert read_profile(srgb_profile(), "RGB", []).is_srgb


def test_nor_at_sixteen_bits() -> None:
    linear = read_profile(matrix(SRGB, gamma(1.0), "GIMP built-in Linear sRGB"), "RGB", [])
    deep = linear.deep_to_srgb(RGB.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - by_littlecms(Image.fromarray(RGB), linear.content)).max() < 1.6


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_profile_without_a_way_back_gives_an_srgb_result(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=one_way())
    notes = restore(
        tmp_path / "a.png", tmp_path / f"b{suffix}", Repeat(), Wanted(scale=2.0, options=Options(keep_colour=True))
    )
    assert notes == ["colours cannot be brought back into its profile; the result is sRGB"]
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert read_profile(image.info["icc_profile"], "RGB", []).is_srgb
        if suffix in (".png", ".tif"):
            assert np.array_equal(np.asarray(image)[::2, ::2], by_littlecms(Image.fromarray(RGB), one_way()))


def test_nor_does_it_stop_sixteen_bits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.uint16) * 257, iccprofile=one_way(), metadata=None)
    notes = restore(
        tmp_path / "a.tif", tmp_path / "b.tif", Repeat(), Wanted(scale=1.0, options=Options(keep_colour=True))
    )
    assert notes == ["colour profile kept but not applied, the profile is a table"]
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), RGB.astype(np.uint16) * 257)
    with Image.open(tmp_path / "b.tif") as image:
        assert image.info["icc_profile"] == one_way()


@pytest.mark.parametrize("icc", [matrix(SRGB, gamma(1.0)), adobe_rgb()])
def test_grey_images_may_have_the_profile_of_a_colour_one(tmp_path: Path, icc: bytes) -> None:
    grey = Image.fromarray(RGB).convert("L")
    grey.save(tmp_path / "a.png", icc_profile=icc)
    scan = read_scan(tmp_path / "a.png", scale=1.0)
    expected = by_littlecms(grey, icc)
    assert scan.pixels.ndim == 2
    assert np.abs(scan.pixels[..., None] - expected.astype(int)).max() <= 1
    assert np.abs(scan.pixels - np.asarray(grey).astype(int)).max() > 3
    assert (scan.notes, scan.metadata.icc) == ([], icc)
    tifffile.imwrite(tmp_path / "a.tif", np.asarray(grey).astype(np.uint16) * 257, iccprofile=icc, metadata=None)
    assert np.abs(read_scan(tmp_path / "a.tif", scale=1.0).pixels / 257 - scan.pixels).max() < 1.6
    restore(tmp_path / "a.png", tmp_path / "b.png", Repeat(), Wanted(scale=1.0))
    with Image.open(tmp_path / "b.png") as image:
        assert np.abs(np.asarray(image)[..., 1] - np.asarray(grey).astype(int)).max() <= 2
        assert image.info["icc_profile"] == icc


@pytest.mark.parametrize(
    ("icc", "mode", "words"),
    [
        (b"nonsense", "RGB", "it is broken"),
        (adobe_rgb()[:300], "RGB", "it is broken"),
        (profile(b"GRAY", {b"kTRC": gamma(1.0)}), "RGB", "it is one of GRAY, the image is RGB"),
        (adobe_rgb(), "CMYK", "it is one of RGB, the image is CMYK"),
        (bytes(9 << 20), "RGB", "larger than 8 MB"),
    ],
)
def test_what_is_not_used_is_named(icc: bytes, mode: str, words: str) -> None:
    notes: list[str] = []
    assert read_profile(icc, mode, notes) is None
    assert len(notes) == 1
    assert words in notes[0]
    assert read_profile(None, mode, notes) is None
    assert len(notes) == 1
