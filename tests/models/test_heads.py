"""Heads: PixelShuffle's base and layout, and continuous pixel mapping against a slow literal version of it."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.models.heads import (
    ContinuousHead,
    PixelShuffleHead,
    lr_coordinates,
    pixel_shuffle,
    sample_bilinear,
)

SIZES = [((5, 4), (5, 4)), ((5, 4), (7, 5)), ((4, 6), (10, 15)), ((3, 2), (8, 3)), ((1, 1), (8, 8)), ((1, 7), (2, 55))]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_pixel_shuffle_view_form_equals_torch(scale: int) -> None:
    x = torch.randn(2, 3 * scale**2, 3, 5)
    assert torch.equal(pixel_shuffle(x, scale), F.pixel_shuffle(x, scale))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fresh_shuffle_head_is_nearest_neighbour_enlargement(scale: int) -> None:
    base = torch.rand(2, 3, 3, 5)
    enlarged = PixelShuffleHead(8, scale)(torch.randn(2, 8, 3, 5), base)
    assert torch.equal(enlarged, F.interpolate(base, scale_factor=scale, mode="nearest"))


def test_shuffle_head_adds_its_convolution_to_the_repeated_pixel(lively) -> None:
    head, features, base = lively(PixelShuffleHead(8, 3)), torch.randn(1, 8, 3, 5), torch.rand(1, 3, 3, 5)
    expected = F.pixel_shuffle(head.conv(features), 3) + F.interpolate(base, scale_factor=3, mode="nearest")
    torch.testing.assert_close(head(features, base), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("lr", "hr"), SIZES)
def test_sample_bilinear_equals_interpolate(lr: tuple[int, int], hr: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *lr)
    rows, cols = lr_coordinates(hr[0], hr[0] / lr[0]), lr_coordinates(hr[1], hr[1] / lr[1])
    expected = F.interpolate(x, hr, mode="bilinear", align_corners=False)
    torch.testing.assert_close(sample_bilinear(x, rows, cols), expected, rtol=0, atol=1e-5)


def test_coordinates_are_pixel_centres() -> None:
    assert lr_coordinates(4, 2.0).tolist() == [-0.25, 0.25, 0.75, 1.25]
    assert lr_coordinates(2, 2.0, start=2).tolist() == [0.75, 1.25]
    assert lr_coordinates(3, 1.0).tolist() == [0, 1, 2]


def z_rel(index: int, count: int, lr: int) -> Fraction:
    """Eq. 3 in exact arithmetic: x is the centre of HR pixel ``index`` of ``count`` in the unit square."""
    x, unit = Fraction(2 * index + 1, 2 * count), Fraction(1, lr)
    return x % unit / unit * 2 - 1


def test_z_rel_corners_and_centres() -> None:
    z = ContinuousHead.positions(torch.tensor([-0.5, 0.0, 0.25, 0.5, 1.0], dtype=torch.float64), 2.0)
    torch.testing.assert_close(z[0], torch.tensor([-1, 0, 0.5, -1, 0], dtype=torch.float64), rtol=0, atol=1e-6)
    assert z[1].tolist() == [0.5] * 5, "the cell is LR / HR"
    # At x1 every HR pixel is an LR pixel's centre; at x2 they sit a quarter inside either edge.
    assert ContinuousHead.positions(lr_coordinates(3, 1.0), 1.0)[0].abs().max() < 1e-6
    expected = torch.tensor([-0.5, 0.5, -0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(ContinuousHead.positions(lr_coordinates(4, 2.0), 2.0)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lr", [*range(1, 24), 98, 180, 250])
def test_z_rel_equals_exact_arithmetic_at_every_size(lr: int) -> None:
    """HR centres on the edge between two LR pixels count as the next pixel's near edge (-1), however 1.1 rounds."""
    for hr in range(lr, 8 * lr + 1, 1 if lr < 24 else 7):
        z = ContinuousHead.positions(lr_coordinates(hr, hr / lr), hr / lr)[0]
        exact = (2 * torch.arange(hr) + 1) * lr % (2 * hr) / hr - 1
        assert (z - exact).abs().max() < 1e-6, hr


def test_z_rel_of_a_tile_is_that_of_the_image() -> None:
    for lr, hr in ((20, 22), (14, 29), (98, 245)):
        coordinates = lr_coordinates(hr, hr / lr)
        whole = ContinuousHead.positions(coordinates, hr / lr)
        for origin in (1, 3, 8, 13):
            tile = ContinuousHead.positions(coordinates - origin, hr / lr)
            torch.testing.assert_close(tile, whole, rtol=0, atol=1e-6)


def slow_cpm(head: ContinuousHead, features: Tensor, base: Tensor, size: tuple[int, int]) -> Tensor:
    """SCSNet 3.2 point by point: [bilinear 3x3-unfolded features, Z, cell] through the whole perceptron."""
    _, h, w = features.shape
    fine = head.finest(features[None], base[None])[0]
    unfolded = F.unfold(features[None], 3, padding=1).reshape(-1, h, w)
    rows, cols = head.on_rows.weight[:, :, 0, 0], head.on_cols.weight[:, :, 0, 0]
    first = torch.cat([head.on_features.weight.flatten(1), rows, cols], dim=1)
    out = torch.empty(3, *size, dtype=features.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = (i + 0.5) * h / size[0] - 0.5, (j + 0.5) * w / size[1] - 0.5
            z = [float(z_rel(i, size[0], h)), h / size[0], float(z_rel(j, size[1], w)), w / size[1]]
            point = torch.cat([bilinear(unfolded, y, x), torch.tensor(z, dtype=features.dtype)])
            hidden = (first @ point + head.on_features.bias).clamp(min=0)
            hidden = (head.hidden.weight[:, :, 0, 0] @ hidden + head.hidden.bias).clamp(min=0)
            out[:, i, j] = head.out.weight[:, :, 0, 0] @ hidden + head.out.bias
            out[:, i, j] += bilinear(fine, 4 * y + 1.5, 4 * x + 1.5)
    return out


def bilinear(x: Tensor, row: float, col: float) -> Tensor:
    """The four neighbours of a point, weighted by the opposite areas; beyond the border its pixel goes on."""
    total = torch.zeros(x.shape[0], dtype=x.dtype)
    top, left = math.floor(row), math.floor(col)
    for i in (top, top + 1):
        for j in (left, left + 1):
            area = (1 - abs(row - i)) * (1 - abs(col - j))
            total += area * x[:, min(max(i, 0), x.shape[1] - 1), min(max(j, 0), x.shape[2] - 1)]
    return total


@pytest.mark.parametrize(("lr", "hr"), SIZES)
def test_first_layer_on_the_lr_grid_equals_the_literal_mapping(
    lively, lr: tuple[int, int], hr: tuple[int, int]
) -> None:
    head = lively(ContinuousHead(6, 5), noise=0.3)
    features, base = torch.randn(1, 6, *lr), torch.rand(1, 3, *lr)
    torch.testing.assert_close(head(features, base, hr)[0], slow_cpm(head, features[0], base[0], hr), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("lr", "hr"), [((9, 7), (9, 7)), ((9, 7), (12, 9)), ((20, 14), (50, 35)), ((20, 14), (22, 29))]
)
def test_at_any_sub_grid_equals_that_part_of_the_whole(lively, lr: tuple[int, int], hr: tuple[int, int]) -> None:
    head = lively(ContinuousHead(6, 5), noise=0.3).double()  # float32 rounds the sample points of ``interpolate``
    features, base = torch.randn(1, 6, *lr).double(), torch.rand(1, 3, *lr).double()
    whole, ratios = head(features, base, hr), (hr[0] / lr[0], hr[1] / lr[1])
    for top, left, height, width in ((0, 0, *hr), (0, 0, 1, 1), (hr[0] - 3, hr[1] - 4, 3, 4), (4, 2, 3, 5)):
        rows, cols = lr_coordinates(height, ratios[0], top), lr_coordinates(width, ratios[1], left)
        part = head.at(features, base, rows, cols, ratios)
        expected = whole[..., top : top + height, left : left + width]
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-9)


def test_fresh_continuous_head_samples_the_pixels_repeated_four_times() -> None:
    base = torch.rand(2, 3, 3, 5)
    enlarged = ContinuousHead(8, 4)(torch.randn(2, 8, 3, 5), base, (8, 11))
    repeated = F.interpolate(base, scale_factor=4, mode="nearest")
    assert torch.equal(enlarged, F.interpolate(repeated, (8, 11), mode="bilinear", align_corners=False))
