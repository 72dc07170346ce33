"""Balancing keeps what the encoder computes and levels what the next layers hear."""

import torch

from edge_scs.models.encoders import SqueezeEncoder
from edge_scs.training.tasks import balance


def test_balanced_layers_compute_the_same_at_deviation_one(photograph):
    encoder = SqueezeEncoder()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(3.0)
        luma = torch.from_numpy(photograph[::2, ::2, 1].copy())[None, None].float() / 255
        before = encoder(luma)
        balance(encoder, [luma])
        after = encoder(luma)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new * (old.sum() / new.sum()), old, rtol=1e-3, atol=1e-3 * float(old.max()))
        assert 0.5 < float(new.std()) < 2.0 < float(old.std()) or float(old.std()) < 0.5
