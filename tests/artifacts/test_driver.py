"""The caller of a continuous program: its arithmetic, on images whose sides differ."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.artifacts import driver
from edge_scs.artifacts.driver import ContinuousProgram, climbing, sampling
from edge_scs.errors import InputError
from edge_scs.models.heads import FINEST, lr_coordinates, sample_bilinear


class Plain:
    """A program whose network adds nothing: the answer is the bilinear image, or pixels repeated at x2, x3, x4."""

    path = Path("plain.pte")
    methods = frozenset({"colour", "encode", "finest", "decode", "x2", "x3", "x4"})

    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, inputs: list[Tensor], method: str) -> list[Tensor]:
        self.calls.append(method)
        if method == "colour":
            return [inputs[0].mean().expand(1, 2, 3, 5)]
        if method == "encode":
            gray, chroma = inputs
            base = torch.cat([gray, chroma], dim=1)
            return [gray, base, 0 * base]
        if method == "finest":
            base = inputs[1]
            rows, cols = (lr_coordinates(n * FINEST, FINEST) for n in base.shape[-2:])
            return [sample_bilinear(base, rows, cols)]
        if method == "decode":
            _, _, _, fine, down, across, rows, cols = inputs
            assert rows.shape[-1] == down.shape[0]
            assert cols.shape[-2] == across.shape[0]
            return [down @ fine @ across.T]
        scale = int(method[1:])
        return [inputs[1].repeat_interleave(scale, 2).repeat_interleave(scale, 3)]


def ramp(h: int, w: int) -> Tensor:
    rows, cols = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    return (0.3 * rows + 0.6 * cols)[None, None].float()


@pytest.mark.parametrize("size", [(25, 90), (40, 75), (37, 61), (160, 240), (20, 30)])
@pytest.mark.parametrize(("tile", "chunk"), [(1000, 1000), (14, 16)])
def test_tiles_and_chunks_put_the_image_together(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], tile: int, chunk: int
) -> None:
    monkeypatch.setattr(driver, "TILE", tile)
    monkeypatch.setattr(driver, "CHUNK", chunk)
    program = ContinuousProgram(Plain(), halo=2)  # type: ignore[arg-type]
    gray, chroma = ramp(20, 30), torch.stack([ramp(4, 6)[0, 0], -ramp(4, 6)[0, 0]])[None]
    answer = program.render(gray, chroma, size)
    rows, cols = (lr_coordinates(20 * FINEST, FINEST), lr_coordinates(30 * FINEST, FINEST))
    base = torch.cat([gray, F.interpolate(chroma, (20, 30), mode="bilinear", align_corners=False)], dim=1)
    fine = sample_bilinear(base, rows, cols)
    expected = F.interpolate(fine, size, mode="bilinear", align_corners=False)
    assert torch.isfinite(answer).all()
    assert (answer - expected).abs().max() < 1e-5


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_whole_scales_go_by_their_own_method(monkeypatch: pytest.MonkeyPatch, scale: int) -> None:
    monkeypatch.setattr(driver, "TILE", 14)
    plain = Plain()
    gray = ramp(20, 30)
    answer = ContinuousProgram(plain, halo=2).render(gray, torch.zeros(1, 2, 3, 5), (20 * scale, 30 * scale))  # type: ignore[arg-type]
    assert torch.equal(answer[:, :1], gray.repeat_interleave(scale, 2).repeat_interleave(scale, 3))
    assert set(plain.calls) == {"encode", f"x{scale}"}


def test_sampling_is_bilinear_and_clamps() -> None:
    weights = sampling(torch.tensor([-0.4, 2.25, 3.9], dtype=torch.float64), 0, 5, 3)
    assert weights.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0.75, 0.25, 0], [0, 0, 0, 1, 0]]
    assert np.allclose(climbing(9, 2).sum(1), 1)
    assert climbing(9, 2).shape == (5, 3)


def test_programs_that_lack_a_method_are_refused() -> None:
    class Half(Plain):
        methods = frozenset({"colour", "encode"})

    with pytest.raises(InputError, match=r"plain\.pte: lacks the method decode"):
        ContinuousProgram(Half(), 2)  # type: ignore[arg-type]


def test_images_beyond_the_grid_are_refused() -> None:
    program = ContinuousProgram(Plain(), 2)  # type: ignore[arg-type]
    assert program.chroma(ramp(60, 90)).shape == (1, 2, 3, 5)
    assert not program.takes_reference
    with pytest.raises(InputError, match="image 3000x4: too long and thin"):
        program.chroma(ramp(4, 3000))


def test_rows_of_tiles_end_where_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TILE", 14)
    program = ContinuousProgram(Plain(), halo=2)  # type: ignore[arg-type]
    stops = program.row_stops(20, 70)
    assert stops == sorted(set(stops))
    assert stops[-1] == 70
    assert len(stops) > 1
