"""Degradations: functions of their generator, in range, and each of the kind it says."""

import numpy as np
import pytest

from edge_scs.data import wear as worn
from edge_scs.data.wear import PRESETS, wear


@pytest.fixture
def gray(photograph):
    return np.ascontiguousarray(photograph[:96, :112, 1])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_drawn_depends_on_the_generator_alone(photograph, preset, channels):
    image = np.ascontiguousarray(photograph[:64, :72] if channels == 3 else photograph[:64, :72, 0])
    first, again = ([wear(image, preset, rng(seed)) for seed in range(12)] for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert all(x.shape == image.shape and x.dtype == np.uint8 for x in first)
    assert any(not np.array_equal(x, image) for x in first)


@pytest.mark.parametrize(("preset", "mild", "bad"), [("worn", (0.3, 6), (3, 25)), ("old", (0.5, 8), (8, 60))])
def test_most_images_are_mildly_worn_and_few_are_bad(gray, preset, mild, bad):
    errors = [np.abs(wear(gray, preset, rng(seed)).astype(float) - gray).mean() for seed in range(120)]
    share_clean = np.mean(np.array(errors) == 0)
    assert abs(share_clean - PRESETS[preset].clean) < 0.15
    assert mild[0] < np.median(errors) < mild[1]
    assert bad[0] < max(errors) < bad[1]


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_every_blur_keeps_the_mean_and_spreads_a_point_by_at_most_its_deviation(deviation):
    point = np.zeros((41, 41), np.float32)
    point[20, 20] = 255
    offsets = np.arange(41) - 20
    for seed in range(20):
        x = worn.blur(point, deviation, rng(seed))
        assert x.sum() == pytest.approx(255, rel=1e-3)
        spread = [np.sqrt((x.sum(axis) * offsets**2).sum() / x.sum()) for axis in (0, 1)]
        assert 0.05 < max(spread) < 1.3 * deviation + 0.4


def test_large_and_small_images_are_blurred_alike(gray, monkeypatch):
    """By a Fourier transform or directly."""
    ways = []
    for limit in (0, 1 << 60):
        monkeypatch.setattr(worn, "FFT_PAYS", limit)
        ways.append([worn.blur(gray[:61, :75].astype(np.float32), 1.3, rng(seed)) for seed in range(12)])
    for fourier, direct in zip(*ways, strict=True):
        np.testing.assert_allclose(fourier, direct, rtol=0, atol=0.01)


def test_noise_has_the_deviation_it_was_given(gray):
    flat = np.full((128, 128), 128, np.float32)
    drawn = [float((worn.noise(flat, 10.0, rng(seed)) - flat).std()) for seed in range(40)]
    assert min(drawn) > 8
    assert max(drawn) < 12


def test_grain_is_correlated_between_neighbours_and_gaussian_noise_is_not():
    flat = np.full((128, 128), 128, np.float32)
    neighbours = []
    for seed in range(40):
        x = worn.noise(flat, 10.0, rng(seed)) - flat
        neighbours.append(float((x[:, 1:] * x[:, :-1]).mean() / x.var()))
    assert min(neighbours) < 0.05
    assert max(neighbours) > 0.4


def test_jpeg_blocks_start_anywhere(gray):
    steps = set()
    for seed in range(16):
        x = worn.jpeg(gray.astype(np.float32), 10, rng(seed))
        assert x.shape == gray.shape
        jumps = np.abs(np.diff(x, axis=1)).mean(0)
        steps.add(int(np.argmax([jumps[phase::8].mean() for phase in range(8)])))
    assert len(steps) >= 4


def test_scratches_and_screens_stay_local_or_periodic_and_fading_lowers_contrast(gray):
    x = gray.astype(np.float32)
    touched = [np.mean(np.abs(worn.scratch(x, rng(seed)) - x) > 1) for seed in range(20)]
    assert max(touched) < 0.25
    screen = worn.halftone(np.full((64, 64), 128, np.float32), rng())
    assert screen.mean() == pytest.approx(128, abs=3)
    assert screen.std() > 5
    contrasts = [worn.fade(x, rng(seed)).std() / x.std() for seed in range(30)]
    assert np.median(contrasts) < 0.95
    assert all(worn.fade(x, rng(seed)).min() >= 0 and worn.fade(x, rng(seed)).max() <= 255 for seed in range(30))
