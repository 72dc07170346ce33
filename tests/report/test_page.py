"""The report says what was measured, says so when something was not, and writes all or nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_scs.errors import InputError
from edge_scs.report import page
from edge_scs.report.page import Report, Row, make_report, render_html
from edge_scs.report.plot import Point, scatter


def fake_bench(subjects: list[str], device: str, lr: Any, scale: int, threads: Any, **_: Any) -> dict[str, Any]:
    """The i-th subject takes 100 (i + 1) ms at one thread and half of that at two."""
    results, ratios = [], []
    for index, subject in enumerate(subjects):
        for count in threads:
            ms = 100.0 * (index + 1) / count
            result = {"subject": subject, "device": device, "threads": count, "runs": 3, "median_ms": ms, "p90_ms": ms}
            results.append(result | {"min_ms": ms, "rss_growth_mb": 5.0, "peak_growth_mb": 6.0})
            bases = {0} if not subject.endswith(".pte") else {0, [s.endswith(".pte") for s in subjects].index(True)}
            for base in sorted(bases - {index}):
                ratio = (index + 1) / (base + 1)
                ratios.append({"subject": subject, "to": subjects[base], "threads": count, "median": ratio})
    return {"results": results, "ratios": ratios}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "bench", fake_bench)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def artifact(folder: Path, model: str, lr: tuple[int, int] = (180, 320), **changes: Any) -> Path:
    path = folder / f"{model}.pte"
    path.write_bytes(b"program")
    manifest = {
        "model": model, "preset": "xnnpack-fp32", "bytes": 7, "params": 1234, "mult_adds": 5_000_000_000,
        "inputs": [{"name": "x", "shape": [1, 1, *lr]}], "outputs": [{"name": "rgb", "shape": [1, 3, 720, 1280]}],
        "parity": {"psnr_db": 88.0}, "weights": "untrained",
    } | changes  # fmt: skip
    path.with_name(path.name + ".json").write_text(json.dumps(manifest))
    return path


def test_rows_and_files(tmp_path, measured):
    artifacts = [artifact(tmp_path, "edge_scs_s"), artifact(tmp_path, "pcarn_m")]
    report = make_report(tmp_path / "out", models=("pcarn_m", "edge_scs_s"), artifacts=artifacts, quick=True)
    assert [(row.model, row.runtime) for row in report.rows] == [
        ("pcarn_m", "eager"),
        ("edge_scs_s", "eager"),
        ("pcarn_m", "executorch"),
        ("edge_scs_s", "executorch"),
    ]
    # Each against the baseline in its own runtime.
    assert [row.faster for row in report.rows] == [{}, {"1": 0.5, "2": 0.5}, {}, {"1": 0.75, "2": 0.75}]
    assert report.rows[3].bytes == 7
    assert report.rows[3].mult_adds_720p == 5_000_000_000
    assert report.rows[0].psnr_grey is None
    table = json.loads((tmp_path / "out" / "report.json").read_text())
    assert table == json.loads(json.dumps(report.to_dict()))
    assert set(table) == {"rows", "environment", "device_results"}
    assert "no device measured yet" in (tmp_path / "out" / "report.md").read_text()
    assert "No device measured yet" in (tmp_path / "out" / "report.html").read_text()


def test_without_the_baselines_artifact_there_is_no_ratio(tmp_path, measured):
    report = make_report(tmp_path / "out", models=("pcarn_m",), artifacts=[artifact(tmp_path, "edge_scs_s")])
    assert report.rows[1].faster == {}


def test_quality_belongs_to_its_weights(tmp_path, measured):
    mine = {"model": "pcarn_m", "weights": "untrained", "scale": 4, "psnr_grey": 27.5}
    report = make_report(tmp_path / "a", models=("pcarn_m",), quality=[mine | {"scale": 2, "psnr_grey": 1.0}, mine])
    assert report.rows[0].psnr_grey == 27.5
    for other in ({"weights": "other.safetensors"}, {"model": "pcarn"}):
        report = make_report(tmp_path / "b", models=("pcarn_m",), quality=[mine | other])
        assert report.rows[0].psnr_grey is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": (90, 160)}, "another size"),
        ({"model": "nobody"}, "unknown network"),
    ],
)
def test_artifacts_that_do_not_belong(tmp_path, measured, changes, message):
    path = artifact(tmp_path, changes.pop("model", "pcarn_m"), **changes)
    with pytest.raises(InputError, match=message):
        make_report(tmp_path / "out", models=("pcarn_m",), artifacts=[path])
    assert not (tmp_path / "out").exists()


def test_manifests_that_cannot_be_read(tmp_path, measured):
    path = artifact(tmp_path, "pcarn_m")
    manifest = path.with_name(path.name + ".json")
    for content, message in (
        ("{", "no readable manifest"),
        ("[]", "lacks 'model'"),
        ('{"model": "x"}', "lacks 'inputs'"),
    ):
        manifest.write_text(content)
        with pytest.raises(InputError, match=message):
            make_report(tmp_path / "out", models=("pcarn_m",), artifacts=[path])
    with pytest.raises(InputError, match="export it first"):
        make_report(tmp_path / "out", models=("pcarn_m",), artifacts=[tmp_path / "nowhere.pte"])


def test_device_results_are_not_swallowed(tmp_path, measured):
    with pytest.raises(InputError, match=r"phone\.json.*cannot be merged"):
        make_report(tmp_path / "out", [tmp_path / "phone.json"])


def report_of(*rows: Row) -> Report:
    keys = ("date", "processor", "cores", "load", "torch", "executorch", "cuda")
    return Report(list(rows), dict.fromkeys(keys), "pcarn_m")


def row(model: str = "pcarn_m", ms: float = 10.0) -> Row:
    result = {"threads": 1, "device": "cpu", "runs": 3, "median_ms": ms, "p90_ms": 2 * ms}
    return Row(model, "PyTorch eager", "eager", "untrained", 400_000, None, 32_480_870_400, 0, [result])


def test_the_page_stands_alone():
    html = render_html(report_of(row()))
    assert "<script" not in html
    assert not re.findall(r'(?:src|href)="(?!#)', html)
    assert "prefers-color-scheme: dark" in html
    assert html.count("<svg") == 1
    assert "32.48 G" in html


def test_names_are_escaped():
    html = render_html(report_of(row("<b>x</b>")))
    assert "<b>x</b>" not in html


def test_markdown_is_a_table():
    lines = report_of(row(), row(ms=1234.4)).markdown.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert "1234 (2469)" in table[3]


def test_nothing_measured_is_said():
    empty = row()
    empty.latency = []
    html = render_html(report_of(empty))
    assert "<svg" not in html
    assert scatter([]) == ""


def test_the_plot_follows_the_page():
    svg = scatter([Point("a & b", "eager", 10.0, 20.0), Point("c", "executorch", 1.0, 2.0)])
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "a &amp; b" in svg
