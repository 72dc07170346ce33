"""LAB is kornia's on a CPU, bit for bit."""

import torch
from kornia.color import lab_to_rgb, rgb_to_lab

from edge_scs.models.lab import AB_RANGE, to_lab, to_rgb


def test_lab_is_kornias_bit_for_bit() -> None:
    extent = torch.tensor([100.0, AB_RANGE, AB_RANGE]).reshape(3, 1, 1)
    rgb = torch.rand(2, 3, 40, 50)
    rgb[0] *= 0.02  # below the thresholds of both curves
    lab = rgb_to_lab(rgb) / extent
    assert torch.equal(to_lab(rgb), lab)
    strange = lab + 0.3 * torch.randn_like(lab)  # as networks answer
    assert torch.equal(to_rgb(strange), lab_to_rgb(strange * extent))
