"""Every shipped recipe, stage by stage: it runs, and a run that is stopped in every stage and resumed is the same run.

``--set`` makes it small: two steps a stage (QAT: one a variant), two small images, no precision that this
machine may lack. Networks are whole. Encoders and perceptual features start at random, so that no weights are needed.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge_scs.data.photographs import load_photographs
from edge_scs.models import registry
from edge_scs.models.features import Features
from edge_scs.quantization.finetune import finetune
from edge_scs.quantization.recipe import load_qat_recipe
from edge_scs.recipes import Recipe, load_recipe
from edge_scs.training.checkpoints import load_checkpoint
from edge_scs.training.log import MetricsLog
from edge_scs.training.loop import Outcome, train
from edge_scs.training.perceptual import FEATURES
from edge_scs.weights.loading import load, read_safetensors, save
from tests.training.conftest import losses
from tests.training.test_loop import assert_equal

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[2] / "recipes"
QAT = sorted(path.stem for path in RECIPES.glob("*_qat.toml"))
# (recipe, network): the recipe's own, and those that its head or docs/papers.md and its pages name for --set model=
TRAINED = [(path.stem, "") for path in sorted(RECIPES.glob("*.toml")) if path.stem not in QAT]
TRAINED += [("ciaosr_edsr", name) for name in ("ciaosr_rdn", "ciaosr_swinir", "liif_edsr")]


@pytest.fixture
def features(tmp_path: Path) -> str:
    """The smallest of the perceptual networks, with random weights."""
    path = tmp_path / "squeezenet1_1.pth"
    torch.save(Features("squeezenet1_1", FEATURES["squeezenet1_1"][0]).state_dict(), path)
    return str(path)


def small(recipe: str, model: str, features: str) -> Recipe:
    path = RECIPES / f"{recipe}.toml"
    sets = ["precision=no", "workers=0", "checkpoint_every=1", "validate_images=1", "validate_side=32"]
    sets += ["min_side=64", "min_kb=0", "min_colourfulness=0.0", *([f"model={model}"] if model else [])]
    plan = load_recipe(path)
    for name in plan.stages:
        stage, where = plan.stage[name], f"stage.{name}"
        # The discriminators' nine convolutions need 48 pixels.
        side = round(48 / min(stage.data.scales)) if stage.adversary.weight else 12
        sets += [f"{where}.steps=2", f"{where}.data.batch=2", f"{where}.data.lr_patch={side}"]
        sets += [f"{where}.data.hr_side=64", f"{where}.colour_side={min(stage.colour_side, 48)}"]
        sets += [f'{where}.encoder_init=""', f"{where}.data.points={min(stage.data.points, 64)}"]
        if stage.perceptual.weight:
            sets += [f"{where}.perceptual.features=squeezenet1_1", f"{where}.perceptual.file={features}"]
    return load_recipe(path, sets)


def stopped_and_resumed(
    run: Callable[[bool], Outcome], after: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Outcome, int]:
    """``run(resume)`` with a SIGTERM in every stage after so many steps, and how often it was resumed."""
    write = MetricsLog.write

    def stop(self: MetricsLog, number: int, stage: str, step: int, figures: dict[str, float]) -> None:
        write(self, number, stage, step, figures)
        if "loss" in figures and step + 1 == after:
            os.kill(os.getpid(), signal.SIGTERM)

    stops = 0
    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "write", stop)
        outcome = run(False)
        while outcome.interrupted:
            stops += 1
            torch.manual_seed(stops)  # what a new process would not find either
            outcome = run(True)
    return outcome, stops


def assert_same(one: Path, other: Path, weights: str) -> None:
    """Losses, the network, and both checkpoints with optimizers, averages and discriminators: equal bit for bit."""
    assert losses(one) == losses(other) != []
    mine, theirs = (read_safetensors(run / weights)[0] for run in (one, other))
    assert_equal(mine, theirs, weights)
    for file in ("checkpoint.pt", "checkpoint.previous.pt"):
        mine, theirs = (torch.load(run / file, weights_only=True) for run in (one, other))
        assert_equal(mine, theirs, file)


@pytest.mark.parametrize(("recipe", "model"), TRAINED, ids=["-".join(filter(None, pair)) for pair in TRAINED])
def test_a_training_stopped_in_every_stage_is_the_same_training(recipe, model, features, folder, tmp_path, monkeypatch):
    plan, photographs = small(recipe, model, features), load_photographs([folder])
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(plan, photographs, whole, say=lambda line: None)
    assert [(stage, step) for stage, step, _ in losses(whole)] == [(s, n) for s in plan.stages for n in "01"]
    outcome, stops = stopped_and_resumed(
        lambda resume: train(plan, photographs, stopped, resume, say=lambda line: None), 1, monkeypatch
    )
    assert stops == len(plan.stages)
    assert_same(stopped, whole, "weights.safetensors")
    assert outcome.weights is not None
    assert load(str(outcome.weights)).name == (model or plan.model)
    before, after = (load_checkpoint(whole, lambda line: None), registry.create(plan.model, plan.config).state_dict())
    assert before is not None
    assert any(not torch.equal(before["ema"][key], value) for key, value in after.items())


@pytest.mark.parametrize("name", QAT)
def test_a_quantisation_stopped_half_way_is_the_same_quantisation(name, folder, tmp_path, monkeypatch):
    path = RECIPES / f"{name}.toml"
    steps = max(2, len(load_qat_recipe(path).variants))
    sets = [f"steps={steps}", "hr=[48, 48]", "batch=1", "calibration=1", "checkpoint_every=1"]
    plan, photographs = load_qat_recipe(path, sets), load_photographs([folder])
    weights = plan.model
    if plan.model == "pcarn_m":  # it has no shipped weights
        weights = str(tmp_path / "pcarn_m.safetensors")
        save(Path(weights), plan.model, registry.create(plan.model), {})

    def run(out: Path, resume: bool = False) -> Outcome:
        return finetune(plan, load(weights, amount=plan.restoration), photographs, out, resume, lambda line: None)

    run(tmp_path / "whole")
    _, stops = stopped_and_resumed(lambda resume: run(tmp_path / "stopped", resume), max(1, steps // 2), monkeypatch)
    assert stops == 1
    assert_same(tmp_path / "stopped", tmp_path / "whole", "int8.safetensors")
