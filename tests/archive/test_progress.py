"""How long it takes, before and while it does."""

from pathlib import Path

import numpy as np
import pytest
from archive.repeat import Repeat
from PIL import Image

from edge_scs.archive import progress
from edge_scs.archive.folder import enhance_files
from edge_scs.archive.progress import Display, duration, seconds_per_pixel
from edge_scs.inference.request import Options


def test_durations_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (0.2, 40, 89.9, 100, 3600, 12_600)] == [
        "about 1 s", "about 40 s", "about 90 s", "about 2 min", "about 60 min", "about 3.5 h",
    ]  # fmt: skip


def test_an_estimate_comes_before_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert 0 < seconds_per_pixel(Repeat(), (2.0, 2.0), ".png", None, Options()) < 1e-3
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.full((30, 40), number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    said: list[str] = []
    enhance_files([tmp_path / "in"], tmp_path / "out", Repeat(), say=said.append)
    assert said == [], "short runs need none"
    monkeypatch.setattr("edge_scs.archive.folder.WORTH_ESTIMATING", 1000)
    enhance_files([tmp_path / "in"], tmp_path / "out", Repeat(), say=said.append)
    assert said == ["3 images, 0.0 megapixels: about 1 s, going by one tile"]


def test_a_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said: list[str] = []
    with Display([100.0, 300.0], True, said.append) as display:
        now[0] = 20.0
        display.end(0, failed=False)
        assert said == []
        now[0] = 40.0
        display.start(1, Path("b.png"))(1, 3)
        assert said == ["1 of 2 done, 0 failed, about 40 s left"]
        now[0] = 80.0
        display.end(1, failed=True)
    assert said[1:] == ["1 of 2 done, 1 failed, about 1 s left"]
