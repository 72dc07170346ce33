"""Checkpoints: written whole, found again after any crash, and never read when they are not what they were."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.training.checkpoints import NAME, PREVIOUS, holds_run, load_checkpoint, save_checkpoint


def state(step: int) -> dict:
    return {"step": step, "weight": torch.full((3,), float(step)), "recipe": {"stages": ["a"]}}


def test_the_newest_and_the_one_before(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert not holds_run(tmp_path)
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, state(step))
        assert holds_run(tmp_path)
    newest = load_checkpoint(tmp_path)
    assert newest["step"] == 3
    assert torch.equal(newest["weight"], torch.full((3,), 3.0))
    assert torch.load(tmp_path / PREVIOUS, weights_only=True)["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, NAME]


def test_a_crash_between_the_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, state(1))

    rename, calls = os.replace, []

    def crash(*paths: object) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(*paths)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, state(2))
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS]
    assert holds_run(tmp_path)
    assert load_checkpoint(tmp_path)["step"] == 1


def test_a_torn_one_is_told_and_passed_over(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, state(step))
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:300])
    said: list[str] = []
    assert load_checkpoint(tmp_path, said.append)["step"] == 1
    assert len(said) == 1
    (tmp_path / PREVIOUS).unlink()
    with pytest.raises(InputError, match="no checkpoint of this run can be read"):
        load_checkpoint(tmp_path, said.append)


def test_packed_entries_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    with zipfile.ZipFile(tmp_path / NAME) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(tmp_path / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.writestr("archive/data/9", bytes(1 << 20))
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path, lambda text: None)
