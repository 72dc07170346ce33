"""Targets are checked before the first export; all of them go on whatever one of them does, and share int8 graphs."""

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_scs.artifacts.manifest import Manifest
from edge_scs.artifacts.presets import Preset, known
from edge_scs.cli import app as command_line
from edge_scs.errors import InputError
from edge_scs.lowering import targets
from edge_scs.lowering.methods import UnsupportedError
from edge_scs.lowering.table import render
from edge_scs.lowering.targets import export_all, export_targets
from edge_scs.side_by_side import Task
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded
from tests.exported import Exported


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks are done here, in their order, and their names kept; each is pickled first, as for another process."""
    names: list[str] = []

    def run(tasks: Sequence[Task], say: Callable[[str], None]) -> None:
        for task in tasks:
            names.append(task.name)
            task.keep(pickle.loads(pickle.dumps(task.work))(say))

    monkeypatch.setattr(targets, "run_side_by_side", run)
    return names


def test_targets_are_checked_before_the_first_export(
    tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Preset] = []

    def record(loaded: Loaded, preset: Preset, *_: object) -> Manifest | None:
        asked.append(preset)
        return None

    monkeypatch.setattr(targets, "export_model", record)
    export_targets(small, "executorch, coreml", tmp_path, scale=2.5, lr="40x24")
    assert [(p.target, p.lr, p.scale) for p in asked] == [("executorch", [24, 40], 2.5), ("coreml", [24, 40], 2.5)]
    asked.clear()
    for names, lr in (
        ("executorch,korml", None),
        ("executorch", "40"),
        ("executorch", "0x4"),
        ("executorch", "-4x4"),
        ("executorch,xnnpack-sizes", "40x24"),
    ):
        with pytest.raises(InputError):
            export_targets(small, names, tmp_path, lr=lr)
    assert asked == []


def test_all_goes_on_after_a_refusal_and_says_so(
    tmp_path: Path, small: Loaded, pte: Exported, monkeypatch: pytest.MonkeyPatch, at_once: list[str]
) -> None:
    def export(loaded: Loaded, preset: Preset, *_: object) -> Manifest:
        if preset.target == "coreml":
            raise UnsupportedError("it: cannot convert upsample_cubic")
        if preset.backend == "vulkan":
            raise InputError("it: parity failed")
        return pte.manifest

    monkeypatch.setattr(targets, "export_model", export)
    find = partial(loading.load, small.source)
    made, refused = export_all(find, tmp_path)
    assert len(made) + len(refused) == len(known())
    assert {refusal.preset for refusal in refused if refusal.failed} == {"vulkan-fp16"}
    assert [refusal.preset for refusal in refused] == sorted(refusal.preset for refusal in refused)
    assert at_once[0] == "coreml-w8a8, xnnpack-int8"  # what takes longest, in one process
    table = render(made, refused)
    assert "xnnpack-fp32" in table
    assert "coreml-fp16: refused: it: cannot convert upsample_cubic" in table
    assert "vulkan-fp16: failed: it: parity failed" in table

    at_once.clear()
    made, refused = export_all(find, tmp_path, lr="40x24")
    assert len(made) + len(refused) == len(known()) - 3  # these name their sizes themselves
    assert not any("sizes" in name or "continuous" in name for name in at_once)


def test_presets_of_int8_share_one_network(
    tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch, at_once: list[str]
) -> None:
    given: dict[str, Loaded] = {}
    monkeypatch.setattr(targets, "export_model", lambda loaded, preset, *_: given.setdefault(preset.name, loaded))
    monkeypatch.setattr(targets, "check", lambda *_: None)
    find = partial(loading.load, small.source)
    export_all(find, tmp_path, quantised=find)
    assert given["xnnpack-int8"] is given["coreml-w8a8"] is not given["xnnpack-fp32"]
    given.clear()
    export_targets(small, "xnnpack-int8,coreml-w8a8,executorch", tmp_path, quantised=find)
    assert given["xnnpack-int8"] is given["coreml-w8a8"] is not small
    assert given["xnnpack-fp32"] is small


@pytest.mark.slow
def test_presets_are_made_side_by_side(tmp_path: Path, small: Loaded) -> None:
    said: list[str] = []
    made, refused = export_all(partial(loading.load, small.source), tmp_path, 2, "48x32", said.append)
    whole = {manifest.preset for manifest in made}
    assert {"xnnpack-fp32", "coreml-fp16"} <= whole
    assert all(manifest.path is not None and manifest.path.exists() for manifest in made)
    # Nothing quantised it; ONNX and LiteRT are extras.
    assert {refusal.preset for refusal in refused} - {"onnx-fp32", "litert-fp32"} == {"xnnpack-int8", "coreml-w8a8"}
    assert any(line.startswith("[xnnpack-fp32] verifying") for line in said)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_a_table_without_a_row_is_a_failure(
    tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch, at_once: list[str]
) -> None:
    def refuse(*_: object) -> Manifest:
        raise UnsupportedError("it: has no export")

    monkeypatch.setattr(targets, "export_model", refuse)
    command = ["export", str(small.source), "--target", "all", "-o", str(tmp_path)]
    result = CliRunner().invoke(command_line, command)
    assert result.exit_code == 2
    assert "xnnpack-fp32: refused: it: has no export" in result.stdout
    monkeypatch.setattr("edge_scs.presets.folder", lambda kind: tmp_path)  # an installation that lost its presets
    with pytest.raises(InputError, match="no presets"):
        export_all(partial(loading.load, small.source), tmp_path)
