"""The report: what every network costs and how long it takes, as Markdown, JSON and one HTML page."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.report.latency import bench
from edge_scs.report.machine import environment
from edge_scs.report.mult_adds import mult_adds_720p, parameters
from edge_scs.report.plot import Point, scatter
from edge_scs.weights.loading import Loaded, load

MODELS = ("pcarn_m", "edge_scs_m", "edge_scs_s")
SCALE = 4
LR, HR = (180, 320), (720, 1280)
NO_DEVICE = "no device measured yet"
_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass
class Row:
    """One network in one deployment. ``latency`` has results of ``latency.bench``.

    ``faster`` is by thread count how many times faster than the baseline network it is in the same runtime: {} for the
    baseline itself and where that was not measured. ``bytes`` is the size of the artifact or weights file, None for an
    untrained eager network. ``psnr_grey`` (dB) is what ``evaluate`` measured with these weights, None where nobody did.
    ``parity_db``: the artifact against the eager network.
    """

    model: str
    deployment: str
    runtime: str
    weights: str
    params: int
    bytes: int | None
    mult_adds_720p: int
    attention_720p: int
    latency: list[dict[str, Any]] = field(default_factory=list)
    faster: dict[str, float] = field(default_factory=dict)
    rss_growth_mb: float | None = None
    peak_growth_mb: float | None = None
    psnr_grey: float | None = None
    parity_db: float | None = None

    def latency_at(self, threads: int, device: str = "cpu") -> dict[str, Any] | None:
        """The result at this thread count, if it was measured."""
        return next((r for r in self.latency if r["threads"] == threads and r["device"] == device), None)


@dataclass
class Report:
    """``rows`` in the order measured; ``device_results`` is empty until a device has been measured."""

    rows: list[Row]
    environment: dict[str, Any]
    baseline: str
    device_results: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """{"rows", "environment", "device_results"}, JSON-safe."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "environment": self.environment,
            "device_results": self.device_results,
        }

    @property
    def threads(self) -> list[int]:
        """CPU thread counts that were measured."""
        return sorted({r["threads"] for row in self.rows for r in row.latency if r["device"] == "cpu"})

    @property
    def markdown(self) -> str:
        """The table, for a terminal or a README."""
        heads = ["model", "deployment", "params", "bytes", "MultAdds@720p"]
        heads += [f"ms, {count} thr. (p90)" for count in self.threads]
        heads += [f"against {self.baseline}", "RSS growth (peak)", "PSNR grey", "weights"]
        lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for row in self.rows:
            lines.append("| " + " | ".join(self.cells(row)) + " |")
        notes = [f"- {note}" for note in self.notes()]
        return "\n".join([*lines, "", *notes]) + "\n"

    def cells(self, row: Row) -> list[str]:
        """One row as text, in the columns of ``markdown``."""
        times = [row.latency_at(count) for count in self.threads]
        ratio = row.faster.get(str(self.threads[0])) if self.threads else None
        return [
            row.model,
            row.deployment,
            f"{row.params / 1e6:.3f} M",
            "-" if row.bytes is None else f"{row.bytes / 1e6:.2f} MB",
            f"{row.mult_adds_720p / 1e9:.2f} G",
            *("-" if time is None else f"{time['median_ms']:.0f} ({time['p90_ms']:.0f})" for time in times),
            "-" if ratio is None else f"{ratio:.1f}x",
            "-" if row.rss_growth_mb is None else f"{row.rss_growth_mb:.0f} ({row.peak_growth_mb:.0f}) MB",
            "-" if row.psnr_grey is None else f"{row.psnr_grey:.3f} dB",
            row.weights,
        ]

    def notes(self) -> list[str]:
        """What a reader must know to trust the table."""
        e = self.environment
        runs = next((r["runs"] for row in self.rows for r in row.latency), 0)
        notes = [
            f"{LR[1]}x{LR[0]} to {HR[1]}x{HR[0]}, x{SCALE}; float32 unless the deployment says otherwise; medians of "
            f"{runs} runs, all subjects in turn.",
            f"Measured {e['date']} on {e['processor']}, {e['cores']} cores, load {e['load']}, torch {e['torch']}, "
            f"executorch {e['executorch'] or 'not installed'}.",
            f"'against {self.baseline}': how many times faster than it in the same runtime, median over turns, "
            "fewest threads.",
            "MultAdds count convolutions, linear layers and attention products; tied blocks once per execution. "
            "RSS growth: the process's resident memory after warm-up, and at its highest, over that before loading.",
        ]
        if not self.device_results:
            notes.append(f"Phones: {NO_DEVICE}. GPU: {e['cuda'] or 'none on this machine'}.")
        return notes


def make_report(
    out: Path,
    device_results: Sequence[Path] = (),
    models: Sequence[str] = MODELS,
    artifacts: Sequence[Path] = (),
    quality: Sequence[dict[str, Any]] = (),
    threads: Sequence[int] = (1, 2),
    quick: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure ``models`` (names or checkpoints, eager; untrained where no weights are shipped) and ``artifacts`` (.pte
    files with their manifests, ExecuTorch), and write report.md, report.json and report.html into ``out``.

    The first model is the baseline; artifacts of the same network come first among the artifacts. ``quality`` takes
    results of ``evaluate``: a row shows the psnr_grey at x4 of its own weights. ``quick`` means few runs: a look, not a
    measurement. Raises InputError for models, artifacts or device results that cannot be used; then nothing is written.
    """
    if device_results:
        raise InputError(f"{device_results[0]}: device results cannot be merged yet; leave --device-results out")
    machine = environment()
    say("counting MultAdds")
    loaded = [load(name, allow_untrained=True) for name in models]
    rows = [eager_row(network) for network in loaded]
    baseline = rows[0].model
    subjects = list(models)
    manifests = sorted(
        ((path, read_manifest(path)) for path in artifacts), key=lambda pair: pair[1]["model"] != baseline
    )
    for path, manifest in manifests:
        rows.append(artifact_row(path, manifest))
        subjects.append(str(path))
    effort = {"runs": 3, "warmup": 1, "max_seconds": 10.0} if quick else {"runs": 15, "warmup": 2}
    _measure(rows, subjects, "cpu", threads, effort, say)
    if machine["cuda"]:
        _measure(rows[: len(models)], list(models), "cuda", (1,), effort, say)
    found = {(q["model"], q["weights"]): q["psnr_grey"] for q in quality if q["scale"] == SCALE}
    for row in rows:
        row.psnr_grey = found.get((row.model, row.weights))
    report = Report(rows, machine, baseline)
    write_report(report, out)
    return report


def _measure(
    rows: Sequence[Row],
    subjects: list[str],
    device: str,
    threads: Sequence[int],
    effort: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    measured = bench(subjects, device, LR, SCALE, threads, **effort, say=say)
    pairs = list(zip(rows, subjects, strict=True))
    # Runtime -> the baseline network in it: the first subject of that runtime, if it is that network.
    baselines = {row.runtime: subject for row, subject in reversed(pairs)}
    baselines = {row.runtime: s for row, s in pairs if s == baselines[row.runtime] and row.model == rows[0].model}
    for row, subject in pairs:
        mine = [result for result in measured["results"] if result["subject"] == subject]
        row.latency += mine
        if device == "cpu":
            row.rss_growth_mb, row.peak_growth_mb = mine[0]["rss_growth_mb"], mine[0]["peak_growth_mb"]
            base = baselines.get(row.runtime)
            ratios = (r for r in measured["ratios"] if (r["subject"], r["to"]) == (subject, base))
            row.faster = {str(ratio["threads"]): round(1 / ratio["median"], 3) for ratio in ratios}


def eager_row(loaded: Loaded) -> Row:
    """The row of a network in PyTorch, not measured yet. Raises InputError when it has no x4."""
    cost = mult_adds_720p(loaded.model, loaded.description)[SCALE]
    if cost is None:
        raise InputError(f"{loaded.name}: has no x{SCALE}, which the report compares; leave it out")
    file = Path(loaded.source)
    return Row(
        model=loaded.name,
        deployment="PyTorch eager",
        runtime="eager",
        weights=loaded.origin,
        params=parameters(loaded.model),
        bytes=file.stat().st_size if file.is_file() else None,
        mult_adds_720p=cost.total,
        attention_720p=cost.attention,
    )


def artifact_row(path: Path, manifest: dict[str, Any]) -> Row:
    """The row of an artifact, not measured yet. Raises InputError when it was not made for the report's sizes."""
    given = tuple(manifest["inputs"][0]["shape"][-2:]), tuple(manifest["outputs"][0]["shape"][-2:])
    if given != (LR, HR):
        raise InputError(f"{path}: was made for another size than {LR[1]}x{LR[0]} to {HR[1]}x{HR[0]}; export that one")
    cost = mult_adds_720p(*_network(manifest["model"], path))[SCALE]
    return Row(
        model=manifest["model"],
        deployment=f"ExecuTorch {manifest.get('preset', '')}".strip(),
        runtime="executorch",
        weights=manifest.get("weights", "unknown"),
        params=manifest["params"],
        bytes=manifest["bytes"],
        mult_adds_720p=manifest["mult_adds"],
        attention_720p=cost.attention if cost else 0,
        parity_db=(manifest["parity"] or {}).get("psnr_db"),
    )


def _network(name: str, path: Path) -> tuple[Any, Any]:
    try:
        network = load(name, allow_untrained=True)
    except InputError as error:
        raise InputError(f"{path}: its manifest names an unknown network, {name}; export it again") from error
    return network.model, network.description


def read_manifest(artifact: Path) -> dict[str, Any]:
    """The manifest <artifact>.json. Raises InputError for anything but a .pte with a manifest of ours beside it."""
    path = artifact.with_name(artifact.name + ".json")
    if artifact.suffix != ".pte" or not artifact.is_file():
        raise InputError(f"{artifact}: no .pte artifact; export it first")
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable manifest; keep it beside its artifact, or export again") from error
    for key in ("model", "inputs", "outputs", "params", "bytes", "mult_adds", "parity"):
        if not isinstance(manifest, dict) or key not in manifest:
            raise InputError(f"{path}: lacks {key!r}; export the artifact again")
    return manifest


def write_report(report: Report, out: Path) -> None:
    """report.md, report.json and report.html, each whole or not at all."""
    write_atomically(out / "report.md", f"# Costs and latency\n\n{report.markdown}")
    write_atomically(out / "report.json", json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
    write_atomically(out / "report.html", render_html(report))


def render_html(report: Report) -> str:
    """The page: no scripts, no links, nothing fetched; light and dark by the reader's preference."""
    import jinja2

    fewest = report.threads[0] if report.threads else 1
    measured = [(row, row.latency_at(fewest)) for row in report.rows]
    points = [Point(r.model, r.runtime, r.mult_adds_720p / 1e9, time["median_ms"]) for r, time in measured if time]
    slowest = max((point.median_ms for point in points), default=1.0)
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        _TEMPLATE.read_text(encoding="utf-8")
    )
    return template.render(
        report=report, rows=measured, fewest=fewest, slowest=slowest, plot=scatter(points), hr=HR, lr=LR
    )
