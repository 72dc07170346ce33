"""The predictor: tiled equals whole, colours asked for or kept, and refusals that say what would work."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import as_grey, shrink_reference, to_image, to_tensor
from edge_scs.inference import predictor as predictor_module
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options, Request
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded


def noisy(model: nn.Module, seed: int = 1) -> nn.Module:
    """Noise in every parameter and filters twice as strong: fresh heads are zero, and every tiling would look right."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2 if parameter.ndim == 4 else 1)
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    torch.manual_seed(0)
    model = noisy(registry.create("edge_scs_s"))
    return Loaded("edge_scs_s", model, registry.describe("edge_scs_s", model), "noise")


def whole(loaded: Loaded, image: np.ndarray, size: tuple[int, int], reference: np.ndarray | None = None) -> Tensor:
    """``forward`` itself."""
    guide = None if reference is None else to_tensor(shrink_reference(reference), torch.device("cpu"))
    with torch.inference_mode():
        return loaded.model(to_tensor(as_grey(image), torch.device("cpu")), size, guide)


def assembled(predictor: Predictor, image: np.ndarray, size: tuple[int, int], **options: Any) -> Tensor:
    """The predictor's answer before rounding; pixels that no piece makes stay nan."""
    out = torch.full((1, 3, *size), torch.nan)
    request = Request(image, size, options.pop("reference", None), Options.of(options))
    with torch.inference_mode():
        for rows, cols, rgb in predictor.pieces(request):
            assert torch.isnan(out[..., rows, cols]).all()  # none is made twice
            out[..., rows, cols] = rgb
    return out


@pytest.mark.parametrize("times", [1, 2, 3, 4, 1.37, 2.5, 5])
def test_tiled_equals_forward(loaded: Loaded, photo: np.ndarray, times: float) -> None:
    lr = photo[:83, :97]
    size = (round(83 * times), round(97 * times))
    expected = whole(loaded, lr, size)
    assert expected.std() > 0.05
    for tile in (None, 1000, 48, 31):
        assert (assembled(Predictor(loaded, tile), lr, size) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (1, 13), (13, 1), (2, 3), (9, 14)])
@pytest.mark.parametrize("times", [2, 1.5, 8])
def test_tiny_images_and_tiny_tiles_equal_forward(
    loaded: Loaded, photo: np.ndarray, times: float, shape: tuple[int, int]
) -> None:
    lr = photo[: shape[0], : shape[1]]
    size = (max(1, round(shape[0] * times)), max(1, round(shape[1] * times)))
    expected = whole(loaded, lr, size)
    for tile in (1, 3, None):
        assert (assembled(Predictor(loaded, tile), lr, size) - expected).abs().max() < 1e-4


def test_the_larger_network_tiles_as_well(photo: np.ndarray) -> None:
    model = noisy(registry.create("edge_scs_m"))
    larger = Loaded("edge_scs_m", model, registry.describe("edge_scs_m", model), "noise")
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    assert (assembled(Predictor(larger, 60), photo, size) - whole(larger, photo, size)).abs().max() < 1e-4


def test_unequal_magnification_equals_forward(loaded: Loaded, photo: np.ndarray) -> None:
    size = (2 * photo.shape[0], 3 * photo.shape[1] + 1)
    assert (assembled(Predictor(loaded, 40), photo, size) - whole(loaded, photo, size)).abs().max() < 1e-4


def test_narrow_bands_equal_forward(loaded: Loaded, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_module, "BAND_PIXELS", 400)
    size = (int(photo.shape[0] * 2.7), int(photo.shape[1] * 2.7))
    assert (assembled(Predictor(loaded, 50), photo, size) - whole(loaded, photo, size)).abs().max() < 1e-4


@pytest.mark.parametrize("times", [2, 2.5])
def test_the_comparison_sees_a_missing_halo(loaded: Loaded, photo: np.ndarray, times: float) -> None:
    about = Description(**{**vars(loaded.description), "halo": 8})
    blind = Predictor(Loaded(loaded.name, loaded.model, about, loaded.source), 30)
    size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
    assert (assembled(blind, photo, size) - whole(loaded, photo, size)).abs().max() > 1e-3


def test_reference_reaches_every_tile(loaded: Loaded, photo: np.ndarray) -> None:
    reference = skimage.data.coffee()[::3, ::4]
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    expected = whole(loaded, photo, size, reference)
    assert (expected - whole(loaded, photo, size)).abs().max() > 1e-3
    assert (assembled(Predictor(loaded, 40), photo, size, reference=reference) - expected).abs().max() < 1e-4


def test_enhance_rounds_to_nearest_and_reports_progress(loaded: Loaded, photo: np.ndarray) -> None:
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    seen: list[tuple[int, int]] = []
    out = Predictor(loaded, 50).enhance(photo, size, progress=lambda done, total: seen.append((done, total)))
    assert out.dtype == np.uint8
    assert out.shape == (*size, 3)
    exact = whole(loaded, photo, size)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(out - exact).max() < 0.5 + 0.03
    assert seen == [(i, 6) for i in range(1, 7)]


def test_colour_is_computed_once_whatever_the_tiles(
    loaded: Loaded, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = type(loaded.model.colour).forward

    def counted(self: nn.Module, gray: Tensor, *more: object, **options: Any) -> Tensor:
        calls.append(len(gray))
        return forward(self, gray, *more, **options)

    monkeypatch.setattr(type(loaded.model.colour), "forward", counted)
    Predictor(loaded, 20).enhance(photo, (photo.shape[0] * 2, photo.shape[1] * 2))
    assert calls == [1]


def test_colour_input_is_reduced_as_pillow_reduces_it(loaded: Loaded, photo: np.ndarray) -> None:
    grey = np.array(Image.fromarray(photo).convert("L"))
    assert np.array_equal(as_grey(photo), grey)
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    predictor = Predictor(loaded)
    assert np.array_equal(predictor.enhance(photo, size), predictor.enhance(grey, size))


@pytest.mark.parametrize("times", [2, 2.3])
def test_kept_chroma_is_the_images_own(loaded: Loaded, photo: np.ndarray, times: float) -> None:
    size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
    kept = Predictor(loaded, 40).enhance(photo, size, keep_colour=True)
    bicubic = np.array(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))

    def chroma(rgb: np.ndarray) -> np.ndarray:
        inside = ((rgb > 0) & (rgb < 255)).all(axis=2)
        return np.where(inside[..., None], np.array(Image.fromarray(rgb).convert("YCbCr"))[..., 1:].astype(int), -1)

    a, b = chroma(kept), chroma(bicubic)
    both = (a >= 0) & (b >= 0)
    assert both.mean() > 0.5
    assert np.abs(a - b)[both].max() <= 2
    predicted = chroma(Predictor(loaded, 40).enhance(photo, size))
    assert np.abs(predicted - b)[(predicted >= 0) & (b >= 0)].mean() > 2
    assert np.abs(a - b)[both].mean() < 0.6
    luma = np.abs(np.array(Image.fromarray(kept).convert("L")).astype(int) - as_grey(bicubic))
    assert luma.max() > 8  # and luma is the network's, not bicubic's


@pytest.mark.parametrize("times", [3, 1.7])
def test_kept_colour_is_the_same_for_any_tile(loaded: Loaded, photo: np.ndarray, times: float) -> None:
    size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
    expected = assembled(Predictor(loaded, None), photo, size, keep_colour=True)
    assert (assembled(Predictor(loaded, 33), photo, size, keep_colour=True) - expected).abs().max() < 1e-4


def test_what_has_no_colour_keeps_none(loaded: Loaded, photo: np.ndarray) -> None:
    out = Predictor(loaded).enhance(as_grey(photo), (photo.shape[0] * 2, photo.shape[1] * 2), keep_colour=True)
    assert np.ptp(out.astype(int), axis=2).max() <= 1


@pytest.mark.parametrize("size", [(89, 110), (90, 881), (1000, 110)])
def test_magnification_out_of_range_is_refused(loaded: Loaded, photo: np.ndarray, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="supports x2, x3, x4, anything from x1 to x8"):
        Predictor(loaded).enhance(photo, size)


def test_other_input_errors(loaded: Loaded, photo: np.ndarray) -> None:
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    for wrong in (photo.astype(np.float32), photo[..., :2], photo[:0], photo[None]):
        with pytest.raises(InputError, match="must be uint8"):
            Predictor(loaded).enhance(wrong, size)
    with pytest.raises(InputError, match="exclude each other"):
        Predictor(loaded).enhance(photo, size, reference=photo, keep_colour=True)
    with pytest.raises(InputError, match="tile 0"):
        Predictor(loaded, 0)


def test_network_without_reference_branch_refuses_one(photo: np.ndarray) -> None:
    model = registry.create("edge_scs_s", {"reference": False}).eval()
    plain = Loaded("edge_scs_s", model, registry.describe("edge_scs_s", model), "noise")
    with pytest.raises(InputError, match="edge_scs_s: has no reference branch"):
        Predictor(plain).enhance(photo, (photo.shape[0] * 2, photo.shape[1] * 2), reference=photo)


def test_rounding_covers_the_whole_range() -> None:
    values = torch.tensor([-0.1, 0.0, 0.49 / 255, 0.51 / 255, 254.4 / 255, 1.0, 1.2])
    assert to_image(values.expand(1, 3, 1, -1))[0, :, 0].tolist() == [0, 0, 0, 1, 254, 255, 255]


def test_reference_is_shrunk_without_aliasing() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    small = shrink_reference(stripes)
    assert small.shape == (128, 128, 3)
    assert np.abs(small.astype(int) - 127).max() < 20


def test_device_is_where_the_network_goes(loaded: Loaded) -> None:
    moved = SimpleNamespace(to=lambda device: SimpleNamespace(eval=lambda: ("moved", device)))
    predictor = Predictor(Loaded("x", moved, loaded.description, "none"), device="meta")
    assert predictor.model == ("moved", torch.device("meta"))


def test_strips_add_up_to_the_image(loaded: Loaded, photo: np.ndarray) -> None:
    for times in (2, 2.5):
        size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
        strips = list(Predictor(loaded, 25).strips(Request(photo, size)))
        assert len(strips) == 4
        assert np.array_equal(np.concatenate(strips), Predictor(loaded, 25).enhance(photo, size))


@pytest.mark.parametrize("keep_colour", [False, True])
def test_sixteen_bits_go_through(loaded: Loaded, photo: np.ndarray, keep_colour: bool) -> None:
    size = (photo.shape[0] * 2, photo.shape[1] * 2)
    shallow = Predictor(loaded, 40).enhance(photo, size, keep_colour=keep_colour)
    deep = Predictor(loaded, 40).enhance(photo.astype(np.uint16) * 257, size, keep_colour=keep_colour)
    assert deep.dtype == np.uint16
    # Grey is rounded to 8 bits in the one and to 16 in the other.
    assert np.abs(deep / 257 - shallow).max() < (2.5 if not keep_colour else 0.6)
    assert len(np.unique(deep)) > 2000


@pytest.mark.parametrize("times", [2, 1.5])
@pytest.mark.parametrize("batch", [2, 3, 8])
def test_batches_of_equal_tiles_equal_forward(loaded: Loaded, photo: np.ndarray, times: float, batch: int) -> None:
    size = (round(photo.shape[0] * times), round(photo.shape[1] * times))
    seen = []
    predictor = Predictor(loaded, 31, batch=batch)
    predictor.model.texture.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    try:
        assert (assembled(predictor, photo, size) - whole(loaded, photo, size)).abs().max() < 1e-4
        assert max(seen) > 1
    finally:
        predictor.model.texture._forward_hooks.clear()


def test_large_images_reach_the_colour_grid_in_bands(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.tile(skimage.data.chelsea()[:290, :440, 0], (2, 2))[:573, :811]
    gray = to_tensor(image, torch.device("cpu"))
    with torch.inference_mode():
        expected = loaded.model.colour(gray)
        for pixels in (1, 5000, 10**9):
            monkeypatch.setattr(predictor_module, "GRID_PIXELS", pixels)
            grid = Predictor(loaded)._on_colour_grid(loaded.model, image)
            assert (loaded.model.colour(grid, on_grid=True) - expected).abs().max() < 1e-6


def test_identity_is_that_of_the_weights(loaded: Loaded) -> None:
    other = noisy(registry.create("edge_scs_s"), seed=2)
    assert Predictor(loaded).identity == Predictor(loaded, 9).identity
    assert Predictor(Loaded("edge_scs_s", other, loaded.description, "x")).identity != Predictor(loaded).identity
