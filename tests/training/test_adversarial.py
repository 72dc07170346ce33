"""Adversarial losses against the formulas, term by term; discriminators by shape and norm."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from edge_scs.training.adversarial import RelativisticLSGAN, StandardGAN
from edge_scs.training.discriminators import DISCRIMINATORS, MultiScaleDiscriminator, SpectralDiscriminator


@pytest.fixture
def logits():
    def draw(side):
        return torch.randn(2, 1, side, side + 1, dtype=torch.float32)

    return [draw(4), draw(2)], [draw(4), draw(2)]


def test_the_standard_loss_is_the_logarithm_of_eq_4_summed_over_scales(logits):
    real, fake = logits
    discriminator, generator = 0.0, 0.0
    for r, f in zip(real, fake, strict=True):
        p_real, p_fake = r.double().sigmoid().flatten().tolist(), f.double().sigmoid().flatten().tolist()
        discriminator -= sum(math.log(p) for p in p_real) / len(p_real)
        discriminator -= sum(math.log(1 - p) for p in p_fake) / len(p_fake)
        generator -= sum(math.log(p) for p in p_fake) / len(p_fake)
    assert StandardGAN().discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-5)
    assert StandardGAN().generator([], fake).item() == pytest.approx(generator, rel=1e-5)


def test_the_relativistic_loss_is_ralsgan_term_by_term(logits):
    real, fake = logits
    discriminator, generator = 0.0, 0.0
    for r, f in zip(real, fake, strict=True):
        rs, fs = r.double().flatten().tolist(), f.double().flatten().tolist()
        mean_r, mean_f = sum(rs) / len(rs), sum(fs) / len(fs)
        discriminator += sum((x - mean_f - 1) ** 2 for x in rs) / len(rs)
        discriminator += sum((x - mean_r + 1) ** 2 for x in fs) / len(fs)
        generator += sum((x - mean_f + 1) ** 2 for x in rs) / len(rs)
        generator += sum((x - mean_r - 1) ** 2 for x in fs) / len(fs)
    assert RelativisticLSGAN().discriminator(real, fake).item() == pytest.approx(discriminator, rel=1e-5)
    assert RelativisticLSGAN().generator(real, fake).item() == pytest.approx(generator, rel=1e-5)


@pytest.mark.parametrize("loss", [StandardGAN(), RelativisticLSGAN()])
def test_the_sides_pull_apart(loss, logits):
    real, fake = logits
    better = [x + 0.1 for x in fake]
    assert loss.generator(real, better) < loss.generator(real, fake)
    assert loss.discriminator(real, better) > loss.discriminator(real, fake)


def test_the_multi_scale_discriminator_sees_a_pyramid_of_averages():
    judge = MultiScaleDiscriminator(channels=4).eval()
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    image = torch.rand(2, 3, 64, 96)
    seen = judge(image)
    assert [tuple(x.shape) for x in seen] == [(2, 1, 8, 12), (2, 1, 4, 6), (2, 1, 2, 3)]
    half = image.reshape(2, 3, 32, 2, 48, 2).mean((3, 5))
    assert torch.allclose(seen[1], judge.scales[1](half), atol=1e-6)
    quarter = image.reshape(2, 3, 16, 4, 24, 4).mean((3, 5))
    assert torch.allclose(seen[2], judge.scales[2](quarter), atol=1e-6)


def test_the_single_discriminator_is_the_first_of_the_pyramid():
    """PCARN's Table 2, "+ GAN" without "+ MSD"."""
    single, pyramid = DISCRIMINATORS["single_scale"](4).eval(), MultiScaleDiscriminator(4).eval()
    pyramid.scales[0].load_state_dict(single.scales[0].state_dict())
    x = torch.rand(1, 3, 32, 32)
    assert len(single(x)) == 1
    torch.testing.assert_close(single(x)[0], pyramid(x)[0])


def test_the_multi_scale_discriminator_is_the_papers():
    for body in MultiScaleDiscriminator().scales:
        convolutions = [layer for layer in body if isinstance(layer, nn.Conv2d)]
        assert [c.out_channels for c in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512, 1], "nine, figure 1"
        assert sum(isinstance(layer, nn.BatchNorm2d) for layer in body) == 7


def test_the_spectral_discriminators_layers_have_norm_one():
    judge = SpectralDiscriminator(channels=8).train()
    image = torch.rand(2, 3, 64, 48)
    for _ in range(100):  # each pass is one power iteration
        (logits,) = judge(image)
    assert logits.shape == (2, 1, 4, 3)
    judge.eval()
    layers = [layer for layer in judge.modules() if parametrize.is_parametrized(layer)]
    assert len(layers) == 5
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
