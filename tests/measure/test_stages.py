"""Stages partition a network: what they cost adds up to the whole, by any meter, in any nesting."""

import pytest
import torch
from torch import nn

from edge_scs.lowering.deploy import deploy
from edge_scs.measure import stages
from edge_scs.measure.mult_adds import count
from edge_scs.measure.stages import REST, Traffic, by_stage, costs
from edge_scs.models import registry
from edge_scs.weights.loading import load


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


SLOW = ("swinir", "ciaosr_swinir", "liif_rdn")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in registry.names()]
)
def test_the_stages_of_every_network_make_up_its_mult_adds(name):
    network = load(name, allow_untrained=True)
    channels = 3 if network.description.input == "rgb" else 1
    counted = costs(network.model, name, [torch.rand(1, channels, 24, 32), (96, 128)])
    total = count(network.model, channels, (24, 32), (96, 128)).total
    assert sum(mult_adds for mult_adds, _ in counted.values()) == total
    assert counted[REST][0] < total / 4
    assert all(moved > 0 for _, moved in counted.values())


def test_a_deployed_network_has_the_stages_of_the_eager_one():
    network = load("edge_scs_s")
    deployed = deploy(network.model, (16, 24), (64, 96))
    eager = costs(network.model, "edge_scs_s", [torch.rand(1, 1, 16, 24), (64, 96)])
    assert set(costs(deployed, "edge_scs_s", [torch.rand(1, 1, 16, 24)], fused=True)) == set(eager)
