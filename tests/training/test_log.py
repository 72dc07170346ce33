"""metrics.csv: what is written stays, what a resumed run writes again goes; and the figures of the progress line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.training import log
from edge_scs.training.log import HEADER, MetricsLog, Progress, contact_sheet


def rows(folder: Path) -> list[list[str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.reader(file))


def test_rows_come_one_a_figure(tmp_path: Path) -> None:
    MetricsLog(tmp_path).write(1, "texture", 7, {"loss": 0.125, "luma": 1 / 3})
    assert rows(tmp_path) == [
        list(HEADER), ["1", "texture", "7", "loss", "0.125"], ["1", "texture", "7", "luma", "0.333333333"],
    ]  # fmt: skip
    MetricsLog(tmp_path).write(1, "texture", 8, {"loss": 0.0})  # a file that is there is gone on with
    assert len(rows(tmp_path)) == 4


@pytest.mark.parametrize(
    ("position", "left"),
    [
        ((0, 0), []),
        ((0, 2), ["0:0", "0:1"]),
        ((1, 0), ["0:0", "0:1", "0:2"]),
        ((1, 1), ["0:0", "0:1", "0:2", "1:0"]),
        ((2, 0), ["0:0", "0:1", "0:2", "1:0", "1:1"]),
    ],
)
def test_rows_from_a_position_on_are_dropped(tmp_path: Path, position: tuple[int, int], left: list[str]) -> None:
    metrics = MetricsLog(tmp_path)
    for number, step in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        metrics.write(number, "ab"[number], step, {"loss": 1.0})
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("1,b")  # a killed run's half line
    metrics.truncate(*position)
    assert rows(tmp_path)[0] == list(HEADER)
    assert [f"{row[0]}:{row[2]}" for row in rows(tmp_path)[1:]] == left


def test_a_long_file_is_read_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of any size: the same rows stay, and what is far from the end is not read."""
    metrics = MetricsLog(tmp_path)
    metrics.write(0, "a", -1, {"loss": 1.0, "luma": 0.5})
    for step in range(60):
        metrics.write(0, "a", step, {"loss": 1.0, "luma": 0.5})
    whole = metrics.path.read_bytes()
    for block in (1, 7, 40, 200, 1 << 16):
        monkeypatch.setattr(log, "BLOCK", block)
        for step in (0, 1, 31, 60):
            metrics.path.write_bytes(whole + b"0,a,60,lo")
            metrics.truncate(0, step)
            assert metrics.path.read_bytes() == b"".join(whole.splitlines(keepends=True)[: 3 + 2 * step])
    monkeypatch.setattr(log, "BLOCK", 100)
    metrics.path.write_bytes(b"not ours\n" + whole)
    metrics.truncate(0, 55)
    assert metrics.path.read_bytes().startswith(b"not ours")


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    metrics = MetricsLog(tmp_path, enabled=False)
    metrics.write(0, "a", 0, {"loss": 1.0})
    metrics.truncate(0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_line_says_how_far_and_how_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    said: list[str] = []
    with Progress("texture", 10, 130, said.append) as progress:
        progress.advance(2.0, 8, 0.5)
        assert (progress.rate, progress.images, progress.loss) == (2.0, 16.0, 2.0)
        progress.advance(1.0, 8, 0.25)
        assert progress.loss == pytest.approx(1.98)
        assert progress.rate == pytest.approx(2.1)
        assert said == []
        now[0] = 31.0
        progress.advance(1.98, 8, 1 / 2.1)
        assert said == ["texture 13/130  loss 1.9800  2.1 it/s  17 images/s  1 min left"]
        progress.advance(1.98, 8, 1.0)
        assert len(said) == 1, "not again before half a minute"


def test_a_sheet_shows_lr_answer_and_truth(tmp_path: Path) -> None:
    levels = (40, 80, 120, 160)
    for number, level in enumerate(levels):
        Image.new("RGB", (64, 64), (level, level, level)).save(tmp_path / f"{number}.png")
    photographs = load_photographs([tmp_path], min_side=32)

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, small: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
            return torch.full((1, 3, *size), 0.5)

    contact_sheet(Half(), photographs, tmp_path / "sheet.png", False, 2, side=32)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (64, 96, 3)
    assert [int(sheet[row, column, 0]) for row in (16, 48) for column in (16, 48, 80)] == [40, 128, 40, 120, 128, 120]
