"""The SqueezeNet encoder: pyramid shapes, and the published filters on grey images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edge_scs.color import luma
from edge_scs.models.encoders import Exposure, SqueezeEncoder
from edge_scs.weights.loading import squeezenet_state


@pytest.mark.parametrize(("amount", "left"), [(0.5, 0.7), (1.0, 0.15)])
def test_exposure_evens_fading(photograph: np.ndarray, amount: float, left: float) -> None:
    """What is left of the difference between a print and its faded copy."""
    print_ = luma(torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].float() / 255)
    faded = (60 + 0.5 * 255 * print_) / 255
    even = Exposure(amount)
    assert (even(faded) - even(print_)).abs().mean() < left * (faded - print_).abs().mean()


def test_exposure_leaves_flat_images_and_well_exposed_ones() -> None:
    for level in (0.0, 0.3, 1.0):
        flat = torch.full((1, 1, 5, 7), level)
        torch.testing.assert_close(Exposure(1.0)(flat), flat)
    drawn = torch.randn(2, 1, 40, 40)
    good = Exposure.MEAN + Exposure.DEVIATION * (drawn - drawn.mean((2, 3), keepdim=True))
    good = Exposure.MEAN + (good - Exposure.MEAN) * Exposure.DEVIATION / good.std((2, 3), keepdim=True)
    torch.testing.assert_close(Exposure(1.0)(good), good, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 2), (31, 47), (64, 48)])
def test_pyramid_halves_and_rounds_up(size: tuple[int, int]) -> None:
    levels = SqueezeEncoder().eval()(torch.rand(2, 1, *size))
    for x, step, channels in zip(levels, (4, 8, 16), SqueezeEncoder.channels, strict=True):
        assert x.shape == (2, channels, -(-size[0] // step), -(-size[1] // step))


def test_parameters_are_those_of_squeezenet_with_one_input_channel() -> None:
    # torchvision's SqueezeNet 1.1 features have 722,496 parameters; two of three input channels are summed away.
    assert sum(parameter.numel() for parameter in SqueezeEncoder().parameters()) == 722_496 - 2 * 64 * 9


@pytest.fixture(scope="module")
def squeezenet(assets: Path) -> Path:
    path = assets / "peers" / "features" / "squeezenet1_1_bvlc_rgbnorm_fp16.pth"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the assets")
    return path


@pytest.fixture(scope="module")
def grey(photograph: np.ndarray) -> torch.Tensor:
    return luma(torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None, :, :131, :127].float() / 255)


def normalised(grey: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (grey.expand(-1, 3, -1, -1) - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)


def test_first_layer_equals_the_three_channel_one_away_from_the_border(squeezenet: Path, grey: torch.Tensor) -> None:
    encoder = SqueezeEncoder()
    encoder.load_state_dict(squeezenet_state(squeezenet))
    raw = torch.load(squeezenet, weights_only=True)
    weight, bias = raw["features.0.weight"].float(), raw["features.0.bias"].float()
    with torch.no_grad():
        ours = encoder.conv1(grey)
        theirs = F.conv2d(normalised(grey), weight, bias, stride=2, padding=1)
    difference = (ours - theirs).abs()
    assert difference[..., 1:-1, 1:-1].max() < 2e-4 * theirs.abs().max()
    assert difference.max() > 0.1, "the zero-padded border differs, as documented"


def test_every_published_layer_is_used_once(squeezenet: Path) -> None:
    state, raw = squeezenet_state(squeezenet), torch.load(squeezenet, weights_only=True)
    assert state.keys() == SqueezeEncoder().state_dict().keys()
    features = {key: value for key, value in raw.items() if key.startswith("features.")}
    assert len(features) == len(state)
    for name, index in {"fire2": 3, "fire5": 7, "fire6": 9, "fire9": 12}.items():
        for part in ("squeeze1x1.weight", "expand1x1.bias", "expand3x3.weight"):
            assert torch.equal(state[f"{name}.{part}"], features[f"features.{index}.{part}"].float())


def test_published_weights_keep_the_pyramid_alive(squeezenet: Path, grey: torch.Tensor) -> None:
    encoder = SqueezeEncoder().eval()
    encoder.load_state_dict(squeezenet_state(squeezenet))
    with torch.no_grad():
        for x in encoder(grey):
            assert x.isfinite().all()
            assert (x.amax((0, 2, 3)) > 0).float().mean() > 0.5
