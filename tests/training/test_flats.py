"""Flat images come back as they are: measured on the shipped networks, and what the loss and the measure see."""

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
from edge_scs.training.flats import LEVELS, SCALES, flat_error, flat_loss, worst
from edge_scs.weights.loading import load


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_shipped_weights_keep_flat_images_as_they_are(name: str, amount: float) -> None:
    """Borders and corners included: black, greys, white, within a level when rounded."""
    found = dict(worst(load(name, amount=amount).model, (1.0, 1.13, 2.0, 2.7, 4.0)))
    assert max(found.values()) < 1.5, found


@pytest.mark.slow
@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_at_every_magnification(name: str, amount: float) -> None:
    found = dict(worst(load(name, amount=amount).model, sorted({*np.linspace(1, 8, 36).tolist(), *SCALES})))
    assert max(found.values()) < 1.5, found


def test_flat_images_come_back_whole() -> None:
    """Rounding and the colour conversion included."""
    model = edge_scs.load("edge_scs_s")
    for scale, level in itertools.product((1.0, 1.5), (0, 128, 255)):
        out = np.asarray(model.enhance(np.full((12, 10, 3), level, np.uint8), scale=scale, keep_colour=True))
        assert out.shape == (12 * scale, 10 * scale, 3)
        assert np.abs(out.astype(int) - level).max() <= 1


@pytest.mark.slow  # each graph takes seconds to convert
@pytest.mark.parametrize("scale", SHUFFLE_SCALES)
@pytest.mark.parametrize("amount", [0.0, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_shipped_int8_weights_keep_flat_images_as_they_are(name: str, amount: float, scale: int) -> None:
    pytest.importorskip("torchao")
    network = load_int8(name, amount=amount).model
    for level in LEVELS:
        with torch.no_grad():
            rgb = network(torch.full((1, 1, 48, 48), level / 255), (48 * scale, 48 * scale))
        off = luma(rgb) * 255 - level
        assert off.mean().abs() < 0.6  # green rounded down by one: 0.587
        assert off.abs().max() < 1.5, "one level, and RGB is rounded to 8 bits"


def flat_bias(lively: Callable[..., nn.Module], bias: float) -> EdgeSCS:
    """A network whose x2 head adds ``bias`` to luma everywhere, and nothing else."""
    model = lively(registry.create("edge_scs_s"), noise=0.02)
    assert isinstance(model, EdgeSCS)
    conv = model.get_submodule("heads.2.conv")
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    conv.weight.zero_()
    conv.bias.zero_()
    conv.bias[:4] = bias
    return model


def test_what_is_measured_is_what_was_added(lively: Callable[..., nn.Module]) -> None:
    model = flat_bias(lively, 3 / 255)
    assert flat_error(model, 2.0, 64) == pytest.approx(3, abs=1e-3)
    assert flat_error(model, 2.0, 255) == 0, "there is nothing whiter"
    assert dict(worst(model, [2.0])) == {2.0: pytest.approx(3, abs=1e-3)}


def test_the_loss_sees_a_corner(lively: Callable[..., nn.Module]) -> None:
    """The fourth power weighs one wrong pixel of 6,912 as much as a ninth of its error everywhere."""
    model = flat_bias(lively, 0.0)
    assert flat_loss(model, 2.0).item() == pytest.approx(0, abs=1e-3)
    render = model.render

    def spoiled(gray: torch.Tensor, chroma: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        out = render(gray, chroma, size).clone()
        out[:, 0, 0, 0] += 0.1
        return out

    model.render = spoiled  # type: ignore[method-assign]
    assert flat_loss(model, 2.0).item() == pytest.approx(0.1 / (3 * 48 * 48) ** 0.25, rel=1e-3)
