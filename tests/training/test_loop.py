"""Training learns, and a killed run goes on as if it had never been killed."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import Stage, load_recipe
from edge_scs.training.checkpoints import load_checkpoint
from edge_scs.training.loop import train
from edge_scs.training.stage import learning_rate
from edge_scs.weights.loading import load, read_safetensors

RECIPE = """
model = "edge_scs_s"
stages = ["texture", "colour"]
checkpoint_every = 4
validate_every = 1000
channels_last = false
[stage.texture]
task = "texture"
parts = ["texture", "heads", "continuous"]
steps = {texture}
learning_rate = 2e-3
warmup = 2
[stage.texture.data]
batch = 2
lr_patch = 12
[stage.colour]
task = "colour"
parts = ["colour"]
steps = {colour}
learning_rate = 3e-4
warmup = 2
colour_side = 48
[stage.colour.data]
batch = 2
crop = "picture"
hr_side = 64
whole_scales = 0.0
reference_every = 2
"""


@pytest.fixture
def folder(tmp_path, photograph):
    data = tmp_path / "photographs"
    data.mkdir()
    picture = Image.fromarray(photograph)
    for i, left in enumerate((0, 60, 120)):
        picture.crop((left, left, left + 160, left + 140)).save(data / f"{i}.png")
    return data


def recipe_file(tmp_path, texture=6, colour=4):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(texture=texture, colour=colour))
    return path


def losses(run):
    if not (run / "metrics.csv").exists():
        return []
    with open(run / "metrics.csv", newline="") as file:
        return [(r["stage"], r["step"], r["value"]) for r in csv.DictReader(file) if r["name"] == "loss"]


def run_cli(recipe, data, out, *more):
    command = [sys.executable, "-m", "edge_scs", "train", str(recipe), "--data", str(data), "--out", str(out), *more]
    return subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_run_killed_with_sigkill_and_resumed_equals_one_never_killed(tmp_path, folder):
    recipe = recipe_file(tmp_path, texture=40, colour=6)
    whole = run_cli(recipe, folder, tmp_path / "whole")
    broken = run_cli(recipe, folder, tmp_path / "broken")
    metrics, deadline = tmp_path / "broken" / "metrics.csv", time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and len(losses(tmp_path / "broken")) >= 9):
        time.sleep(0.02)
    os.kill(broken.pid, signal.SIGKILL)
    broken.communicate()
    assert 9 <= len(losses(tmp_path / "broken")) < 46, "the kill has to fall into the run"
    assert whole.wait(240) == 0, whole.stderr.read()
    whole.communicate()
    again = run_cli(recipe, folder, tmp_path / "broken", "--resume")
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    mine, theirs = (read_safetensors(tmp_path / run / "weights.safetensors")[0] for run in ("broken", "whole"))
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_training_lowers_the_loss_and_leaves_what_was_promised(tmp_path, folder):
    recipe = load_recipe(recipe_file(tmp_path, texture=60, colour=30))
    outcome = train(recipe, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
    assert outcome.weights == tmp_path / "run" / "weights.safetensors"
    for stage, length in (("texture", 60), ("colour", 30)):
        values = [float(value) for name, _, value in losses(tmp_path / "run") if name == stage]
        assert len(values) == length
        third = length // 3
        assert sum(values[-third:]) < 0.9 * sum(values[:third])
    sheets = sorted(path.name for path in (tmp_path / "run" / "sheets").iterdir())
    assert sheets == ["colour-0000030.png", "texture-0000060.png"]
    loaded = load(str(outcome.weights))
    assert loaded.name == "edge_scs_s"


def test_accumulated_batches_are_averaged(tmp_path, folder):
    """Two small batches a step: the first step's loss is the mean of what two steps of no learning show apart."""
    still = ['stages=["texture"]', "stage.texture.learning_rate=0.0"]
    photographs, path = load_photographs([folder]), recipe_file(tmp_path, texture=2)
    train(load_recipe(path, still), photographs, tmp_path / "apart", say=lambda text: None)
    joint = load_recipe(path, [*still, "stage.texture.accumulate=2", "stage.texture.steps=1"])
    train(joint, photographs, tmp_path / "joint", say=lambda text: None)
    (one,), apart = losses(tmp_path / "joint"), losses(tmp_path / "apart")
    assert float(one[2]) == pytest.approx(sum(float(value) for _, _, value in apart) / 2, rel=1e-6)
    assert apart[0][2] != apart[1][2]


def test_resuming_a_run_without_a_checkpoint_starts_a_clean_log(tmp_path, folder):
    plan, run = load_recipe(recipe_file(tmp_path, texture=2, colour=2)), tmp_path / "run"
    run.mkdir()
    (run / "metrics.csv").write_text("stage_number,stage,step,name,value\n0,texture,0,loss,9\n0,texture,1,lo")
    train(plan, load_photographs([folder]), run, resume=True, say=lambda text: None)
    assert [(stage, step) for stage, step, _ in losses(run)] == [(s, n) for s in ("texture", "colour") for n in "01"]
    assert "9" not in [value for _, _, value in losses(run)]


def test_a_stage_touches_its_parts_only(tmp_path, folder):
    recipe = load_recipe(recipe_file(tmp_path, texture=2, colour=2), ['stages=["colour"]'])
    train(recipe, load_photographs([folder]), tmp_path / "a", say=lambda text: None)
    state, _ = read_safetensors(tmp_path / "a" / "weights.safetensors")
    again = train(recipe, load_photographs([folder]), tmp_path / "b", init=tmp_path / "a" / "weights.safetensors")
    after, _ = read_safetensors(again.weights)
    untouched = [key for key in state if not key.startswith("colour.")]
    assert untouched
    assert all(torch.equal(state[key], after[key]) for key in untouched)
    assert not torch.equal(state["colour.classify.weight"], after["colour.classify.weight"])


def test_sigterm_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path, folder):
    run = run_cli(recipe_file(tmp_path, texture=4000), folder, tmp_path / "run")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.02)
    run.terminate()
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "--resume" in errors
    done = len(losses(tmp_path / "run"))
    assert load_checkpoint(tmp_path / "run")["position"] == {"stage": 0, "step": done}


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path, folder):
    recipe = load_recipe(recipe_file(tmp_path, texture=12, colour=2))
    train(recipe, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
    newest = tmp_path / "run" / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    said = []
    state = load_checkpoint(tmp_path / "run", said.append)
    assert state is not None
    assert "checkpoint.pt" in said[0]
    (tmp_path / "run" / "checkpoint.previous.pt").write_bytes(b"torn as well")
    with pytest.raises(InputError, match="no checkpoint of this run can be read"):
        load_checkpoint(tmp_path / "run", said.append)


def test_a_run_is_neither_overwritten_nor_mixed(tmp_path, folder):
    photographs = load_photographs([folder])
    plan = load_recipe(recipe_file(tmp_path, texture=4, colour=2))
    train(plan, photographs, tmp_path / "run", say=lambda text: None)
    with pytest.raises(InputError, match="holds a run already"):
        train(plan, photographs, tmp_path / "run")
    other = load_recipe(recipe_file(tmp_path, texture=5, colour=2))
    with pytest.raises(InputError, match="another recipe"):
        train(other, photographs, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stage.texture.task=paint", "known: texture, colour"),
        ('stage.texture.parts=["textur"]', "has no part 'textur'"),
        ('stage.colour.slow={"colour.decoder" = 0.1}', "has no part 'colour.decoder'"),
        ("stage.colour.encoder_init=/none.pth", "no such feature weights"),
    ],
)
def test_stages_that_cannot_be(tmp_path, folder, override, says):
    plan = load_recipe(recipe_file(tmp_path), [override])
    with pytest.raises(InputError, match=says):
        train(plan, load_photographs([folder]), tmp_path / "run")
    assert not losses(tmp_path / "run"), "refused before the first step of the first stage"


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    stage = Stage("texture", ["texture"], steps=110, learning_rate=1.0, warmup=10, final_rate=0.1)
    assert learning_rate(stage, 0) == pytest.approx(0.1)
    assert learning_rate(stage, 10) == pytest.approx(1.0)
    assert learning_rate(stage, 60) == pytest.approx(0.55)
    assert learning_rate(stage, 110) == pytest.approx(0.1)
