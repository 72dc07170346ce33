"""Looking inside: the maps are the network's own, points land in their cells, and bad input is one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import shrink_reference
from edge_scs.inspection import MAX_POINTS, cell, diagonal, draw, inspect, look, parse_points
from edge_scs.models import registry
from edge_scs.models.attention import CrossAttention, ValveCrossAttention
from edge_scs.weights.loading import Loaded


def make(name: str, config: dict[str, object], lively) -> Loaded:
    torch.manual_seed(0)
    model = lively(registry.create(name, config))
    return Loaded(name, model, registry.describe(name, model), "noise")


@pytest.fixture(scope="module", params=["scsnet", "edge_scs_s"])
def loaded(request, lively) -> Loaded:
    return make(request.param, {"channels": 4, "blocks": 1}, lively)


@pytest.fixture
def files(tmp_path: Path, photograph) -> tuple[Path, Path]:
    photo = Image.fromarray(photograph)
    paths = tmp_path / "grey.png", tmp_path / "reference.jpg"
    photo.convert("L").resize((60, 44)).save(paths[0])
    photo.resize((90, 70)).save(paths[1])
    return paths


def test_writes_one_sheet(tmp_path: Path, loaded: Loaded, files) -> None:
    assert inspect(loaded, *files, ["10,5", "59,43"], tmp_path / "out" / "sheet.png") == [(10, 5), (59, 43)]
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        columns = 1 + len(look(loaded, np.zeros((44, 60), np.uint8), np.zeros((9, 9, 3), np.uint8)))
        assert sheet.width == 240 * columns
        assert sheet.height > 4 * 240
    assert inspect(loaded, *files, [], tmp_path / "sheet.jpg") == [(15, 11), (30, 22), (45, 33)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sheet.png"]


def test_edge_scs_maps_are_those_that_run(lively, photograph) -> None:
    """From the modules' own inputs in ``forward``: the found chroma is the map's mean of the reference's chroma."""
    loaded = make("edge_scs_s", {"channels": 4, "blocks": 1}, lively)
    grey = photograph[::8, ::8, 1]
    seen = []
    crossings = [m for m in loaded.model.modules() if isinstance(m, ValveCrossAttention)]
    hooks = [m.register_forward_hook(lambda _, inputs, out: seen.append((inputs, out))) for m in crossings]
    gray = torch.from_numpy(grey.copy())[None, None] / 255
    reference = torch.from_numpy(shrink_reference(photograph)).permute(2, 0, 1)[None].float() / 255
    loaded.model(gray, (64, 64), reference)
    for hook in hooks:
        hook.remove()
    attentions = look(loaded, grey, photograph)
    sides = [attention.query.shape[-1] for attention in attentions]
    assert sides == sorted(sides, reverse=True)
    by_side = {inputs[0].shape[-1]: (inputs[2], out) for inputs, out in seen}
    for attention in attentions:
        chroma, (_, valve, found) = by_side[attention.query.shape[-1]]
        torch.testing.assert_close(attention.valves[:, 1:], valve, rtol=0, atol=1e-5)
        mean = (attention.at(3, 5)[:, None] * chroma).sum((2, 3))
        torch.testing.assert_close(mean, found[:, :, 3, 5], rtol=0, atol=1e-5)


def test_a_point_lands_in_the_cell_that_holds_it() -> None:
    assert cell((0, 0), (100, 200), (10, 20)) == (0, 0)
    assert cell((199, 99), (100, 200), (10, 20)) == (9, 19)
    assert cell((10, 9), (100, 200), (10, 20)) == (0, 1)
    assert cell((0, 0), (1, 1), (3, 3)) == (1, 1)
    assert cell((2, 1), (2, 3), (4, 6)) == (3, 5)


def test_default_points() -> None:
    assert diagonal(60, 44) == [(15, 11), (30, 22), (45, 33)]
    assert diagonal(1, 1) == [(0, 0)]


def test_the_map_is_drawn_where_the_network_looks(tmp_path: Path) -> None:
    """All attention in the lower right cell of a 2x2 reference: that quarter is bright, the rest dark."""
    key = torch.full((1, 1, 2, 2), -50.0)
    key[..., 1, 1] = 50.0
    attention = CrossAttention(torch.ones(1, 1, 3, 3), key, torch.zeros(1, 2, 3, 3))
    black = np.zeros((40, 40, 3), np.uint8)
    draw(black, black, [attention], [(20, 20)], "toy", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    peak = np.array([252, 255, 164]) * 0.65  # the top of the colour map over black
    bright = np.argwhere(np.abs(pixels - peak).max(axis=2) < 8)
    (top, left), (bottom, right) = bright.min(0), bright.max(0) + 1
    height, width = bottom - top, right - left
    assert min(height, width) > 90
    assert len(bright) == height * width
    for rows, cols in ((top - height, left - width), (top - height, left), (top, left - width)):
        beside = pixels[rows + 8 : rows + height - 8, cols + 8 : cols + width - 8]
        assert beside.max() < 20


@pytest.mark.parametrize("at", ["60,0", "0,44", "10", "10,5,3", "-1,2", "a,b", "", "1.5,2"])
def test_points_that_are_none(at: str) -> None:
    with pytest.raises(InputError, match=f"--at {at}"):
        parse_points([at], (44, 60))


def test_too_many_points() -> None:
    with pytest.raises(InputError, match="too many"):
        parse_points(["1,1"] * (MAX_POINTS + 1), (44, 60))


def test_a_model_without_reference_branch(tmp_path: Path, lively, files) -> None:
    for name, config in (("scsnet", {"reference": False}), ("edge_scs_s", {"reference": False}), ("pcarn_m", {})):
        with pytest.raises(InputError, match="no reference branch"):
            inspect(make(name, {"channels": 8, **config}, lively), *files, [], tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_files_that_cannot_be_used(tmp_path: Path, loaded: Loaded, files) -> None:
    grey, reference = files
    with pytest.raises(InputError, match=r"missing\.png"):
        inspect(loaded, grey, tmp_path / "missing.png", [], tmp_path / "sheet.png")
    with pytest.raises(InputError, match=r"\.xyz"):
        inspect(loaded, grey, reference, [], tmp_path / "sheet.xyz")
    with pytest.raises(InputError, match=r"grey\.png"):
        inspect(loaded, grey, reference, [], grey / "sheet.png")
    with pytest.raises(InputError, match="would replace its source"):
        inspect(loaded, grey, reference, [], tmp_path / "x" / ".." / "reference.jpg")
    assert {path.name for path in tmp_path.iterdir()} == {"grey.png", "reference.jpg"}


def test_command_line(tmp_path: Path, files) -> None:
    grey, reference = files
    out = tmp_path / "sheet.png"

    def run(*arguments) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edge_scs", "inspect", *arguments, "--reference", reference, "-o", out]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run("edge_scs_s", grey, "--at", "10,44")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines() == ["edge-scs: --at 10,44: lies outside the image, whose pixels go up to 59,43"]
    assert not out.exists()
    done = run("edge_scs_s", grey, "--at", "10,20", "--at", "30,5")
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert out.exists()
