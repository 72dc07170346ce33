"""Chroma classes: exact in the mean, rebalanced as Zhang et al. write it."""

import torch

from edge_scs.models.colour import CHROMA_LIMIT, CHROMA_STEPS, chroma_classes
from edge_scs.training.losses import chroma_cross_entropy, chroma_prior, class_weights, soft_classes


def test_soft_classes_are_four_neighbours_whose_mean_is_the_chroma():
    chroma = torch.rand(2, 2, 9, 7, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    indices, shares = soft_classes(chroma)
    centres = chroma_classes()[indices]  # (n, 4, h, w, 2)
    assert torch.allclose(shares.sum(1), torch.ones(2, 9, 7), atol=1e-6)
    assert torch.allclose((centres * shares[..., None]).sum(1).permute(0, 3, 1, 2), chroma, atol=1e-6)
    step = 2 * CHROMA_LIMIT / (CHROMA_STEPS - 1)
    assert (centres.permute(0, 1, 4, 2, 3) - chroma[:, None]).abs().max() <= step + 1e-6


def test_colours_beyond_the_grid_go_to_its_border():
    indices, shares = soft_classes(torch.tensor([0.5, -0.5]).reshape(1, 2, 1, 1))
    assert indices.max() < CHROMA_STEPS**2, "all four are classes, those without a share too"
    best = chroma_classes()[indices[0, shares[0, :, 0, 0].argmax(), 0, 0]]
    assert torch.allclose(best, torch.tensor([CHROMA_LIMIT, -CHROMA_LIMIT]))


def test_class_weights_follow_equation_4():
    prior = torch.tensor([0.7, 0.2, 0.1, 0.0])
    weights = class_weights(prior, 0.5)
    raw = 1 / (0.5 * prior + 0.5 / 4)
    assert torch.allclose(weights / weights[0], raw / raw[0])
    assert torch.isclose((prior * weights).sum(), torch.tensor(1.0))
    assert torch.allclose(class_weights(prior, 1.0), torch.ones(4))


def test_cross_entropy_against_a_loop():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, CHROMA_STEPS**2, 2, 3, generator=generator)
    chroma = torch.rand(1, 2, 2, 3, generator=generator) * 0.6 - 0.3
    weights = torch.rand(CHROMA_STEPS**2, generator=generator) + 0.5
    indices, shares = soft_classes(chroma)
    total, norm = 0.0, 0.0
    for y in range(2):
        for x in range(3):
            log_p = torch.log_softmax(logits[0, :, y, x], 0)
            pairs = list(zip(indices[0, :, y, x].tolist(), shares[0, :, y, x].tolist(), strict=True))
            weight = sum(weights[i].item() * s for i, s in pairs)
            total += weight * -sum(log_p[i].item() * s for i, s in pairs)
            norm += weight
    assert abs(chroma_cross_entropy(logits, chroma, weights).item() - total / norm) < 1e-5


def test_the_prior_of_a_grey_image_is_all_in_the_middle():
    prior = chroma_prior([torch.full((3, 8, 8), 0.5)])
    assert torch.isclose(prior[CHROMA_STEPS**2 // 2], torch.tensor(1.0))
