"""Tar shards: the same images as in a folder, at random; what is broken is named and left out."""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.data.shards import index_shard
from edge_scs.errors import InputError


def png(seed, side=80):
    pixels = np.random.default_rng(seed).integers(256, size=(side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    write_shard(folder / "a.tar", {"000.png": png(0), "000.json": b"{}", "001.png": b"no image", "002.png": png(2)})
    write_shard(folder / "b.tar", {"003.png": png(3), "004.png": png(4, side=20), ".hidden.png": png(5)})
    return folder


def test_shards_give_what_a_folder_of_their_images_gives(tmp_path, shards):
    plain = tmp_path / "plain"
    plain.mkdir()
    for seed in (0, 2, 3):
        (plain / f"{seed:03d}.png").write_bytes(png(seed))
    said = []
    ours, theirs = load_photographs([shards], warn=said.append), load_photographs([plain])
    assert [path.name for path in ours.paths] == [path.name for path in theirs.paths]
    assert all(torch.equal(ours[index], theirs[index]) for index in range(3))
    assert [ours.size(index) for index in range(3)] == [(80, 80)] * 3
    assert "a.tar/001.png" in said[0]
    assert "b.tar/004.png: its short side is 20" in said[1]
    assert said[2] == "skipped 2 of 5 files"


def test_images_beside_a_shard_are_taken_too(shards):
    (shards / "more").mkdir()
    (shards / "more" / "005.png").write_bytes(png(5))
    assert load_photographs([shards], warn=lambda text: None).paths[0].name == "005.png"
    assert len(load_photographs([shards], warn=lambda text: None)) == 4


def test_a_member_in_a_folder_is_held_out_with_the_file_of_its_name(tmp_path):
    write_shard(tmp_path / "a.tar", {f"photos/{seed:03d}.png": png(seed) for seed in range(3)})
    for seed in range(3):
        (tmp_path / f"{seed:03d}.png").write_bytes(png(seed))
    train, held = load_photographs([tmp_path]).split()
    assert sorted(path.name for path in held.paths) == ["000.png", "photos/000.png"]
    assert len(train) == 4


def test_a_shard_a_folder_and_a_pattern_name_the_same_images(shards):
    names = [
        [str(path) for path in load_photographs(given, warn=lambda text: None).paths]
        for given in ([shards], [shards / "*.tar"], [shards / "b.tar", shards / "a.tar"], [shards / "[ab].tar", shards])
    ]
    assert all(found == names[0] for found in names)
    with pytest.raises(InputError, match="nothing matches"):
        load_photographs([shards / "c*.tar"])


def test_images_of_a_shard_beyond_the_cache_are_read_by_their_place(shards):
    whole = load_photographs([shards], warn=lambda text: None)
    none = load_photographs([shards], cache_mb=0, warn=lambda text: None)
    assert none.cached == [None] * 3
    assert torch.equal(none[1], whole[1])


def test_a_torn_shard_gives_what_is_left_and_says_so(shards):
    torn = shards / "b.tar"
    write_shard(torn, {"003.png": png(3), "004.png": png(4)})
    content = torn.read_bytes()
    torn.write_bytes(content[: 512 + len(png(3)) // 2])
    said = []
    photographs = load_photographs([shards], warn=said.append)
    assert [path.name for path in photographs.paths] == ["000.png", "002.png"]
    assert any("b.tar" in line for line in said)
    (shards / "a.tar").write_bytes(b"not a tar at all")
    with pytest.raises(InputError, match="no usable photograph"):
        load_photographs([shards], warn=said.append)
    assert any("a.tar: not read to its end as an uncompressed tar" in line for line in said)


def test_a_shard_is_read_once(shards, tmp_path, monkeypatch):
    opened, cache = [], tmp_path / "cache"
    read = tarfile.open

    def counted(*args, **kwargs):
        opened.append(args[0].name)
        return read(*args, **kwargs)

    monkeypatch.setattr(tarfile, "open", counted)
    first = index_shard(shards / "a.tar", pytest.fail, cache)
    assert [member.name for member in first] == ["000.png", "001.png", "002.png"]
    assert index_shard(shards / "a.tar", pytest.fail, cache) == first
    assert opened == ["a.tar"]
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert index_shard(shards / "a.tar", pytest.fail, cache) == first
    write_shard(shards / "a.tar", {"9.png": png(9)})
    assert [member.name for member in index_shard(shards / "a.tar", pytest.fail, cache)] == ["9.png"]
    assert len(opened) == 3 + 1, "write_shard is one of them"
    assert len([*cache.iterdir()]) == 1, "what was kept of the shard before is gone"
    torn = (shards / "b.tar").read_bytes()[:15_000]
    (shards / "b.tar").write_bytes(torn)
    said = []
    for _ in range(2):  # a torn one is named at every start
        index_shard(shards / "b.tar", said.append, cache)
    assert len(said) == 2
