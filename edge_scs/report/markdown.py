"""The report's table as Markdown, for a terminal or a README."""

from edge_scs.files import printable
from edge_scs.report.devices import HEADS, device_cells, notes, placement
from edge_scs.report.result import Report
from edge_scs.report.rows import Row


def render_markdown(report: Report) -> str:
    """The measured table, phones if there are any, and what a reader must know."""
    heads = ["model", "deployment", "params", "bytes", "MultAdds@720p"]
    heads += [f"ms, {count} thr. (p90)" for count in report.threads]
    heads += [f"against {report.baseline}", "RSS growth (peak)", "PSNR grey", "weights"]
    parts = [_table(heads, [cells(report, row) for row in report.rows])]
    if report.device_results:
        parts.append(_table([*HEADS], [device_cells(result) for result in report.device_results]))
        said = [
            f"{r['device']}, {r['model']['name']}: {where}" for r in report.device_results if (where := placement(r))
        ]
        said += [note for result in report.device_results for note in notes(result)]
        if said:
            parts.append("".join(f"- {_escaped(line)}\n" for line in said))
    parts.append("".join(f"- {note}\n" for note in report.notes()))
    return "\n".join(parts)


def cells(report: Report, row: Row) -> list[str]:
    """One row as text, in the columns of the table."""
    times = [row.latency_at(count) for count in report.threads]
    ratio = row.faster.get(str(report.fewest))
    return [
        row.model,
        row.deployment,
        f"{row.params / 1e6:.3f} M",
        "-" if row.bytes is None else f"{row.bytes / 1e6:.2f} MB",
        f"{row.mult_adds_720p / 1e9:.2f} G",
        *("-" if time is None else f"{time.median_ms:.0f} ({time.p90_ms:.0f})" for time in times),
        "-" if ratio is None else f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x",
        "-" if row.rss_growth_mb is None else f"{row.rss_growth_mb:.0f} ({row.peak_growth_mb:.0f}) MB",
        "-" if row.psnr_grey is None else f"{row.psnr_grey:.3f} dB",
        row.weights,
    ]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(_escaped(cell) for cell in line) + " |\n" for line in lines)


def _escaped(cell: str) -> str:
    """What a phone or a manifest says of itself must not become markup."""
    return printable(cell).replace("|", "\\|").replace("<", "&lt;")
