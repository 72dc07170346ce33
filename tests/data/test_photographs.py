"""Broken files are named, counted and left out; the hold-out does not depend on the folder's order."""

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError


def write(path, side=80, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_broken_files_are_named_counted_and_left_out(tmp_path):
    pixels = write(tmp_path / "good.png")
    write(tmp_path / "tiny.png", side=20)
    write(tmp_path / "torn.jpg", side=200)
    torn = (tmp_path / "torn.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(torn[: len(torn) // 2])
    (tmp_path / "empty.png").touch()
    said = []
    photographs = load_photographs([tmp_path], warn=said.append)
    assert torch.equal(photographs[0], torch.from_numpy(pixels).permute(2, 0, 1))
    assert len(photographs) == 1
    assert sorted(path.name for path, _ in photographs.skipped) == ["empty.png", "tiny.png", "torn.jpg"]
    assert all(any(name in line for line in said) for name in ("empty.png", "tiny.png", "torn.jpg"))
    assert said[-1] == "skipped 3 of 4 files"


def test_nothing_usable_is_an_error(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="no usable photograph"):
        load_photographs([tmp_path], warn=lambda text: None)


def test_images_beyond_the_cache_are_read_when_needed(tmp_path):
    pixels = [write(tmp_path / f"{i}.png", side=700, seed=i) for i in range(2)]
    photographs = load_photographs([tmp_path], cache_mb=2)
    assert [kept is not None for kept in photographs.cached] == [True, False]
    assert np.array_equal(photographs[1].permute(1, 2, 0).numpy(), pixels[1])


def test_the_hold_out_goes_by_name(tmp_path):
    for folder, names in (("a", range(0, 60)), ("b", range(60, 120))):
        (tmp_path / folder).mkdir()
        for i in names:
            write(tmp_path / folder / f"{i:03d}.png", side=64, seed=i)
    forward = load_photographs([tmp_path / "a", tmp_path / "b"]).split()
    backward = load_photographs([tmp_path / "b", tmp_path / "a"]).split()
    assert [p.name for p in forward[1].paths] == ["000.png", "050.png", "100.png"]
    assert {p.name for p in forward[1].paths} == {p.name for p in backward[1].paths}
    assert not {p.name for p in forward[0].paths} & {p.name for p in forward[1].paths}


def test_versions_of_an_image_are_held_out_together(tmp_path):
    for folder in ("small", "large"):
        (tmp_path / folder).mkdir()
        for i in range(51):
            write(tmp_path / folder / f"{i:03d}.png", side=64 if folder == "small" else 80, seed=i)
    training, validation = load_photographs([tmp_path / "small", tmp_path / "large"]).split()
    assert sorted(p.name for p in validation.paths) == ["000.png", "000.png", "050.png", "050.png"]
    assert len(training) == 98


def test_small_files_and_pale_images_are_left_out(tmp_path, photograph):
    """SCSNet's selection of ImageNet: by bytes, before anything is decoded, and by colours."""
    Image.fromarray(photograph).save(tmp_path / "large.png")
    Image.fromarray(photograph[:100, :100]).save(tmp_path / "small.png")
    Image.fromarray(photograph).convert("L").convert("RGB").save(tmp_path / "grey.png")
    said: list[str] = []
    kept = load_photographs([tmp_path], warn=said.append, min_kb=80, min_colourfulness=15)
    assert [path.name for path in kept.paths] == ["large.png"]
    reasons = {path.name: reason for path, reason in kept.skipped}
    assert reasons["small.png"].endswith(" KB, at least 80 are needed")
    assert reasons["grey.png"].endswith("its colourfulness is 0.0, at least 15 is needed")
    assert len(load_photographs([tmp_path], warn=said.append)) == 3
