"""Recycling dormant channels: the same picture, and a gradient where there was none."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from edge_scs.models.blocks import ResidualBlock
from edge_scs.training.dormant import recycle

CHANNELS, DORMANT = 8, [1, 6]


@pytest.fixture(params=[1, 2], ids=["plain", "grouped"])
def block(request: pytest.FixtureRequest) -> ResidualBlock:
    torch.manual_seed(0)
    block = ResidualBlock(CHANNELS, groups=request.param)
    with torch.no_grad():
        block.conv1.bias[DORMANT] = -100.0  # type: ignore[index]
    return block


def batches() -> list[Any]:
    return [torch.randn(2, CHANNELS, 6, 6, generator=torch.Generator().manual_seed(i)) for i in range(3)]


def test_only_dormant_channels_are_drawn_anew_and_the_picture_stays(block: ResidualBlock) -> None:
    before, x = copy.deepcopy(block), batches()[0]
    assert recycle([nn.Sequential(block)], block, batches(), seed=1) == len(DORMANT)
    torch.testing.assert_close(block(x), before(x))
    alive = [i for i in range(CHANNELS) if i not in DORMANT]
    assert torch.equal(block.conv1.weight[alive], before.conv1.weight[alive])
    assert (block.conv1.weight[DORMANT] != before.conv1.weight[DORMANT]).all()
    assert not block.conv1.bias[DORMANT].any()  # type: ignore[index]


def test_recycled_channels_fire_and_learn(block: ResidualBlock) -> None:
    recycle([block], block, batches(), seed=1)
    hidden = block.conv1(batches()[0]).relu()
    assert (hidden[:, DORMANT].mean((0, 2, 3)) > 0.01).all()
    block(batches()[0]).square().sum().backward()
    # conv2 listens to them already; conv1 learns as soon as it does.
    groups = block.conv1.groups
    per_group = CHANNELS // groups
    for channel in DORMANT:
        rows = slice(channel // per_group * per_group, (channel // per_group + 1) * per_group)
        assert block.conv2.weight.grad[rows, channel % per_group].abs().sum() > 0  # type: ignore[index]


def test_nothing_dormant_changes_nothing() -> None:
    block = ResidualBlock(CHANNELS)
    before = copy.deepcopy(block.state_dict())
    assert recycle([block], block, batches(), seed=1) == 0
    assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())


def test_the_same_seed_draws_the_same_weights(block: ResidualBlock) -> None:
    twin = copy.deepcopy(block)
    torch.manual_seed(5)
    recycle([block], block, batches(), seed=1)
    torch.manual_seed(6)
    recycle([twin], twin, batches(), seed=1)
    assert torch.equal(block.conv1.weight, twin.conv1.weight)
    assert torch.initial_seed() == 6
