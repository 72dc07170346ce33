"""Artifacts of one size on images of any size: placement, blending, refusals, and one real program."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.artifacts.manifest import Port, artifact_sha256
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import as_grey, to_tensor
from edge_scs.inference import fixed_program as fixed
from edge_scs.inference.choice import make_predictor
from edge_scs.inference.fixed_program import FixedPredictor
from edge_scs.inference.request import Options
from tests.manifests import manifest


class Program:
    """Stands in for a loaded .pte: grey (1, 1, 96, 128) -> RGB by a small convolution and pixel repetition."""

    lr, hr, channels, reference = (96, 128), (192, 256), 1, False

    def __init__(self, path: Path, threads: int | None = None):
        self.inputs = [(1, self.channels, *self.lr)] + ([(1, 3, 64, 32)] if self.reference else [])
        self.outputs = [(1, 3, *self.hr)]
        self.seen: list[list[Tensor]] = []

    def run(self, inputs: list[Tensor]) -> list[Tensor]:
        assert [tuple(x.shape) for x in inputs] == self.inputs
        self.seen.append(inputs)
        return [answer(inputs[0], self.hr)]


def answer(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A local network: a 9x9 mean with zero padding, enlarged, tinted so that luma and chroma both depend on it."""
    mean = F.conv2d(x.mean(1, keepdim=True), torch.full((1, 1, 9, 9), 1 / 81), padding=4)
    large = F.interpolate(mean, size, mode="nearest")
    return torch.cat([large * 0.9, large * 0.5, 1 - large], dim=1)


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fixed, "PteProgram", Program)
    return described(tmp_path / "a.pte")


def described(path: Path, **changes: object) -> Path:
    """A file, empty unless it is there, with a manifest beside it."""
    path.touch()
    ports = {"inputs": [Port("x", [1, 1, 96, 128], "float32")], "outputs": [Port("x", [1, 3, 192, 256], "float32")]}
    facts = {"model": "edge_scs_s", "scale": 2, "sha256": artifact_sha256(path), "min_psnr_db": 40.0}
    manifest(path, **(facts | ports | changes))
    return path


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.chelsea()


def test_an_image_of_its_size_runs_once_and_untouched(artifact: Path, photo: np.ndarray) -> None:
    predictor = FixedPredictor(artifact)
    image = photo[:96, :128]
    out = predictor.enhance(image, (192, 256))
    gray = to_tensor(as_grey(image), torch.device("cpu"))
    assert [len(inputs) for inputs in predictor.program.seen] == [1]
    assert torch.equal(predictor.program.seen[0][0], gray)
    exact = answer(gray, (192, 256))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(out - exact).max() <= 0.51
    assert predictor.default_scale == 2.0


@pytest.mark.parametrize("shape", [(97, 128), (96, 200), (150, 300), (300, 451)])
def test_larger_images_have_no_seams(artifact: Path, photo: np.ndarray, shape: tuple[int, int]) -> None:
    image = as_grey(photo)[: shape[0], : shape[1]]
    shape = image.shape
    size = (2 * shape[0], 2 * shape[1])
    seen: list[tuple[int, int]] = []
    out = FixedPredictor(artifact).enhance(image, size, progress=lambda done, total: seen.append((done, total)))
    whole = answer(to_tensor(image, torch.device("cpu")), size)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(out - whole).max() <= 0.51  # the margins, where a tile saw padding, weigh nothing
    assert len(seen) > 1
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]


def test_tiles_that_disagree_fade_into_each_other(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_colour(self: Program, inputs: list[Tensor]) -> list[Tensor]:
        self.seen.append(inputs)
        return [torch.full((1, 3, *self.hr), float(len(self.seen) % 2))]

    monkeypatch.setattr(Program, "run", one_colour)
    out = FixedPredictor(artifact).enhance(as_grey(photo)[:96, :200], (192, 400)).astype(int)
    assert out[0, 0, 0] == 255
    assert out[0, -1, 0] == 0
    steps = np.diff(out[0, :, 0])
    assert steps.max() <= 0
    assert steps.min() >= -12  # a fade over at least 16 LR pixels, 32 HR pixels: 255 / 33 and rounding
    assert np.ptp(out, axis=0).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (50, 60), (96, 3), (20, 300)])
def test_smaller_images_are_continued_by_their_border(
    artifact: Path, photo: np.ndarray, shape: tuple[int, int]
) -> None:
    image = as_grey(photo)[: shape[0], : shape[1]]
    predictor = FixedPredictor(artifact)
    out = predictor.enhance(image, (2 * shape[0], 2 * shape[1]))
    assert out.shape == (2 * shape[0], 2 * shape[1], 3)
    (given,) = predictor.program.seen[0]
    assert torch.equal(given[0, 0, : shape[0], : shape[1]], to_tensor(image, torch.device("cpu"))[0, 0, :96, :128])
    assert (given[0, 0, shape[0] :] == given[0, 0, shape[0] - 1]).all()
    if shape[0] > 10 and shape[1] > 20:
        whole = answer(to_tensor(image, torch.device("cpu")), (2 * shape[0], 2 * shape[1]))
        exact = whole[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(out - exact)[: 2 * shape[0] - 10, : 2 * shape[1] - 10].max() <= 0.51


def test_a_decimal_scale_places_tiles_on_whole_pixels(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "hr", (144, 192))
    image = as_grey(photo)[:150, :301]
    out = FixedPredictor(artifact).enhance(image, (225, round(301 * 1.5)))
    # nearest neighbour at x1.5 has a phase: repeated on the whole grid it must stay in step across tiles
    padded = np.pad(image, ((0, 0), (0, 1)), mode="edge")
    whole = answer(to_tensor(padded, torch.device("cpu")), (225, 453))[0].permute(1, 2, 0).numpy()[:, :452] * 255
    assert np.abs(out - whole)[:, :-10].max() <= 0.51


def test_a_scale_that_never_meets_the_grid_takes_small_images_only(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "hr", (97, 129))
    predictor = FixedPredictor(artifact)
    assert predictor.enhance(photo[:96, :128], (97, 129)).shape == (97, 129, 3)
    with pytest.raises(InputError, match=r"a\.pte: only takes images up to 128x96"):
        predictor.enhance(photo[:200, :128], (round(200 * 97 / 96), 129))


@pytest.mark.parametrize("size", [(300, 400), (200, 401), (100, 200)])
def test_other_scales_are_refused(artifact: Path, photo: np.ndarray, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"a\.pte: only magnifies by x2, the scale it was exported for"):
        FixedPredictor(artifact).enhance(photo[:100, :200], size)
    with pytest.raises(InputError, match="only magnifies by x2"):
        FixedPredictor(artifact).check_options(Options(), False, 4)
    FixedPredictor(artifact).check_options(Options(), False, 2)


def test_kept_colour_is_the_images_own(artifact: Path, photo: np.ndarray) -> None:
    image = photo[50:200, 100:300]
    kept = FixedPredictor(artifact).enhance(image, (300, 400), keep_colour=True)
    bicubic = np.array(Image.fromarray(image).resize((400, 300), Image.Resampling.BICUBIC).convert("YCbCr"))
    inside = ((kept > 0) & (kept < 255)).all(axis=2)
    assert inside.mean() > 0.9
    difference = np.array(Image.fromarray(kept).convert("YCbCr")).astype(int) - bicubic
    assert np.abs(difference[..., 1:])[inside].max() <= 2
    assert np.abs(difference[..., 0]).mean() > 5  # luma is the artifact's


def test_kept_colour_of_an_artifact_that_stretches(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as high and three times as wide: each axis by its own ratio, in the image and across its tiles."""
    monkeypatch.setattr(Program, "hr", (192, 384))
    predictor = FixedPredictor(artifact)
    for image in (photo[50:146, 100:228], photo[50:200, 100:300]):
        h, w = image.shape[:2]
        kept = predictor.enhance(image, (2 * h, 3 * w), keep_colour=True)
        bicubic = np.array(Image.fromarray(image).resize((3 * w, 2 * h), Image.Resampling.BICUBIC).convert("YCbCr"))
        inside = ((kept > 0) & (kept < 255)).all(axis=2)
        assert inside.mean() > 0.9
        difference = np.array(Image.fromarray(kept).convert("YCbCr")).astype(int) - bicubic
        assert np.abs(difference[..., 1:])[inside].max() <= 2


def test_an_rgb_artifact_sees_grey_three_times_or_the_colours(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "channels", 3)
    predictor = FixedPredictor(artifact)
    image = photo[:96, :128]
    predictor.enhance(image, (192, 256))
    predictor.enhance(image, (192, 256), keep_colour=True)
    grey, colour = (inputs[0] for inputs in predictor.program.seen)
    assert torch.equal(grey, to_tensor(as_grey(image), torch.device("cpu")).expand(-1, 3, -1, -1))
    assert torch.equal(colour, to_tensor(image, torch.device("cpu")))


def test_references_are_given_exactly_when_taken(
    artifact: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo[:96, :128]
    with pytest.raises(InputError, match="exported without a reference"):
        FixedPredictor(artifact).enhance(image, (192, 256), reference=photo)
    monkeypatch.setattr(Program, "reference", True)
    predictor = FixedPredictor(artifact)
    with pytest.raises(InputError, match="give --reference"):
        predictor.enhance(image, (192, 256))
    with pytest.raises(InputError, match="exclude each other"):
        predictor.enhance(image, (192, 256), reference=photo, keep_colour=True)
    predictor.enhance(image, (192, 256), reference=photo)
    small = Image.fromarray(photo).resize((32, 64), Image.Resampling.BICUBIC)
    assert torch.equal(predictor.program.seen[0][1], to_tensor(np.array(small), torch.device("cpu")))


def test_what_is_no_artifact_is_refused(tmp_path: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, words in [
        (tmp_path / "none.pte", r"none\.pte"),
        (described(tmp_path / "m.pte", target="coreml"), "is a coreml artifact"),
        (described(tmp_path / "c.pte", sha256="0" * 64), "differs from its manifest"),
        (described(tmp_path / "u.pte", model="other"), "made from other, which this version does not know"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            make_predictor("edge_scs_m", runtime="executorch", artifact=path)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(Program, "channels", 2)
    with pytest.raises(InputError, match="does not turn one image into an RGB image"):
        FixedPredictor(artifact)


class Brighten(nn.Module):
    """Small enough to lower in seconds."""

    def forward(self, gray: Tensor) -> Tensor:
        large = gray.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return torch.cat([large, large * 0.5, large * 0.25], dim=1)


@pytest.mark.slow  # importing the lowering half of executorch alone takes seconds
def test_a_real_program_runs_on_any_size(tmp_path: Path, photo: np.ndarray) -> None:
    pytest.importorskip("executorch")
    from edge_scs.lowering.executorch import lower

    path = tmp_path / "real.pte"
    path.write_bytes(lower(Brighten().eval(), [torch.rand(1, 1, 24, 32)]).content)
    described(path)
    image = as_grey(photo)[:50, :80]
    out = make_predictor("edge_scs_m", runtime="executorch", artifact=path).enhance(image, (100, 160))
    large = image.repeat(2, axis=0).repeat(2, axis=1).astype(float)
    assert np.abs(out - np.stack([large, large / 2, large / 4], axis=2)).max() <= 0.51
