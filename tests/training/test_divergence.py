"""Steps that are skipped, runs that end, and checkpoints that are not what they were."""

import errno
import os
from pathlib import Path

import pytest
import torch
from fuzz.mixed import photo
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import load_recipe
from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.divergence import MAX_SKIPPED, Guard, next_batch
from edge_scs.training.loop import train
from edge_scs.training.tasks import TASKS
from edge_scs.weights.loading import read_safetensors

RECIPE = """
model = "edge_scs_s"
stages = ["texture"]
checkpoint_every = 4
validate_every = 1000
channels_last = false
[stage.texture]
task = "texture"
parts = ["texture", "heads", "continuous"]
steps = 14
learning_rate = 2e-3
[stage.texture.data]
batch = 1
lr_patch = 12
"""


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


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(photo(80, number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def train_with_bad_steps(
    recipe: Path, photographs: Path, out: Path, bad: range, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    calls, said = [0], []

    class Sometimes(TASKS["texture"]):  # type: ignore[misc]
        def forward(self, batch: object) -> dict[str, torch.Tensor]:
            losses = dict(super().forward(batch))
            calls[0] += 1
            return losses | {"loss": losses["loss"] * torch.nan} if calls[0] - 1 in bad else losses

    monkeypatch.setitem(TASKS, "texture", Sometimes)
    train(load_recipe(recipe), load_photographs([photographs]), out, say=said.append)
    return said


def test_a_step_without_a_finite_loss_is_not_taken(
    recipe: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = train_with_bad_steps(recipe, photographs, tmp_path / "run", range(3, 5), monkeypatch)
    assert [line for line in said if "skipped" in line] == [
        "texture 3: no finite gradient, step skipped, 1 so far",
        "texture 4: no finite gradient, step skipped, 2 so far",
    ]
    state, _ = read_safetensors(tmp_path / "run" / "weights.safetensors")
    assert all(bool(value.isfinite().all()) for value in state.values())


def test_a_run_that_has_diverged_ends(
    recipe: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no finite loss or gradient in 10 steps in a row; resume with --resume"):
        train_with_bad_steps(recipe, photographs, tmp_path / "run", range(2, 100), monkeypatch)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photograph_deleted_while_training_is_one_clear_error(
    recipe: Path, photographs: Path, tmp_path: Path, workers: int
) -> None:
    collection = load_photographs([photographs], cache_mb=0)
    for path in photographs.iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"^/\S+/\d\.png: no such file; check the path$"):
        train(load_recipe(recipe, [f"workers={workers}"]), collection, tmp_path / "run", say=lambda text: None)


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
