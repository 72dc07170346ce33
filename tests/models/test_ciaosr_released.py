"""CiaoSR as released against a literal version of what its authors compute, written down pixel by pixel.

docs/papers.md says how the authors' own code was run beside it; here nothing of theirs is needed.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.models import ciaosr_window, registry
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig
from edge_scs.models.ciaosr_released import CrossScaleAttention, region_as_released

TINY = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8}


def inside(i: int, j: int, h: int, w: int) -> bool:
    return 0 <= i < h and 0 <= j < w


def patch(x: Tensor, top: int, left: int, side: int) -> Tensor:
    """(c, h, w) -> (c, side, side), zeros outside."""
    out = x.new_zeros(len(x), side, side)
    for i in range(side):
        for j in range(side):
            if inside(top + i, left + j, *x.shape[1:]):
                out[:, i, j] = x[:, top + i, left + j]
    return out


def literal_found(attention: CrossScaleAttention, features: Tensor, s: int) -> Tensor:
    """One image's features (c, h, w) -> what is found at scale s (c, h, w)."""
    c, h, w = features.shape
    rows, cols = math.ceil(h / s), math.ceil(w / s)
    mirrored = [[min(i, 2 * (n - 1) - i) for i in range(s * count)] for n, count in ((h, rows), (w, cols))]
    padded = features[:, mirrored[0]][:, :, mirrored[1]]
    # Bilinear sampling at the middle of s pixels: one of them, or the mean of two.
    middle = [(s - 1) // 2, s // 2]
    small = sum(padded[:, i::s, j::s] for i in middle for j in middle) / 4
    query, key, value = (
        layer(x[None])[0] for layer, x in ((attention.query, padded), (attention.key, small), (attention.value, padded))
    )
    keys = [patch(key, u - 1, v - 1, 3) for u in range(rows) for v in range(cols)]
    keys = [k / max(float(k.norm()), 1e-4) for k in keys]
    values = [patch(value, s * (u - 1), s * (v - 1), 3 * s) for u in range(rows) for v in range(cols)]
    sum_of_patches = features.new_zeros(c, s * s * rows, s * s * cols)
    for i in range(s * rows):
        for j in range(s * cols):
            asked = patch(query, i - 1, j - 1, 3)
            shares = torch.stack([10 * (asked * k).sum() for k in keys]).softmax(0)
            found = sum(share * v for share, v in zip(shares, values, strict=True))
            for a in range(3 * s):
                for b in range(3 * s):
                    if inside(s * (i - 1) + a, s * (j - 1) + b, *sum_of_patches.shape[1:]):
                        sum_of_patches[:, s * (i - 1) + a, s * (j - 1) + b] += found[:, a, b]
    return attention.down[str(s)](sum_of_patches[None])[0, :, :h, :w] / 6


@pytest.fixture
def tiny(lively) -> CiaoSR:
    return lively(CiaoSR(CiaoSRConfig(**TINY)), noise=0.3).double()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_nonlocal_attention_literally(lively, scale):
    attention = lively(CrossScaleAttention(2, (scale,), window=256), noise=1.0).double()
    features = torch.randn(2, 2, 5, 7, dtype=torch.double)
    expected = torch.stack([literal_found(attention, image, scale) for image in features])
    torch.testing.assert_close(attention(features), expected)


def test_scales_share_their_embeddings_and_are_joined_in_order(lively):
    attention = lively(CrossScaleAttention(4, (2, 3), window=256), noise=1.0)
    features = torch.randn(1, 4, 6, 6)
    alone = CrossScaleAttention(4, (3,), window=256)
    alone.load_state_dict({key: value for key, value in attention.state_dict().items() if "down.2" not in key})
    torch.testing.assert_close(attention(features)[:, 4:], alone(features))


def test_nonlocal_attention_in_tiles(lively, monkeypatch):
    """However queries are tiled, an image within the window is searched whole, and patches of all tiles are added."""
    attention = lively(CrossScaleAttention(4, (2,), window=16), noise=1.0).double()
    features = torch.randn(1, 4, 16, 14, dtype=torch.double)
    whole = attention(features)
    monkeypatch.setattr(ciaosr_window, "TILE", 5)
    torch.testing.assert_close(attention(features), whole)
    attention.window = 8
    assert (attention(features) - whole).abs().max() > 1e-3


def test_an_image_too_small_to_be_mirrored(lively):
    attention = lively(CrossScaleAttention(4, (4,), window=256))
    assert attention(torch.randn(1, 4, 1, 5)).isfinite().all()


@pytest.mark.parametrize(
    ("n", "out", "neighbours"),
    [
        (6, 12, [(0, 0), (0, 1), (0, 1), (1, 2)]),  # x2: LIIF's radius
        (6, 6, [(0, 0), (1, 1), (2, 2)]),  # x1: a pixel is its own neighbours
        (6, 18, [(0, 0), (0, 1), (0, 1), (0, 1), (0, 2), (1, 2)]),  # x3: a centre sees both beside it, not itself
    ],
)
def test_the_radius_of_the_search(n, out, neighbours):
    rows = (2 * torch.arange(out) + 1) / out - 1
    coordinates = torch.stack([rows, torch.zeros(out)], dim=-1)[None]
    index = region_as_released(coordinates, (n, 1), (out, 1)).index[0, : len(neighbours)]
    assert [(int(row[0]), int(row[2])) for row in index] == neighbours


def literal_point(model: CiaoSR, rgb: Tensor, at: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """One point of one image: rgb (3, h, w), at (row, column) in [-1, 1] -> RGB (3)."""
    h, w = rgb.shape[-2:]
    head = model.attention
    features = model.encoder(rgb[None] - model.mean)[0]
    found = torch.cat([literal_found(model.nonlocals, features, s) for s in model.config.nonlocal_scales])
    unfolded = F.unfold(features[None], 3, padding=1).reshape(-1, h, w)
    place = [(x + 1) * n / 2 - 0.5 for x, n in zip(at, (h, w), strict=True)]

    def nearest(position: float, n: int) -> int:
        return min(max(round(position), 0), n - 1)

    query = unfolded[:, nearest(place[0], h), nearest(place[1], w)]
    radius = [n / 2 * (1 - 2 / big) / (n - 1) for n, big in zip((h, w), size, strict=True)]
    cell = [2 * h / size[0], 2 * w / size[1]]
    scores, values = [], []
    for down in (-1, 1):
        for right in (-1, 1):
            i, j = nearest(place[0] + down * radius[0], h), nearest(place[1] + right * radius[1], w)
            seen = torch.tensor([2 * (place[0] - i), 2 * (place[1] - j), *cell], dtype=rgb.dtype)
            local, both = unfolded[:, i, j], torch.cat([unfolded[:, i, j], found[:, i, j]])
            scores.append(query @ (local * head.key(torch.cat([local, seen]))))
            values.append(both * head.value(torch.cat([both, seen])))
    weights = torch.stack(scores).softmax(0)
    base = F.grid_sample(
        rgb[None], torch.tensor(at, dtype=rgb.dtype).flip(0)[None, None, None], align_corners=False,
        padding_mode="border",
    )  # fmt: skip
    return head.query(sum(w * v for w, v in zip(weights, values, strict=True))) + base.flatten()


def test_local_ensemble_literally(tiny):
    """Random points, the corners and edges among them, at a stretching scale."""
    rgb = torch.rand(1, 3, 4, 5, dtype=torch.double)
    edges = torch.tensor([[-0.999, -0.99], [0.99, 0.999], [-0.99, 0.3], [0.1, 0.98]], dtype=torch.double)
    coordinates = torch.cat([torch.rand(1, 8, 2, dtype=torch.double) * 2 - 1, edges[None]], dim=1)
    got = tiny.train().points(rgb, coordinates, (11, 9))[0]
    for point, answer in zip(coordinates[0].tolist(), got, strict=True):
        torch.testing.assert_close(answer, literal_point(tiny, rgb[0], tuple(point), (11, 9)))


def test_published_sizes():
    """The authors' networks, built from their configs, have these many parameters."""
    sizes = {"ciaosr_edsr": 2_649_030, "ciaosr_rdn": 23_402_566, "ciaosr_swinir": 14_667_218}
    with torch.device("meta"):
        assert {name: sum(p.numel() for p in registry.create(name).parameters()) for name in sizes} == sizes
        # Table 4's other networks, whose sizes the paper does not print.
        for options, size in (
            ({"ensemble": "mlp"}, 23_254_791),
            ({"nonlocal_scales": ()}, 23_308_099),
            ({"ensemble": "mlp", "nonlocal_scales": ()}, 23_160_324),
        ):
            assert sum(p.numel() for p in registry.create("ciaosr_rdn", options).parameters()) == size, options


def test_without_nonlocal_attention_and_without_attention(lively):
    """The authors' real-world networks, and the first column of Table 4."""
    for options in ({"nonlocal_scales": ()}, {"nonlocal_scales": (), "ensemble": "mlp"}, {"ensemble": "mlp"}):
        model = lively(CiaoSR(CiaoSRConfig(**TINY, **options)), noise=0.3)
        out = model(torch.rand(2, 3, 6, 6), (13, 10))
        assert out.shape == (2, 3, 13, 10)
        assert out.std() > 0.01
        assert len(model.nonlocals.state_dict()) == 0 or options.get("nonlocal_scales") is None
    assert model.attention.key.last.out_features == 1
