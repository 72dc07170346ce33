"""Decoded photographs in one file of a machine, and what is known of them between starts."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fuzz.mixed import photo
from PIL import Image

from edge_scs.data import photographs as module
from edge_scs.data import store as store_module
from edge_scs.data.photographs import Photographs, load_photographs
from edge_scs.data.store import open_store
from edge_scs.errors import InputError

QUARTER = 64 * 64 * 3  # bytes of one photograph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.fromarray(photo(64, number)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"none")
    return tmp_path / "photos"


def loaded(folder: Path, said: list[str] | None = None, **more: object) -> Photographs:
    """With a cache beside the folder, and no room in memory."""
    given = {"cache_mb": 0, "store_mb": 64, "cache": folder.parent / "cache"} | more
    return load_photographs([folder], warn=([] if said is None else said).append, **given)  # type: ignore[arg-type]


def stores(folder: Path) -> list[Path]:
    return sorted((folder.parent / "cache").glob("store-*.rgb"))


def test_the_store_holds_what_decoding_gives(folder: Path) -> None:
    ours, plain = loaded(folder), load_photographs([folder], warn=lambda text: None)
    assert ours.digest() == plain.digest()
    assert all(torch.equal(ours[i], plain[i]) for i in range(4))
    (file,) = stores(folder)
    assert file.stat().st_size == 4 * QUARTER
    held, validation = ours.split()
    theirs, other = plain.split()
    assert held.digest() == theirs.digest()
    assert all(torch.equal(held[i], theirs[i]) for i in range(3))
    assert torch.equal(validation[0], other[0])


def test_the_next_start_opens_no_photograph(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, said = loaded(folder), []
    before = [first[i].clone() for i in range(4)]
    monkeypatch.setattr(module, "_decode", lambda source: pytest.fail(f"{source} was decoded again"))
    again = loaded(folder, said)
    assert all(torch.equal(again[i], before[i]) for i in range(4))
    assert [line for line in said if "broken.png" in line], "what cannot be used is named at every start"
    assert again.digest() == first.digest()


def test_a_changed_photograph_is_read_again_and_the_old_store_goes(folder: Path) -> None:
    loaded(folder)
    (before,) = stores(folder)
    Image.fromarray(photo(64, 9)).save(folder / "2.png")
    os.utime(folder / "2.png", ns=(1, 1))
    ours = loaded(folder)
    (after,) = stores(folder)
    assert after != before
    assert torch.equal(ours[2], torch.from_numpy(photo(64, 9).copy()).permute(2, 0, 1))


def test_what_does_not_fit_is_decoded_when_it_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(free=store_module.RESERVE + 3 * QUARTER)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda folder: room)
    said: list[str] = []
    ours = loaded(folder, said)
    assert ours.store is not None
    assert ours.store.count == 3
    assert any("1 of 4 photographs are decoded whenever they are drawn" in line for line in said)
    assert torch.equal(ours[3], torch.from_numpy(photo(64, 3).copy()).permute(2, 0, 1))


def test_a_torn_store_and_a_torn_index_are_made_anew(folder: Path) -> None:
    loaded(folder)
    (file,) = stores(folder)
    file.write_bytes(file.read_bytes()[:100])
    (index,) = (folder.parent / "cache").glob("photographs-*.npz")
    index.write_bytes(b"torn")
    assert torch.equal(loaded(folder)[3], torch.from_numpy(photo(64, 3).copy()).permute(2, 0, 1))
    assert stores(folder)[0].stat().st_size == 4 * QUARTER


def test_headers_alone_are_believed_on_request(folder: Path) -> None:
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[: len(content) // 2])
    ours = loaded(folder, store_mb=0, verify=False)
    assert [ours.size(i) for i in range(len(ours))] == [(64, 64)] * 4
    with pytest.raises(InputError, match=r"1\.png: damaged or cut off"):
        ours[1]


def _write(folder: Path, start: object, decoded: object) -> None:
    def decode(index: int) -> torch.Tensor:
        with decoded.get_lock():  # type: ignore[attr-defined]
            decoded.value += 1  # type: ignore[attr-defined]
        return torch.full((3, 8, 8), index % 256, dtype=torch.uint8)

    start.wait()  # type: ignore[attr-defined]
    sizes = np.full((300, 2), 8, np.int32)
    store = open_store(folder, "x", np.arange(300), sizes, 1 << 20, decode, lambda text: None)
    assert store is not None
    assert all(int(store[i].max()) == int(store[i].min()) == i % 256 for i in range(300))


def test_of_two_writers_one_writes_and_both_read(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, decoded = context.Event(), context.Value("i", 0)
    writers = [context.Process(target=_write, args=(tmp_path, start, decoded)) for _ in range(2)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert decoded.value == 300
    assert len(list(tmp_path.glob("*.rgb"))) == 1
