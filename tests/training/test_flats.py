"""Flat areas stay as they are: measured on the shipped networks, and made so by the closed form."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from edge_scs.models import registry
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.training.flats import SCALES, flat_error, level_out, worst
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
