"""The page: one HTML file, nothing fetched, light and dark by the reader's preference; works without its script."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_scs.measure.roofline import attainable
from edge_scs.report.comparison import Comparison
from edge_scs.report.devices import device_cells, notes, placement
from edge_scs.report.plot import STAGE_COLOURS, Point, quality_scatter, roofline, scatter, styles
from edge_scs.report.published import published
from edge_scs.report.result import Report, quality_words
from edge_scs.report.rows import HR, LR, SCALE, Row

# (target, backend) of a manifest -> what it is for, and the oldest system where the manifest does not say.
TARGETS = {
    ("executorch", "xnnpack"): ("Android and iOS, CPU", "Android 8 (sample app), iOS 17"),
    ("executorch", ""): ("Android and iOS, CPU", "Android 8 (sample app), iOS 17"),
    ("executorch", "vulkan"): ("Android, GPU", "Android 8 (sample app)"),
    ("coreml", "mlprogram"): ("iOS and macOS, Core ML", ""),
    ("executorch", "coreml"): ("iOS and macOS, Core ML in ExecuTorch", ""),
    ("onnx", "onnxruntime"): ("onnxruntime", ""),
    ("litert", "litert"): ("LiteRT", ""),
}
SHIP_WORDS = (
    "Android: the int8 .pte, on the CPU; float32 where every decibel counts. iOS: the Core ML package, which may use "
    "the Neural Engine; no Mac or phone has run it yet. int8 is compared with its own int8 graph in PyTorch."
)
_FOLDER = Path(__file__).with_name("html")


def render_html(report: Report, comparisons: Sequence[Comparison] = ()) -> str:
    """The whole page. What was not measured is said to be not measured, in the place where it would stand."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = figure
    points = measured_points(report)
    bicubic = next((q["bicubic"]["psnr_grey"] for q in report.quality if q.get("bicubic")), None)
    return environment.get_template("page.html.j2").render(
        report=report,
        rows=best_first(report),
        shown=columns(report),
        ship=shipped(report),
        ship_words=SHIP_WORDS,
        lr=LR,
        hr=HR,
        scale=SCALE,
        cards=cards(report),
        comparisons=comparisons,
        shades={kind: shade for kind, (shade, _) in styles([row.kind for row in report.rows]).items()},
        slowest=max((p.median_ms for p in points), default=1.0),
        phones=phones(report),
        promises=promises(report),
        cost_plot=scatter(points, report.baseline, report.fewest),
        quality_plot=quality_scatter(points, bicubic, report.fewest),
        quality_words=quality_words(report.quality) if report.quality else "",
        stage_groups=stage_groups(report.stages),
        rooflines=rooflines(report),
        above_roofline=above_roofline(report),
        device_rows=[device_cells(result) for result in report.device_results],
        placements=[(result, where) for result in report.device_results if (where := placement(result))],
        device_notes=[note for result in report.device_results for note in notes(result)],
        published=published(),
    )


def best_first(report: Report) -> list[Row]:
    """The rows by their median on the CPU at the fewest threads; what was not timed comes last, as measured."""

    def median(row: Row) -> float:
        time = row.latency_at(report.fewest)
        return math.inf if time is None else float(time.median_ms)

    return sorted(report.rows, key=median)


def columns(report: Report) -> dict[str, bool]:
    """Which optional columns of the table have anything in them: an empty one says nothing."""
    rows = report.rows
    return {
        "gpu": any(row.latency_at(1, "cuda") for row in rows),
        "phone": any(row.sha256 in phones(report) for row in rows),
        "faster": any(row.faster for row in rows),
        "memory": any(row.rss_growth_mb is not None for row in rows),
        "quality": any(row.psnr_grey is not None for row in rows),
        "parity": any(row.parity_db is not None for row in rows),
    }


def shipped(report: Report) -> list[dict[str, Any]]:
    """The artifacts of trained networks but the baseline, what each is for and what it costs, in TARGETS' order."""
    times = {row.sha256: time for row in report.rows if row.sha256 and (time := row.latency_at(report.fewest))}
    lines = []
    for artifact in report.artifacts:
        if artifact["weights"] == "untrained" or artifact["model"] == report.baseline:
            continue
        target, system = TARGETS.get((artifact["target"], artifact["backend"]), (artifact["target"], ""))
        lines.append(
            {
                "target": target,
                "artifact": artifact["artifact"],
                "precision": artifact["precision"],
                "system": artifact["minimum_target"] or system,
                "bytes": artifact["bytes"],
                "ms": times[artifact["sha256"]].median_ms if artifact["sha256"] in times else None,
                "parity_db": (artifact["parity"] or {}).get("psnr_db"),
            }
        )
    order = [target for target, _ in TARGETS.values()]
    return sorted(
        lines, key=lambda line: (order.index(line["target"]) if line["target"] in order else 99, line["bytes"])
    )


def measured_points(report: Report) -> list[Point]:
    """Every deployment with its median on the CPU at the fewest threads."""
    pairs = ((row, row.latency_at(report.fewest)) for row in report.rows)
    return [Point(r.model, r.kind, r.mult_adds_720p / 1e9, t.median_ms, r.psnr_grey) for r, t in pairs if t]


def cards(report: Report) -> list[dict[str, str]]:
    """The summary: {"figure", "unit", "says"}, only of what was measured, the quickest trained network in front."""
    timed = [(row, time) for row in report.rows if (time := row.latency_at(report.fewest))]
    ours = [(row, time) for row, time in timed if row.weights != "untrained" and row.model != report.baseline]
    found: list[dict[str, str]] = []

    def card(figure: str, unit: str, says: str) -> None:
        found.append({"figure": figure, "unit": unit, "says": says})

    if not (ours or timed):
        return found
    row, time = min(ours or timed, key=lambda pair: pair[1].median_ms)
    threads = f"{report.fewest} thread{'' if report.fewest == 1 else 's'}"
    card(figure(time.median_ms), "ms", f"{row.model}, {row.deployment}, {threads}: {HR[1]}x{HR[0]} out")
    best = max((r for r, _ in ours if r.faster), key=lambda r: r.faster.get(str(report.fewest), 0.0), default=None)
    if best and str(report.fewest) in best.faster:
        ratio = best.faster[str(report.fewest)]
        card(
            f"{ratio:.1f}",
            "times",
            f"faster than {report.baseline} in float32: {best.model}, {best.deployment}",
        )
    card(f"{row.mult_adds_720p / 1e9:.2f}", "G", f"MultAdds at 720p of {row.model}")
    if row.bytes is not None:
        card(f"{row.bytes / 1e6:.2f}", "MB", f"{row.model} as it ships, {row.params / 1e6:.3f} M parameters")
    if rated := [r for r, _ in ours if r.psnr_grey is not None]:
        top = max(rated, key=lambda r: r.psnr_grey or 0.0)
        card(f"{top.psnr_grey:.2f}", "dB", f"PSNR of {top.model} at x{SCALE}, grey in; bicubic {_bicubic(report)}")
    if report.device_results:
        quickest = min(report.device_results, key=lambda r: r["median_ms"])
        card(figure(quickest["median_ms"]), "ms", f"{quickest['model']['name']}, on {quickest['device']}")
    return found


def figure(value: float) -> str:
    """Three digits are enough for the eye: 1259, 77.3, 4.19."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bicubic(report: Report) -> str:
    value = next((q["bicubic"]["psnr_grey"] for q in report.quality if q.get("bicubic")), None)
    return "not measured" if value is None else f"{value:.2f}"


def promises(report: Report) -> list[dict[str, Any]]:
    """What MultAdds promise and what the clock says, against the baseline: {"row", "fewer", "faster"}, as factors."""
    base = next((row for row in report.rows if row.model == report.baseline), None)
    if base is None:
        return []
    return [
        {"row": row, "fewer": base.mult_adds_720p / row.mult_adds_720p, "faster": row.faster[str(report.fewest)]}
        for row in report.rows
        if str(report.fewest) in row.faster and row.model != report.baseline
    ]


def phones(report: Report) -> dict[str, dict[str, Any]]:
    """sha256 of an artifact -> its quickest result on a phone at the report's own size."""
    results = [r for r in report.device_results if (r["model"]["lr"], r["model"]["hr"]) == (list(LR), list(HR))]
    slowest_first = sorted(results, key=lambda r: -r["median_ms"])
    return {r["model"]["sha256"]: r for r in slowest_first}


def rooflines(report: Report) -> list[str]:
    """One plot for each network whose stages were measured."""
    models = dict.fromkeys(stage["model"] for stage in report.stages)
    plots = (
        roofline(model, [s for s in report.stages if s["model"] == model], report.machine_peak or {})
        for model in models
    )
    return [plot for plot in plots if plot]


def above_roofline(report: Report) -> bool:
    """Whether a stage is faster than the roofline allows, which needs an explanation."""
    known = [s for s in report.stages if s["gmac_s"] and s["intensity"]] if report.machine_peak else []
    return any(s["gmac_s"] > 1.1 * attainable(s["intensity"], report.machine_peak or {}) for s in known)


def stage_groups(stages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of ``stage_times.measure_stages`` by network and runtime: {"model", "runtime", "threads", "bars", "reason"}.

    A bar is a row with its "colour", "time_percent" and "adds_percent", which add up to 100 each within a group.
    """
    colours: dict[str, str] = {}
    groups = []
    for key, members in itertools.groupby(stages, key=lambda s: (s["model"], s["runtime"], s["threads"])):
        rows = list(members)
        group: dict[str, Any] = {"model": key[0], "runtime": key[1], "threads": key[2], "bars": [], "reason": None}
        groups.append(group)
        group["reason"] = next((row["reason"] for row in rows if row.get("reason")), None)
        timed = [row for row in rows if row["ms"] is not None]
        time, adds = (sum(row[name] for row in timed) or 1 for name in ("ms", "mult_adds"))
        for row in timed:
            colour = colours.setdefault(row["stage"], STAGE_COLOURS[len(colours) % len(STAGE_COLOURS)])
            shares = {"time_percent": 100 * row["ms"] / time, "adds_percent": 100 * row["mult_adds"] / adds}
            group["bars"].append(row | {"colour": colour} | shares)
    return groups
