"""Throughput and waiting in the metrics, and checkpoints that stay."""

from pathlib import Path

import pytest

from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.log import SPEED_EVERY, Speed


def test_throughput_and_waiting_are_means_over_steps() -> None:
    speed = Speed()
    for turn in (1, 2):
        for step in range(1, SPEED_EVERY):
            assert speed.advance(4, 0.5, turn * step * 0.1) == {}
        figures = speed.advance(4, 0.5, turn * 5.0)
        assert figures == pytest.approx({"images_per_second": 8.0, "data_wait": 0.2})


def test_the_last_checkpoints_stay_on_request(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-mine.pt").touch()
    for stage, step in ((0, 900), (0, 1000), (1, 5), (1, 10)):
        save_checkpoint(tmp_path, {"position": {"stage": stage, "step": step}}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-1-0000005.pt", "checkpoint-1-0000010.pt", "checkpoint-mine.pt", "checkpoint.previous.pt",
        "checkpoint.pt",
    ]  # fmt: skip
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["position"] == {"stage": 1, "step": 10}
    assert (tmp_path / "checkpoint.pt").stat().st_ino == (tmp_path / "checkpoint-1-0000010.pt").stat().st_ino
