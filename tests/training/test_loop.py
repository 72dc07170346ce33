"""Training learns, and a killed run goes on as if it had never been killed."""

import os
import signal
import time

import pytest
import torch
from PIL import Image

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import Stage, load_recipe
from edge_scs.training.checkpoints import load_checkpoint
from edge_scs.training.log import MetricsLog
from edge_scs.training.loop import train
from edge_scs.training.stage import kept, learning_rate
from edge_scs.weights.loading import load, read_safetensors
from tests.training.conftest import losses, run_cli

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
crop = "image"
hr_side = 64
whole_scales = 0.0
reference_every = 2
"""


def recipe_file(tmp_path, texture=6, colour=4):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(texture=texture, colour=colour))
    return path


def kill_after(run, out, rows, total):
    """SIGKILL once ``rows`` losses are written."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(losses(out)) < rows:
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert rows <= len(losses(out)) < total, "the kill has to fall into the run"


def assert_resumes_exactly(tmp_path, recipe, folder, rows, total):
    """A run killed after ``rows`` steps and resumed leaves the losses and checkpoint of one that was never killed."""
    whole = run_cli(recipe, folder, tmp_path / "whole")
    broken = run_cli(recipe, folder, tmp_path / "broken")
    kill_after(broken, tmp_path / "broken", rows, total)
    assert whole.wait(240) == 0, whole.stderr.read()
    whole.communicate()
    again = run_cli(recipe, folder, tmp_path / "broken", "--resume")
    _, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert_same_run(tmp_path)


def assert_same_run(tmp_path):
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    mine, theirs = (read_safetensors(tmp_path / run / "weights.safetensors")[0] for run in ("broken", "whole"))
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    for file in ("checkpoint.pt", "checkpoint.previous.pt"):
        mine, theirs = (torch.load(tmp_path / run / file, weights_only=True) for run in ("broken", "whole"))
        assert_equal(mine, theirs, file)


def assert_equal(mine, theirs, where):
    if torch.is_tensor(theirs):
        assert torch.equal(mine, theirs), where
    elif isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), where
        for key in theirs:
            assert_equal(mine[key], theirs[key], f"{where}.{key}")
    elif isinstance(theirs, list):
        for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            assert_equal(one, other, f"{where}.{index}")
    else:
        assert mine == theirs, where


def train_with_a_power_cut(plan, photographs, out, row, monkeypatch):
    """A run that breaks off once ``row`` losses are written, and is resumed."""
    write = MetricsLog.write

    def break_off(self, *figures):
        write(self, *figures)
        if len(losses(out)) == row:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "write", break_off)
        with pytest.raises(RuntimeError, match="power cut"):
            train(plan, photographs, out, say=lambda text: None)
    train(plan, photographs, out, resume=True, say=lambda text: None)


def test_a_run_killed_with_sigkill_and_resumed_equals_one_never_killed(tmp_path, folder):
    assert_resumes_exactly(tmp_path, recipe_file(tmp_path, texture=18, colour=4), folder, rows=6, total=22)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [8, 48], ids=["gan", "relativistic"])
def test_a_gan_stage_killed_with_sigkill_goes_on_exactly(tmp_path, folder, pcarn_recipe, rows):
    assert_resumes_exactly(tmp_path, pcarn_recipe(l1=4, gan=40), folder, rows, total=84)


@pytest.mark.parametrize("row", [8, pytest.param(15, marks=pytest.mark.slow)], ids=["gan", "relativistic"])
def test_a_gan_stage_that_breaks_off_goes_on_exactly(tmp_path, folder, pcarn_recipe, monkeypatch, row):
    """Both optimizers, all discriminators, batch statistics and power iterations; the checkpoints say so themselves."""
    plan, photographs = load_recipe(pcarn_recipe(l1=3, gan=7)), load_photographs([folder])
    train(plan, photographs, tmp_path / "whole", say=lambda text: None)
    train_with_a_power_cut(plan, photographs, tmp_path / "broken", row, monkeypatch)
    assert_same_run(tmp_path)
    adversary = load_checkpoint(tmp_path / "whole")["adversary"]["discriminator"]
    assert any(key.endswith("_u") for key in adversary)


@pytest.mark.slow
def test_gan_stages_train_both_sides(tmp_path, folder, pcarn_recipe):
    plan = load_recipe(pcarn_recipe(l1=40, gan=12))
    train(plan, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
    first = [float(value) for stage, _, value in losses(tmp_path / "run") if stage == "l1"]
    assert sum(first[-10:]) < 0.8 * sum(first[:10])
    for name in ("pixel", "adversarial", "discriminator"):
        assert len([stage for stage, _, _ in losses(tmp_path / "run", name) if stage == "gan"]) == 12
    judged = [float(value) for stage, _, value in losses(tmp_path / "run", "discriminator") if stage == "gan"]
    assert sum(judged[-4:]) < sum(judged[:4]), "the discriminators learn"


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


def test_validation_looks_at_crops_of_the_side_asked_for(tmp_path, folder, pcarn_recipe):
    plan = load_recipe(pcarn_recipe(l1=1), ['stages=["l1"]', "validate_side=48"])
    train(plan, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
    with Image.open(tmp_path / "run" / "sheets" / "l1-0000001.png") as sheet:
        assert sheet.size == (3 * 48, 48)
    assert len(losses(tmp_path / "run", "validation_loss")) == 1


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


def test_switches_work_in_gan_stages(tmp_path, folder, pcarn_recipe):
    from accelerate.state import AcceleratorState

    photographs, recipe = load_photographs([folder]), pcarn_recipe(l1=3, gan=2)
    found = {}
    for switch in ("", "precision=bf16", "channels_last=true", "workers=1"):
        AcceleratorState._reset_state()  # else one precision holds for all of a process's life
        train(
            load_recipe(recipe, [switch] if switch else []), photographs, tmp_path / f"run {switch}", say=lambda x: None
        )
        found[switch] = [float(value) for *_, value in losses(tmp_path / f"run {switch}")]
    AcceleratorState._reset_state()
    for switch, ours in found.items():
        assert ours == pytest.approx(found[""], rel=0.05), switch


@pytest.mark.slow
def test_compiled_gan_stages_train_alike(tmp_path, folder, pcarn_recipe):
    photographs, recipe = load_photographs([folder]), pcarn_recipe(l1=3, gan=2)
    train(load_recipe(recipe), photographs, tmp_path / "plain", say=lambda text: None)
    train(load_recipe(recipe, ["compile=true"]), photographs, tmp_path / "run", say=lambda text: None)
    ours, plain = ([float(value) for *_, value in losses(tmp_path / run)] for run in ("run", "plain"))
    assert ours == pytest.approx(plain, rel=1e-3)


def test_checkpoints_from_before_a_key_existed_still_resume(tmp_path, folder, pcarn_recipe):
    plan = load_recipe(pcarn_recipe(l1=4), ['stages=["l1"]'])
    train(plan, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
    path = tmp_path / "run" / "checkpoint.previous.pt"
    state = torch.load(path, weights_only=True)
    for table, key in (
        (state["recipe"], "min_side"),
        (state["recipe"]["stage"]["l1"], "adversary"),
        (state, "adversary"),
    ):
        del table[key]
    state["recipe"]["stage"]["l1"]["begin_as"] = state["recipe"]["stage"]["l1"].pop("init_from")  # its name before 0.2
    torch.save(state, tmp_path / "run" / "checkpoint.pt")
    outcome = train(plan, load_photographs([folder]), tmp_path / "run", resume=True, say=lambda text: None)
    assert outcome.weights is not None


def test_the_learning_rate_halves_in_steps():
    stage = Stage("texture", ["texture"], steps=100, learning_rate=1.0, warmup=0, halve_every=40)
    assert [learning_rate(stage, step) for step in (0, 39, 40, 79, 80, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_without_averaging_the_result_is_the_last_step(tmp_path, folder, pcarn_recipe):
    train(load_recipe(pcarn_recipe(l1=3), ['stages=["l1"]']), load_photographs([folder]), tmp_path, say=print)
    state = load_checkpoint(tmp_path)
    weights, _ = read_safetensors(tmp_path / "weights.safetensors")
    assert all(torch.equal(weights[key], state["model"][key]) for key in weights)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    stage = Stage("texture", ["texture"], steps=110, learning_rate=1.0, warmup=10, final_rate=0.1)
    assert learning_rate(stage, 0) == pytest.approx(0.1)
    assert learning_rate(stage, 10) == pytest.approx(1.0)
    assert learning_rate(stage, 60) == pytest.approx(0.55)
    assert learning_rate(stage, 110) == pytest.approx(0.1)


def test_a_young_average_follows_closely():
    stage = Stage("texture", ["texture"], steps=20, learning_rate=1.0, warmup=4, ema=0.9)
    assert kept(stage, 1) < kept(stage, 19) <= 0.9
