"""The text's reading of CiaoSR's head against literal versions of its equations, point by point."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.models import ciaosr_window
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig
from edge_scs.models.ciaosr_paper import NonLocalAttention

TINY = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8, "reading": "paper"}


@pytest.fixture
def tiny(lively) -> CiaoSR:
    """Weights so large that the attentions are far from uniform."""
    return lively(CiaoSR(CiaoSRConfig(**TINY, nonlocal_scales=(2, 3))), noise=0.3).double()


def literal_nonlocal(attention: NonLocalAttention, features: Tensor, window: range | None = None) -> Tensor:
    """Eq. 7 and 8 for one image: features (c, h, w) -> (c, h, w). ``window``: the key rows and columns to search."""
    s = attention.scale
    _, h, w = features.shape
    keys_h, keys_w = math.ceil(h / s), math.ceil(w / s)
    padded = features[:, [min(i, h - 1) for i in range(s * keys_h)]][..., [min(j, w - 1) for j in range(s * keys_w)]]
    small = padded.reshape(-1, keys_h, s, keys_w, s).mean((2, 4))
    query, key, value = (
        attention.query(features[None])[0],
        attention.key(small[None])[0],
        attention.value(padded[None])[0],
    )
    out = torch.empty_like(features)
    for i in range(h):
        for j in range(w):
            places = [(u, v) for u in range(keys_h) for v in range(keys_w)]
            if window is not None:
                places = [(u, v) for u, v in places if u in window and v in window]
            exponentials = [torch.exp(query[:, i, j] @ key[:, u, v]) for u, v in places]
            patch = sum(
                e / sum(exponentials) * value[:, s * u : s * u + s, s * v : s * v + s]
                for e, (u, v) in zip(exponentials, places, strict=True)
            )
            out[:, i, j] = attention.down(patch[None])[0, :, 0, 0]
    return out


def literal_point(model: CiaoSR, rgb: Tensor, at: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """Eq. 4 to 6 for one point of one image: rgb (3, h, w), at (row, column) in [-1, 1] -> RGB (3)."""
    h, w = rgb.shape[-2:]
    head = model.attention
    features = model.encoder(rgb[None] - model.mean)[0]
    found = torch.cat([literal_nonlocal(attention, features) for attention in model.nonlocals])
    unfolded = F.unfold(features[None], 3, padding=1).reshape(-1, h, w)
    row, col = (at[0] + 1) * h / 2 - 0.5, (at[1] + 1) * w / 2 - 0.5

    def inside(i: int, j: int) -> tuple[int, int]:
        return min(max(i, 0), h - 1), min(max(j, 0), w - 1)

    i, j = inside(math.floor(row + 0.5), math.floor(col + 0.5))
    query = unfolded[:, i, j]
    s = torch.tensor([2 * h / size[0], 2 * w / size[1]], dtype=rgb.dtype)
    scores, values, base = [], [], torch.zeros(3, dtype=rgb.dtype)
    for down in (0, 1):
        for right in (0, 1):
            top, left = math.floor(row), math.floor(col)
            i, j = inside(top + down, left + right)
            # x_q - x_k with the LR image as wide as 2 h x 2 w: LIIF's units.
            r = torch.tensor(
                [h * (at[0] - ((2 * i + 1) / h - 1)), w * (at[1] - ((2 * j + 1) / w - 1))], dtype=rgb.dtype
            )
            key = head.key(torch.cat([unfolded[:, i, j], r, s]))
            scores.append(query @ key)
            values.append(head.value(torch.cat([unfolded[:, i, j], found[:, i, j], r, s])))
            near_row, near_col = row - top if down else 1 - (row - top), col - left if right else 1 - (col - left)
            base += near_row * near_col * rgb[:, i, j]
    weights = torch.stack(scores).softmax(0)
    ensemble = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return head.query(ensemble) + base


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(5, 7), (1, 4)])
def test_nonlocal_attention_literally(lively, scale, size):
    attention = lively(NonLocalAttention(4, scale, window=256), noise=1.0).double()
    features = torch.randn(2, 4, *size, dtype=torch.double)
    expected = torch.stack([literal_nonlocal(attention, image) for image in features])
    torch.testing.assert_close(attention(features), expected)


def test_nonlocal_attention_in_tiles(lively, monkeypatch):
    """An image within the window is searched whole, however its queries are tiled; a larger one window by window."""
    attention = lively(NonLocalAttention(4, 2, window=16), noise=1.0).double()
    features = torch.randn(1, 4, 16, 16, dtype=torch.double)
    whole = attention(features)
    monkeypatch.setattr(ciaosr_window, "TILE", 5)
    torch.testing.assert_close(attention(features), whole)
    attention.window = 8  # 4 keys: the tile of rows and columns 5 .. 9 looks at keys 1 .. 4, LR pixels 2 .. 9
    expected = literal_nonlocal(attention, features[0], window=range(1, 5))
    torch.testing.assert_close(attention(features)[0, :, 5:10, 5:10], expected[:, 5:10, 5:10])
    last = literal_nonlocal(attention, features[0], window=range(4, 8))
    torch.testing.assert_close(attention(features)[0, :, 15:, 15:], last[:, 15:, 15:])


def test_local_ensemble_literally(tiny):
    """Random points, the corners and edges among them, at a stretching scale."""
    rgb = torch.rand(2, 3, 4, 5, dtype=torch.double)
    edges = torch.tensor([[-0.999, -0.99], [0.99, 0.999], [-0.99, 0.3], [0.1, 0.98]], dtype=torch.double)
    coordinates = torch.cat([torch.rand(2, 8, 2, dtype=torch.double) * 2 - 1, edges.expand(2, -1, -1)], dim=1)
    got = tiny.train().points(rgb, coordinates, (11, 9))
    for image, points, answers in zip(rgb, coordinates, got, strict=True):
        for point, answer in zip(points.tolist(), answers, strict=True):
            torch.testing.assert_close(answer, literal_point(tiny, image, tuple(point), (11, 9)))


def test_the_attentions_matter(tiny, monkeypatch):
    """The literal tests would pass with uniform weights too: these are not."""
    seen = []
    softmax = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda *args, **kwargs: seen.append(softmax(*args, **kwargs)) or seen[-1])
    tiny(torch.rand(1, 3, 6, 6, dtype=torch.double), (12, 12))
    assert len(seen) == 3  # x2 and x3 non-local, and the ensemble
    assert all(
        (weights.amax(-1 if n < 2 else 2) > 1.5 / weights.shape[-1 if n < 2 else 2]).any()
        for n, weights in enumerate(seen)
    )
