"""Recipes of quantisation: the shipped ones are right, and wrong ones are one line."""

from pathlib import Path

import pytest

from edge_scs.errors import InputError
from edge_scs.quantization.recipe import load_qat_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*_qat.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert load_qat_recipe(path).steps > 0
    assert load_qat_recipe(path, ["steps=0"]).steps == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('model = "pcarn_n"', "no network 'pcarn_n'"),
        ("variants = []", "variants is empty"),
        ('variants = ["4"]', "'4' is none"),
        ('variants = ["x5"]', "cannot be divided by 5"),
        ("hr = [264]", "rows and columns"),
        ('crop = "whole"', "crop"),
        ("batch = 0", "batch is 0; choose 1 or more"),
        ("step = 3", "did you mean steps"),
        ('keep_float = "head"', "must be a list"),
    ],
)
def test_wrong_recipes_are_one_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(line + ("" if line.startswith("model") else '\nmodel = "pcarn_m"'))
    with pytest.raises(InputError, match=message) as caught:
        load_qat_recipe(path)
    assert ("\n" not in str(caught.value) and str(path) in str(caught.value)) or "variants" in str(caught.value)
