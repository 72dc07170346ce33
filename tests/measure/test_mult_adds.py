"""Counting: the meta device says what a real pass says, ties count as they should, attention is told apart."""

import json

import pytest
import torch
from torch import nn

from edge_scs.measure import mult_adds
from edge_scs.measure.mult_adds import (
    count,
    models_table,
    models_text,
    mult_adds_720p,
    parameters,
    receptive_field,
    sizes_720p,
)
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded, load


class Toy(nn.Module):
    """One 3x3 convolution, called twice, and one product of activations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        x = self.conv(self.conv(x)).flatten(2)
        x = torch.bmm(x, x.transpose(1, 2))
        return nn.functional.interpolate(x[:, :, :, None], size)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_by_hand(device):
    convolution = 4 * 5 * 3 * 3 * 9
    product = 3 * 3 * 4 * 5
    cost = count(Toy(), 3, (4, 5), (8, 10), device=device)
    assert cost.attention == product
    assert cost.total == 2 * convolution + product
    assert parameters(Toy()) == 3 * 3 * 9 + 3


@pytest.mark.parametrize("name", ["edge_scs_s", "pcarn_m"])
def test_meta_equals_real(name):
    network = load(name, allow_untrained=True)
    channels = 3 if network.description.input == "rgb" else 1
    real = count(network.model, channels, (20, 24), (60, 72), device="cpu")
    assert real == count(network.model, channels, (20, 24), (60, 72))
    assert real.total > 0
    assert next(network.model.parameters()).device.type == "cpu"


def test_a_reference_costs_more():
    network = load("edge_scs_s", allow_untrained=True)
    alone = count(network.model, 1, (180, 320), (720, 1280))
    led = count(network.model, 1, (180, 320), (720, 1280), reference=(128, 128))
    assert led.total > alone.total
    assert led.attention > alone.attention > 0


def test_sizes():
    assert sizes_720p(2) == ((360, 640), (720, 1280))
    assert sizes_720p(3) == ((240, 426), (720, 1278))
    assert sizes_720p(4) == ((180, 320), (720, 1280))


def test_pcarn_m_at_720p():
    network = load("pcarn_m", allow_untrained=True)
    costs = mult_adds_720p(network.model, network.description)
    assert costs[4].total == 32_480_870_400
    assert costs[4].attention == 0
    assert costs[2].total > costs[3].total > costs[4].total


def test_scales_that_do_not_exist():
    costs = mult_adds_720p(Toy(), Description("toy", "", "rgb", (4,), None, 2, False))
    assert costs[2] is None
    assert costs[3] is None
    assert costs[4] is not None


def test_receptive_field():
    assert receptive_field(load("pcarn_m", allow_untrained=True).description) == 43


@pytest.mark.parametrize(
    "names",
    [
        ["edge_scs_s", "pcarn", "liif_edsr", "cpm_rdn"],  # of each kind; SCSNet is below, stages are counted of all
        pytest.param(registry.names(), marks=pytest.mark.slow, id="all"),
    ],
)
def test_models_table(monkeypatch, names):
    monkeypatch.setattr(mult_adds, "shipped_file", lambda name: None)
    monkeypatch.setattr(registry, "names", lambda: names)
    rows = models_table()
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert {"name", "variant", "params", "mult_adds_720p", "receptive_field", "weights", "published"} <= set(row)
        assert set(row["mult_adds_720p"]) == {"2", "3", "4"}
        assert row["params"] >= row["params_automatic"] > 1000
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_scsnet_beside_its_paper():
    with torch.device("meta"):
        network = registry.create("scsnet")
    row = mult_adds.model_row(Loaded("scsnet", network, registry.describe("scsnet", network), "untrained"))
    assert (row["params"], row["params_automatic"]) == (14_403_722, 9_000_196)
    assert row["mult_adds_720p"]["4"] == 333_314_668_800
    assert row["receptive_field"] == 71
    lines = [line.split() for line in models_text([row]).splitlines()]
    assert lines[1:5] == [
        ["scsnet", "14,403,722", "845.83G", "458.07G", "333.31G", "71", "-"],
        ["automatic", "9,000,196"],
        ["published", "automatic", "9.954", "M", "AAAI", "2022,", "Tables", "1,", "2", "and", "7"],
        ["published", "referential", "15.358", "M"],
    ]


def test_text_stands_in_columns_and_prints_what_papers_print():
    row = {
        "name": "toy", "params": 414_787, "params_automatic": 414_787, "params_head": 1000, "receptive_field": 43,
        "mult_adds_720p": {"2": 91_172_044_800, "3": None, "4": 32_480_870_400}, "weights": None,
        "published": {"source": "a paper", "params": 0.4e6, "mult_adds_720p": {"2": None, "3": None, "4": 32.5e9}},
    }  # fmt: skip
    title, ours, head, theirs, *rest = models_text([row]).splitlines()
    assert (ours.split(), head.split()) == (["toy", "414,787", "91.17G", "-", "32.48G", "43", "-"], ["head", "1,000"])
    assert theirs.split() == ["published", "0.4", "M", "-", "-", "32.5G", "a", "paper"]
    for column, values in (("params", ("414,787", "1,000", "0.4 M")), ("x4", ("32.48G", None, "32.5G"))):
        for line, value in zip((ours, head, theirs), values, strict=True):
            assert value is None or line.index(value) + len(value) == title.index(column) + len(column)
    assert max(map(len, rest)) <= 120
    assert "published" not in models_text([row | {"published": {}}])


def test_the_head_is_counted_as_ciaosr_prints_it():
    with torch.device("meta"):
        network = registry.create("ciaosr_edsr")
    assert mult_adds._head(network) == 1_428_614
    assert mult_adds._head(nn.Linear(2, 2)) is None


def test_budgets_of_the_phone_sizes():
    """Design budgets at x4: 10 G and 1.5 M for m, 3 G for s."""
    medium, small = (load(name, allow_untrained=True) for name in ("edge_scs_m", "edge_scs_s"))
    assert mult_adds_720p(medium.model, medium.description)[4].total <= 10e9
    assert parameters(medium.model) <= 1.5e6
    assert mult_adds_720p(small.model, small.description)[4].total <= 3e9
