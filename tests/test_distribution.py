"""NIQE and the Frechet distance against known answers."""

import numpy as np
import pytest
from PIL import Image

from edge_scs.distribution import _halved, frechet, load_niqe, niqe
from edge_scs.errors import InputError


def test_frechet_of_gaussians_that_are_known():
    """Shifted by d: d^2. Stretched by s: (s - 1)^2 of each variance. Equal: 0."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(500, 4))
    assert frechet(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet(a, a + np.array([3, 0, 0, 4])) == pytest.approx(25)
    stretched = a.mean(0) + (a - a.mean(0)) * 3
    assert frechet(a, stretched) == pytest.approx(4 * np.trace(np.cov(a, rowvar=False)))
    one, other = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))
    from scipy.linalg import sqrtm

    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet(one, other) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two images"):
        frechet(a[:1], a)


def test_halving_is_matlabs():
    """imresize(..., 0.5) of Matlab: eight taps, a = -0.5, stretched by two; mirrored borders keep a constant."""
    taps = np.array([-0.01171875, -0.03515625, 0.11328125, 0.43359375])
    impulse = np.zeros((2, 16))
    impulse[:, 8] = 1
    halved = _halved(impulse)
    assert halved.shape == (1, 8)
    np.testing.assert_allclose(halved[0, 2:6], np.concatenate([taps[:0], [taps[0], taps[2], taps[3], taps[1]]]))
    np.testing.assert_allclose(_halved(np.full((6, 6), 7.0)), 7.0)


def test_niqe_of_real_and_spoiled_photographs(assets, photograph, monkeypatch):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(assets))
    model = load_niqe()
    if model is None:
        pytest.skip("no peers/niqe/niqe_pris_params.npz")
    sharp = niqe(photograph, model, 4)
    blurred = np.asarray(Image.fromarray(photograph).resize((128, 128)).resize((512, 512), Image.Resampling.BICUBIC))
    # BasicSR's calculate_niqe(..., crop_border=4) of the same arrays; its float32 rounds some pixels of luma otherwise.
    assert sharp == pytest.approx(3.0157, abs=0.01)
    assert niqe(blurred, model, 4) == pytest.approx(6.9550, abs=0.01)
    with pytest.raises(ValueError, match="two blocks"):
        niqe(photograph[:180, :180], model, 0)


def test_missing_and_damaged_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    assert load_niqe() is None
    (tmp_path / "peers" / "niqe").mkdir(parents=True)
    path = tmp_path / "peers" / "niqe" / "niqe_pris_params.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="not NIQE's parameters"):
        load_niqe()
    np.savez(path, mu_pris_param=np.zeros(3), cov_pris_param=np.eye(3), gaussian_window=np.eye(7))
    with pytest.raises(InputError, match="not NIQE's parameters"):
        load_niqe()
