"""Balancing keeps what the encoder computes and levels what the next layers hear; the losses are what they say."""

import pytest
import torch
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc
from edge_scs.data.pairs import Batch
from edge_scs.models import registry
from edge_scs.models.encoders import SqueezeEncoder
from edge_scs.recipes import Stage
from edge_scs.training.losses import log_l2
from edge_scs.training.tasks import TextureTask, balance, retained, sharpened


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


@pytest.mark.parametrize("kind", ["l1", "l2", "log_l2"])
def test_the_texture_loss_is_the_mean_error_on_luma_and_chroma(kind):
    stage = Stage("texture", ["texture"], 1, 1e-3, error=kind, chroma_weight=0.25)
    model, gray, hr = registry.create("edge_scs_s"), torch.rand(2, 1, 6, 6), torch.rand(2, 3, 12, 12)
    losses = TextureTask(model, stage, None)(Batch(gray, hr, None, chroma_ratio=6.0))
    # A fresh network repeats its pixels; the chroma it was given is that of the whole image, as one number.
    ycc = rgb_to_ycc(hr)
    answer = torch.cat(
        [gray.repeat_interleave(2, 2).repeat_interleave(2, 3), ycc[:, 1:].mean((2, 3), True).expand(2, 2, 12, 12)], 1
    )

    def error(channels):
        difference = (answer - ycc)[:, channels]
        if kind == "log_l2":
            return (difference.square().mean((1, 2, 3)) + 1e-5).log().mean().item()
        return (difference.abs() if kind == "l1" else difference.square()).mean().item()

    assert losses["luma"].item() == pytest.approx(error(slice(0, 1)), rel=1e-4)
    assert losses["chroma"].item() == pytest.approx(error(slice(1, 3)), rel=1e-2)
    assert losses["loss"].item() == pytest.approx(losses["luma"].item() + 0.25 * losses["chroma"].item(), rel=1e-5)


def test_the_error_on_flat_images_is_added_to_the_loss():
    batch = Batch(torch.rand(2, 1, 6, 6), torch.rand(2, 3, 12, 12), None, chroma_ratio=6.0)
    model = registry.create("edge_scs_s")
    model.heads["2"].conv.bias[:4].data.fill_(0.1)  # luma, everywhere
    stage = Stage("texture", ["texture"], 1, 1e-3, flat_weight=3.0)
    losses = TextureTask(model, stage, None)(batch)
    assert losses["flat"].item() == pytest.approx(0.1 / 3**0.25, rel=1e-3)  # one channel of three
    plain = losses["luma"] + stage.chroma_weight * losses["chroma"]
    assert losses["loss"].item() == pytest.approx(plain.item() + 3.0 * losses["flat"].item(), rel=1e-5)


def test_the_sharpened_target_overshoots_at_edges_and_nowhere_else():
    edge = torch.full((1, 1, 32, 64), 0.25)
    edge[..., 32:] = 0.75
    sharp = sharpened(edge, 0.4, 2.0)
    assert sharpened(edge, 0.0, 2.0) is edge
    torch.testing.assert_close(sharp[..., :24], edge[..., :24])
    torch.testing.assert_close(sharp[..., 40:], edge[..., 40:])
    # beside an edge a Gaussian of 1.2 pixels gives Phi(0.5 / 1.2) = 0.66 of the near side, 0.34 of the far one
    assert sharp[0, 0, 16, 32].item() == pytest.approx(0.75 + 0.4 * 0.5 * 0.338, abs=4e-3)
    assert sharp[0, 0, 16, 31].item() == pytest.approx(0.25 - 0.4 * 0.5 * 0.338, abs=4e-3)
    # at x1, half of it, and Phi(0.5) = 0.69
    assert sharpened(edge, 0.4, 1.0)[0, 0, 16, 32].item() == pytest.approx(0.75 + 0.2 * 0.5 * 0.309, abs=2e-3)
    assert sharpened(torch.ones(1, 1, 9, 9), 0.4, 4.0).max() == 1


def test_a_sharpened_target_is_what_luma_is_compared_with():
    stage = Stage("texture", ["texture"], 1, 1e-3, sharpen=0.4)
    model, gray, hr = registry.create("edge_scs_s"), torch.rand(2, 1, 6, 6), torch.rand(2, 3, 12, 12)
    losses = TextureTask(model, stage, None)(Batch(gray, hr, None, chroma_ratio=6.0))
    target = sharpened(rgb_to_ycc(hr)[:, :1], 0.4, 2.0)
    repeated = gray.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert losses["luma"].item() == pytest.approx((repeated - target).abs().mean().item(), rel=1e-4)


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_share_of_what_the_degradation_did_is_kept(ratio):
    hr = torch.rand(2, 3, 16, 16) * 0.4 + 0.3
    true = rgb_to_ycc(hr)[:, :1]
    lr = F.interpolate(true, (16 // ratio, 16 // ratio), mode="bicubic", antialias=True)
    batch = Batch(lr + 0.1, hr, None, chroma_ratio=6.0)
    torch.testing.assert_close(retained(true + 0.05, true, batch, 0.3), true + 0.05 + 0.03)
    assert retained(true, true, batch, 0.0) is true
    noise = 0.1 * torch.randn_like(lr)
    kept = retained(true, true, Batch(lr + noise, hr, None, chroma_ratio=6.0), 0.3) - true
    torch.testing.assert_close(kept, 0.3 * F.interpolate(noise, (16, 16), mode="bicubic"))


def test_a_stage_that_retains_compares_luma_with_what_is_kept():
    stage = Stage("texture", ["texture"], 1, 1e-3, retain=0.5)
    model, hr = registry.create("edge_scs_s"), torch.full((1, 3, 12, 12), 0.5)
    losses = TextureTask(model, stage, None)(Batch(torch.full((1, 1, 6, 6), 0.7), hr, None, chroma_ratio=6.0))
    assert losses["luma"].item() == pytest.approx(0.1, rel=1e-4)  # 0.7 comes back, 0.6 was wanted


def test_log_l2_asks_for_the_same_share_of_an_easy_and_of_a_hard_image():
    target = torch.rand(2, 1, 8, 8)
    x = (target + torch.tensor([0.02, 0.2])[:, None, None, None]).requires_grad_()
    log_l2(x, target).backward()
    # d ln(e) = d e / e, and e doubles with every image alike: gradient times distance is the same, 1 an image
    shares = (x.grad * (x - target)).sum((1, 2, 3)).tolist()
    assert shares == pytest.approx([1.0, 1.0], rel=0.03)
