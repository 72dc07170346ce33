"""Tiling arithmetic: everything covered once, seen far enough, and blends that sum to one."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from edge_scs.inference.tiles import FADE, blend_weights, equal_windows, fixed_axis, fixed_starts, spans
from edge_scs.models.heads import lr_coordinates

LENGTHS = [1, 2, 3, 17, 64, 65, 100]


@pytest.mark.parametrize("lr", LENGTHS)
@pytest.mark.parametrize("times", [1, 1.01, 1.37, 2, 2.5, 3, 4, 7.9, 8])
def test_spans_cover_the_axis_and_see_their_halo(lr: int, times: float) -> None:
    hr = max(1, round(lr * times))
    coordinates = lr_coordinates(hr, hr / lr).numpy()
    for tile, halo in itertools.product([1, 2, 16, 64, None], [0, 5]):
        cut = spans(lr, hr, tile, halo)
        assert [pixel for span in cut for pixel in range(span.start, span.stop)] == list(range(hr))
        for span in cut:
            assert 0 <= span.low < span.high <= lr
            looked = coordinates[span.start : span.stop]
            assert span.low <= max(0, np.floor(looked.min()) - halo)
            assert span.high > min(lr - 1, np.floor(looked.max()) + 1 + halo)
            if tile is not None:
                assert span.high - span.low <= tile + 2 * halo + 4


def test_whole_scales_cut_between_lr_pixels() -> None:
    assert [(span.start, span.stop) for span in spans(10, 40, 4, 0)] == [(0, 12), (12, 28), (28, 40)]


@pytest.mark.parametrize(("lr", "tile", "halo"), [(100, 16, 5), (65, 16, 0), (33, 16, 20), (7, 16, 3)])
def test_equal_windows_hold_what_they_held_inside_the_image(lr: int, tile: int, halo: int) -> None:
    cuts = spans(lr, 3 * lr, tile, halo)
    windows = equal_windows(cuts, lr)
    assert len({window.high - window.low for window in windows}) == 1
    for cut, window in zip(cuts, windows, strict=True):
        assert (window.start, window.stop) == (cut.start, cut.stop)
        assert 0 <= window.low <= cut.low < cut.high <= window.high <= lr


@pytest.mark.parametrize("lr", [*LENGTHS, 333])
@pytest.mark.parametrize(("tile", "overlap", "step"), [(16, 4, 1), (16, 8, 1), (16, 0, 1), (17, 8, 2), (64, 20, 5)])
def test_fixed_tiles_cover_the_axis_and_overlap(lr: int, tile: int, overlap: int, step: int) -> None:
    starts = fixed_starts(lr, tile, overlap, step)
    assert starts[0] == 0
    assert all(start % step == 0 for start in starts)
    assert lr <= starts[-1] + tile
    if lr > tile:
        assert starts[-1] + tile < lr + step
    for here, there in itertools.pairwise(starts):
        assert here < there <= here + tile - overlap


@pytest.mark.parametrize("lr", [16, 17, 30, 33, 100])
@pytest.mark.parametrize("margin", [0, 2, 3])
def test_blend_weights_sum_to_one_and_spare_the_margins(lr: int, margin: int) -> None:
    starts = fixed_starts(lr, 16, 7)
    weights = blend_weights(starts, 16, margin)
    total = np.zeros(lr)
    for i, start in enumerate(starts):
        total[start : start + 16] += weights[i]
        assert weights[i].min() >= 0
        if i > 0:
            assert (weights[i][:margin] == 0).all()
            assert weights[i][margin] > 0
        if i + 1 < len(starts):
            assert (weights[i][16 - margin :] == 0).all()
        assert np.abs(np.diff(weights[i][margin : 16 - margin])).max() <= 0.51  # a fade, not a step
    assert np.allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize(("tile", "halo", "ratio"), [(96, 4, 2), (128, 20, 3), (64, 8, Fraction(3, 2))])
def test_tiles_of_one_size_see_their_halo_and_fade(tile: int, halo: int, ratio: Fraction) -> None:
    """Where a tile counts, it saw ``halo`` pixels of the image around; two share at least FADE pixels beyond that."""
    starts, weights = fixed_axis(3 * tile, tile, Fraction(ratio), halo)
    assert weights.shape == (len(starts), tile * ratio)
    margin = int(halo * ratio)
    for here, there in itertools.pairwise(range(len(starts))):
        assert starts[here] + tile - starts[there] >= 2 * halo + FADE
        assert not weights[here][len(weights[here]) - margin :].any()
        assert not weights[there][:margin].any()
    assert fixed_axis(tile, tile, Fraction(ratio), halo)[0] == [0]
    assert fixed_axis(3 * 16, 16, Fraction(17, 16), 0) is None, "no start falls on a whole HR pixel"
