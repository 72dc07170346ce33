"""LR images are Pillow's: grey bit for bit, bicubic to one grey level."""

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.degradation import bicubic, degrade, grey, to_lr


def test_grey_is_pillows_luma_bit_for_bit(photograph):
    ours = grey(torch.from_numpy(photograph.copy()).permute(2, 0, 1))
    assert np.array_equal(ours[0].numpy(), np.asarray(Image.fromarray(photograph).convert("L")))


@pytest.mark.parametrize("scale", [1.7, 2, 3, 4])
def test_lr_is_pillows_bicubic_to_one_level(photograph, scale):
    gray = np.asarray(Image.fromarray(photograph).convert("L"))
    h, w = (round(extent / scale) for extent in gray.shape)
    theirs = np.asarray(Image.fromarray(gray).resize((w, h), Image.Resampling.BICUBIC)).astype(int)
    ours = (to_lr(torch.from_numpy(gray.copy())[None, None], (h, w))[0, 0].numpy() * 255).round().astype(int)
    difference = np.abs(ours - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05


@pytest.mark.parametrize("size", [(201, 333), (700, 600)])
def test_bytes_are_reduced_as_pillow_does_to_two_levels(photograph, size):
    theirs = np.asarray(Image.fromarray(photograph).resize(size[::-1], Image.Resampling.BICUBIC)).astype(int)
    ours = bicubic(torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None], size)
    assert ours.dtype == torch.uint8
    difference = np.abs(ours[0].permute(1, 2, 0).numpy().astype(int) - theirs)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.05


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("size", [(40, 48), (160, 192)])
def test_real_degradation_is_drawn_by_the_images_generator_alone(photograph, colour, size):
    hr = torch.from_numpy(photograph[:160, :192].copy()).permute(2, 0, 1)[None].repeat(3, 1, 1, 1)
    hr = hr if colour else grey(hr)
    worn = degrade(hr, size, "bsrgan", [np.random.default_rng(seed) for seed in (1, 2, 1)])
    assert worn.shape == (3, 3 if colour else 1, *size)
    assert worn.dtype == torch.uint8
    assert torch.equal(worn[0], worn[2])
    assert not torch.equal(worn[0], worn[1])


def test_real_degradation_spoils_images_in_many_ways_and_still_shows_them(photograph):
    hr = torch.from_numpy(photograph[:192, :192].copy()).permute(2, 0, 1)[None].repeat(24, 1, 1, 1)
    clean = degrade(hr[:1], (48, 48), "clean", [])
    worn = degrade(hr, (48, 48), "bsrgan", [np.random.default_rng(seed) for seed in range(24)])
    errors = (worn.float() - clean.float()).abs().mean((1, 2, 3))
    assert 1 < errors.min() < 5, "some images are nearly clean"
    assert 8 < errors.max() < 40, "some are bad, none is lost"
    assert (worn.float().mean((2, 3)) - clean.float().mean((2, 3))).abs().mean() < 5, "the colours stay"
