"""The figures against values worked out by hand, and against an independent implementation."""

import math

import numpy as np
import pytest

from edge_scs import metrics


def image(seed: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((30, 30, 3), (red, green, blue), np.uint8)


def test_to_uint8_rounds_and_clamps():
    values = np.array([-0.2, 0.0, 0.4999 / 255, 0.501 / 255, 254.6 / 255, 1.7], np.float32)
    assert metrics.to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((0, 0, 0), 16.0), ((255, 255, 255), 235.0), ((255, 0, 0), 81.481), ((0, 255, 0), 144.553), ((0, 0, 255), 40.966)],
)
def test_studio_luma_of_pure_colours(colour, expected):
    assert metrics.studio_luma(flat(*colour)) == pytest.approx(expected, abs=1e-9)


def test_psnr_y_of_a_grey_step():
    # One grey level is 219 / 255 of a luma level.
    expected = 20 * math.log10(255 / (219 / 255))
    assert metrics.psnr_y(flat(100, 100, 100), flat(101, 101, 101), 4) == pytest.approx(expected, abs=1e-9)


def test_psnr_rgb_of_one_wrong_plane():
    # An error of 6 in one plane of three: MSE = 12.
    expected = 10 * math.log10(255**2 / 12)
    assert metrics.psnr_rgb(flat(10, 20, 30), flat(10, 26, 30), 2) == pytest.approx(expected, abs=1e-9)


def test_uint8_differences_do_not_wrap():
    assert metrics.psnr_rgb(flat(0, 0, 0), flat(255, 255, 255), 0) == pytest.approx(0.0)


def test_border_is_left_out():
    a = image(0)
    b = a.copy()
    b[:4], b[-4:], b[:, :4], b[:, -4:] = 0, 0, 0, 0
    assert metrics.psnr_y(a, b, 4) == math.inf
    assert metrics.psnr_y(a, b, 3) < 30
    assert metrics.ssim_y(a, b, 4) == pytest.approx(1.0)


def test_ssim_is_the_published_formula():
    """Wang et al. 2004, eq. 13, on every whole 11x11 window, written out."""
    a = image(1)
    b = np.clip(a.astype(int) + image(2) // 4, 0, 255).astype(np.uint8)
    crop = 3
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = (
        np.lib.stride_tricks.sliding_window_view(metrics.studio_luma(p)[crop:-crop, crop:-crop], (11, 11))
        for p in (a, b)
    )
    mean_x, mean_y = (window * x).sum((2, 3)), (window * y).sum((2, 3))
    var_x, var_y = (window * x**2).sum((2, 3)) - mean_x**2, (window * y**2).sum((2, 3)) - mean_y**2
    covariance = (window * x * y).sum((2, 3)) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert metrics.ssim_y(a, b, crop) == pytest.approx(similarity.mean(), abs=1e-12)


def test_ssim_refuses_less_than_a_window():
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim_y(image(0, (18, 40)), image(1, (18, 40)), 4)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        metrics.psnr_y(image(0), image(0, (40, 47)), 4)


def test_a_border_that_eats_the_image_is_refused():
    with pytest.raises(ValueError, match="nothing is left"):
        metrics.psnr_rgb(image(0, (8, 40)), image(1, (8, 40)), 4)


def test_ab_error_is_a_distance_of_colours_alone():
    assert metrics.ab_error(flat(40, 40, 40), flat(200, 200, 200)) == pytest.approx(0, abs=0.05)
    # Red and green of sRGB in CIELAB (D65): a, b = 80.1, 67.2 and -86.2, 83.2.
    assert metrics.ab_error(flat(255, 0, 0), flat(0, 255, 0)) == pytest.approx(math.hypot(166.3, 16.0), abs=0.2)
    half = flat(90, 90, 90)
    half[:, : half.shape[1] // 2] = (255, 0, 0)
    assert metrics.ab_error(half, flat(90, 90, 90)) == pytest.approx(math.hypot(80.1, 67.2) / 2, abs=0.2)


def test_colourfulness():
    assert metrics.colourfulness(flat(90, 90, 90)) == 0
    # A flat colour has no spread: 0.3 sqrt(mean_rg^2 + mean_yb^2), here rg = 255 and yb = 127.5.
    assert metrics.colourfulness(flat(255, 0, 0)) == pytest.approx(0.3 * math.hypot(255, 127.5))
    assert metrics.colourfulness(image(0)) > metrics.colourfulness(image(0) // 2 + 64)
