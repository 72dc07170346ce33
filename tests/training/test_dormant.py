"""Dormant channels: recycled, the same picture and a gradient where there was none; trimmed, the same picture."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from edge_scs.models.blocks import ResidualBlock
from edge_scs.models.edge_scs import EdgeSCS, EdgeSCSConfig
from edge_scs.training.dormant import recycle, trim

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


@pytest.fixture
def silent(lively: Any) -> EdgeSCS:
    """Two blocks of three units of 8 channels, some of which nothing can wake."""
    model = lively(EdgeSCS(EdgeSCSConfig(channels=CHANNELS, blocks=2, tied=False)), noise=0.1)
    for number, channels in (((0, 0), DORMANT), ((0, 1), range(8)), ((1, 0), range(8)), ((1, 2), [0])):
        model.texture.blocks[number[0]].units[number[1]].conv1.bias[list(channels)] = -100.0
    return model.requires_grad_(True)


def grey(seed: int) -> torch.Tensor:
    return torch.rand(2, 1, 9, 10, generator=torch.Generator().manual_seed(seed))


def texture(model: EdgeSCS) -> Any:
    return lambda gray: model.texture(gray, torch.zeros(2, 2, *gray.shape[-2:]))


def test_trimming_keeps_the_answers_and_rounds_widths_up(silent: EdgeSCS) -> None:
    before = texture(silent)(grey(9))
    widths = trim(silent, texture(silent), map(grey, range(3)), 6, seed=1)
    # 6 of 8 stay 6; a unit of none goes, its bias with the one before; the first of a block stays; 8 and 7 become 12.
    assert widths == silent.config.widths == [[6, 12], [6, 12, 12]]
    torch.testing.assert_close(texture(silent)(grey(9)), before)
    again = EdgeSCS(silent.config)
    again.load_state_dict(silent.state_dict())
    torch.testing.assert_close(texture(again)(grey(9)), before)
    assert again.halo == silent.halo == 4 + 2 * 5


def test_new_channels_fire_and_learn(silent: EdgeSCS) -> None:
    trim(silent, texture(silent), map(grey, range(3)), 12, seed=1)
    seen: list[torch.Tensor] = []
    unit = silent.texture.blocks[0].units[0]
    assert isinstance(unit, ResidualBlock)
    unit.conv1.register_forward_hook(lambda _, __, out: seen.append((out > 0).float().mean((0, 2, 3))))
    texture(silent)(grey(9)).square().sum().backward()
    assert (seen[0][6:] > 0).any()
    assert unit.conv2.weight.grad is not None
    assert unit.conv2.weight.grad[:, 6:].abs().sum() > 0


def test_only_untied_texture_is_trimmed() -> None:
    with pytest.raises(ValueError, match="tied = false"):
        trim(EdgeSCS(EdgeSCSConfig(channels=8, blocks=1)), print, [], 16, seed=1)
    with pytest.raises(ValueError, match="only Edge-SCS"):
        trim(nn.Identity(), print, [], 16, seed=1)  # type: ignore[arg-type]
