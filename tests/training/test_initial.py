"""Initialisations: distributions by their moments, what they leave alone, refusals."""

from dataclasses import replace

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.recipes import Recipe
from edge_scs.training.initial import initialise

RECIPE = Recipe(model="pcarn", stages=[], stage={})


@pytest.mark.parametrize(("initial", "variance"), [("uniform", 1 / 3), ("he_uniform", 2), ("he_normal", 2)])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_pcarns_six(initial, variance, scale):
    """Table 3: each layer's weights have this variance times scale^2 / F, and biases are zero."""
    model = registry.create("pcarn")
    initialise(model, replace(RECIPE, initial=initial, initial_scale=scale))
    for layer in (model.body.units[0].units[0].conv1, model.upsamplers["3"].convs[0], model.body.gathers[2]):
        fan_in = layer.weight[0].numel()
        assert float(layer.weight.detach().var()) == pytest.approx(variance * scale**2 / fan_in, rel=0.05)
        assert not layer.bias.any()
        if initial != "he_normal":
            assert layer.weight.abs().max() <= scale * (3 * variance / fan_in) ** 0.5


def test_perceptrons_begin_as_the_bilinear_enlargement():
    options = {"encoder_options": {"channels": 8, "blocks": 1}, "hidden": 32}
    model = registry.create("ciaosr_edsr", options).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    initialise(model, replace(RECIPE, model="ciaosr_edsr", initial="perceptrons"))
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"attention"}
    rgb = torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        bilinear = torch.nn.functional.interpolate(rgb, (12, 12), mode="bilinear")
        difference = model(rgb, (12, 12)) - bilinear
    assert 0 < difference.abs().max() < 0.02
    assert float(model.attention.value.middle[0].weight.var()) == pytest.approx(2 / 32, rel=0.15)


def test_nothing_and_nonsense():
    model = registry.create("pcarn", {"channels": 4, "blocks": 1})
    before = model.entry.weight.clone()
    initialise(model, RECIPE)
    assert torch.equal(model.entry.weight, before)
    with pytest.raises(InputError, match="initial: no 'xavier'; known: uniform, "):
        initialise(model, replace(RECIPE, initial="xavier"))
    with pytest.raises(InputError, match="pcarn has no perceptrons"):
        initialise(model, replace(RECIPE, initial="perceptrons"))
