"""Flat areas stay as they are: measured on the shipped networks, and made so by the closed form."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import edge_scs
from edge_scs.color import luma
from edge_scs.models import registry
from edge_scs.models.edge_scs import SHUFFLE_SCALES, EdgeSCS
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.training.flats import LEVELS, SCALES, flat_error, flat_features, level_out, worst
from edge_scs.weights.loading import load

NEAR_ONE = (1.0, 1.13, 1.3)


@pytest.fixture(scope="module", params=["edge_scs_s", "edge_scs_m"])
def shipped(request: pytest.FixtureRequest) -> EdgeSCS:
    model = load(request.param).model
    assert isinstance(model, EdgeSCS)
    return model


def render(model: EdgeSCS, gray: torch.Tensor, scale: float) -> torch.Tensor:
    size = (round(gray.shape[2] * scale), round(gray.shape[3] * scale))
    with torch.no_grad():
        return model.render(gray, torch.zeros(1, 2, *gray.shape[2:]), size)


def test_the_closed_form_levels_shipped_networks_and_changes_nothing_else(
    shipped: EdgeSCS, photograph: np.ndarray
) -> None:
    gray = torch.from_numpy(photograph[100:148, 200:248, 1].copy())[None, None].float() / 255
    before = {scale: render(shipped, gray, scale) for scale in (1.5, 2.0, 2.7)}
    level_out(shipped)
    assert max(flat_error(shipped, scale, 0.5) for scale in (*NEAR_ONE, 1.9, 2.0, 3.3, 4.0, 8.0)) < 1
    for scale, old in before.items():
        assert (render(shipped, gray, scale) - old).square().mean() < 1e-6, "60 dB"


@pytest.mark.slow
def test_at_every_magnification(shipped: EdgeSCS) -> None:
    level_out(shipped)
    assert max(error for _, error in worst(shipped, (*np.linspace(1, 8, 36).tolist(), 2.0, 3.0, 4.0))) < 1


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_shipped_weights_keep_flat_areas_as_they_are(name: str, amount: float) -> None:
    """As they lie in the package, at both ends of restoration and between: black, mid-grey, white, within a level."""
    found = dict(worst(load(name, amount=amount).model, (1.0, 1.05, 1.13, 1.4, 1.9, 2.0, 2.7, 3.0, 4.0, 5.7, 8.0)))
    assert max(found.values()) < 1, found


def test_flat_images_come_back_whole() -> None:
    """Borders, clamping, rounding and the colour conversion included."""
    model = edge_scs.load("edge_scs_s")
    for scale, level in itertools.product((1.0, 1.5), (0, 128, 255)):
        out = np.asarray(model.enhance(np.full((12, 10, 3), level, np.uint8), scale=scale, keep_colour=True))
        assert out.shape == (12 * scale, 10 * scale, 3)
        assert np.abs(out.astype(int) - level).max() <= 1


@pytest.mark.slow  # each graph takes seconds to convert
@pytest.mark.parametrize("scale", SHUFFLE_SCALES)
@pytest.mark.parametrize("amount", [0.0, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_shipped_int8_weights_keep_flat_areas_as_they_are(name: str, amount: float, scale: int) -> None:
    pytest.importorskip("torchao")
    network = load_int8(name, amount=amount).model
    for level in (0, 128, 255):
        with torch.no_grad():
            rgb = network(torch.full((1, 1, 24, 24), level / 255), (24 * scale, 24 * scale))
        border = 2 * scale
        off = luma(rgb)[..., border:-border, border:-border] * 255 - level
        assert off.mean().abs() < 0.6  # green rounded down by one: 0.587
        assert off.abs().max() < 2.5, "residual, luma and RGB are rounded to 8 bits one after the other"


def test_what_is_measured_is_what_was_added(lively: Callable[..., nn.Module]) -> None:
    model = lively(registry.create("edge_scs_s"), noise=0.02)
    assert isinstance(model, EdgeSCS)
    for parameter in (model.texture.fuse.weight, model.texture.fuse.bias):
        parameter.zero_()  # no features: every answer is the bias's
    for head in (*model.heads.values(), model.continuous.finest):
        head.conv.bias.zero_()
    model.continuous.out.weight.zero_()
    model.continuous.out.bias.copy_(torch.tensor([3 / 255, 0.1, 0.1]))
    model.heads["2"].conv.bias[1] = -2 / 255
    assert flat_error(model, 2.0, 0.25) == pytest.approx(2, abs=1e-3)
    assert flat_error(model, 3.0, 0.25) == pytest.approx(0, abs=1e-3)
    assert flat_error(model, 1.3, 0.25) == pytest.approx(3, abs=1e-3)
    level_out(model)
    assert max(flat_error(model, scale, 0.25) for scale in (1.3, 2.0, *SCALES[:2])) < 0.01


def test_what_no_bias_can_correct_averages_to_zero(lively: Callable[..., nn.Module]) -> None:
    """Features that differ from level to level: each head's bias takes away the mean of what it adds."""
    small = {"channels": 8, "blocks": 1, "repeats": 1, "reference": False}
    model = lively(registry.create("edge_scs_s", small), noise=0.1)
    assert isinstance(model, EdgeSCS)
    level_out(model)
    features = [flat_features(model, level)[0] for level in LEVELS]
    for head in (*model.heads.values(), model.continuous.finest):
        added = torch.stack([head.conv(x)[0, :, 2, 2] for x in features])
        assert added.abs().max() > 1e-3
        assert added.mean(0).abs().max() < 1e-5
