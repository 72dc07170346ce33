"""What both readings of CiaoSR keep: chunks and points are the whole, any size, ties, precision, costs, configs."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.measure.mult_adds import count
from edge_scs.models import ciaosr, implicit, registry
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig

TINY = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8}


@pytest.fixture(params=["released", "paper"])
def tiny(request, lively) -> CiaoSR:
    """Weights so large that the attentions are far from uniform."""
    config = CiaoSRConfig(**TINY, nonlocal_scales=(2, 3), reading=request.param)
    return lively(CiaoSR(config), noise=0.3).double()


def centres(size: tuple[int, int]) -> Tensor:
    """The full grid of HR pixel centres, (1, H W, 2)."""
    return torch.tensor(
        [[(2 * i + 1) / size[0] - 1, (2 * j + 1) / size[1] - 1] for i in range(size[0]) for j in range(size[1])],
        dtype=torch.double,
    )[None]


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
    tiny.attention.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[-1].nearest.numel()))
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


@pytest.mark.parametrize("tiny", ["paper"], indirect=True)
@pytest.mark.parametrize("scale", [1, 1.5, 3])
def test_ties_are_not_left_to_rounding(tiny, scale):
    """Where a point lies on an LR pixel's centre, or half-way between two, float32 and float64 choose alike.

    In the released network they need not: at x1.5 its authors' float32 decides what a query is.
    """
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
    """Table 7 prints 1.4 M for the head: both readings have that on 64 channels."""
    heads = []
    for name, options in (("ciaosr_edsr", {}), ("ciaosr_rdn", {}), ("ciaosr_edsr", {"reading": "paper"})):
        with torch.device("meta"):
            model = registry.create(name, options)
        heads.append(sum(p.numel() for n, p in model.named_parameters() if not n.startswith("encoder.")))
    assert heads == [1_428_614, 1_428_614, 1_407_558]
    published = registry.describe("ciaosr_edsr", registry.create("ciaosr_edsr")).published["params"]["head"]
    assert all(head == pytest.approx(published, rel=0.03) for head in heads)


@pytest.mark.parametrize("reading", ["released", "paper"])
def test_mult_adds_by_hand_and_on_the_meta_device(monkeypatch, reading):
    """Counting decodes in one piece on the meta device and in chunks elsewhere; both count every point."""
    model = CiaoSR(CiaoSRConfig(**TINY, reading=reading)).eval()
    monkeypatch.setattr(implicit, "CPU_POINTS", 100)
    lr, hr = (6, 8), (15, 20)
    meta = count(model, 3, lr, hr)
    assert meta == count(model, 3, lr, hr, device="cpu")
    c, wide, pixels, points, neighbours = 4, 8, 6 * 8, 15 * 20, 4
    keys, local, both = 3 * 4, 9 * c, 10 * c
    encoder = pixels * (3 * c * 9 + 3 * c * c * 9)
    embeddings = pixels * (c * c // 2 + c * c) + keys * c * c // 2
    on_grid = 2 * 9 * c * wide + c * wide
    deep = 4 * wide + 3 * wide * wide
    query = both * wide + 3 * wide * wide + wide * 3
    if reading == "paper":
        matches = pixels * keys * (c // 2 + c)
        nonlocal_ = embeddings + keys * c * c * 4 + matches
        head = pixels * (on_grid + 9 * c * wide) + points * (neighbours * (2 * deep + 2 * wide) + wide * both + query)
        scores = points * neighbours * 2 * wide
    else:
        matches = pixels * keys * (9 * c // 2 + 36 * c)
        nonlocal_ = embeddings + pixels * c * c * 9 + matches
        head = pixels * on_grid + points * (neighbours * (2 * deep + wide * (local + both) + local) + query)
        scores = points * neighbours * local
    assert meta.total == encoder + nonlocal_ + head
    assert meta.attention == matches + scores


def test_descriptions():
    about = registry.describe("ciaosr_edsr", registry.create("ciaosr_edsr"))
    assert (about.input, about.scales, about.continuous) == ("rgb", (), (1.0, 30.0))
    assert (about.variant, about.halo, about.reference) == ("edsr", 36, False)
    assert about.enlarges(12)
    assert about.enlarges(2.5)
    assert about.magnifications == "anything from 1 to 30"
    assert about.published["psnr_rgb"]["DIV2K"]["4"] == 29.23
    assert ciaosr.PUBLISHED["ciaosr_rdn"]["psnr_y"]["Urban100"]["4"] == 27.11
    assert ciaosr.PUBLISHED["ciaosr_swinir"]["psnr_y"]["B100"]["12"] == 23.68


def test_bad_configs_are_errors():
    with pytest.raises(ValueError, match="no encoder 'rcan'"):
        registry.create("ciaosr_edsr", {"encoder": "rcan"})
    with pytest.raises(ValueError, match="some of 2, 3 and 4"):
        registry.create("ciaosr_edsr", {"nonlocal_scales": [5]})
    with pytest.raises(ValueError, match="must be released or paper"):
        registry.create("ciaosr_edsr", {"reading": "papers"})
    with pytest.raises(ValueError, match="mlp with the released reading"):
        registry.create("ciaosr_edsr", {"reading": "paper", "ensemble": "mlp"})
    with pytest.raises(ValueError, match="one key wide"):
        registry.create("ciaosr_edsr", {"window": 1})
    with pytest.raises(TypeError, match="blokcs"):
        registry.create("ciaosr_edsr", {"encoder_options": {"blokcs": 4}})
