"""A phone's result in words, of both versions of the latency JSON."""

import json
from typing import Any

import pytest

from edge_scs.phones import results
from edge_scs.report.devices import HEADS, device_cells, notes, placement
from edge_scs.report.markdown import render_markdown
from edge_scs.report.render import render_html
from edge_scs.report.result import Report


def result(version: int = 2, **changes: Any) -> dict[str, Any]:
    example = json.loads(results.SCHEMAS[version].read_text())["examples"][0]
    artifact = {"preset": "xnnpack-fp32", "precision": "fp32", "params": 5, "bytes": 6, "mult_adds": 7_000_000_000}
    return example | {"emulated": False, "artifact": artifact} | changes


def cell(head: str, found: dict[str, Any]) -> str:
    cells = device_cells(found)
    assert len(cells) == len(HEADS)
    return cells[HEADS.index(head)]


def test_the_first_version_lacks_what_it_does_not_measure():
    first = result(1)
    assert [cell(head, first) for head in HEADS[-3:]] == ["80", "-", "-"]
    assert cell("ms (p90)", first) == "4.19 (5.50)"
    assert (placement(first), notes(first)) == (None, [])


def test_loading_memory_and_minutes():
    found = result()
    assert cell("load ms", found) == "80 (cached 32)"
    assert cell("load ms", found | {"compile_ms": 60.4}) == "80 (compile 60, cached 32)"
    assert cell("memory", found) == "62, peak 188 MB"
    assert cell("sustained", found) == "2 min: 4.25 to 4.50 ms (+6 %)"
    assert cell("sustained", found | {"sustained": None}) == "-"
    silent = {"runs": 0, "p50_ms": None}
    slow = {"seconds": 130, "minutes": [silent, {"runs": 1, "p50_ms": 9.0}]}
    assert cell("sustained", found | {"sustained": slow}) == "2 min: 9.00 to 9.00 ms (+0 %)"


def test_placement_names_what_leaves_the_neural_engine():
    parts = [
        {"device": "neural_engine", "operations": 41, "cost_share": 0.975, "types": {"relu": 1, "conv": 40}},
        {"device": "cpu", "operations": 1, "cost_share": 0.025, "types": {"softmax": 1}},
    ]
    said = placement(result(placement=parts))
    assert said == (
        "Neural Engine 41 operations, 98 % of the expected cost (conv x40, relu x1); "
        "CPU 1 operations, 2 % of the expected cost (softmax x1)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"build_type": "debug"}, "debug build"),
        ({"low_power_mode": True}, "low-power mode"),
        ({"thermal_after": "serious"}, "state was serious"),
    ],
)
def test_what_makes_a_result_slow_is_said_on_the_page_and_in_the_table(changes, words):
    assert notes(result()) == []
    slow = result(**changes, placement=[{"device": "gpu", "operations": 2, "cost_share": 1.0, "types": {"conv": 2}}])
    (said,) = notes(slow)
    assert words in said
    keys = ("date", "processor", "cores", "load", "torch", "executorch", "cuda", "edge_scs")
    report = Report([], dict.fromkeys(keys), "pcarn_m", device_results=[slow])
    for text in (render_html(report), render_markdown(report)):
        assert words in text
        assert "GPU 2 operations" in text
        assert "2 min: 4.25 to 4.50 ms" in text
