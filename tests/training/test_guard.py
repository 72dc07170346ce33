"""Steps that are skipped, runs that end, and checkpoints that are not what they were."""

import errno
import os
from pathlib import Path

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.guard import MAX_SKIPPED, Guard, next_batch


def test_bad_steps_are_skipped_and_counted_until_there_are_too_many_in_a_row() -> None:
    guard = Guard("texture")
    for _ in range(3):
        assert [guard.passes(torch.tensor(norm)) for norm in (1.0, torch.nan, torch.inf, 2.0)] == [
            True,
            False,
            False,
            True,
        ]
    assert guard.skipped == 6
    for _ in range(MAX_SKIPPED - 1):
        assert not guard.passes(torch.tensor(torch.nan))
    with pytest.raises(InputError, match=f"stage texture: no finite loss or gradient in {MAX_SKIPPED} steps in a row"):
        guard.passes(torch.tensor(torch.nan))


def test_a_worker_s_error_is_one_line() -> None:
    def broken():
        raise InputError(
            "Caught InputError in DataLoader worker process 0.\nOriginal Traceback:\n  File x\n"
            "edge_scs.errors.InputError: /a/b.png: no such file; check the path\n"
        )
        yield

    with pytest.raises(InputError, match=r"^/a/b\.png: no such file; check the path$"):
        next_batch(broken())


def test_a_changed_byte_in_the_newest_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step, "weight": torch.ones(1000)})
    content = bytearray((tmp_path / "checkpoint.pt").read_bytes())
    place = bytes(content).index(torch.ones(100).numpy().tobytes())
    content[place + 2] ^= 1  # torch.load itself reads 1.0078 there and says nothing
    (tmp_path / "checkpoint.pt").write_bytes(bytes(content))
    said: list[str] = []
    state = load_checkpoint(tmp_path, said.append)
    assert state is not None
    assert state["step"] == 1
    assert "checkpoint.pt: unreadable" in said[0]


def test_a_full_disk_leaves_both_older_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be written \(No space left on device\)"):
        save_checkpoint(tmp_path, {"step": 3})
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]
    newest = load_checkpoint(tmp_path)
    assert newest is not None
    assert newest["step"] == 2
