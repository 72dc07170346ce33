"""Stages partition a network: what they cost adds up to the whole, by any meter, in any nesting."""

import json

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from edge_scs.cli.app import app
from edge_scs.errors import InputError
from edge_scs.export.deploy import deploy
from edge_scs.models import registry
from edge_scs.report import stages
from edge_scs.report.mult_adds import count
from edge_scs.report.stages import REST, Traffic, _Part, _parts, _without_inner, by_stage, costs, measure_stages
from edge_scs.report.tables import stage_table
from edge_scs.weights.loading import load

KEYS = {
    "model", "runtime", "threads", "stage", "mult_adds", "bytes_moved", "ms", "share", "gmac_s", "intensity", "reason",
}  # fmt: skip


class Nested(nn.Module):
    """outer costs 1 + inner (10) + 1, tied inner runs twice, and 100 is spent outside of any stage."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.outer = Spender(self, 1, Spender(self, 10))
        self.inner = self.outer.inner

    def forward(self) -> None:
        self.outer()
        self.inner()
        self.clock += 100


class Spender(nn.Module):
    def __init__(self, owner: nn.Module, cost: float, inner: nn.Module | None = None):
        super().__init__()
        self.spend, self.inner = lambda: setattr(owner, "clock", owner.clock + cost), inner

    def forward(self) -> None:
        self.spend()
        if self.inner is not None:
            self.inner()
        self.spend()


def test_a_stage_leaves_out_the_stages_inside_it(monkeypatch):
    monkeypatch.setitem(stages._STAGES, "nested", {"inside": r"outer\.inner", "around": "outer"})
    network = Nested()
    assert by_stage(network, "nested", network, lambda: network.clock) == {"around": 2, "inside": 40, REST: 100}


def test_hooks_are_gone_afterwards():
    network = load("edge_scs_s").model
    with pytest.raises(RuntimeError):
        by_stage(network, "edge_scs_s", lambda: network(torch.rand(1, 2, 8, 8), (16, 16)), lambda: 0.0)
    assert not [m for m in network.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_traffic_by_hand():
    x, layer = torch.rand(1, 2, 5, 5), nn.Conv2d(2, 3, 1)
    with torch.no_grad(), Traffic() as traffic:
        torch.relu(layer(x)).reshape(3, 25)
    # 50 in, 6 weights, 3 biases and 75 out; ReLU reads and writes 75; the view moves nothing.
    assert traffic.bytes == 4 * (50 + 9 + 75 + 150)
    with torch.no_grad(), Traffic(fused=("relu",)) as traffic:
        torch.relu(layer(x))
    assert traffic.bytes == 4 * (50 + 9 + 75)


@pytest.mark.parametrize("name", registry.names())
def test_the_stages_of_every_network_make_up_its_mult_adds(name):
    network = load(name, allow_untrained=True)
    channels = 3 if network.description.input == "rgb" else 1
    counted = costs(network.model, name, [torch.rand(1, channels, 24, 32), (96, 128)])
    total = count(network.model, channels, (24, 32), (96, 128)).total
    assert sum(mult_adds for mult_adds, _ in counted.values()) == total
    assert counted[REST][0] < total / 4
    assert all(moved > 0 for _, moved in counted.values())


def test_eager_stages_are_timed():
    rows = measure_stages(load("edge_scs_s"), lr=(16, 24), runs=2, runtimes=("eager",))
    assert [row["stage"] for row in rows][-1] == REST
    assert {"colour encoder", "attention", "texture", "fusion", "head"} < {row["stage"] for row in rows}
    assert all(set(row) == KEYS and row["ms"] > 0 for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=0.2)


def test_a_tied_block_is_one_part_called_often():
    deployed = deploy(load("pcarn_m", allow_untrained=True).model, (12, 16), (48, 64))
    parts = _parts(deployed, "pcarn_m", [torch.rand(1, 3, 12, 16)])
    blocks = [part for part in parts if part.stage == "residual blocks"]
    assert [part.calls for part in blocks] == [3, 3, 3]
    assert {parts[part.around].stage for part in blocks if part.around is not None} == {"cascades"}
    assert not any(part.module._forward_hooks for part in parts)


def test_inner_parts_are_taken_off_outer_ones():
    outer, inner = _Part("outer", nn.Identity(), {}, None), _Part("inner", nn.Identity(), {}, around=0, calls=3)
    assert _without_inner({"forward": 100.0, "part_0": 70.0, "part_1": 20.0}, [outer, inner]) == {
        "outer": 10.0, "inner": 60.0, REST: 30.0,
    }  # fmt: skip
    assert _without_inner({"forward": 60.0, "part_0": 70.0, "part_1": 20.0}, [outer, inner])[REST] == 0


def test_a_deployed_network_has_the_stages_of_the_eager_one():
    network = load("edge_scs_s")
    deployed = deploy(network.model, (16, 24), (64, 96))
    eager = costs(network.model, "edge_scs_s", [torch.rand(1, 1, 16, 24), (64, 96)])
    assert set(costs(deployed, "edge_scs_s", [torch.rand(1, 1, 16, 24)], fused=True)) == set(eager)


def test_stages_in_executorch():
    pytest.importorskip("executorch.exir")
    rows = measure_stages(load("edge_scs_s"), lr=(16, 24), scale=2, runs=2, runtimes=("executorch",))
    assert {"colour encoder", "attention", "texture", "fusion", "head", REST} < {row["stage"] for row in rows}
    assert all(set(row) == KEYS and row["ms"] >= 0 and row["runtime"] == "executorch" for row in rows)
    assert sum(row["ms"] for row in rows) > 0


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
    monkeypatch.setattr("edge_scs.report.roofline.machine_peak", lambda threads: peak | {"threads": threads})
    timed = []

    def measure(loaded, threads, lr, scale):
        timed.append((loaded.name, threads, lr, scale))
        return [stages._row("texture", 8_000_000, 8_000_000, 0.8, 1.0) | {"model": loaded.name, "runtime": "eager"}]

    monkeypatch.setattr("edge_scs.report.stages.measure_stages", measure)
    arguments = ["bench", "edge_scs_s", "--stages", "--lr", "32x24", "--scale", "2", "--threads", "1", "--json"]
    result = CliRunner().invoke(app, arguments)
    found = json.loads(result.stdout)
    assert timed == [("edge_scs_s", 1, (24, 32), 2.0)]
    assert found["machine"] == peak
    assert found["stages"][0]["gmac_s"] == 10.0
