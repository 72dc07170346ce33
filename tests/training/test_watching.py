"""Trackers, the profiler, benchmarks during training, and shares of folders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.evaluate import figures_of
from edge_scs.recipes import load_recipe
from edge_scs.training import watching
from edge_scs.training.loop import train
from tests.training.conftest import losses

ONE = 'stages=["l1"]'


def test_a_run_is_watched(folder: Path, tmp_path: Path, pcarn_recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    tracked: list[tuple[int, dict[str, float]]] = []
    config: dict[str, Any] = {}
    monkeypatch.setattr(watching, "installed", lambda name: True)
    monkeypatch.setattr(Accelerator, "init_trackers", lambda self, name, config, init_kwargs: given.update(config))
    monkeypatch.setattr(Accelerator, "log", lambda self, figures, step: tracked.append((step, figures)))
    given = config
    (tmp_path / "Bench").mkdir()
    Image.open(folder / "0.png").resize((48, 40)).save(tmp_path / "Bench" / "a.png")
    monkeypatch.setattr(watching, "SKIPPED", 1)
    recipe = load_recipe(
        pcarn_recipe(l1=6, gan=2),
        [
            'stages=["l1", "gan"]', 'trackers=["wandb"]', "profile=1", "benchmarks.every=4", "benchmarks.scales=[2]",
            f'benchmarks.folders=["{tmp_path / "Bench"}"]',
        ],
    )  # fmt: skip
    said: list[str] = []
    train(recipe, load_photographs([folder]), tmp_path / "run", say=said.append, evaluate=figures_of)
    assert config["stage.l1.steps"] == "6"
    assert [step for step, figures in tracked if "l1/loss" in figures or "gan/loss" in figures] == [*range(8)]
    measured = losses(tmp_path / "run", "Bench_x2_psnr_y")
    assert [(stage, step) for stage, step, _ in measured] == [("l1", "3"), ("l1", "5"), ("gan", "1")]
    assert all(5 < float(value) < 60 for *_, value in measured)
    (trace,) = (tmp_path / "run" / "profile").iterdir()
    assert trace.name == "l1-0000000.json"
    assert any("conv" in event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (['trackers=["wandb"]'], r"trackers: wandb is not installed; pip install wandb, or leave it out"),
        (["benchmarks.every=1"], r"benchmarks\.every: needs benchmarks\.folders"),
        (["benchmarks.every=1", 'benchmarks.folders=["none"]'], r"benchmarks\.folders: none: no such folder"),
        (["benchmarks.every=1", 'benchmarks.folders=["."]', "benchmarks.scales=[2.5]"], r"scales: pcarn .* not x2.5"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    settings: list[str], reason: str, folder: Path, tmp_path: Path, pcarn_recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "installed", lambda name: name != "wandb")
    plan = load_recipe(pcarn_recipe(l1=1), [ONE, *settings])
    with pytest.raises(InputError, match=reason):
        train(plan, load_photographs([folder]), tmp_path / "run", say=lambda text: None, evaluate=figures_of)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_tracker_that_is_not_known_is_refused(pcarn_recipe) -> None:
    with pytest.raises(InputError, match=r"trackers must be 'tensorboard' or 'wandb', not 'mlflow'"):
        load_recipe(pcarn_recipe(), ['trackers=["mlflow"]'])


def test_folders_have_shares_of_the_draws(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    Image.open(folder / "0.png").save(tmp_path / "others" / "9.png")
    given = [folder, tmp_path / "others"]
    photographs = load_photographs(given, mix={"photographs": 1.0, str(tmp_path / "others"): 3.0})
    drawn = photographs.draw(np.random.default_rng(0), 4000)
    names = [path.name for path in photographs.paths]
    assert np.mean(drawn == names.index("9.png")) == pytest.approx(0.75, abs=0.03)
    assert np.mean(drawn == names.index("1.png")) == pytest.approx(0.25 / 3, abs=0.02)
    training, _ = photographs.split()
    assert {training.paths[i].name for i in training.draw(np.random.default_rng(0), 200)} == {
        path.name for path in training.paths
    }
    plain = load_photographs(given)
    assert (plain.draw(np.random.default_rng(5), 9) == np.random.default_rng(5).integers(4, size=9)).all()
    for mix, reason in (
        ({"photographs": 1.0}, r"mix: lacks .*others; give each --data a share"),
        ({"photographs": 1.0, "elsewhere": 1.0}, r"mix: elsewhere is no --data; it has .*photographs, .*others"),
        ({"photographs": 0.0, "others": 1.0}, r"mix\.photographs: is 0; choose a share above 0"),
    ):
        with pytest.raises(InputError, match=reason):
            load_photographs(given, mix=mix)
