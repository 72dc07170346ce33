"""Stages hand over: Muon's momentum survives a broken run, and weights of other widths are no start."""

import pytest
import torch

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import load_recipe
from edge_scs.training.loop import train
from edge_scs.weights import loading
from tests.training.test_loop import assert_same_run, train_with_a_power_cut

RECIPE = """
model = "edge_scs_s"
stages = ["adamw", "muon"]
checkpoint_every = 2
validate_every = 1000
[config]
tied = false
widths = [[8, 12], [12, 12]]
[stage.adamw]
task = "texture"
parts = ["texture", "heads", "continuous"]
steps = 5
learning_rate = 2e-3
warmup = 1
[stage.adamw.data]
batch = 2
lr_patch = 12
[stage.muon]
task = "texture"
parts = ["texture", "heads", "continuous"]
optimizer = "muon"
muon = { "texture.blocks" = 10.0 }
steps = 5
learning_rate = 1e-3
warmup = 1
[stage.muon.data]
batch = 2
lr_patch = 12
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("row", [pytest.param(3, marks=pytest.mark.slow), 8], ids=["adamw", "muon"])
def test_a_run_that_breaks_off_in_either_stage_goes_on_exactly(tmp_path, folder, recipe, monkeypatch, row):
    plan, photographs = load_recipe(recipe), load_photographs([folder])
    train(plan, photographs, tmp_path / "whole", say=lambda text: None)
    train_with_a_power_cut(plan, photographs, tmp_path / "broken", row, monkeypatch)
    assert_same_run(tmp_path)


@pytest.mark.slow
def test_a_part_begins_as_another_where_its_stage_begins(tmp_path, folder, recipe, monkeypatch):
    still = ["stage.muon.learning_rate=0", 'stage.muon.init_from={"continuous.finest" = "heads.4"}']
    photographs = load_photographs([folder])
    train(load_recipe(recipe, still), photographs, tmp_path / "run", say=lambda text: None)
    state, _ = loading.read_safetensors(tmp_path / "run" / "weights.safetensors")
    assert torch.equal(state["continuous.finest.conv.weight"], state["heads.4.conv.weight"])
    plan = load_recipe(recipe, still[1:])
    train(plan, photographs, tmp_path / "whole", say=lambda text: None)
    train_with_a_power_cut(plan, photographs, tmp_path / "broken", 8, monkeypatch)
    assert_same_run(tmp_path)
    state, _ = loading.read_safetensors(tmp_path / "whole" / "weights.safetensors")
    assert not torch.equal(state["continuous.finest.conv.weight"], state["heads.4.conv.weight"])


def test_weights_of_other_widths_are_no_start(tmp_path, folder, recipe):
    start = loading.create("edge_scs_s", {"tied": False, "widths": [[4, 4], [4, 4]]}, "test")
    loading.save(tmp_path / "other.safetensors", "edge_scs_s", start, {})
    with pytest.raises(InputError, match=r"other.safetensors: texture.* has shape .* it belongs to another network"):
        train(load_recipe(recipe), load_photographs([folder]), tmp_path / "run", init=tmp_path / "other.safetensors")
