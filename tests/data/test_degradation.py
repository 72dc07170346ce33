"""LR pictures are Pillow's: grey bit for bit, bicubic to one grey level."""

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.degradation import grey, to_lr


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
