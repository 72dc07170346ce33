"""The predictor with networks that are not Edge-SCS: tiled where they allow it, whole where they do not."""

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import as_grey, to_image, to_tensor
from edge_scs.inference.predictor import Predictor
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded
from tests.inference.test_predictor import assembled, noisy, whole


class Shuffler(nn.Module):
    """An RGB network by the contract: x2 and x3, two 3x3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.tails = nn.ModuleDict({str(s): nn.Conv2d(8, 3 * s * s, 3, padding=1) for s in (2, 3)})

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        scale = size[0] // rgb.shape[-2]
        assert size == (rgb.shape[-2] * scale, rgb.shape[-1] * scale)
        return F.pixel_shuffle(self.tails[str(scale)](self.stem(rgb)), scale).sigmoid()


@pytest.fixture(scope="module")
def rgb_network() -> Loaded:
    torch.manual_seed(0)
    about = Description("shuffler", "", "rgb", (2, 3), None, halo=2, reference=False)
    return Loaded("shuffler", noisy(Shuffler()), about, "noise")


@pytest.mark.parametrize("keep_colour", [False, True])
@pytest.mark.parametrize(("times", "tile"), [(2, 32), (3, 17), (3, None)])
def test_rgb_network_tiled_equals_forward(
    rgb_network: Loaded, photo: np.ndarray, times: int, tile: int | None, keep_colour: bool
) -> None:
    size = (photo.shape[0] * times, photo.shape[1] * times)
    seen = photo if keep_colour else np.repeat(as_grey(photo)[..., None], 3, axis=2)
    with torch.inference_mode():
        expected = rgb_network.model(to_tensor(seen, torch.device("cpu")), size)
    got = assembled(Predictor(rgb_network, tile), photo, size, keep_colour=keep_colour)
    assert (got - expected).abs().max() < 1e-5


def test_rgb_network_refuses_scales_it_lacks(rgb_network: Loaded, photo: np.ndarray) -> None:
    for times in (4, 2.5):
        size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
        with pytest.raises(InputError, match=r"shuffler: cannot magnify by x.*; it supports x2, x3$"):
            Predictor(rgb_network).enhance(photo, size)
    assert Predictor(rgb_network).default_scale == 3


@pytest.mark.parametrize("times", [1.5, 2])
def test_continuous_rgb_networks_run_whole(photo: np.ndarray, times: float) -> None:
    """CiaoSR's non-local attention gathers from everywhere, so tiles would change the image, at whole scales too."""
    options: dict[str, object] = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8}
    model = noisy(registry.create("ciaosr_edsr", options))
    loaded = Loaded("ciaosr_edsr", model, registry.describe("ciaosr_edsr", model), "noise")
    image = photo[:24, :32]
    size = (int(24 * times), int(32 * times))
    with torch.inference_mode():
        expected = model(to_tensor(image, torch.device("cpu")), size)
    got = assembled(Predictor(loaded, 8), image, size, keep_colour=True)
    assert torch.equal(got, expected)


def test_grey_network_by_contract_runs_whole(photo: np.ndarray) -> None:
    class Grey(nn.Module):
        def forward(self, gray: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
            shift = 0 if reference is None else reference.mean() / 10
            return (F.interpolate(gray, size) + shift).clamp(0, 1).expand(-1, 3, -1, -1)

    about = Description("grey", "", "grey", (), (1.0, 8.0), halo=0, reference=True)
    predictor = Predictor(Loaded("grey", Grey(), about, "none"), 16)
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    plain = predictor.enhance(photo, size)
    assert np.array_equal(plain[::2, ::2, 0], as_grey(photo))
    white = np.full((5, 5, 3), 255, np.uint8)
    assert predictor.enhance(photo, size, reference=white).mean() > plain.mean() + 20
    with pytest.raises(InputError, match="cannot keep it"):
        predictor.enhance(photo, size, keep_colour=True)


def test_scsnet_runs_whole_led_and_reports_once(photo: np.ndarray) -> None:
    """Its instance norms and attention see the whole image, so tiles must not cut it."""
    model = noisy(registry.create("scsnet", {"channels": 4, "blocks": 1}))
    loaded = Loaded("scsnet", model, registry.describe("scsnet", model), "noise")
    predictor, size = Predictor(loaded, 16), (round(photo.shape[0] * 1.3), round(photo.shape[1] * 1.3))
    assert predictor.default_scale == 4
    reference, steps = skimage.data.coffee()[::3, ::4], []
    plain = predictor.enhance(photo, size, progress=lambda done, total: steps.append((done, total)))
    led = predictor.enhance(photo, size, reference=reference)
    assert np.array_equal(plain, to_image(whole(loaded, photo, size)))
    assert np.array_equal(led, to_image(whole(loaded, photo, size, reference)))
    assert not np.array_equal(plain, led)
    assert steps == [(1, 1)]
