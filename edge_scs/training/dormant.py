"""Dormant channels (Sokar et al. 2023): what never passes its ReLU learns nothing any more, and does nothing.

Two remedies. ``recycle`` gives such channels new weights ("ReDo"); ``trim`` cuts them out, which is exact, and spends
what that saves on widths that a runtime computes anyway.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.data.pairs import Batch
from edge_scs.models.blocks import RecursiveBlock, ResidualBlock
from edge_scs.models.edge_scs import EdgeSCS

DORMANT = 1e-4  # a channel that is positive in a smaller share of all pixels

Task = Callable[[Batch], Any]


@torch.no_grad()
def recycle(parts: Iterable[nn.Module], task: Task, batches: Iterable[Batch], seed: int) -> int:
    """Give the dormant channels between the two convolutions of the parts' residual blocks new weights.

    What comes in is drawn as at the beginning, what goes out is zero: the network computes the same picture as before,
    but for the dormant channels' own last traces, and the next gradient reaches them. ``task`` runs on ``batches`` to
    see who is dormant. Returns how many were.
    """
    recycled = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for block, dormant in dormant_channels(parts, task, batches).items():
            _renew(block, dormant)
            recycled += int(dormant.sum())
    return recycled


@torch.no_grad()
def trim(model: EdgeSCS, task: Task, batches: Iterable[Batch], multiple: int, seed: int) -> list[list[int]]:
    """Cut the dormant channels out of the texture branch's residual units, and widen what stays to ``multiple``.

    A channel that is never positive adds nothing. A unit of such channels adds its last bias to every pixel: the unit
    before it in its block takes that over, and it is gone (the first unit of a block stays, one ``multiple`` wide).
    Every other width is rounded up to a whole ``multiple``: XNNPACK computes 3x3 outputs 16 at a time, asked or not. A
    new channel's incoming weights are drawn as at the beginning, its outgoing ones are zero. So the network's answers
    stay, but for what channels that passed their ReLU in less than DORMANT of all pixels did there.

    Changes ``model`` and its config in place, and returns its new ``widths``. Raises ValueError for tied blocks, groups
    and cascades.
    """
    check_trimmable(model)
    blocks = list(model.texture.blocks)
    dormant = dormant_channels(blocks, task, batches)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for block in blocks:
            assert isinstance(block, RecursiveBlock)
            kept: list[nn.Module] = []
            for unit in block.units:
                assert isinstance(unit, ResidualBlock)
                live = (~dormant[unit]).nonzero().flatten()
                if kept and not len(live):
                    kept[-1].conv2.bias += unit.conv2.bias  # type: ignore[operator, union-attr]
                else:
                    kept.append(_resized(unit, live, -(-max(1, len(live)) // multiple) * multiple))
            block.units, block.repeats = nn.ModuleList(kept), len(kept)
    widths = [[unit.conv1.out_channels for unit in block.units] for block in blocks]  # type: ignore[union-attr]
    model.config = replace(model.config, widths=widths)
    return widths


def check_trimmable(model: nn.Module) -> None:
    """Raise ValueError for a network that ``trim`` cannot cut: one of another kind, or without widths of its own."""
    if not isinstance(model, EdgeSCS):
        raise ValueError("only Edge-SCS's texture branch has widths to trim")
    replace(model.config, widths=[[1]] * model.config.blocks)  # refuses tied blocks, groups and cascades


@torch.no_grad()
def dormant_channels(parts: Iterable[nn.Module], task: Task, batches: Iterable[Batch]) -> dict[ResidualBlock, Tensor]:
    """Which channels between the convolutions of the parts' residual blocks are dormant, as ``task`` runs on them."""
    blocks = {block: None for part in parts for block in part.modules() if isinstance(block, ResidualBlock)}
    active: dict[ResidualBlock, list[Tensor]] = {block: [] for block in blocks}
    hooks = [
        block.conv1.register_forward_hook(
            lambda _, __, output, seen=seen: seen.append((output > 0).float().mean((0, 2, 3)))
        )
        for block, seen in active.items()
    ]
    try:
        for batch in batches:
            task(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {block: torch.stack(seen).mean(0) < DORMANT for block, seen in active.items()}


def _resized(unit: ResidualBlock, live: Tensor, width: int) -> ResidualBlock:
    """A unit with the live channels first, then new ones up to ``width``."""
    weight = unit.conv1.weight
    resized = ResidualBlock(unit.conv1.in_channels, final_relu=unit.final_relu, hidden=width)  # drawn on the CPU
    resized.to(weight.device, weight.dtype).train(unit.training).requires_grad_(weight.requires_grad)
    count = len(live)
    for new, old in ((resized.conv1.weight, weight), (resized.conv1.bias, unit.conv1.bias)):
        new[:count] = old[live]  # type: ignore[index]
    resized.conv1.bias[count:] = 0  # type: ignore[index]
    resized.conv2.weight.zero_()
    resized.conv2.weight[:, :count] = unit.conv2.weight[:, live]
    resized.conv2.bias.copy_(unit.conv2.bias)  # type: ignore[union-attr, arg-type]
    return resized


def _renew(block: ResidualBlock, dormant: Tensor) -> None:
    device = dormant.device
    out_channels, in_channels = block.conv1.weight.shape[:2]
    fresh = nn.Conv2d(in_channels, out_channels, 3)  # the same initialisation, on the CPU whatever the device
    block.conv1.weight[dormant] = fresh.weight.to(device)[dormant]
    block.conv1.bias[dormant] = 0  # type: ignore[index]
    # With groups, a channel feeds the part of conv2 that its own group's outputs have.
    per_group = block.conv2.weight.shape[1]
    outputs = block.conv2.weight.shape[0] * per_group // block.conv1.weight.shape[0]
    for channel in dormant.nonzero().flatten().tolist():
        group = channel // per_group
        block.conv2.weight[group * outputs : (group + 1) * outputs, channel % per_group] = 0
