"""SCSNet's attention: Figure 4 pixel by pixel, its pyramid, and turns that bound its memory."""

import math

import pytest
import torch
from torch import Tensor, nn

from edge_scs.models import scsnet_attention
from edge_scs.models.attention import attend
from edge_scs.models.scsnet_attention import PVCAttn, SAttn, VCAttn, pool


def linear(conv: nn.Conv2d, pixel: Tensor) -> Tensor:
    return conv.weight[:, :, 0, 0] @ pixel + conv.bias


def pixels(x: Tensor) -> list[Tensor]:
    return [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]


def slow_warp(layer: VCAttn | SAttn, source: Tensor, reference: Tensor) -> list[Tensor]:
    """F_r->s: for every source pixel the reference's values, weighted by softmax of Q . K."""
    keys = [linear(layer.key, pixel) for pixel in pixels(reference)]
    values = [linear(layer.value, pixel) for pixel in pixels(reference)]
    warped = []
    for pixel in pixels(source):
        scores = [math.exp(float(linear(layer.query, pixel) @ key)) for key in keys]
        warped.append(sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True)))
    return warped


def slow_vcattn(layer: VCAttn, source: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Figure 4 for one image, pixel by pixel: F_t, and the valves (2, h, w)."""
    _, h, w = source.shape
    warped = slow_warp(layer, source, reference)
    squeeze, _, conv, _ = layer.valves
    hidden = {}
    for k, pixel in enumerate(pixels(source)):
        x = linear(squeeze, torch.cat([pixel, warped[k]]))
        hidden[divmod(k, w)] = torch.where(x > 0, x, 0.2 * x)
    out, valves = torch.empty_like(source), torch.empty(2, h, w, dtype=source.dtype)
    for i in range(h):
        for j in range(w):
            logits = conv.bias.clone()
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if (i + di, j + dj) in hidden:
                        logits += conv.weight[:, :, di + 1, dj + 1] @ hidden[i + di, j + dj]
            v1, v2 = valves[:, i, j] = 1 / (1 + torch.exp(-logits))
            out[:, i, j] = v1 * source[:, i, j] + v2 * warped[i * w + j]
    return out, valves


def test_vcattn_equals_a_loop_over_pixels(lively) -> None:
    layer = lively(VCAttn(8).double(), noise=0.5)
    source, reference = torch.randn(2, 8, 4, 3).double(), torch.randn(2, 8, 2, 5).double()
    fast, looked = layer(source, reference), layer.look(source, reference)
    for n in range(2):
        slow, valves = slow_vcattn(layer, source[n], reference[n])
        torch.testing.assert_close(fast[n], slow, rtol=0, atol=1e-10)
        torch.testing.assert_close(looked.valves[n], valves, rtol=0, atol=1e-10)
        query = linear(layer.query, source[n, :, 3, 1])
        scores = torch.stack([query @ linear(layer.key, pixel) for pixel in pixels(reference[n])])
        weights = scores.exp() / scores.exp().sum()
        torch.testing.assert_close(looked.at(3, 1)[n].flatten(), weights, rtol=0, atol=1e-10)


def test_self_attention_equals_a_loop_over_pixels_and_starts_as_nothing(lively) -> None:
    fresh, x = SAttn(8), torch.randn(1, 8, 3, 4)
    assert torch.equal(fresh(x), x)
    layer, x = lively(SAttn(8).double(), noise=0.5), x.double()
    expected = torch.stack(slow_warp(layer, x[0], x[0]), dim=1).reshape(8, 3, 4)
    torch.testing.assert_close(layer(x)[0], x[0] + layer.gamma * expected, rtol=0, atol=1e-10)


def test_pyramid_equals_its_parts(lively) -> None:
    """Scales 1, 1/2, 1/4: pool, pre-convolve, VCAttn, enlarge, and one convolution over all."""
    layer = lively(PVCAttn(8).double(), noise=0.2)
    source, reference = torch.randn(1, 8, 8, 4).double(), torch.randn(1, 8, 4, 8).double()
    found = []
    for k, size in enumerate((1, 2, 4)):
        small = [nn.AvgPool2d(size)(x) if size > 1 else x for x in (source, reference)]
        x, _ = slow_vcattn(layer.attentions[k], *(layer.before[k](x)[0] for x in small))
        found.append(nn.Upsample(scale_factor=size, mode="bilinear")(x[None]))
    torch.testing.assert_close(layer(source, reference), layer.after(torch.cat(found, 1)), rtol=0, atol=1e-9)
    assert [x.valves.shape[-2:] for x in layer.look(source, reference)] == [(8, 4), (4, 2), (2, 1)]


def test_pooling_means_what_is_there() -> None:
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    expected = torch.tensor([[[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]]])
    assert torch.equal(pool(x, 2), expected)
    assert pool(x[..., :1, :1], 4).shape == (1, 1, 1, 1)


def test_attention_in_turns_equals_attention_at_once(lively, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = lively(SAttn(8), noise=0.5), lively(VCAttn(8), noise=0.5)
    x, reference = torch.randn(2, 8, 9, 7), torch.randn(2, 8, 5, 6)
    at_once = layers[0](x), layers[1](x, reference)
    monkeypatch.setattr(scsnet_attention, "MAX_SCORES", 2 * 2 * 7 * 9 * 7)  # two rows of the first
    calls = []
    monkeypatch.setattr(scsnet_attention, "attend", lambda *args: calls.append(args[0].shape) or attend(*args))
    torch.testing.assert_close(layers[0](x), at_once[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(layers[1](x, reference), at_once[1], rtol=0, atol=1e-6)
    assert calls[:5] == [(2, 4, 2, 7)] * 4 + [(2, 4, 1, 7)]
    assert len(calls) == 5 + 3  # four rows at a time of the second
