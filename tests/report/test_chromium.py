"""The page in a real browser: no errors, no requests, every section, nothing wider than a phone; screenshots stay."""

import re
from pathlib import Path

import numpy as np
import pytest

from edge_scs.report.comparison import Comparison
from edge_scs.report.render import render_html
from edge_scs.report.result import Report
from edge_scs.report.rows import Row
from tests.measurements import latency
from tests.report.chromium import axe_source, serious

SECTIONS = ["ship", "comparisons", "table", "networks", "costs", "stages", "phones", "published", "environment"]


def row(model: str, kind: str, ms: float, giga: float) -> Row:
    """A row with long names: what must not widen the page."""
    times = [latency(model, ms / n, threads=n) for n in (1, 2)]
    precision = "int8" if "int8" in kind else "fp32"
    sha256 = "ab" * 32 if precision == "int8" else None
    return Row(
        model, f"ExecuTorch {kind}", "executorch", "/a/long/path/" * 8 + "w.safetensors", 1_276_000, 5_200_000,
        int(giga * 1e9), 0, times, {"1": 5.6}, 100, 120, 20 + giga / 10, 90.0, precision, sha256,
    )  # fmt: skip


def full_report() -> Report:
    """Invented figures in every section. The phone's name is a hostile one."""
    rows = [row("pcarn_m", "fp32", 1300, 32.5), row("edge_scs_m", "fp32", 250, 9.7), row("edge_scs_m", "int8", 77, 9.7)]
    figures = {"mult_adds": 5_000_000_000, "bytes_moved": 10**8, "share": 0.5, "gmac_s": 20.0, "intensity": 50.0}
    stage = {"model": "edge_scs_m", "runtime": "executorch", "threads": 1, "ms": 9.5, "reason": None} | figures
    nothing = dict.fromkeys([*figures, "ms"]) | {"stage": "whole network", "reason": "cannot be lowered"}
    model = {"name": "edge_scs_m", "file": "m.pte", "sha256": "ab" * 32, "lr": [180, 320], "hr": [720, 1280]}
    phone = {
        "device": "<script>alert(1)</script>" * 4, "os": "Android 16", "soc": "x" * 200, "model": model, "runs": 4,
        "backends": ["XnnpackBackend"], "compute_units": None, "threads": 4, "median_ms": 4.19, "p90_ms": 5.5,
        "pipeline_ms": 9.0, "load_ms": 80.0, "first_ms": 9.0, "thermal_before": "none", "thermal_after": "severe",
        "app": {"name": "org.edgescs", "version": "1"}, "created": "2026-11-21T03:00:00Z",
        "artifact": {"preset": "xnnpack-int8", "mult_adds": 9_700_000_000}, "compile_ms": 50.0, "cached_load_ms": 31.0,
        "build_type": "debug", "low_power_mode": True, "memory": {"before_mb": 61.5, "peak_mb": 188.25},
        "placement": [{"device": "neural_engine", "operations": 40, "cost_share": 0.98, "types": {"conv": 40}}],
    }  # fmt: skip
    minute = {"runs": 14000, "p50_ms": 4.25, "p90_ms": 4.5, "p99_ms": 5.5, "max_ms": 9.0, "thermal": "none"}
    phone["sustained"] = {"seconds": 300.0, "runs": 70000, "minutes": [minute] * 5}
    keys = ("date", "processor", "cores", "load", "torch", "executorch", "cuda", "edge_scs")
    quality = {"scale": 4, "images": 100, "data": "B100", "psnr_grey": 27.2, "bicubic": {"psnr_grey": 25.96}}
    stages = [stage | {"stage": "texture"}, stage | {"stage": "head", "intensity": 2.0}]
    stages.append({"model": "scsnet", "runtime": "executorch", "threads": 1} | nothing)
    peak = {"gmac_s_peak": 55.0, "copy_gb_s": 11.0, "threads": 1}
    command = "edge-scs report --data " + "long/" * 60
    adds = {"mult_adds_720p": {"2": None, "3": None, "4": 10**10}, "receptive_field": 45, "input": "grey"}
    network = {"name": "edge_scs_m", "params": 10**6, "params_automatic": 10**6, "weights": None} | adds
    artifact = {
        "artifact": "edge_scs_m_x4_180x320_xnnpack-int8.pte", "model": "edge_scs_m", "target": "executorch",
        "backend": "xnnpack", "precision": "int8", "minimum_target": None, "bytes": 1_520_000, "sha256": "ab" * 32,
        "parity": {"psnr_db": 67.1}, "weights": "shipped",
    }  # fmt: skip
    package = artifact | {"artifact": "m.mlpackage", "target": "coreml", "backend": "mlprogram", "sha256": "cd" * 32}
    artifacts = [package | {"minimum_target": "iOS17"}, artifact, artifact | {"model": "pcarn_m"}]
    return Report(rows, dict.fromkeys(keys), "pcarn_m", [phone], [quality], stages, peak, command, [network], artifacts)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    grey, colour = (generator.integers(0, 256, shape, np.uint8) for shape in ((20, 30), (80, 120, 3)))
    html = render_html(full_report(), [Comparison("edge_scs_m", grey, colour, colour, colour, "ours")] * 2)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_is_whole_quiet_and_fits(tab, page, artefacts, width, dark):
    tab.open(page, width, 900, dark)
    assert tab.evaluate("[...document.querySelectorAll('section')].map(s => s.id)") == SECTIONS
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    wide = """[...document.querySelectorAll('section *:not(.scroll *):not(svg *), header *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert tab.evaluate(wide) == []
    if width == 1440:  # the table is read whole, without scrolling
        assert tab.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#table .scroll'))") <= 0
    else:  # a number stands on the first screen of a phone
        assert tab.evaluate("document.querySelector('.figure').getBoundingClientRect().bottom") < 664
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark
    assert tab.evaluate("document.querySelectorAll('.plot svg').length") == 3
    assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    image = tab.screenshot(artefacts / f"report-{width}-{'dark' if dark else 'light'}.png")
    assert image.stat().st_size > 50_000
    said = [e for e in tab.events if e["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
    said += [e for e in tab.events if e["method"] == "Log.entryAdded"]
    assert said == []
    asked = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file:")] == [page.resolve().as_uri()]


def test_tables_sort_and_sliders_move(tab, page):
    tab.open(page, 1440, 900)
    first = "document.querySelector('#table tbody tr').cells[1].textContent"
    heads = "[...document.querySelectorAll('#table table:first-of-type thead th')]"
    click = f"(text => {heads}.find(head => head.textContent.startsWith(text)).firstChild.click())"
    assert tab.evaluate(first) == "ExecuTorch int8"  # the fastest, before anything is clicked
    tab.evaluate(f"{click}('PSNR')")
    assert tab.evaluate("document.querySelector('#table tbody tr').cells[0].textContent") == "pcarn_m"  # the most dB
    tab.evaluate(f"{click}('CPU, 1')")
    assert tab.evaluate(first) == "ExecuTorch int8"  # the least ms
    assert tab.evaluate("document.querySelectorAll('#table [aria-sort]').length") == 1
    tab.evaluate(f"{click}('CPU, 1')")
    assert tab.evaluate("document.querySelector('#table tbody tr').cells[0].textContent") == "pcarn_m"
    tab.evaluate(
        "{const i = document.querySelector('.stage input'); i.value = 20; i.dispatchEvent(new Event('input'))}"
    )
    assert tab.evaluate("document.querySelector('.stage').style.getPropertyValue('--at')") == "20%"
    before = "getComputedStyle(document.querySelector('.stage .before')).display"
    assert tab.evaluate(before) == "block"
    tab.evaluate("document.querySelector('.use-truth').click()")
    assert tab.evaluate(before) == "none"


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_source()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_has_nothing_serious_to_say(tab, page, axe, width, dark):
    tab.open(page, width, 900, dark)
    tab.evaluate(f"{axe}; 0")
    found, passed = tab.evaluate("axe.run().then(r => [r.violations, r.passes.map(rule => rule.id)])")
    assert serious(found) == []
    assert {"color-contrast", "scrollable-region-focusable"} <= set(passed)


def test_without_a_script_it_is_all_there(tab, page):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(page, 390, 900)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.evaluate("[...document.querySelectorAll('section')].map(s => s.id)") == SECTIONS
    assert tab.evaluate("document.querySelectorAll('#table thead button').length") == 0
    assert tab.evaluate("document.querySelectorAll('#table tbody tr').length") == 3
