"""Plots as SVG that follows the page's colours: MultAdds against latency, quality against latency, the roofline."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

# Stands for "the page's text colour" while matplotlib draws; replaced by currentColor afterwards.
_INK = "#010203"
# Kind of deployment -> colour and marker, here and in the page's tables; others take the next of _MORE.
STYLES = {
    "eager": ("#4f8cc9", "o"),
    "executorch": ("#e0762f", "s"),
    "executorch int8": ("#2f9e78", "D"),
    "cuda": ("#9a6bd6", "^"),
}
_MORE = (("#c2527f", "v"), ("#b08a1e", "P"), ("#5f7f8f", "X"), ("#7a9a3a", "<"), ("#c06a5a", ">"), ("#6a6ad0", "p"))
# Stages of a network; distinguished by hue, in order of appearance.
STAGE_COLOURS = (
    "#4f8cc9", "#e0762f", "#2f9e78", "#9a6bd6", "#c2527f", "#b08a1e", "#5f7f8f", "#7a9a3a", "#c06a5a", "#6a6ad0",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One deployment: 10^9 MultAdds for one 720p image, its median in milliseconds, and its PSNR in dB if known."""

    label: str
    kind: str
    giga_mult_adds: float
    median_ms: float
    psnr: float | None = None


def styles(kinds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Kind -> (colour, matplotlib's marker), the same for the same kinds in the same order."""
    others = [kind for kind in dict.fromkeys(kinds) if kind not in STYLES]
    return {kind: STYLES.get(kind) or _MORE[others.index(kind) % len(_MORE)] for kind in dict.fromkeys(kinds)}


def scatter(points: Sequence[Point], baseline: str = "", threads: int = 1) -> str:
    """MultAdds against latency, log-log, as one <svg>; "" when there are no points.

    Deployments of one network share their MultAdds and stand on one line. Where the baseline was measured, a dashed
    line of its kind shows where the others would be if time followed MultAdds.
    """
    if not points:
        return ""
    with _axes("MultAdds against latency") as (axes, done):
        _groups(axes, [(p.kind, p.giga_mult_adds, p.median_ms) for p in points])
        shades = styles([p.kind for p in points])
        low, high = min(p.giga_mult_adds for p in points) / 1.6, max(p.giga_mult_adds for p in points) * 1.6
        for point in points:
            if point.label == baseline:
                slope = point.median_ms / point.giga_mult_adds
                line = {"ls": (0, (4, 3)), "lw": 1, "alpha": 0.6, "zorder": 1}
                axes.plot([low, high], [slope * low, slope * high], color=shades[point.kind][0], **line)
        names: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {}
        for label in dict.fromkeys(p.label for p in points):
            column = [p for p in points if p.label == label]
            x, times = column[0].giga_mult_adds, [p.median_ms for p in column]
            axes.plot([x, x], [min(times), max(times)], color=_INK, alpha=0.25, lw=1, zorder=2)
            names[label] = (x, max(times)), (x, min(times))
        axes.set(xscale="log", yscale="log", xlabel="MultAdds at 720p, 10⁹", ylabel=_ms(threads))
        axes.margins(x=0.12, y=0.16)
        _plain_numbers(axes.xaxis, axes.yaxis)
        _annotate(axes, names)
        return done()


def quality_scatter(points: Sequence[Point], bicubic: float | None, threads: int = 1) -> str:
    """Latency against PSNR as one <svg>; "" when no point has a PSNR. ``bicubic``: its PSNR in dB, drawn as a line."""
    known = [p for p in points if p.psnr is not None]
    if not known:
        return ""
    with _axes("Quality against latency") as (axes, done):
        _groups(axes, [(p.kind, p.median_ms, p.psnr) for p in known])
        for label in dict.fromkeys(p.label for p in known):
            row = sorted((p for p in known if p.label == label), key=lambda p: p.median_ms)
            axes.plot([p.median_ms for p in row], [p.psnr for p in row], color=_INK, alpha=0.25, lw=1, zorder=2)
            axes.annotate(label, (row[-1].median_ms, row[-1].psnr), (0, 9), ha="center", **_TEXT)
        if bicubic is not None:
            axes.axhline(bicubic, color=_INK, alpha=0.5, lw=1, ls=(0, (1, 2)))
            axes.annotate("bicubic", (0.99, bicubic), (0, 4), xycoords=("axes fraction", "data"), ha="right", **_TEXT)
        axes.set(xscale="log", xlabel=_ms(threads), ylabel="PSNR, dB")
        axes.margins(x=0.2, y=0.2)
        _plain_numbers(axes.xaxis)
        return done()


def roofline(model: str, stages: Sequence[dict[str, Any]], peak: dict[str, Any]) -> str:
    """Stages of a network under what the machine could do, log-log, as one <svg>; "" when there is nothing to draw.

    ``stages``: rows of ``stage_times.measure_stages``; those without times, or without MultAdds, are left out.
    ``peak``: ``roofline.machine_peak``. Stages that take the most time are labelled first, the others where there is
    room.
    """
    drawn = [s for s in stages if s["gmac_s"] and s["intensity"]]
    if not drawn or not peak:
        return ""
    with _axes(f"Roofline of {model}: achieved speed against intensity") as (axes, done):
        kinds = styles([s["runtime"] for s in drawn])
        for runtime, (colour, marker) in kinds.items():
            group = [s for s in drawn if s["runtime"] == runtime]
            sizes = [30 + 500 * (s["share"] or 0) for s in group]
            places = [s["intensity"] for s in group], [s["gmac_s"] for s in group]
            axes.scatter(*places, s=sizes, marker=marker, color=colour, alpha=0.75, lw=0, label=runtime, zorder=3)
        top, bandwidth = peak["gmac_s_peak"], peak["copy_gb_s"]
        low, high = min(s["intensity"] for s in drawn) / 2, max(s["intensity"] for s in drawn) * 2
        low, high = min(low, top / bandwidth / 2), max(high, top / bandwidth * 2)
        bounds = [low, top / bandwidth, high]
        axes.plot(bounds, [min(top, i * bandwidth) for i in bounds], color=_INK, lw=1.4, zorder=2)
        axes.annotate(f"{top:.0f} GMAC/s", (high, top), (0, 5), ha="right", **_TEXT)
        axes.annotate(f"{bandwidth:.0f} GB/s", (low, low * bandwidth), (8, 0), va="center", **_TEXT)
        labelled: dict[str, tuple[float, float]] = {}  # once a stage, whatever the runtimes
        bottom = min(low * bandwidth, *(s["gmac_s"] for s in drawn))
        wide = 0.3 * math.log10(high / low)  # about a label, in decades
        tall = 0.08 * math.log10(max(top, *(s["gmac_s"] for s in drawn)) / bottom)
        for stage in sorted(drawn, key=lambda s: -(s["share"] or 0)):
            x, y = math.log10(stage["intensity"]), math.log10(stage["gmac_s"])
            free = all(abs(x - a) > wide or abs(y - b) > tall for a, b in labelled.values())
            if free and stage["stage"] not in labelled:
                labelled[stage["stage"]] = (x, y)
                axes.annotate(stage["stage"], (10**x, 10**y), (0, -17), ha="center", **_TEXT)
        axes.set(xscale="log", yscale="log", xlabel="MultAdds a byte moved", ylabel="GMAC/s", title=model)
        axes.margins(y=0.12)
        _plain_numbers(axes.xaxis, axes.yaxis)
        return done()


_TEXT = {"textcoords": "offset points", "fontsize": 9.5, "color": _INK}


def _ms(threads: int) -> str:
    return f"median, ms ({threads} thread{'' if threads == 1 else 's'})"


def _groups(axes: Any, points: Sequence[tuple[str, float, float | None]]) -> None:
    for kind, (colour, marker) in styles([kind for kind, _, _ in points]).items():
        group = [(x, y) for other, x, y in points if other == kind]
        axes.scatter(*zip(*group, strict=True), s=64, marker=marker, color=colour, label=kind, zorder=3)


def _annotate(axes: Any, names: dict[str, tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Name -> the upper and the lower end of what it names: put in the first place beside them that is free."""
    from matplotlib.transforms import Bbox

    axes.figure.draw_without_rendering()  # only now it is known where things are
    ends = {name: [Bbox([p, p]).padded(12) for p in axes.transData.transform(both)] for name, both in names.items()}
    texts: list[Any] = []
    for name, (upper, lower) in names.items():
        others = [box for other, boxes in ends.items() if other != name for box in boxes]
        above, higher = (upper, (0, 9), "center"), (upper, (0, 22), "center")
        beside = (lower, (0, -17), "center"), (upper, (-9, -3), "right"), (upper, (9, -3), "left")
        for end, offset, aligned in (above, *beside, higher):
            text = axes.annotate(name, end, offset, ha=aligned, **_TEXT)
            box = text.get_window_extent()
            if axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and not box.count_overlaps([*others, *texts]):
                break
            text.remove()
        else:
            text = axes.annotate(name, upper, (0, 9), ha="center", **_TEXT)
        texts.append(text.get_window_extent())


def _plain_numbers(*axis: Any) -> None:
    """1, 2, 5, 10; over many decades 1, 10, 100."""
    for one in axis:
        low, high = one.get_view_interval()
        digits = "125" if high < 2000 * low else "1"
        one.set_major_formatter(lambda value, _: _plain(value))
        one.set_minor_formatter(lambda value, _, digits=digits: _plain(value) if f"{value:e}"[0] in digits else "")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


@contextmanager
def _axes(label: str) -> Iterator[tuple[Any, Any]]:
    """Axes to draw on, and the function that makes one <svg> of them, without scripts or links of its own."""
    import matplotlib

    # A figure of its own, without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.family": "sans-serif"}):
        figure = Figure(figsize=(4.8, 4.0), layout="constrained")
        axes = figure.add_subplot()

        def done() -> str:
            axes.tick_params(which="both", colors=_INK, labelsize=9)
            axes.title.set(color=_INK, size=10.5)
            axes.xaxis.label.set(color=_INK, size=9.5)
            axes.yaxis.label.set(color=_INK, size=9.5)
            axes.grid(True, which="major", color=_INK, alpha=0.12, zorder=0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set(color=_INK, alpha=0.4)
            legend = figure.legend(
                loc="outside lower center", ncols=3, frameon=False, labelcolor=_INK, fontsize=9.5, handletextpad=0.3
            )
            for handle in legend.legend_handles:
                handle.set_sizes([45])  # type: ignore[union-attr]
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
            return _inline(buffer.getvalue(), label)

        yield axes, done


def _inline(svg: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace(_INK, "currentColor").replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
