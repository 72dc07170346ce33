"""The report: what every network costs and how long it takes, as Markdown, JSON and one HTML page."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_scs.files import write_atomically
from edge_scs.measure.cache import Cache, bench_by_row
from edge_scs.measure.latency import all_threads, bench
from edge_scs.measure.machine import environment
from edge_scs.measure.measurement import Conditions
from edge_scs.measure.programs import artifact_manifest
from edge_scs.models import registry
from edge_scs.phones.results import read_device_result, with_manifest
from edge_scs.report.comparison import Comparison
from edge_scs.report.markdown import render_markdown
from edge_scs.report.render import render_html
from edge_scs.report.result import Report
from edge_scs.report.rows import LR, SCALE, Row, eager_row, timed_row
from edge_scs.weights.loading import load

MODELS = ("pcarn_m", "edge_scs_m", "edge_scs_s")
EVERY_MODEL = (*MODELS, *(name for name in registry.names() if name not in MODELS))
# For each thread count of each measurement. Slow networks get fewer runs, so that a report takes minutes.
EFFORT = Conditions("cpu", LR, SCALE, warmup=1, runs=15, max_seconds=5.0)
QUICK = replace(EFFORT, runs=3)
# Networks of more MultAdds than this run for ten seconds to minutes: once, which is their warm-up too, on one thread.
SLOW_MULT_ADDS = 300e9
SLOW = replace(EFFORT, runs=1, max_seconds=math.inf)


@dataclass(frozen=True)
class Timing:
    """What is timed for a report, and how.

    ``models``: names or checkpoints, eager; untrained where no weights are shipped. The first is the baseline.
    ``artifacts``: .pte files with their manifests, ExecuTorch; those of the baseline's network come first. What is for
    Core ML or Vulkan cannot be timed here: its manifest says what a device result was measured on. ``threads``: one,
    and all cores, by default. ``quick`` means few runs: a look, not a measurement. With a ``cache`` every subject is
    timed beside its baseline alone, and what was timed before is not timed again. Without ``eager`` the artifacts alone
    are timed, which is like with like: one of the first model must be among them. ``max_seconds``: for each thread
    count of each measurement.
    """

    models: Sequence[str] = MODELS
    artifacts: Sequence[Path] = ()
    threads: Sequence[int] | None = None
    quick: bool = False
    cache: Cache | None = None
    eager: bool = True
    max_seconds: float = 5.0


@dataclass(frozen=True)
class Findings:
    """What a report shows beside its own timings.

    ``device_results``: the phone apps' latency JSON. ``quality``: results of ``evaluate``; a row shows the psnr_grey at
    x4 of its own weights and precision. ``comparisons``: the images of the page. ``stages`` and ``machine_peak``: what
    ``stage_times`` and ``roofline`` measured. ``networks``: what ``mult_adds.models_table`` says. ``command``: the line
    that made the report.
    """

    device_results: Sequence[Path] = ()
    quality: Sequence[dict[str, Any]] = ()
    comparisons: Sequence[Comparison] = ()
    stages: Sequence[dict[str, Any]] = ()
    machine_peak: dict[str, Any] | None = None
    networks: Sequence[dict[str, Any]] = ()
    command: str = ""


def make_report(
    out: Path,
    timing: Timing = Timing(),
    findings: Findings = Findings(),
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure, and write report.md, report.json and report.html into ``out``.

    Networks of over SLOW_MULT_ADDS are timed once, on the fewest threads, after all others; but not the baseline.
    Raises InputError for models, artifacts or device results that cannot be used; then nothing is written, and what the
    user gave is checked before anything is timed.
    """
    models, cache = timing.models, timing.cache
    machine = environment()
    manifests = sorted(
        ((path, artifact_manifest(path)) for path in timing.artifacts), key=lambda pair: pair[1]["model"] != models[0]
    )
    by_sha256 = {manifest["sha256"]: manifest for _, manifest in manifests}
    devices = [with_manifest(read_device_result(path), by_sha256, str(path)) for path in findings.device_results]
    say("counting MultAdds")
    rows = [eager_row(load(name, allow_untrained=True)) for name in models if timing.eager]
    subjects = list(models) if timing.eager else []
    for path, manifest in manifests:
        row = timed_row(path, manifest)
        if row is not None:
            rows.append(row)
            subjects.append(str(path))
    threads = tuple(timing.threads or all_threads())
    effort = replace(QUICK if timing.quick else EFFORT, threads=threads, max_seconds=timing.max_seconds)
    slow = [i for i, row in enumerate(rows) if i and row.runtime == "eager" and row.mult_adds_720p > SLOW_MULT_ADDS]
    others = [i for i in range(len(rows)) if i not in slow]
    _measure([rows[i] for i in others], [subjects[i] for i in others], effort, say, cache)
    for i in slow:  # one by one: what an interrupt loses takes minutes
        baseline = replace(rows[0], latency=[])  # takes part, but its own row has had better measurements
        _measure([baseline, rows[i]], [models[0], subjects[i]], replace(SLOW, threads=threads[:1]), say, cache)
    if machine["cuda"] and timing.eager:
        _measure(rows[: len(models)], list(models), replace(effort, device="cuda", threads=(1,)), say, cache)
    quality = [q for q in findings.quality if q["scale"] == SCALE]
    found = {(q["model"], q["weights"], q.get("precision", "fp32")): q["psnr_grey"] for q in quality}
    for row in rows:
        row.psnr_grey = found.get((row.model, row.weights, row.precision))
    report = Report(
        rows, machine, rows[0].model, devices, quality,
        list(findings.stages), findings.machine_peak, findings.command, list(findings.networks),
        [manifest for _, manifest in manifests],
    )  # fmt: skip
    write_report(report, out, findings.comparisons)
    return report


def _measure(
    rows: Sequence[Row],
    subjects: list[str],
    conditions: Conditions,
    say: Callable[[str], None],
    cache: Cache | None,
) -> None:
    if cache is None:
        measured = bench(subjects, conditions, say)
    else:
        measured = bench_by_row(cache, subjects, conditions, say)
    pairs = list(zip(rows, subjects, strict=True))
    # Runtime -> the baseline network in it: the first subject of that runtime, if it is that network.
    baselines = {row.runtime: subject for row, subject in reversed(pairs)}
    baselines = {row.runtime: s for row, s in pairs if s == baselines[row.runtime] and row.model == rows[0].model}
    for row, subject in pairs:
        mine = measured.of(subject)
        row.latency += mine
        if conditions.device == "cpu":
            row.rss_growth_mb, row.peak_growth_mb = mine[0].rss_growth_mb, mine[0].peak_growth_mb
            base = baselines.get(row.runtime)
            ratios = (r for r in measured.ratios if (r.subject, r.to) == (subject, base))
            row.faster = {str(ratio.threads): round(1 / ratio.median, 3) for ratio in ratios}


def write_report(report: Report, out: Path, comparisons: Sequence[Comparison] = ()) -> None:
    """report.md, report.json and report.html, each whole or not at all."""
    write_atomically(out / "report.md", f"# Costs and latency\n\n{render_markdown(report)}")
    write_atomically(out / "report.json", json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
    write_atomically(out / "report.html", render_html(report, comparisons))
