"""Any magnification from one program: x1.0 to x8.0 in steps of 0.1, without seams, equal to the network."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("executorch")

from edge_scs.artifacts import driver
from edge_scs.artifacts.diagnosis import psnr
from edge_scs.artifacts.driver import ContinuousProgram, climbing, sampling
from edge_scs.artifacts.manifest import SCHEMA
from edge_scs.artifacts.presets import load_preset
from edge_scs.artifacts.pte import PteProgram
from edge_scs.artifacts.verify import embedded_photographs, prepare, verify
from edge_scs.errors import InputError
from edge_scs.inference.choice import make_predictor
from edge_scs.inference.predictor import Predictor
from edge_scs.lowering import continuous
from edge_scs.lowering.continuous import CHUNK, Decode, continuous_methods
from edge_scs.lowering.pipeline import export_model
from edge_scs.measure.latency import bench
from edge_scs.measure.measurement import Conditions
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.models.heads import ContinuousHead, lr_coordinates, sample_bilinear
from edge_scs.weights.loading import Loaded
from tests.exported import Exported


class Methods:
    """Stands in for a loaded program: the same modules, run by PyTorch."""

    path = Path("stub.pte")

    def __init__(self, model: EdgeSCS, reference: bool = True):
        self._methods = continuous_methods(model, reference)
        self.methods = frozenset(self._methods)
        self.calls: list[str] = []

    def run(self, inputs: list[Tensor], method: str) -> list[Tensor]:
        self.calls.append(method)
        wanted = self._methods[method]
        for name, x in zip(wanted.inputs, inputs, strict=True):
            least, most = wanted.limit(name, least=True), wanted.limit(name)
            assert all(low <= n <= high for low, n, high in zip(least, x.shape, most, strict=True)), (method, name)
        with torch.no_grad():
            answer = wanted.module(*inputs)
        return list(answer) if isinstance(answer, tuple) else [answer]


@pytest.fixture(scope="module")
def program(small: Loaded) -> ContinuousProgram:
    assert isinstance(small.model, EdgeSCS)
    return ContinuousProgram(Methods(small.model), small.description.halo)  # type: ignore[arg-type]


def photograph(h: int, w: int, index: int = 0) -> Tensor:
    return prepare(embedded_photographs()[index], {"gray": (1, 1, h, w)})["gray"]


def check(program: ContinuousProgram, loaded: Loaded, gray: Tensor, scale: float, least: float = 100) -> None:
    size = (round(gray.shape[2] * scale), round(gray.shape[3] * scale))
    with torch.no_grad():
        expected = loaded.model(gray, size)
        answer = program.render(gray, program.chroma(gray), size)
    assert psnr(answer, expected) >= least, scale


@pytest.mark.parametrize("scale", [1.0, 1.1, 1.9, 2.0, 2.7, 3.0, 3.3, 4.0, 5.9, 8.0])
def test_equals_the_network(program: ContinuousProgram, small: Loaded, scale: float) -> None:
    check(program, small, photograph(30, 40), scale)


def test_chunks_and_tiles_leave_no_seam(
    program: ContinuousProgram, small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced to many tiles and chunks: pixels next to a border are as close to the network's as all others."""
    gray = photograph(90, 120)
    monkeypatch.setattr(driver, "TILE", 70)
    for scale in (2.3, 3.0):
        size = (round(90 * scale), round(120 * scale))
        with torch.no_grad():
            expected = small.model(gray, size)
            chroma = program.chroma(gray)
            pieces = list(program.pieces(gray, chroma, size))
        assert len(pieces) > 4
        assert sum(rgb.shape[2] * rgb.shape[3] for _, _, rgb in pieces) == size[0] * size[1]
        for rows, cols, rgb in pieces:
            assert max(rgb.shape[2:]) <= CHUNK or scale == 3.0
            assert (rgb - expected[:, :, rows, cols]).abs().max() < 1e-4


def test_rows_and_columns_may_be_magnified_differently(program: ContinuousProgram, small: Loaded) -> None:
    """Also by more than one chunk, and windows that are much longer one way than the other."""
    gray = photograph(90, 40)
    for size in ((97, 317), (700, 45)):
        with torch.no_grad():
            expected = small.model(gray, size)
            assert psnr(program.render(gray, program.chroma(gray), size), expected) >= 100, size


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (17, 5), (64, 64)])
def test_tiny_images(program: ContinuousProgram, small: Loaded, shape: tuple[int, int]) -> None:
    check(program, small, photograph(*shape), 3.7)


def test_a_reference_leads_the_colours(program: ContinuousProgram, small: Loaded) -> None:
    gray, reference = photograph(40, 56), prepare(embedded_photographs()[2], {"r": (1, 3, 128, 128)})["r"]
    with torch.no_grad():
        led = program.chroma(gray, reference)
        torch.testing.assert_close(led, small.model.colour(gray, reference), rtol=0, atol=1e-5)  # type: ignore[operator]
    assert (led - program.chroma(gray)).abs().max() > 1e-3


def test_too_long_and_thin(program: ContinuousProgram) -> None:
    with pytest.raises(InputError, match="image 200x10: too long and thin"):
        program.chroma(torch.rand(1, 1, 10, 200))


def test_a_grid_that_is_off_by_one_would_be_seen(
    program: ContinuousProgram, small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "lr_coordinates", lambda n, ratio, start=0: lr_coordinates(n, ratio, start + 1))
    with pytest.raises(AssertionError):
        check(program, small, photograph(30, 40), 2.7, least=50)


def test_sampling_is_bilinear() -> None:
    x, ratio = torch.rand(1, 5, 9, 11), 2.6
    rows, cols = lr_coordinates(23, ratio), lr_coordinates(28, ratio)
    answer = sampling(rows, 0, 9, 8) @ x @ sampling(cols, 0, 11, 10).T
    torch.testing.assert_close(answer, sample_bilinear(x, rows, cols), rtol=0, atol=1e-5)
    assert (sampling(rows, 0, 9, 8) > 0).sum(1).max() == 2


@pytest.mark.parametrize("side", [32, 33, 47, 240, 250, 511])
def test_climbing_is_the_colour_branch_s_enlargement(side: int) -> None:
    cells = {cell: -(-side // cell) for cell in (4, 8, 16)}
    for fine, coarse in ((8, 16), (4, 8)):
        x = torch.rand(1, 1, 1, cells[coarse])
        wanted = torch.nn.functional.interpolate(x, (1, cells[fine]), mode="bilinear", align_corners=False)
        torch.testing.assert_close(x @ climbing(side, fine).T, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 150), (181, 317), (240, 240)])
def test_chroma_on_grids_of_odd_sides(program: ContinuousProgram, small: Loaded, shape: tuple[int, int]) -> None:
    gray = photograph(*shape)
    with torch.no_grad():
        wanted = small.model.colour(gray)  # type: ignore[operator]
        torch.testing.assert_close(program.chroma(gray), wanted, rtol=0, atol=1e-5)


def test_decode_folds_the_colour_matrix(small: Loaded) -> None:
    model = small.model
    assert isinstance(model, EdgeSCS)
    grid, fine = torch.rand(1, 16, 6, 7).double(), torch.rand(1, 3, 24, 28).double()
    rows, cols = lr_coordinates(15, 2.5), lr_coordinates(20, 20 / 7)
    finer_rows, finer_cols = lr_coordinates(15, 2.5 / 4), lr_coordinates(20, 5 / 7)
    positions = [ContinuousHead.positions(c, r) for c, r in ((rows, 2.5), (cols, 20 / 7))]
    precise = continuous.copy.deepcopy(model).double()
    with torch.no_grad():
        ycc = precise.continuous.map(
            sample_bilinear(grid, rows, cols), *positions, sample_bilinear(fine, finer_rows, finer_cols)
        )
        answer = Decode(precise)(
            grid,
            sampling(rows, 0, 6, 5).double(),
            sampling(cols, 0, 7, 6).double(),
            torch.nn.functional.conv2d(fine, precise.to_rgb),
            sampling(finer_rows, 0, 24, 23).double(),
            sampling(finer_cols, 0, 28, 27).double(),
            positions[0][None, :, None, :],
            positions[1][None, :, :, None],
        )
    torch.testing.assert_close(answer, precise.rgb(ycc), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small: Loaded) -> Exported:
    folder = tmp_path_factory.mktemp("continuous")
    manifest = export_model(small, load_preset("xnnpack-continuous"), folder)
    return Exported(folder / manifest.artifact, manifest)


@pytest.mark.slow
def test_one_program_does_every_tenth(exported: Exported, small: Loaded) -> None:
    """The .pte itself, x1.0 to x8.0 in steps of 0.1 on a photograph of several chunks."""
    program = ContinuousProgram(PteProgram(exported.path), small.description.halo)
    gray = photograph(45, 60)
    chroma = program.chroma(gray)
    for tenth in range(10, 81):
        size = (round(45 * tenth / 10), round(60 * tenth / 10))
        with torch.no_grad():
            expected = small.model(gray, size)
        assert psnr(program.render(gray, chroma, size), expected) >= 60, tenth


@pytest.mark.slow
def test_it_can_be_timed_at_any_size(exported: Exported) -> None:
    measured = bench([str(exported.path)], Conditions(lr=(45, 60), scale=2.7, threads=(1, 2), warmup=1, runs=2))
    assert [(row.runtime, row.threads) for row in measured.results] == [("executorch", 1), ("executorch", 2)]
    assert measured.results[0].lr == (45, 60)
    assert measured.results[0].hr == (122, 162)
    assert all(row.median_ms > 0 for row in measured.results)


@pytest.mark.slow
def test_the_export_says_what_it_is(exported: Exported) -> None:
    manifest = exported.manifest
    assert exported.path.name == "edge_scs_s_xnnpack-continuous.pte"
    assert [method.name for method in manifest.methods] == ["colour", "encode", "x2", "x3", "x4", "finest", "decode"]
    assert manifest.delegated_share is not None
    assert manifest.delegated_share >= 0.95
    shares = {method.name: method.delegated_share for method in manifest.methods}
    assert shares["encode"] == shares["decode"] == 1.0
    assert manifest.non_delegated == ["aten_view_copy_default"]
    assert manifest.parity is not None
    assert manifest.parity.psnr_db is not None
    assert manifest.parity.psnr_db >= 80
    assert len(manifest.parity.methods) == 8
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(json.loads(Path(f"{exported.path}.json").read_text()), schema)
    assert verify(exported.path, images=embedded_photographs()[:2]).passed


@pytest.mark.slow
def test_enhance_gives_torchs_image(exported: Exported, small: Loaded) -> None:
    photo = (photograph(70, 100, 1)[0, 0] * 255).round().byte().numpy()
    predictor = make_predictor("edge_scs_m", runtime="executorch", artifact=exported.path)
    ours, torchs = predictor.enhance(photo, (189, 270)), Predictor(small).enhance(photo, (189, 270))
    assert np.abs(ours.astype(int) - torchs).max() <= 1
    assert (ours != torchs).mean() < 0.001
    colour = np.stack([photo, photo // 2, 255 - photo], axis=2)
    kept = predictor.enhance(colour, (140, 200), keep_colour=True)
    torchs = Predictor(small).enhance(colour, (140, 200), keep_colour=True)
    inside = ((torchs > 25) & (torchs < 230)).all(axis=2)  # the program's answer is clamped before its luma is taken
    assert inside.mean() > 0.3
    assert np.abs(kept.astype(int) - torchs)[inside].mean() < 0.5
    with pytest.raises(InputError, match="without its reference branch"):
        predictor.enhance(photo, (189, 270), reference=colour)
    with pytest.raises(InputError, match="magnifies by 1 to 8"):
        predictor.enhance(photo, (700, 1000))
