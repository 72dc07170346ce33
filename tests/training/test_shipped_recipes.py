"""The recipes of the shipped weights run from their first stage to their last, whatever the photographs."""

import csv
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from edge_scs.data.photographs import load_photographs
from edge_scs.recipes import load_recipe
from edge_scs.training.loop import train
from edge_scs.weights.loading import load

RECIPES = Path(__file__).parents[2] / "recipes"


def few_small_steps(recipe):
    """Two steps a stage, with two small images, and an encoder that starts at random: no ImageNet weights needed.

    In float32, as all tests that train in this process: accelerate takes one precision a process.
    """
    stages = {
        name: replace(
            stage, steps=2, warmup=1, encoder_init="", colour_side=min(stage.colour_side, 48),
            data=replace(stage.data, batch=2, lr_patch=12, hr_side=64),
        )
        for name, stage in recipe.stage.items()
    }  # fmt: skip
    return replace(recipe, stage=stages, precision="no", validate_images=1, validate_side=48)


@pytest.mark.parametrize(
    "name",
    [
        "edge_scs_m",
        pytest.param("edge_scs_s", marks=pytest.mark.slow),
        "edge_scs_m_restoring",
        pytest.param("edge_scs_s_restoring", marks=pytest.mark.slow),
    ],
)
def test_a_shipped_recipe_runs_start_to_end(tmp_path, folder, name):
    recipe = few_small_steps(load_recipe(RECIPES / f"{name}.toml"))
    weights = train(recipe, load_photographs([folder]), tmp_path / "run", say=print).weights
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = [row["stage"] for row in csv.DictReader(file) if row["name"] == "loss"]
    assert [(name, len(list(steps))) for name, steps in groupby(rows)] == [(name, 2) for name in recipe.stages]
    assert load(str(weights)).name == recipe.model
