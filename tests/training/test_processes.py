"""Two processes train as one with the doubled batch, and resume each other's checkpoints."""

import subprocess
import sys
import tarfile

import pytest
import torch

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import load_recipe
from edge_scs.training.loop import train
from tests.training.conftest import losses

L1 = 'stages=["l1"]'


def launch(recipe, folder, out, *more):
    """`accelerate launch` with two processes; on a machine without a GPU they talk through gloo."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["-m", "edge_scs", "train", str(recipe), "--data", str(folder), "--out", str(out), "--threads", "1"]
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=240, check=False)


def step_back(run):
    """Leave a finished run as if it had been killed after the checkpoint before the last."""
    (run / "checkpoint.previous.pt").replace(run / "checkpoint.pt")


def assert_close(run, other):
    ours, theirs = losses(run), losses(other)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [float(value) for *_, value in ours] == pytest.approx([float(value) for *_, value in theirs], rel=1e-5)


def test_two_processes_equal_one_with_the_doubled_batch_which_resumes_them(tmp_path, folder, pcarn_recipe):
    recipe, photographs = pcarn_recipe(l1=8), load_photographs([folder])
    doubled = load_recipe(recipe, [L1, "stage.l1.data.batch=4"])
    one, two = tmp_path / "one", tmp_path / "two"
    train(doubled, photographs, one, say=lambda text: None)

    done = launch(recipe, folder, two, "--set", L1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(two / "weights.safetensors")], "one of the two speaks"
    assert_close(two, one)

    step_back(two)
    train(doubled, photographs, two, resume=True, say=lambda text: None)
    assert_close(two, one)


@pytest.mark.slow
def test_two_processes_go_on_with_the_checkpoint_of_one(tmp_path, folder, pcarn_recipe):
    recipe = pcarn_recipe(l1=8)
    doubled = load_recipe(recipe, [L1, "stage.l1.data.batch=4"])
    for name in ("one", "both"):
        train(doubled, load_photographs([folder]), tmp_path / name, say=lambda text: None)
    step_back(tmp_path / "both")
    done = launch(recipe, folder, tmp_path / "both", "--resume", "--set", L1)
    assert done.returncode == 0, done.stderr
    assert_close(tmp_path / "both", tmp_path / "one")


def test_another_number_of_processes_may_go_on_with_the_same_recipe_but_is_named(tmp_path, folder, pcarn_recipe):
    plan, photographs, said = load_recipe(pcarn_recipe(l1=5), [L1]), load_photographs([folder]), []
    train(plan, photographs, tmp_path, say=lambda text: None)
    step_back(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save(state | {"processes": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="another recipe"):
        train(load_recipe(pcarn_recipe(l1=5), [L1, "stage.l1.data.batch=5"]), photographs, tmp_path, resume=True)
    train(plan, photographs, tmp_path, resume=True, say=said.append)
    assert any("1 processes instead of 3" in line for line in said)


@pytest.mark.slow
def test_gan_stages_run_in_two_processes_over_shards(tmp_path, folder, pcarn_recipe):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(folder, arcname="photographs")
    done = launch(pcarn_recipe(l1=1, gan=3), tmp_path / "*.tar", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "run", "discriminator")) == 6
    step_back(tmp_path / "run")
    again = launch(pcarn_recipe(l1=1, gan=3), tmp_path / "*.tar", tmp_path / "run", "--resume")
    assert again.returncode == 0, again.stderr
