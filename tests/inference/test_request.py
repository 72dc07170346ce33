"""What is requested of an engine, and the strength of colours: one formula for every engine."""

import numpy as np
import pytest

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import saturated
from edge_scs.inference.request import Options


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_vividness_moves_colours_from_or_to_the_grey_of_their_luma(dtype):
    rng = np.random.default_rng(0)
    strip = rng.integers(80 * np.iinfo(dtype).max // 255, 170 * np.iinfo(dtype).max // 255, (5, 7, 3)).astype(dtype)
    weights = np.array([0.299, 0.587, 0.114])
    assert saturated(strip, 1.0) is strip
    grey = saturated(strip, 0.0)
    assert grey.dtype == dtype
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - strip @ weights).max() <= 0.51
    for vividness in (0.5, 1.5):
        out = saturated(strip, vividness).astype(float)
        assert np.abs(out @ weights - strip @ weights).max() < 1
        assert np.abs((out - grey) - vividness * (strip.astype(float) - grey)).max() <= 1.5


@pytest.mark.parametrize("vividness", [-0.1, 1.51, float("nan")])
def test_a_vividness_out_of_range_is_refused(vividness):
    with pytest.raises(InputError, match="choose 0"):
        Options(vividness=vividness)
