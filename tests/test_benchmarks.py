"""The scripts behind the documents' figures: they start, and those of quality run whole on a small image."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_scs.samples import photograph
from edge_scs.weights.loading import load, save

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.syspath_prepend(BENCHMARKS)  # as a script they find one another
    runpy.run_path(str(BENCHMARKS / name), run_name="__main__")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """B100, as small as it gets."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "B100").mkdir()
    for index, name in enumerate(("chelsea", "coffee")):
        Image.fromarray(photograph(name)[:96, : 128 + 32 * index]).save(folder / "B100" / f"{name}.png")
    return folder


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_each_says_what_it_is_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, path.name, "--help")
    assert stopped.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_quality_prints_its_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "quality.py", "--bench", folder, "--model", "edge_scs_s", "--sets", "B100", "--scales", 2, 2.7)
    said = capsys.readouterr().out
    assert "| B100, edge_scs_s | " in said
    assert "| the x3 answer, resized | " in said
    assert "| guided by another image | psnr_rgb | " in said
    assert "nan" not in said


def test_degraded_prints_its_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--restoration", 0, "--kinds", "clean", "noise 20", "old", "--flat", "--lattice"]
    run(monkeypatch, "degraded.py", "--bench", folder, "--model", "edge_scs_s", *options)
    said = capsys.readouterr().out
    gains = next(line for line in said.splitlines() if "restoration 0, gain" in line).split("|")[2:5]
    assert float(gains[0]) > 0.3
    assert "| bicubic, deviation on flat areas, levels | " in said
    assert "nan" not in said


def test_degraded_leaves_out_what_was_not_degraded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At x1 a clean input is its own truth: no gain, but the PSNR-Y of what the network makes of it."""
    options = ["--scales", 1, "--limit", 1, "--kinds", "clean", "noise 20", "--restoration", 1]
    run(monkeypatch, "degraded.py", "--bench", folder, "--model", "edge_scs_s", *options)
    cells = next(line for line in capsys.readouterr().out.splitlines() if "restoration 1, gain" in line).split("|")[2:4]
    assert 25 < float(cells[0].strip(" ()")) < 60
    assert cells[1].strip().startswith("+")


def test_degraded_blends_towards_a_checkpoint_and_names_what_is_not_at_hand(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    clean = load("edge_scs_s", amount=0.0)
    save(tmp_path / "end.safetensors", clean.name, clean.model, {})
    options = ["--kinds", "noise 20", "--limit", 1, "--restoration", 0, 1, "--lpips", "--niqe", "--peers"]
    blends = ["--end", tmp_path / "end.safetensors", "--amounts", 0, 1]
    run(monkeypatch, "degraded.py", "--bench", folder, "--model", "edge_scs_s", *options, *blends)
    said = capsys.readouterr()
    gains = {line.split(",")[0]: line.split("|")[2] for line in said.out.splitlines() if "gain" in line}
    assert gains["| end 0"] == gains["| restoration 1"] != gains["| end 1"] == gains["| restoration 0"]
    assert not any(word in said.out for word in ("LPIPS", "NIQE", "PCARN"))
    for missing in ("no LPIPS", "no NIQE", "peers/pcarn/PCARN-M.pth", "PCARN-M-L1.pth"):
        assert missing in " ".join(said.err.split())


def test_held_out_prints_its_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "held_out.py", "--data", folder, "--model", "edge_scs_s")
    said = capsys.readouterr().out
    assert "1 held-out photographs" in said
    assert "self-reference" in said


def test_the_contact_sheet_is_an_image(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "edge_scs.samples.photograph", lambda name: np.asarray(Image.open(folder / "B100" / "chelsea.png"))
    )
    run(monkeypatch, "contact_sheet.py", "--model", "edge_scs_s", "-o", tmp_path / "sheet.png")
    assert np.asarray(Image.open(tmp_path / "sheet.png")).std() > 30
