"""The report says what was measured, says so when something was not, and writes all or nothing."""

import hashlib
import itertools
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edge_scs.artifacts.manifest import Parity, Port
from edge_scs.errors import InputError
from edge_scs.measure.measurement import Conditions, Measurement
from edge_scs.models import registry
from edge_scs.phones import results
from edge_scs.report import page
from edge_scs.report.markdown import render_markdown
from edge_scs.report.page import Findings, Timing, make_report
from edge_scs.report.plot import Point, quality_scatter, scatter
from edge_scs.report.render import render_html
from edge_scs.report.result import Report
from edge_scs.report.rows import Row
from tests.manifests import manifest
from tests.measurements import latency, ratio


def fake_bench(subjects: list[str], conditions: Conditions, say: Any) -> Measurement:
    """The i-th subject takes 100 (i + 1) ms at one thread and half of that at two."""
    results, ratios = [], []
    for index, subject in enumerate(subjects):
        for count in conditions.threads:
            more = {"device": conditions.device, "threads": count, "runs": conditions.runs}
            results.append(latency(subject, 100.0 * (index + 1) / count, **more))
            bases = {0} if not subject.endswith(".pte") else {0, [s.endswith(".pte") for s in subjects].index(True)}
            for base in sorted(bases - {index}):
                ratios.append(ratio(subject, subjects[base], (index + 1) / (base + 1), count))
    return Measurement(tuple(results), tuple(ratios))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "bench", fake_bench)
    monkeypatch.setattr(page, "all_threads", lambda: (1, 2))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def written(out: Path, **given: Any) -> Report:
    """``make_report`` with the fields of its options side by side."""
    timing = {field.name: given.pop(field.name) for field in fields(Timing) if field.name in given}
    return make_report(out, Timing(**timing), Findings(**given))


def artifact(folder: Path, model: str, lr: tuple[int, int] = (180, 320), **changes: Any) -> Path:
    path = folder / f"{model}.pte"
    path.write_bytes(b"program")
    facts: dict[str, Any] = {
        "artifact": path.name, "target": "executorch", "scale": 4.0, "model": model, "preset": "xnnpack-fp32",
        "precision": "fp32", "bytes": 7, "params": 1234, "mult_adds": 5_000_000_000, "delegated_share": 1.0,
        "inputs": [Port("x", [1, 1, *lr], "float32")], "outputs": [Port("rgb", [1, 3, 720, 1280], "float32")],
        "parity": Parity("eager", 88.0, 0.0, 6, "pass", 60.0), "weights": "untrained",
        "sha256": hashlib.sha256(model.encode()).hexdigest(),
    } | changes  # fmt: skip
    manifest(path, **facts)
    return path


def test_rows_and_files(tmp_path, measured):
    artifacts = [artifact(tmp_path, "edge_scs_s"), artifact(tmp_path, "pcarn_m")]
    report = written(tmp_path / "out", models=("pcarn_m", "edge_scs_s"), artifacts=artifacts, quick=True)
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
    assert set(table) >= {"rows", "environment", "device_results", "stages", "machine_peak", "quality"}
    assert "no device measured yet" in (tmp_path / "out" / "report.md").read_text()
    html = (tmp_path / "out" / "report.html").read_text()
    assert "no device measured yet" in html
    assert 'id="phones"' not in html


def test_artifacts_alone_are_like_with_like(tmp_path, measured):
    artifacts = [artifact(tmp_path, "edge_scs_s"), artifact(tmp_path, "pcarn_m")]
    for_ios = artifact(tmp_path, "edge_scs_m", target="coreml", backend="mlprogram")
    report = written(tmp_path / "out", models=("pcarn_m",), artifacts=[*artifacts, for_ios], eager=False)
    assert [(row.model, row.runtime) for row in report.rows] == [
        ("pcarn_m", "executorch"),
        ("edge_scs_s", "executorch"),
    ]
    assert report.baseline == "pcarn_m"
    assert [row.faster for row in report.rows] == [{}, {"1": 0.5, "2": 0.5}]
    assert len(report.artifacts) == 3


def test_what_takes_minutes_runs_once_after_the_others(tmp_path, measured, monkeypatch):
    asked = []

    def bench(subjects: list[str], conditions: Conditions, say: Any) -> Measurement:
        asked.append((subjects, conditions.threads, conditions.runs))
        return fake_bench(subjects, conditions, say)

    monkeypatch.setattr(page, "bench", bench)
    models = ("pcarn_m", "scsnet", "edge_scs_s", "liif_edsr")
    report = written(tmp_path / "out", models=models)
    assert asked == [
        (["pcarn_m", "edge_scs_s"], (1, 2), 15),
        (["pcarn_m", "scsnet"], (1,), 1),
        (["pcarn_m", "liif_edsr"], (1,), 1),
    ]
    assert [row.model for row in report.rows] == list(models)
    assert [[r.threads for r in row.latency] for row in report.rows] == [[1, 2], [1], [1, 2], [1]]
    assert [row.faster for row in report.rows] == [{}, {"1": 0.5}, {"1": 0.5, "2": 0.5}, {"1": 0.5}]
    assert "Timed by a single run, which takes so long, at the fewest threads: scsnet, liif_edsr." in report.notes()
    assert "0.50x" in render_markdown(report)
    assert "single run" not in " ".join(written(tmp_path / "few", models=models[::2]).notes())


def test_a_slow_baseline_is_timed_like_all(tmp_path, measured):
    report = written(tmp_path / "out", models=("scsnet", "edge_scs_s"))
    assert [len(row.latency) for row in report.rows] == [2, 2]


def test_every_model_is_in_the_registry():
    assert sorted(page.EVERY_MODEL) == sorted(registry.names())
    assert page.EVERY_MODEL[:3] == page.MODELS


def test_what_is_for_phones_gets_no_row(tmp_path, measured):
    for_phones = artifact(tmp_path, "edge_scs_s", backend="vulkan")
    report = written(tmp_path / "out", models=("pcarn_m",), artifacts=[for_phones])
    assert [row.model for row in report.rows] == ["pcarn_m"]


def test_without_the_baselines_artifact_there_is_no_ratio(tmp_path, measured):
    report = written(tmp_path / "out", models=("pcarn_m",), artifacts=[artifact(tmp_path, "edge_scs_s")])
    assert report.rows[1].faster == {}


def test_quality_belongs_to_its_weights(tmp_path, measured):
    mine = {"model": "pcarn_m", "weights": "untrained", "scale": 4, "psnr_grey": 27.5, "data": "a/B100", "images": 100}
    report = written(tmp_path / "a", models=("pcarn_m",), quality=[mine | {"scale": 2, "psnr_grey": 1.0}, mine])
    assert report.rows[0].psnr_grey == 27.5
    assert "100 images of B100" in (tmp_path / "a" / "report.md").read_text()
    for other in ({"weights": "other.safetensors"}, {"model": "pcarn"}, {"precision": "int8"}):
        report = written(tmp_path / "b", models=("pcarn_m",), quality=[mine | other])
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
        written(tmp_path / "out", models=("pcarn_m",), artifacts=[path])
    assert not (tmp_path / "out").exists()


def test_manifests_that_cannot_be_read(tmp_path, measured):
    path = artifact(tmp_path, "pcarn_m")
    beside = path.with_name(path.name + ".json")
    for content, message in (
        ("{", "not valid JSON"),
        ("[]", "not a manifest of ours"),
        ('{"model": "x"}', "not a manifest of ours"),
    ):
        beside.write_text(content)
        with pytest.raises(InputError, match=message):
            written(tmp_path / "out", models=("pcarn_m",), artifacts=[path])
    with pytest.raises(InputError, match="export it first"):
        written(tmp_path / "out", models=("pcarn_m",), artifacts=[tmp_path / "nowhere.pte"])


def phone(folder: Path, **changes: Any) -> Path:
    """A phone's latency.json for ``artifact(folder, "pcarn_m")``: the schema's example with its samples doubled."""
    schema = json.loads(results.SCHEMA.read_text())
    result = schema["examples"][0] | {"emulated": False, "device": "Phone <one>"} | changes
    result["model"] |= {"name": "pcarn_m", "sha256": hashlib.sha256(b"pcarn_m").hexdigest()}
    path = folder / "phone.json"
    path.write_text(json.dumps(result))
    return path


def test_phones_stand_beside_the_artifact_that_they_ran(tmp_path, measured):
    path = artifact(tmp_path, "pcarn_m")
    report = written(tmp_path / "out", device_results=[phone(tmp_path)], models=("pcarn_m",), artifacts=[path])
    assert report.device_results[0]["artifact"]["mult_adds"] == 5_000_000_000
    html = (tmp_path / "out" / "report.html").read_text()
    assert "no device measured yet" not in html
    assert html.count("Phone &lt;one&gt;") >= 2  # in the row of the artifact, and in the phones' own table
    assert "4.19 <small>(5.50)" in html
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| Phone &lt;one> | Android 16 | pcarn_m |" in markdown


@pytest.mark.parametrize(("changes", "message"), [({"emulated": True}, "emulated"), ({"runs": 9}, "runs says 9")])
def test_device_results_that_are_refused_leave_nothing(tmp_path, measured, changes, message):
    with pytest.raises(InputError, match=message):
        written(
            tmp_path / "out", device_results=[phone(tmp_path, **changes)], artifacts=[artifact(tmp_path, "pcarn_m")]
        )
    assert not (tmp_path / "out").exists()


def test_a_result_of_an_artifact_that_is_not_here_is_refused(tmp_path, measured):
    with pytest.raises(InputError, match=r"phone\.json: model\.sha256"):
        written(tmp_path / "out", device_results=[phone(tmp_path)], artifacts=[artifact(tmp_path, "edge_scs_m")])


def report_of(*rows: Row) -> Report:
    keys = ("date", "processor", "cores", "load", "torch", "executorch", "cuda")
    return Report(list(rows), dict.fromkeys(keys), "pcarn_m")


def row(model: str = "pcarn_m", ms: float = 10.0) -> Row:
    result = replace(latency(model, ms), p90_ms=2 * ms)
    return Row(model, "PyTorch eager", "eager", "untrained", 400_000, None, 32_480_870_400, 0, [result])


def test_the_page_stands_alone():
    html = render_html(report_of(row()))
    assert not re.findall(r'(?:src|href)="(?!#|data:)', html)
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/", "")
    assert "prefers-color-scheme: dark" in html
    assert html.count("<svg") == 1
    assert "32.48 G" in html
    sections = re.findall(r'<section id="(\w+)">', html)
    assert sections == ["table", "costs", "published", "environment"]  # nothing that is empty
    assert set(re.findall(r'<a href="#(\w+)"', html)) == set(sections)


def test_names_are_escaped():
    html = render_html(report_of(row("<b>x</b>")))
    assert "<b>x</b>" not in html


def test_markdown_is_a_table():
    lines = render_markdown(report_of(row(), row(ms=1234.4))).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert "1234 (2469)" in table[3]


def test_nothing_measured_is_said():
    empty = row()
    empty.latency = []
    html = render_html(report_of(empty))
    assert "<svg" not in html
    assert scatter([]) == quality_scatter([], None) == ""


def test_names_on_the_plot_keep_clear_of_each_other():
    crowd = [("ciaosr_edsr", 2104.0, 85900.0), ("ciaosr_rdn", 3299.0, 129707.0), ("ciaosr_swinir", 2758.0, 133543.0)]
    points = [Point(name, "eager", adds, ms) for name, adds, ms in [*crowd, ("edge_scs_s", 2.7, 213.0)]]
    svg = scatter(points)
    texts = re.findall(r'text-anchor: (\w+)[^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*>(\w+_\w+)</text>', svg)
    assert {name for *_, name in texts} == {point.label for point in points}
    shift = {"start": 0.0, "middle": -0.5, "end": -1.0}
    boxes = [(float(x) + shift[anchor] * 5 * len(name), float(y), 5 * len(name)) for anchor, x, y, name in texts]
    for (x, y, width), (other_x, other_y, other_width) in itertools.combinations(boxes, 2):
        assert x + width < other_x or other_x + other_width < x or abs(y - other_y) > 9  # points; letters are 5 wide
    assert "100,000" in svg
    assert "e+0" not in svg


def test_the_plot_follows_the_page():
    svg = scatter([Point("a & b", "eager", 10.0, 20.0), Point("c", "executorch", 1.0, 2.0)])
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "a &amp; b" in svg
