"""Recipes are strict: wrong keys and types are named, the nearest key is offered, overrides obey the same rules."""

from pathlib import Path

import pytest

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.recipes import load_recipe

RECIPES = sorted(p for p in (Path(__file__).parents[1] / "recipes").glob("*.toml") if not p.stem.endswith("_qat"))
MINIMAL = """
model = "edge_scs_s"
stages = ["a"]
[stage.a]
task = "texture"
parts = ["texture"]
steps = 3
learning_rate = 1e-3
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load_and_name_known_models(path):
    assert load_recipe(path).model in registry.names()


def test_overrides_are_typed(recipe):
    plan = load_recipe(recipe, ["stage.a.steps=7", "precision=bf16", "stage.a.data.batch=2", 'stages=["a"]'])
    assert (plan.stage["a"].steps, plan.precision, plan.stage["a"].data.batch) == (7, "bf16", 2)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stage.a.stepz=3", "did you mean steps?"),
        ("sed=3", "did you mean seed?"),
        ("stage.a.steps=many", "steps must be a int"),
        ("stage.a.steps=true", "steps must be a int"),
        ("stage.a.data=3", "must be a table"),
        ("stages=[1]", "must be a str"),
        ('stages=["b"]', "no table [stage.b]"),
        ("stages=[]", "stages is empty"),
        (
            "stage.a.data.degradation=cleen",
            "degradation must be 'clean' or 'worn' or 'old' or 'copied' or 'bsrgan', not 'cleen'",
        ),
        ("stage.a.adversary.wieght=1.0", "did you mean weight?"),
        ("model.x=3", "is not a table"),
        ("config.channels=4096", "config.channels is 4096, more than 1024"),
        ("config.encoder_options.channels=4096", "config.encoder_options.channels is 4096, more than 1024"),
        ("validate_side=8", "validate_side is 8; choose 32 or more"),
        ("checkpoint_every=0", "checkpoint_every is 0; choose 1 or more"),
        ("stage.a.accumulate=0", "stage.a: accumulate is 0; choose 1 or more"),
        ("stage.a.learning_rate=-1", "learning_rate is -1.0; choose 0 or more"),
        ("stage.a.learning_rate=nan", "learning_rate is nan"),
        ("stage.a.clip=0", "choose more than 0"),
        ("stage.a.ema=1", "ema is 1.0; choose less than 1"),
        ("stage.a.data.batch=0", "data: batch is 0; choose 1 or more"),
        ("nonsense", "key=value"),
        ("config.widths=[[16, 99999]]", "config.widths is 99999"),
    ],
)
def test_bad_keys_and_values_are_named_in_one_line(recipe, override, says):
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, [override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"), [("model = ", "not valid TOML"), ('stages = ["a"]', "lacks the key 'model'")]
)
def test_bad_files_are_named(tmp_path, text, says):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_recipe(path)
    with pytest.raises(InputError, match="no such file"):
        load_recipe(tmp_path / "none.toml")
