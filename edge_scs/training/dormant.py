"""Recycling dormant channels (Sokar et al. 2023, "ReDo"): what never passes its ReLU learns nothing any more."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.data.pairs import Batch
from edge_scs.models.blocks import ResidualBlock

DORMANT = 1e-4  # a channel that is positive in a smaller share of all pixels


@torch.no_grad()
def recycle(parts: Iterable[nn.Module], task: Callable[[Batch], Any], batches: Iterable[Batch], seed: int) -> int:
    """Give the dormant channels between the two convolutions of the parts' residual blocks new weights.

    What comes in is drawn as at the beginning, what goes out is zero: the network computes the same picture as before,
    but for the dormant channels' own last traces, and the next gradient reaches them. ``task`` runs on ``batches`` to
    see who is dormant. Returns how many were.
    """
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
    recycled = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for block, seen in active.items():
            dormant = torch.stack(seen).mean(0) < DORMANT
            _renew(block, dormant)
            recycled += int(dormant.sum())
    return recycled


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
