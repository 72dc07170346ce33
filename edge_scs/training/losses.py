"""Losses of the Edge-SCS stages."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.models.colour import CHROMA_LIMIT, CHROMA_STEPS

FAINTEST = 1e-5  # a squared error, that of 50 dB: below it an image hardly counts


def log_l2(x: Tensor, target: Tensor) -> Tensor:
    """Mean over images (n, c, h, w) of ln(mean squared error + 1e-5): up to a factor, minus the mean PSNR.

    The gradient is that of the squared error, every image's divided by its own: as benchmarks average decibels over
    images, what is easy counts as much as what is hard (the loss of NAFNet, Chen et al. 2022, in its natural unit).
    """
    errors = F.mse_loss(x, target, reduction="none").flatten(1).mean(1)
    return (errors + FAINTEST).log().mean()


ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "l2": F.mse_loss, "log_l2": log_l2}


def soft_classes(chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Chroma as a bilinear mixture of its four nearest classes: (n, 2, h, w) -> indices and weights (n, 4, h, w).

    Bilinear weights keep the mean exact: sum(weight * centre) is the chroma itself (clamped to the grid).
    """
    position = (chroma.clamp(-CHROMA_LIMIT, CHROMA_LIMIT) + CHROMA_LIMIT) / (2 * CHROMA_LIMIT) * (CHROMA_STEPS - 1)
    low = position.floor().clamp(max=CHROMA_STEPS - 2)
    (low_b, low_r), (part_b, part_r) = low.long().unbind(1), (position - low).unbind(1)
    corners = [(b, r) for b in (0, 1) for r in (0, 1)]
    indices = torch.stack([(low_b + b) * CHROMA_STEPS + low_r + r for b, r in corners], dim=1)
    weights = torch.stack(
        [(part_b if b else 1 - part_b) * (part_r if r else 1 - part_r) for b, r in corners],
        dim=1,
    )
    return indices, weights


def class_weights(prior: Tensor, rebalance: float) -> Tensor:
    """Zhang et al. 2016, eq. 4: weights (classes,) for a class prior (classes,), mean 1 under the prior.

    ``rebalance`` is lambda, the share of the uniform distribution mixed into the prior; 1 gives equal weights.
    """
    weights = 1 / ((1 - rebalance) * prior + rebalance / len(prior))
    return weights / (prior * weights).sum()


def chroma_cross_entropy(logits: Tensor, chroma: Tensor, weights: Tensor) -> Tensor:
    """Soft-label cross-entropy, each pixel weighted by the weight of its own colour (Zhang et al. 2016, eq. 2).

    logits (n, classes, h, w), chroma (n, 2, h, w), weights (classes,) -> scalar, normalised by the weights' sum.
    """
    indices, shares = soft_classes(chroma)
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    losses = -(log_probabilities.gather(1, indices) * shares).sum(1)
    pixel_weights = (weights[indices] * shares).sum(1)
    return (losses * pixel_weights).sum() / pixel_weights.sum()


def chroma_prior(images: list[Tensor]) -> Tensor:
    """How often each chroma class occurs in RGB images (3, h, w), floats in [0, 1] -> (classes,), sums to 1."""
    from edge_scs.color import rgb_to_ycc

    counts = torch.zeros(CHROMA_STEPS**2, dtype=torch.float64)
    for image in images:
        indices, shares = soft_classes(rgb_to_ycc(image)[None, 1:])
        counts.scatter_add_(0, indices.flatten(), shares.flatten().double())
    return (counts / counts.sum()).float()
