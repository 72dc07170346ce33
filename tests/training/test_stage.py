"""A stage may tie recursive blocks, and hands untied copies to the next; Muon's momentum survives a broken run."""

import pytest
import torch
from safetensors.torch import load_file

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import load_recipe
from edge_scs.training.loop import train
from edge_scs.weights import loading
from edge_scs.weights.loading import load
from tests.training.test_loop import assert_same_run, train_with_a_power_cut

RECIPE = """
model = "edge_scs_s"
stages = ["tied", "untied"]
checkpoint_every = 2
validate_every = 1000
[config]
tied = false
[stage.tied]
task = "texture"
parts = ["texture", "heads", "continuous"]
tie = ["texture"]
steps = 5
learning_rate = 2e-3
warmup = 1
[stage.tied.data]
batch = 2
lr_patch = 12
[stage.untied]
task = "texture"
parts = ["texture", "heads", "continuous"]
optimizer = "muon"
muon = { "texture.blocks" = 10.0 }
recycle = ["texture.blocks"]
steps = 5
learning_rate = 1e-3
warmup = 1
[stage.untied.data]
batch = 2
lr_patch = 12
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def units_alike(weights):
    """Whether every call of every texture block has the same weights."""
    texture = load(str(weights)).model.texture
    return all(
        torch.equal(a, b)
        for block in texture.blocks
        for unit in block.units[1:]
        for a, b in zip(block.units[0].parameters(), unit.parameters(), strict=True)
    )


def test_a_tied_stage_learns_one_unit_for_every_call_and_the_next_one_parts_them(tmp_path, folder, recipe):
    photographs = load_photographs([folder])
    first = train(load_recipe(recipe, ['stages=["tied"]']), photographs, tmp_path / "tied", say=lambda text: None)
    both = train(load_recipe(recipe), photographs, tmp_path / "both", say=lambda text: None)
    assert len(load(str(first.weights)).model.texture.blocks[0].units) > 1
    assert units_alike(first.weights)
    assert not units_alike(both.weights)


@pytest.mark.parametrize("row", [3, 8], ids=["tied", "untied"])
def test_a_run_that_breaks_off_in_either_stage_goes_on_exactly(tmp_path, folder, recipe, monkeypatch, row):
    plan, photographs = load_recipe(recipe), load_photographs([folder])
    train(plan, photographs, tmp_path / "whole", say=lambda text: None)
    train_with_a_power_cut(plan, photographs, tmp_path / "broken", row, monkeypatch)
    assert_same_run(tmp_path)


def test_a_stage_may_give_dormant_channels_a_new_start(tmp_path, folder, recipe):
    plan, photographs = load_recipe(recipe, ['stages=["untied"]']), load_photographs([folder])
    model, said, bias = loading.create("edge_scs_s", plan.config, "test"), [], "texture.blocks.0.units.0.conv1.bias"
    with torch.no_grad():
        model.get_parameter(bias)[:3] = -100
    loading.save(tmp_path / "dormant.safetensors", "edge_scs_s", model, {})
    weights = train(plan, photographs, tmp_path / "run", init=tmp_path / "dormant.safetensors", say=said.append).weights
    assert said[0].startswith("untied: dormant channels that start anew: ")
    assert (load_file(weights)[bias] > -1).all()


@pytest.mark.parametrize("row", [3, 8], ids=["before", "trimmed"])
def test_a_stage_may_trim_the_network_and_goes_on_exactly(tmp_path, folder, recipe, monkeypatch, row):
    overrides = ["stage.untied.recycle=[]", "stage.untied.trim=12"]
    plan, photographs, said = load_recipe(recipe, overrides), load_photographs([folder]), []
    whole = train(plan, photographs, tmp_path / "whole", say=said.append)
    assert "untied: trimmed to widths of [[24, 24], [24, 24]]" in said
    assert load(str(whole.weights)).model.config.widths == [[24, 24], [24, 24]]
    train_with_a_power_cut(plan, photographs, tmp_path / "broken", row, monkeypatch)
    assert_same_run(tmp_path)


def test_training_goes_on_from_trimmed_weights_by_the_recipe_that_made_them(tmp_path, folder, recipe):
    overrides = ['stages=["untied"]', "stage.untied.recycle=[]", "stage.untied.trim=12", "stage.untied.steps=1"]
    plan, photographs = load_recipe(recipe, overrides), load_photographs([folder])
    start = loading.create("edge_scs_s", plan.config | {"widths": [[8, 12], [12, 12]]}, "test")
    loading.save(tmp_path / "trimmed.safetensors", "edge_scs_s", start, {})
    again = load_recipe(recipe, [*overrides, "stage.untied.trim=0"])
    weights = train(again, photographs, tmp_path / "run", init=tmp_path / "trimmed.safetensors", say=print).weights
    assert load(str(weights)).model.config.widths == [[8, 12], [12, 12]]

    named = load_recipe(recipe, [*overrides, "config.widths=[[4, 4], [4, 4]]"])
    with pytest.raises(InputError, match=r"trimmed.safetensors: texture.* has shape .* it belongs to another network"):
        train(named, photographs, tmp_path / "other", init=tmp_path / "trimmed.safetensors", say=print)


@pytest.mark.parametrize("config", ['{"widths": [[9999999]]}', "[]", "{"])
def test_a_damaged_spec_of_the_weights_to_start_from_is_named(tmp_path, folder, recipe, config):
    path = tmp_path / "bad.safetensors"
    loading.save(path, "edge_scs_s", loading.create("edge_scs_s", {}, "test"), {"config": config})
    with pytest.raises(InputError, match=r"bad.safetensors: its spec is damaged"):
        train(load_recipe(recipe), load_photographs([folder]), tmp_path / "run", init=path)
