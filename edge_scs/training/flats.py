"""Flat images: black, grey or white, they must come back as they are, their borders included.

Photographs hardly teach that. The continuous head learns little about flat areas at magnifications that training seldom
draws, and the texture branch sees its zero padding as a black frame around whatever is bright: trained on photographs
alone, the networks lifted every level by up to 3 of 255 near x1, and were off by up to 4.5 in the corners of a white
image. ``flat_loss`` in a last, short stage brings both to within a level (docs/train.md).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from edge_scs.models.edge_scs import EdgeSCS

LEVELS = (0, 64, 128, 200, 255)
# Magnifications between which the continuous head's answer is close to linear in the cell, and the heads' own.
SCALES = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 1.9, 2.0, 2.3, 2.7, 3.0, 3.3, 3.7, 4.0, 4.5, 5.5, 6.5, 8.0)
LOSS_SIDE = 24  # LR pixels of the images of ``flat_loss``
SIDE = 48  # of those that are measured: more than twice the receptive field's radius of ``edge_scs_m``


def flat_loss(model: nn.Module, ratio: float) -> Tensor:
    """How far flat images are from coming back as they are at this magnification: black, white and three drawn ones.

    ``power_mean`` of the errors of luma and chroma, with the fourth power (ours): it is a few pixels in the corners
    that are wrong, and a mean of errors or of their squares hardly sees them.
    """
    at = next(model.parameters()).device
    levels = torch.cat([torch.tensor([0.0, 1.0]), torch.rand(3)]).to(at)
    tints = torch.cat([torch.zeros(3, 2), torch.rand(2, 2) * 0.3 - 0.15]).to(at)
    gray = levels[:, None, None, None].expand(-1, 1, LOSS_SIDE, LOSS_SIDE)
    chroma = tints[:, :, None, None].expand(-1, -1, LOSS_SIDE, LOSS_SIDE)
    side = round(LOSS_SIDE * ratio)
    out = model.render(gray, chroma, (side, side))  # type: ignore[operator]
    return power_mean(out.float() - torch.cat([gray, chroma], dim=1)[..., :1, :1], 4)


def power_mean(errors: Tensor, power: int) -> Tensor:
    """The mean over images (n, ...) of (mean of e^p)^(1/p), p even: the higher p, the more the largest errors count."""
    least = 1e-4  # of 1: a fortieth of a level, so that the root of no error has a gradient
    return (errors.flatten(1).div(least).pow(power).mean(1) + 1).pow(1 / power).mul(least).mean()


@torch.no_grad()
def flat_error(model: EdgeSCS, scale: float, level: int) -> float:
    """Levels of 255 by which the luma of a flat image of ``level`` is off, at most, before it is rounded."""
    at = next(model.parameters()).device
    gray = torch.full((1, 1, SIDE, SIDE), level / 255, device=at)
    side = round(SIDE * scale)
    out = model.render(gray, torch.zeros(1, 2, SIDE, SIDE, device=at), (side, side))
    return float((out[:, :1].clamp(0, 1) * 255 - level).abs().max())


def worst(model: nn.Module, scales: Sequence[float] = SCALES) -> Iterator[tuple[float, float]]:
    """(magnification, levels of 255): the largest error of all ``LEVELS`` at each."""
    assert isinstance(model, EdgeSCS)
    for scale in scales:
        yield scale, max(flat_error(model, scale, level) for level in LEVELS)
