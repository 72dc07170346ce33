"""The whole network: the reference switch, any size, what a pixel depends on, and the budgets."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.models import registry
from edge_scs.models.edge_scs import (
    MEAN_LUMA,
    SHUFFLE_SCALES,
    EdgeSCS,
    EdgeSCSConfig,
    TextureBranch,
    enlarge_chroma,
    shuffle_scale,
)
from edge_scs.weights.loading import load

SMALL = EdgeSCSConfig(channels=8, blocks=1, repeats=2, continuous_channels=6)


@pytest.fixture(scope="module")
def small(lively) -> EdgeSCS:
    """A narrow network on a small colour grid."""
    torch.manual_seed(0)
    model = lively(EdgeSCS(SMALL))
    model.colour.side = 48
    return model


# The reference switch


@pytest.mark.parametrize("size", [(60, 84), (41, 50)])
def test_automatic_mode_is_bit_identical_without_the_reference_branch(lively, size: tuple[int, int]) -> None:
    both = lively(registry.create("edge_scs_s"))
    automatic = registry.create("edge_scs_s", {"reference": False}).eval()
    missing = automatic.load_state_dict(both.state_dict(), strict=False)
    assert not missing.missing_keys
    assert all(".cross" in key for key in missing.unexpected_keys)
    gray = torch.rand(1, 1, 20, 28)
    with torch.no_grad():
        assert torch.equal(both(gray, size), automatic(gray, size))


def test_a_reference_changes_the_image_s_colour_and_each_reference_differently(small: EdgeSCS) -> None:
    gray = torch.rand(1, 1, 20, 28)
    red = torch.tensor([0.9, 0.1, 0.1]).reshape(1, 3, 1, 1).expand(1, 3, 16, 24)
    outs = [small(gray, (40, 56), reference) for reference in (None, red, red.flip(1))]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert (outs[a] - outs[b]).abs().max() > 1e-4


def test_a_reference_without_its_branch_is_refused() -> None:
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=1, repeats=1, reference=False))
    with pytest.raises(ValueError, match="without its reference branch"):
        model(torch.rand(1, 1, 4, 4), (8, 8), torch.rand(1, 3, 8, 8))


def test_the_reference_passes_the_same_encoder(small: EdgeSCS) -> None:
    calls = []
    hook = small.colour.encoder.register_forward_hook(lambda *_: calls.append(1))
    small.colour(torch.rand(1, 1, 20, 28))
    assert len(calls) == 1
    small.colour(torch.rand(1, 1, 20, 28), torch.rand(1, 3, 9, 31))
    hook.remove()
    assert len(calls) == 3


# Batches, sizes, ranges


@pytest.mark.parametrize("size", [(46, 62), (32, 43)])
def test_an_image_does_not_depend_on_its_batch(lively, size: tuple[int, int]) -> None:
    """Exact mathematics (float64), but not bit-equal: kernels sum in another order for another batch size."""
    model = lively(registry.create("edge_scs_s")).double()
    model.colour.side = 64
    gray, reference = torch.rand(3, 1, 23, 31).double(), torch.rand(3, 3, 20, 20).double()
    together = model(gray, size, reference)
    alone = torch.cat([model(gray[i : i + 1], size, reference[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-11)
    single = model.float()(gray[:1].float(), size, reference[:1].float())
    torch.testing.assert_close(single.double(), together[:1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("magnification", [1, 1.3, 2, 2.5, 3, 4, 7.9, 8])
@pytest.mark.parametrize("lr", [(1, 1), (1, 7), (33, 2), (13, 17)])
def test_any_size_at_any_magnification(small: EdgeSCS, lr: tuple[int, int], magnification: float) -> None:
    size = (max(1, round(lr[0] * magnification)), max(1, round(lr[1] * magnification)))
    rgb = small(torch.rand(2, 1, *lr), size, torch.rand(2, 3, lr[1], lr[0]))
    assert rgb.shape == (2, 3, *size)
    assert rgb.isfinite().all()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert rgb.std() > 0


def test_extreme_images_stay_finite(small: EdgeSCS) -> None:
    for gray in (torch.zeros(1, 1, 9, 9), torch.ones(1, 1, 9, 9)):
        assert small(gray, (27, 27)).isfinite().all()


def test_fresh_network_enlarges_the_luma_it_was_given() -> None:
    """Zero output layers: the first step starts from nearest neighbours (x2-x4), or bilinearly between those of x4."""
    model, gray, chroma = EdgeSCS(SMALL).eval(), torch.rand(1, 1, 5, 7), torch.rand(1, 2, 5, 7) - 0.5
    base = torch.cat([gray, chroma], 1)
    assert torch.equal(model.render(gray, chroma, (15, 21)), F.interpolate(base, scale_factor=3, mode="nearest"))
    finest = F.interpolate(base, scale_factor=4, mode="nearest")
    bilinear = F.interpolate(finest, (12, 18), mode="bilinear", align_corners=False)
    assert torch.equal(model.render(gray, chroma, (12, 18)), bilinear)


def test_shuffle_scale_needs_the_same_whole_factor_on_both_axes() -> None:
    for scale in SHUFFLE_SCALES:
        assert shuffle_scale((5, 7), (5 * scale, 7 * scale)) == scale
    for hr in ((5, 7), (10, 21), (10, 15), (11, 14), (25, 35), (40, 56)):
        assert shuffle_scale((5, 7), hr) is None


@pytest.mark.parametrize(
    ("size", "heads"),
    [((10, 14), ["2"]), ((15, 21), ["3"]), ((20, 28), ["4"]), ((12, 18), ["continuous"])],
)
def test_each_size_runs_its_own_heads_and_no_other(small: EdgeSCS, size: tuple[int, int], heads: list[str]) -> None:
    ran = []
    modules = {**small.heads, "continuous": small.continuous.out}
    hooks = [module.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, module in modules.items()]
    small(torch.rand(1, 1, 5, 7), size)
    for hook in hooks:
        hook.remove()
    assert ran == heads


def test_render_and_rgb_make_up_forward(small: EdgeSCS) -> None:
    gray = torch.rand(1, 1, 9, 11)
    ycc = small.render(gray, enlarge_chroma(small.colour(gray), (9, 11)), (18, 22))
    y, cb, cr = ycc.unbind(1)
    rgb = torch.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], 1).clamp(0, 1)
    torch.testing.assert_close(small(gray, (18, 22)), rgb, rtol=0, atol=1e-6)


def test_the_continuous_head_at_some_points_is_a_part_of_render(small: EdgeSCS) -> None:
    from edge_scs.models.heads import lr_coordinates

    gray, chroma = torch.rand(1, 1, 9, 11), torch.rand(1, 2, 9, 11) - 0.5
    whole = small.render(gray, chroma, (21, 27))
    rows, cols = lr_coordinates(6, 21 / 9, 4), lr_coordinates(5, 27 / 11, 20)
    features, base = small.texture(gray, chroma), torch.cat([gray, chroma], dim=1)
    part = small.continuous.at(features, base, rows, cols, (21 / 9, 27 / 11))
    torch.testing.assert_close(part, whole[..., 4:10, 20:25], rtol=0, atol=1e-5)


def test_texture_gathers_every_block_once_and_adds_the_stem() -> None:
    branch = TextureBranch(EdgeSCSConfig(channels=8, blocks=2, repeats=2)).eval()
    gray, chroma = torch.rand(1, 1, 6, 7), torch.rand(1, 2, 6, 7)
    h0 = branch.stem(gray)
    h1 = branch.blocks[0](h0)
    h2 = branch.blocks[1](h1)
    gathered = branch.gather(torch.cat([h0, h1, h2], 1)) + h0
    assert torch.equal(branch(gray, chroma), F.relu(branch.fuse(torch.cat([gathered, chroma], 1))))


def test_a_new_texture_branch_answers_the_mean_luma_with_nothing() -> None:
    stem = TextureBranch(EdgeSCSConfig(channels=8, blocks=1)).stem
    inside = stem(torch.full((1, 1, 6, 7), MEAN_LUMA))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.zeros_like(inside), rtol=0, atol=1e-6)
    assert stem(torch.rand(1, 1, 6, 7)).abs().mean() > 0.01


def test_widths_are_those_of_the_units_block_by_block() -> None:
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=2, tied=False, widths=[[3], [4, 8]]))
    units = [[(unit.conv1.out_channels, unit.conv2.in_channels) for unit in b.units] for b in model.texture.blocks]
    assert units == [[(3, 3)], [(4, 4), (8, 8)]]
    assert model.config.calls == [1, 2]
    assert model(torch.rand(1, 1, 9, 8), (18, 16)).shape == (1, 3, 18, 16)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"widths": [[8, 8]]}, "tied = false"),
        ({"widths": [[8, 8]], "tied": False, "groups": 2}, "without groups"),
        ({"widths": [[8], [8]], "tied": False}, "1 lists"),
        ({"widths": [[]], "tied": False}, "none of them empty"),
        ({"widths": [[8, 0]], "tied": False}, "from 1 up"),
    ],
)
def test_widths_that_cannot_be_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EdgeSCSConfig(channels=8, blocks=1, **wrong)


# What a pixel depends on

CONFIGS = {
    "m": registry.MODELS["edge_scs_m"].config,
    "s": registry.MODELS["edge_scs_s"].config,
    "m-trimmed": EdgeSCSConfig(channels=8, blocks=2, repeats=3, tied=False, widths=[[3], [4, 8, 5]]),
    "m-grouped": EdgeSCSConfig(channels=8, blocks=2, repeats=3, groups=4, cascade=True, tied=False),
}


def touched(model: EdgeSCS, scale: float, gray: Tensor, chroma: Tensor, at: tuple[int, int]) -> Tensor:
    """LR pixels (h, w) any of whose rendered HR pixels change, in any bit, with LR pixel ``at``."""
    h, w = gray.shape[-2:]
    size = (round(h * scale), round(w * scale))
    other = gray.clone()
    other[..., at[0], at[1]] += 1
    change = (model.render(gray, chroma, size) != model.render(other, chroma, size)).any(1).float()
    return F.adaptive_max_pool2d(change, (h, w))[0] > 0


def chebyshev(h: int, w: int, at: tuple[int, int]) -> Tensor:
    return torch.maximum((torch.arange(h) - at[0]).abs()[:, None], (torch.arange(w) - at[1]).abs()[None])


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(("scale", "beyond_features"), [(2, 0), (4, 0), (5, 1)])
def test_halo_is_exactly_the_receptive_field(config: str, scale: int, beyond_features: int) -> None:
    """All weights positive, no bias, a black image: nothing cancels, so every path shows, however thin."""
    model = EdgeSCS(CONFIGS[config]).double().eval().requires_grad_(False)
    for name, parameter in (*model.texture.named_parameters(), *model.heads.named_parameters()):
        parameter.fill_(0 if name.endswith("bias") else 1 / parameter[0].numel())
    for name, parameter in model.continuous.named_parameters():
        silent = name.endswith("bias") or name.startswith(("on_rows", "on_cols"))
        parameter.fill_(0 if silent else 1 / parameter[0].numel())
    at, side = (model.halo + 2, model.halo + 1), 2 * model.halo + 4
    gray = torch.zeros(1, 1, side, side, dtype=torch.float64)
    seen = touched(model, scale, gray, gray.expand(-1, 2, -1, -1), at)
    # PixelShuffle heads interpolate nothing, so their pixels see one LR pixel less than the halo allows for.
    radius = model.halo - 1 + beyond_features
    assert torch.equal(seen, chebyshev(side, side, at) <= radius)


@pytest.mark.parametrize("scale", [2, 3, 4, 2.5])
def test_pixels_beyond_the_halo_keep_every_bit(lively, scale: float) -> None:
    model = lively(registry.create("edge_scs_s"), noise=0.1)
    side, at = 2 * (model.halo + 4), (6, 5)
    gray, chroma = torch.rand(1, 1, side, side), torch.rand(1, 2, side, side) - 0.5
    seen = touched(model, scale, gray, chroma, at)
    assert not seen[chebyshev(side, side, at) > model.halo].any()
    assert seen[chebyshev(side, side, at) <= 4].all()


# Budgets


@pytest.mark.parametrize(("name", "mult_adds", "params"), [("edge_scs_m", 10e9, 1.5e6), ("edge_scs_s", 3e9, 1.5e6)])
def test_shipped_networks_keep_their_budgets_at_720p(name: str, mult_adds: float, params: float) -> None:
    model, gray = load(name).model.to("meta"), torch.empty(1, 1, 180, 320, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(gray, (720, 1280))
    assert 0.5 * mult_adds < counter.get_total_flops() / 2 <= mult_adds
    assert sum(parameter.numel() for parameter in model.parameters()) <= params


def test_every_parameter_learns_from_one_loss_or_another(lively) -> None:
    """No dead weight: each parameter has a gradient in at least one mode."""
    model = lively(EdgeSCS(SMALL)).requires_grad_(True)
    model.colour.side = 48
    gray, reference = torch.rand(1, 1, 6, 8), torch.rand(1, 3, 8, 8)
    loss = sum(model(gray, size, reference).square().sum() for size in ((12, 16), (18, 24), (24, 32), (9, 11)))
    loss.backward()
    # The shared key bias adds one number to all scores of a pixel for keys, but not for queries: it learns too.
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not idle
