"""CiaoSR against literal versions of its equations, point by point, and against itself: chunks, points, scales."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.measure.mult_adds import count
from edge_scs.models import ciaosr, implicit, registry
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig, NonLocalAttention

TINY = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8}


@pytest.fixture
def tiny(lively) -> CiaoSR:
    """Weights so large that the attentions are far from uniform."""
    return lively(CiaoSR(CiaoSRConfig(**TINY, nonlocal_scales=(2, 3))), noise=0.3).double()


def centres(size: tuple[int, int]) -> Tensor:
    """The full grid of HR pixel centres, (1, H W, 2)."""
    return torch.tensor(
        [[(2 * i + 1) / size[0] - 1, (2 * j + 1) / size[1] - 1] for i in range(size[0]) for j in range(size[1])],
        dtype=torch.double,
    )[None]


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
    expected = torch.stack([literal_nonlocal(attention, picture) for picture in features])
    torch.testing.assert_close(attention(features), expected)


def test_nonlocal_attention_in_tiles(lively, monkeypatch):
    """An image within the window is searched whole, however its queries are tiled; a larger one window by window."""
    attention = lively(NonLocalAttention(4, 2, window=16), noise=1.0).double()
    features = torch.randn(1, 4, 16, 16, dtype=torch.double)
    whole = attention(features)
    monkeypatch.setattr(ciaosr, "TILE", 5)
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
    for picture, points, answers in zip(rgb, coordinates, got, strict=True):
        for point, answer in zip(points.tolist(), answers, strict=True):
            torch.testing.assert_close(answer, literal_point(tiny, picture, tuple(point), (11, 9)))


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


def test_points_are_forward(tiny):
    rgb = torch.rand(2, 3, 5, 6, dtype=torch.double)
    tiny.train()
    whole = tiny(rgb, (12, 11))
    points = tiny.points(rgb, centres((12, 11)).expand(2, -1, -1), (12, 11))
    torch.testing.assert_close(points.reshape(2, 12, 11, 3).permute(0, 3, 1, 2), whole)
    chosen = torch.tensor([3, 130, 77])
    some = tiny.points(rgb, centres((12, 11)).expand(2, -1, -1)[:, chosen], (12, 11))
    torch.testing.assert_close(some, points[:, chosen])


def test_chunked_equals_whole(tiny, monkeypatch):
    """Without gradients points are decoded in bounded chunks, whatever the batch; the last one may be short."""
    rgb = torch.rand(2, 3, 5, 6, dtype=torch.double)
    whole = tiny(rgb, (12, 11))
    asked = []
    tiny.attention.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[3].nearest.numel()))
    monkeypatch.setattr(implicit, "CPU_POINTS", 100)
    with torch.no_grad():
        torch.testing.assert_close(tiny(rgb, (12, 11)), whole)
    assert asked == [100, 100, 64]


@pytest.mark.parametrize("size", [(9, 7), (18, 14), (20, 10), (27, 7), (31, 23), (108, 84)])
def test_any_size(tiny, size):
    with torch.no_grad():
        out = tiny(torch.rand(1, 3, 9, 7, dtype=torch.double), size)
    assert out.shape == (1, 3, *size)
    assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_silenced_it_is_the_bilinear_enlargement(scale):
    model = CiaoSR(CiaoSRConfig(**TINY)).eval()
    with torch.no_grad():
        model.attention.query.last.weight.zero_()
        model.attention.query.last.bias.zero_()
        rgb = torch.rand(1, 3, 5, 6)
        expected = F.interpolate(rgb, scale_factor=scale, mode="bilinear", align_corners=False)
        torch.testing.assert_close(model(rgb, (5 * scale, 6 * scale)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1, 1.5, 3])
def test_ties_are_not_left_to_rounding(tiny, scale):
    """Where a point lies on an LR pixel's centre, or half-way between two, float32 and float64 choose alike."""
    rgb = torch.rand(1, 3, 14, 22, dtype=torch.double)
    size = (int(14 * scale), int(22 * scale))
    exact = tiny(rgb, size)
    torch.testing.assert_close(tiny.float()(rgb.float(), size).double(), exact, atol=1e-4, rtol=0)


def test_clamped_in_eval_only(tiny):
    rgb = torch.full((1, 3, 4, 4), 3.0, dtype=torch.double)
    assert tiny(rgb, (8, 8)).max() == 1
    assert tiny.train()(rgb, (8, 8)).max() > 1


@pytest.mark.parametrize("encoder", ["edsr", "rdn", "swinir"])
def test_every_parameter_learns(encoder):
    options = {
        "edsr": {"channels": 4, "blocks": 1},
        "rdn": {"channels": 4, "blocks": 1, "layers": 2, "growth": 2},
        "swinir": {"channels": 8, "width": 8, "groups": 1, "layers": 2, "heads": 2, "window": 4},
    }
    model = CiaoSR(CiaoSRConfig(encoder=encoder, encoder_options=options[encoder], hidden=8)).train()
    coordinates = torch.rand(2, 30, 2) * 2 - 1
    model.points(torch.rand(2, 3, 8, 8), coordinates, (20, 20)).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in silent if "qkv.bias" not in name]


def test_bfloat16_autocast_and_channels_last():
    """What a recipe may switch on: the step stays close to float32's, coordinates are not rounded."""
    model = CiaoSR(CiaoSRConfig(**TINY)).train()
    rgb, coordinates = torch.rand(2, 3, 8, 8), torch.rand(2, 30, 2) * 2 - 1
    expected = model.points(rgb, coordinates, (20, 20))
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        got = model.points(rgb.contiguous(memory_format=torch.channels_last), coordinates, (20, 20))
    torch.testing.assert_close(got.float(), expected, atol=0.01, rtol=0)
    got.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_table_7():
    """Table 7 prints 1.4 M for the head."""
    with torch.device("meta"):
        head = {
            name: sum(p.numel() for n, p in registry.create(name).named_parameters() if not n.startswith("encoder."))
            for name in ("ciaosr_edsr", "ciaosr_rdn", "ciaosr_swinir")
        }
    assert set(head.values()) == {1_407_558}
    for name in head:
        published = registry.describe(name, registry.create(name, {"encoder": "edsr"})).published
        assert head[name] == pytest.approx(published["params"]["head"], rel=0.01)


def test_mult_adds_by_hand_and_on_the_meta_device(monkeypatch):
    """Counting decodes in one piece on the meta device and in chunks elsewhere; both count every point."""
    model = CiaoSR(CiaoSRConfig(**TINY)).eval()
    monkeypatch.setattr(implicit, "CPU_POINTS", 100)
    lr, hr = (6, 8), (15, 20)
    meta = count(model, 3, lr, hr)
    assert meta == count(model, 3, lr, hr, device="cpu")
    c, wide, pixels, points, neighbours = 4, 8, 6 * 8, 15 * 20, 4
    keys = 3 * 4
    encoder = pixels * (3 * c * 9 + 3 * c * c * 9)
    nonlocal_ = pixels * (c * c // 2 + c * c) + keys * (c * c // 2 + c * c * 4) + pixels * keys * (c // 2 + c)
    grid = pixels * (3 * 9 * c * wide + c * wide)
    both = 10 * c
    at_neighbours = 2 * (4 * wide + 3 * wide * wide) + 2 * wide
    at_points = wide * both + both * wide + 3 * wide * wide + wide * 3
    assert meta.total == encoder + nonlocal_ + grid + points * (neighbours * at_neighbours + at_points)
    assert meta.attention == pixels * keys * (c // 2 + c) + points * neighbours * 2 * wide


def test_descriptions():
    about = registry.describe("ciaosr_edsr", registry.create("ciaosr_edsr"))
    assert (about.input, about.scales, about.continuous) == ("rgb", (), (1.0, 12.0))
    assert (about.variant, about.halo, about.reference) == ("edsr", 36, False)
    assert about.enlarges(12)
    assert about.enlarges(2.5)
    assert about.magnifications == "anything from 1 to 12"
    assert about.published["psnr_rgb"]["DIV2K"]["4"] == 29.23
    assert ciaosr.PUBLISHED["ciaosr_rdn"]["psnr_y"]["Urban100"]["4"] == 27.11
    assert ciaosr.PUBLISHED["ciaosr_swinir"]["psnr_y"]["B100"]["12"] == 23.68


def test_bad_configs_are_errors():
    with pytest.raises(ValueError, match="no encoder 'rcan'"):
        registry.create("ciaosr_edsr", {"encoder": "rcan"})
    with pytest.raises(ValueError, match="some of 2, 3 and 4"):
        registry.create("ciaosr_edsr", {"nonlocal_scales": [5]})
    with pytest.raises(ValueError, match="one key wide"):
        registry.create("ciaosr_edsr", {"window": 1})
    with pytest.raises(TypeError, match="blokcs"):
        registry.create("ciaosr_edsr", {"encoder_options": {"blokcs": 4}})
