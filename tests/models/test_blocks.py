"""Blocks: recursion shares one module, groups cost what PCARN's eq. 10 says, the cascade is the literal formula."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.models.blocks import Fire, RecursiveBlock, ResidualBlock


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def flops(module: nn.Module, channels: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.to("meta")(torch.empty(1, channels, 12, 10, device="meta"))
    return counter.get_total_flops()


def calls_per_unit(block: RecursiveBlock, x: torch.Tensor) -> list[int]:
    calls = [0] * len(block.units)
    for index, unit in enumerate(block.units):
        unit.register_forward_hook(lambda *_, index=index: calls.__setitem__(index, calls[index] + 1))
    block(x)
    return calls


def test_tied_block_is_one_module_called_every_time() -> None:
    block = RecursiveBlock(8, repeats=3)
    assert calls_per_unit(block, torch.rand(1, 8, 5, 4)) == [3]
    assert count(block) == count(ResidualBlock(8))
    assert len(block.state_dict()) == 4


def test_untied_block_has_one_module_per_call() -> None:
    block = RecursiveBlock(8, repeats=3, tied=False)
    assert calls_per_unit(block, torch.rand(1, 8, 5, 4)) == [1, 1, 1]
    assert count(block) == 3 * count(ResidualBlock(8))


def test_tying_shares_parameters_not_work() -> None:
    assert (
        flops(RecursiveBlock(8, 3), 8) == flops(RecursiveBlock(8, 3, tied=False), 8) == 3 * flops(ResidualBlock(8), 8)
    )


def test_tied_equals_the_unit_applied_in_a_loop() -> None:
    block, x = RecursiveBlock(8, repeats=3), torch.rand(1, 8, 5, 4)
    unit = block.units[0]
    assert torch.equal(block(x), unit(unit(unit(x))))


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("tied", [True, False])
def test_cascade_gathers_the_input_and_every_unit_s_output(groups: int, tied: bool) -> None:
    block, x = RecursiveBlock(8, 3, groups, cascade=True, tied=tied), torch.rand(2, 8, 5, 4)
    units = list(block.units) * (3 if tied else 1)
    r1 = units[0](x)
    b1 = block.gathers[0](torch.cat([x, r1], 1))
    r2 = units[1](b1)
    b2 = block.gathers[1](torch.cat([x, r1, r2], 1))
    r3 = units[2](b2)
    assert torch.equal(block(x), block.gathers[2](torch.cat([x, r1, r2, r3], 1)))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_eresidual_saves_what_eq_10_says(groups: int) -> None:
    ratio = flops(ResidualBlock(64, groups), 64) / flops(ResidualBlock(64), 64)
    assert ratio == pytest.approx(1 / groups + 1 / (2 * 3**2))


def test_eresidual_is_two_group_convolutions_and_a_pointwise_one() -> None:
    block, x = ResidualBlock(8, groups=4, final_relu=True), torch.randn(1, 8, 5, 4)
    body = F.conv2d(x, block.conv1.weight, block.conv1.bias, padding=1, groups=4)
    body = F.conv2d(F.relu(body), block.conv2.weight, block.conv2.bias, padding=1, groups=4)
    body = F.conv2d(F.relu(body), block.pointwise.weight, block.pointwise.bias)
    assert torch.equal(block(x), F.relu(x + body))


def test_plain_residual_block_has_no_last_relu() -> None:
    block, x = ResidualBlock(8), torch.randn(1, 8, 5, 4)
    assert block.pointwise is None
    assert torch.equal(block(x), x + block.conv2(F.relu(block.conv1(x))))
    assert (block(x) < 0).any()


def test_groups_and_cascade_reach_every_unit() -> None:
    block = RecursiveBlock(8, 2, groups=4, cascade=True, tied=False)
    assert all(unit.conv1.groups == unit.conv2.groups == 4 and unit.final_relu for unit in block.units)
    assert [gather.in_channels for gather in block.gathers] == [16, 24]
    assert not RecursiveBlock(8, 2).gathers


def test_fire_expands_side_by_side() -> None:
    fire, x = Fire(6, 3, 5), torch.randn(1, 6, 4, 7)
    squeezed = F.relu(fire.squeeze1x1(x))
    y = fire(x)
    assert y.shape == (1, 10, 4, 7)
    assert torch.equal(y[:, :5], F.relu(fire.expand1x1(squeezed)))
    assert torch.equal(y[:, 5:], F.relu(fire.expand3x3(squeezed)))
