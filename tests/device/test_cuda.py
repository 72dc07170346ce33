"""What to run first where there is a GPU: `pytest -m cuda`. Written without one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from edge_scs.data.photographs import load_photographs
from edge_scs.inference.predictor import Predictor
from edge_scs.measure import latency
from edge_scs.measure.measurement import Conditions
from edge_scs.models import registry
from edge_scs.quantization.finetune import finetune
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.recipes import load_recipe
from edge_scs.training.checkpoints import load_checkpoint
from edge_scs.training.loop import train
from edge_scs.weights.loading import Loaded
from tests.device.test_training import kinds, no_feature_weights, small_recipe
from tests.training.conftest import losses, pcarn_recipe

__all__ = ["no_feature_weights", "pcarn_recipe"]
pytestmark = pytest.mark.cuda


def silent(text: str) -> None:
    pass


@pytest.fixture(autouse=True)
def one_state() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(("name", "stage"), [pytest.param(*pair, id="-".join(pair)) for pair in kinds().values()])
def test_a_step_of_every_kind_of_stage(name: str, stage: str, folder: Path, tmp_path: Path) -> None:
    recipe = small_recipe(name)
    plan = load_recipe(Path(__file__).parents[2] / "recipes" / f"{name}.toml")
    recipe = type(plan)(**{**vars(recipe), "stages": [stage]})
    train(recipe, load_photographs([folder], warn=silent), tmp_path, say=silent)
    assert all(np.isfinite(float(value)) for *_, value in losses(tmp_path))
    assert losses(tmp_path)


def test_a_run_resumes(folder: Path, tmp_path: Path, pcarn_recipe) -> None:
    plan, photographs = load_recipe(pcarn_recipe(l1=6, gan=6), ["deterministic=true"]), load_photographs([folder])
    train(plan, photographs, tmp_path / "run", say=silent)
    whole = losses(tmp_path / "run")
    (tmp_path / "run" / "checkpoint.previous.pt").replace(tmp_path / "run" / "checkpoint.pt")
    train(plan, photographs, tmp_path / "run", resume=True, say=silent)
    ours, theirs = ([float(value) for *_, value in rows] for rows in (losses(tmp_path / "run"), whole))
    assert ours == pytest.approx(theirs, rel=1e-4)
    state = load_checkpoint(tmp_path / "run")
    assert state is not None
    assert not any(value.is_cuda for value in state["ema"].values())


@pytest.mark.parametrize("name", ["edge_scs_m", "pcarn_m", "scsnet", "ciaosr_edsr", "liif_edsr"])
def test_every_mode_is_timed_or_says_why_not(name: str) -> None:
    modes = ("eager", "channels_last", "bf16", "graph")
    measured = latency.bench([name], Conditions("cuda", (36, 64), 2, runs=3, modes=modes))
    assert measured.results
    assert all(left.reason for left in measured.left_out)


def test_quantisation_learns(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    model = registry.create("edge_scs_s", {"channels": 16, "blocks": 1, "repeats": 1})
    loaded = Loaded("edge_scs_s", model, registry.describe("edge_scs_s", model), "noise")
    recipe = QATRecipe("edge_scs_s", variants=["x4", "x4_ref"], calibration=2, steps=2, batch=1, hr=[48, 64])
    photographs = load_photographs([folder], warn=silent)
    assert finetune(recipe, loaded, photographs, tmp_path, say=silent, device=torch.device("cuda")).weights is not None


def test_an_image_does_not_depend_on_its_tiles() -> None:
    model = registry.create("edge_scs_m")
    loaded = Loaded("edge_scs_m", model, registry.describe("edge_scs_m", model), "noise")
    image = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    for size in ((192, 256), (240, 320)):
        whole, tiled = (Predictor(loaded, tile, "cuda").enhance(image, size).astype(int) for tile in (None, 40))
        assert abs(whole - tiled).max() <= 1
