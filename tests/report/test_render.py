"""What the page says: cards, factors, stages, published figures, and nothing that was not measured."""

from html import unescape
from typing import Any

import pytest

from edge_scs.report.plot import STAGE_COLOURS, Point, quality_scatter, roofline, scatter, styles
from edge_scs.report.published import published
from edge_scs.report.render import above_roofline, cards, figure, phones, promises, render_html, rooflines, stage_groups
from edge_scs.report.result import Report
from edge_scs.report.rows import Row
from tests.measurements import latency

KEYS = ("date", "processor", "cores", "load", "torch", "executorch", "cuda", "edge_scs")


def row(model: str, ms: float, giga: float = 10.0, faster: float | None = None, **more: Any) -> Row:
    values: dict[str, Any] = {"weights": "shipped", "params": 10**6, "bytes": 10**6, "attention_720p": 0} | more
    factors = {} if faster is None else {"1": faster}
    return Row(
        model, "d", "eager", mult_adds_720p=int(giga * 1e9), latency=[latency(model, ms)], faster=factors, **values
    )


def report(*rows: Row, **more: Any) -> Report:
    return Report(list(rows), dict.fromkeys(KEYS), "pcarn_m", **more)


def stage(name: str, ms: float | None, adds: int | None, model: str = "edge_scs_m", **more: Any) -> dict[str, Any]:
    place = {"model": model, "runtime": "eager", "threads": 1, "stage": name, "reason": None, "share": 0.5}
    return place | {"ms": ms, "mult_adds": adds, "bytes_moved": 1000, "gmac_s": 1.0, "intensity": 2.0} | more


def test_cards_show_the_quickest_trained_network_first():
    found = cards(report(row("pcarn_m", 1.0, weights="untrained"), row("edge_scs_m", 30.0), row("edge_scs_s", 20.0)))
    assert found[0]["figure"] == "20.0"
    assert "edge_scs_s" in found[0]["says"]


def test_cards_say_nothing_that_nobody_measured():
    assert cards(report()) == []
    said = " ".join(card["says"] for card in cards(report(row("edge_scs_m", 30.0))))
    assert "PSNR" not in said
    assert "faster" not in said
    untimed = row("edge_scs_m", 30.0)
    untimed.latency = []
    assert cards(report(untimed)) == []


def test_promise_and_clock():
    found = promises(report(row("pcarn_m", 100, 30), row("edge_scs_m", 20, 10, faster=5.0), row("edge_scs_s", 9, 3)))
    assert len(found) == 1  # edge_scs_s was not timed beside the baseline
    assert found[0]["fewer"] == pytest.approx(3.0)
    assert found[0]["faster"] == 5.0


def test_figures_for_the_eye():
    assert [figure(x) for x in (1259.4, 77.28, 4.187, 0.5)] == ["1259", "77.3", "4.19", "0.50"]


def test_stages_keep_their_colour_and_add_up():
    rows = [stage("a", 30.0, 100), stage("b", 10.0, 300), stage("b", 1.0, 1, "edge_scs_s")]
    first, second = stage_groups(rows)
    assert [bar["time_percent"] for bar in first["bars"]] == [75.0, 25.0]
    assert [bar["adds_percent"] for bar in first["bars"]] == [25.0, 75.0]
    assert first["bars"][1]["colour"] == second["bars"][0]["colour"] == STAGE_COLOURS[1]


def test_stages_that_could_not_be_measured_say_why():
    nothing = stage("whole network", None, None, reason="cannot be <lowered>", gmac_s=None, intensity=None, share=None)
    html = render_html(report(row("edge_scs_m", 1.0), stages=[nothing]))
    assert "Not measured: cannot be &lt;lowered&gt;" in html
    assert 'id="stages"' not in render_html(report(row("edge_scs_m", 1.0)))


def test_a_roofline_for_every_network_with_stages():
    peak = {"gmac_s_peak": 50.0, "copy_gb_s": 10.0, "threads": 1}
    stages = [stage("a", 1.0, 1), stage("b", 1.0, 1, "edge_scs_s"), stage("c", 1.0, 0, "other", gmac_s=None)]
    plots = rooflines(report(stages=stages, machine_peak=peak))
    assert len(plots) == 2
    assert "50 GMAC/s" in plots[0]
    assert "10 GB/s" in plots[0]
    assert rooflines(report(stages=stages)) == []
    assert not above_roofline(report(stages=stages, machine_peak=peak))
    assert above_roofline(report(stages=stages, machine_peak=peak | {"gmac_s_peak": 0.5}))
    assert roofline("x", [], peak) == ""


def test_phones_stand_in_the_row_of_their_artifact_at_this_size_only():
    def result(ms: float, **model: Any) -> dict[str, Any]:
        return {"median_ms": ms, "model": {"sha256": "a", "lr": [180, 320], "hr": [720, 1280]} | model}

    found = phones(report(device_results=[result(5.0), result(3.0), result(9.0), result(1.0, lr=[64, 64])]))
    assert found["a"]["median_ms"] == 3.0


def test_the_slope_of_the_dashed_line_is_the_baselines():
    points = [Point("pcarn_m", "eager", 30.0, 300.0, 27.0), Point("edge_scs_m", "eager", 10.0, 20.0, 27.1)]
    assert scatter(points, "pcarn_m").count("stroke-dasharray: 4,3") == 1
    assert "stroke-dasharray: 4,3" not in scatter(points, "nobody")
    assert "bicubic" in quality_scatter(points, 25.9)
    assert "bicubic" not in quality_scatter(points, None)


def test_kinds_never_share_a_style():
    kinds = ["eager", "executorch", "executorch int8", "compiled", "eager bf16"]
    assert len(set(styles(kinds).values())) == len(kinds)
    assert styles(kinds)["eager"] == styles(["eager"])["eager"]


def test_published_figures_are_whole_and_have_a_source():
    groups = published()
    assert groups
    for group in groups:
        assert group.source
        assert group.rows
        assert {len(line) for line in group.rows} == {len(group.columns)}


def test_published_figures_stand_in_tables_of_their_own():
    html = render_html(report(row("edge_scs_m", 1.0)))
    measured, _, anchors = html.partition('<section id="published">')
    for group in published():
        for line in group.rows:
            assert f'<th scope="row" class="text">{line[0]}</th>' not in measured
        assert group.title in unescape(anchors)
    assert anchors.count('<span class="badge">published</span>') == len(published()) + 1
