"""Stages are timed in both runtimes: apart in ExecuTorch, where inner ones are taken off outer ones."""

import json
import pickle

import pytest
import torch
from typer.testing import CliRunner

from edge_scs.cli.app import app
from edge_scs.errors import InputError
from edge_scs.lowering.deploy import deploy
from edge_scs.measure import stage_times
from edge_scs.measure.stage_times import LoweredStages, Part, _apart, _without_inner, lower_stages, measure_stages
from edge_scs.measure.stages import REST
from edge_scs.measure.tables import stage_table
from edge_scs.weights.loading import load

KEYS = {
    "model", "runtime", "threads", "stage", "mult_adds", "bytes_moved", "ms", "share", "gmac_s", "intensity", "reason",
}  # fmt: skip


def test_eager_stages_are_timed():
    rows = measure_stages(load("edge_scs_s"), lr=(16, 24), runs=2, runtimes=("eager",))
    assert [row["stage"] for row in rows][-1] == REST
    assert {"colour encoder", "attention", "texture", "fusion", "head"} < {row["stage"] for row in rows}
    assert all(set(row) == KEYS and row["ms"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=0.2)


def test_a_tied_block_is_one_part_called_often():
    deployed = deploy(load("pcarn_m", allow_untrained=True).model, (12, 16), (48, 64))
    parts, methods = _apart(deployed, "pcarn_m", torch.rand(1, 3, 12, 16))
    blocks = [part for part in parts if part.stage == "residual blocks"]
    assert [part.calls for part in blocks] == [3, 3, 3]
    assert {parts[part.around].stage for part in blocks if part.around is not None} == {"cascades"}
    assert list(methods) == [f"part_{i}" for i in range(len(parts))]
    assert not any(method.module._forward_hooks for method in methods.values())


def test_inner_parts_are_taken_off_outer_ones():
    outer, inner = Part("outer", None), Part("inner", around=0, calls=3)
    assert _without_inner({"forward": 100.0, "part_0": 70.0, "part_1": 20.0}, [outer, inner]) == {
        "outer": 10.0, "inner": 60.0, REST: 30.0,
    }  # fmt: skip
    assert _without_inner({"forward": 60.0, "part_0": 70.0, "part_1": 20.0}, [outer, inner])[REST] == 0


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("tiny", {"entry", "residual blocks", "cascades", "upsampler", "exit"}),
        ("edge_scs_s", {"colour encoder", "attention", "texture", "head"}),
    ],
)
@pytest.mark.slow
def test_stages_in_executorch(tmp_path, monkeypatch, request, name, stages):
    pytest.importorskip("executorch.exir")
    network = request.getfixturevalue("tiny") if name == "tiny" else load(name)
    lowered = pickle.loads(pickle.dumps(lower_stages(network, (16, 24), 2, tmp_path)))  # made in another process
    assert lowered.path.parent == tmp_path
    monkeypatch.setattr(stage_times, "lower_methods", None)  # it is not lowered again
    rows = measure_stages(network, lr=(16, 24), scale=2, runs=2, runtimes=("executorch",), lowered=lowered)
    assert {*stages, REST} <= {row["stage"] for row in rows}
    assert all(set(row) == KEYS and row["ms"] >= 0 and row["runtime"] == "executorch" for row in rows)
    assert sum(row["ms"] for row in rows) > 0
    assert lowered.path.is_file()  # whoever made it removes it


def test_stages_are_lowered_where_nobody_has(tmp_path, monkeypatch):
    made = []

    def lower(network, lr, scale, folder):
        made.append((network.name, lr, scale, folder.is_dir()))
        return LoweredStages(folder / "a.pte", [Part("texture", None)], {"texture": (8, 4), REST: (0, 4)})

    monkeypatch.setattr(stage_times, "lower_stages", lower)
    monkeypatch.setattr(stage_times, "_time_executorch", lambda lowered, *_: [{"texture": 3.0, REST: 1.0}])
    rows = measure_stages(load("edge_scs_s"), lr=(16, 24), scale=2, runtimes=("executorch",))
    assert made == [("edge_scs_s", (16, 24), 2, True)]
    assert [(row["stage"], row["mult_adds"], row["share"]) for row in rows] == [("texture", 8, 0.75), (REST, 0, 0.25)]


def test_what_cannot_be_lowered_says_why():
    (row,) = measure_stages(load("scsnet", allow_untrained=True), runtimes=("executorch",))
    assert set(row) == KEYS
    assert (row["ms"], row["share"], row["mult_adds"]) == (None, None, None)
    assert "instance norms" in row["reason"]
    assert "instance norms" in stage_table([row], {"gmac_s_peak": 1.0, "copy_gb_s": 1.0, "threads": 1})


def test_a_scale_that_the_network_lacks():
    with pytest.raises(InputError, match="x2, x3 or x4"):
        measure_stages(load("pcarn_m", allow_untrained=True), scale=2.5)


def test_the_command_prints_what_the_page_reads(monkeypatch):
    peak = {"gmac_s_peak": 40.0, "copy_gb_s": 20.0, "threads": 1}
    monkeypatch.setattr("edge_scs.measure.roofline.machine_peak", lambda threads: peak | {"threads": threads})
    timed = []

    def measure(loaded, threads, lr, scale):
        timed.append((loaded.name, threads, lr, scale))
        return [
            stage_times._row("texture", 8_000_000, 8_000_000, 0.8, 1.0) | {"model": loaded.name, "runtime": "eager"}
        ]

    monkeypatch.setattr("edge_scs.measure.stage_times.measure_stages", measure)
    arguments = ["bench", "edge_scs_s", "--stages", "--lr", "32x24", "--scale", "2", "--threads", "1", "--json"]
    result = CliRunner().invoke(app, arguments)
    found = json.loads(result.stdout)
    assert timed == [("edge_scs_s", 1, (24, 32), 2.0)]
    assert found["machine"] == peak
    assert found["stages"][0]["gmac_s"] == 10.0
