"""Measurements as Markdown tables, for terminals and documents alike."""

from collections.abc import Sequence
from typing import Any

from edge_scs.measure.measurement import Measurement
from edge_scs.measure.roofline import attainable


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; None is shown as "-"."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join("-" if cell is None else str(cell) for cell in line) + " |" for line in lines)


def latency_table(measured: Measurement) -> str:
    """What ``latency.bench`` returns: a row for each subject, mode (reference-guided or not) and thread count.

    "against" is how many times faster than the first subject: by the clock, the median over turns with its range, and
    by processor time, the ratio of medians.
    """
    first = measured.results[0].way
    base_cpu = {r.threads: r.cpu_ms for r in measured.results if r.way == first}
    faster: dict[tuple[Any, ...], str] = {
        (r.subject, r.mode, r.reference is not None, r.threads): (
            f"{1 / r.median:.2f}x ({1 / r.max:.2f} to {1 / r.min:.2f})"
        )
        for r in measured.ratios
        if (r.to, r.to_mode, r.to_reference is not None) == first
    }
    heads = ["subject", "mode", "threads", "median ms", "p90", "min", "runs", f"against {_short(first[0])}"]
    heads += ["CPU ms (against)", "RSS growth (peak), MB", "arena, MB", "remark"]
    rows = [
        [
            _short(r.subject),
            f"{r.mode}, reference" if r.reference else r.mode,
            r.threads,
            f"{r.median_ms:.1f}",
            f"{r.p90_ms:.1f}",
            f"{r.min_ms:.1f}",
            r.runs,
            faster.get((*r.way, r.threads)),
            _cpu(r.cpu_ms, base_cpu[r.threads]),
            f"{r.rss_growth_mb:.0f} ({r.peak_growth_mb:.0f})",
            r.arena_mb,
            f"noisy, spread {r.spread:.0%}" if r.noisy else "",
        ]
        for r in measured.results
    ]
    left_out = [f"- {_short(x.subject)}, {x.mode}: {x.reason}" for x in measured.left_out]
    return "\n".join([table(heads, rows), *([""] if left_out else []), *left_out])


def _cpu(ms: float | None, base: float | None) -> str | None:
    return None if ms is None or base is None else f"{ms:.1f} ({base / ms:.2f}x)"


def stage_table(stages: Sequence[dict[str, Any]], peak: dict[str, Any]) -> str:
    """Rows of ``stage_times.measure_stages`` beside ``roofline.machine_peak``.

    "of peak": the share of what ``roofline.attainable`` allows a stage; only at the peak's own thread count.
    """
    heads = ["network", "runtime", "threads", "stage", "MultAdds, M", "MB moved", "ms", "share", "GMAC/s"]
    heads += ["MAC/byte", "of peak"]
    rows = [
        [
            row["model"],
            row["runtime"],
            row["threads"],
            row["stage"] if row["reason"] is None else f"{row['stage']}: {row['reason']}",
            None if row["mult_adds"] is None else f"{row['mult_adds'] / 1e6:.1f}",
            None if row["bytes_moved"] is None else f"{row['bytes_moved'] / 1e6:.1f}",
            None if row["ms"] is None else f"{row['ms']:.1f}",
            None if row["share"] is None else f"{row['share']:.1%}",
            row["gmac_s"],
            row["intensity"],
            _of_peak(row, peak),
        ]
        for row in stages
    ]
    peaks = f"{peak['gmac_s_peak']:.1f} GMAC/s, {peak['copy_gb_s']:.1f} GB/s, {peak['threads']} thread(s)"
    return f"{table(heads, rows)}\n\nThis machine's roofline peak: {peaks}."


def _of_peak(row: dict[str, Any], peak: dict[str, Any]) -> str | None:
    if row["gmac_s"] is None or row["intensity"] is None or row["threads"] != peak["threads"]:
        return None
    return f"{row['gmac_s'] / attainable(row['intensity'], peak):.0%}"


def _short(subject: str) -> str:
    """A file's name; with its folder where that is what every training run calls its result."""
    folder, _, name = subject.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if folder and name == "weights.safetensors" else name
