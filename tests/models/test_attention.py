"""Attention against loops over pixels, and valves where they start."""

import math

import torch
from torch import Tensor

from edge_scs.models.attention import SelfAttention, ValveCrossAttention


def linear(conv: torch.nn.Conv2d, pixel: Tensor) -> Tensor:
    return conv.weight[:, :, 0, 0] @ pixel + conv.bias


def slow_attend(query: Tensor, keys: list[Tensor], values: list[Tensor], sharpness: float) -> Tensor:
    scores = [math.exp(float(query @ key) * sharpness) for key in keys]
    return sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True))


def pixels(x: Tensor) -> list[Tensor]:
    return [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]


def test_self_attention_equals_a_loop_over_pixels(lively) -> None:
    layer = lively(SelfAttention(6, 3).double(), noise=0.5)
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    y = layer(x)
    for n in range(2):
        keys = [linear(layer.key, pixel) for pixel in pixels(x[n])]
        values = [linear(layer.value, pixel) for pixel in pixels(x[n])]
        for before, after in zip(pixels(x[n]), pixels(y[n]), strict=True):
            gathered = slow_attend(linear(layer.query, before), keys, values, 3**-0.5)
            torch.testing.assert_close(after, before + linear(layer.out, gathered), rtol=0, atol=1e-10)


def unit(vectors: list[Tensor]) -> list[Tensor]:
    mean = sum(vectors) / len(vectors)
    return [(v - mean) / torch.sqrt(((v - mean) ** 2).sum() + 1e-6) for v in vectors]


def slow_valve_cross_attention(layer: ValveCrossAttention, source: Tensor, reference: Tensor, chroma: Tensor) -> Tensor:
    """SCSNet 3.1 pixel by pixel, for one image: source (c, h, w), reference (c, hr, wr), chroma (2, hr, wr)."""
    _, h, w = source.shape
    keys = unit([linear(layer.match, pixel) for pixel in pixels(reference)])
    queries = unit([linear(layer.match, pixel) for pixel in pixels(source)])
    values = [linear(layer.value, pixel) for pixel in pixels(torch.cat([reference, chroma]))]
    warped = [slow_attend(query, keys, values, layer.SHARPNESS) for query in queries]
    found = [slow_attend(query, keys, keys, layer.SHARPNESS) for query in queries]
    mixed = layer.score.weight[:, :, 0, 0] * layer.SHARPNESS  # keys of the length that the layer gives them
    seen = {
        divmod(k, w): (linear(layer.valve1, torch.cat([pixel, warped[k]])) + mixed @ (queries[k] * found[k])).clamp(
            min=0
        )
        for k, pixel in enumerate(pixels(source))
    }
    out = torch.empty_like(source)
    for i in range(h):
        for j in range(w):
            logits = layer.valve2.bias.clone()
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if (i + di, j + dj) in seen:
                        logits += layer.valve2.weight[:, :, di + 1, dj + 1] @ seen[i + di, j + dj]
            v1, v2 = 1 / (1 + torch.exp(-logits))
            out[:, i, j] = v1 * source[:, i, j] + v2 * warped[i * w + j]
    return out


def test_valve_cross_attention_equals_a_loop_over_pixels(lively) -> None:
    layer = lively(ValveCrossAttention(5, 3, valve_channels=4).double(), noise=0.5)
    source = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    reference = torch.randn(2, 5, 2, 5, dtype=torch.float64)
    chroma = torch.rand(2, 2, 2, 5, dtype=torch.float64) - 0.5
    fast, _, _ = layer(source, reference, chroma)
    for n in range(2):
        slow = slow_valve_cross_attention(layer, source[n], reference[n], chroma[n])
        torch.testing.assert_close(fast[n], slow, rtol=0, atol=1e-10)


def test_valves_start_at_keep_and_listen() -> None:
    """V1 = sigmoid(2) = 0.88 and V2 = 0.5 whatever is seen: one constant reference makes both readable."""
    layer = ValveCrossAttention(5, 3)
    source, chroma = torch.randn(1, 5, 4, 3), torch.zeros(1, 2, 2, 2)
    reference = torch.randn(1, 5, 1, 1).expand(1, 5, 2, 2)
    value = layer.value(torch.cat([reference, chroma], 1))[..., :1, :1]
    expected = 1 / (1 + math.exp(-2)) * source + 0.5 * value
    torch.testing.assert_close(layer(source, reference, chroma)[0], expected, rtol=0, atol=1e-6)


def test_an_image_as_its_own_reference_matches_itself() -> None:
    """From the first step on: shared, unit-length keys find the pixel itself, and cut everything unlike it."""
    layer, x = ValveCrossAttention(16, 16), torch.randn(1, 16, 8, 8)
    key = layer.unit(layer.match(x)).flatten(2)[0]
    scores = key.T @ key
    assert (scores.argmax(1) == torch.arange(64)).all()
    assert torch.softmax(scores, 1).diagonal().mean() > 0.5


def test_large_scores_do_not_overflow() -> None:
    layer, x = SelfAttention(4, 2), torch.randn(1, 4, 3, 3)
    with torch.no_grad():
        layer.query.weight.mul_(1e3)
        layer.key.weight.mul_(1e3)
    assert layer(x).isfinite().all()
