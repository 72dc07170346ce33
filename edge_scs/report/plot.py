"""MultAdds against latency, as an SVG that follows the page's colours."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

# Stands for "the page's text colour" while matplotlib draws; replaced by currentColor afterwards.
_INK = "#010203"
_SHADES = {"eager": "#4f8cc9", "executorch": "#d9772b"}
_MARKERS = {"eager": "o", "executorch": "s"}
_OTHER_SHADE, _OTHER_MARKER = "#6a9a4f", "D"


@dataclass(frozen=True)
class Point:
    """One deployment: MultAdds for one 720p picture, in 10^9, and its median in milliseconds."""

    label: str
    runtime: str
    giga_mult_adds: float
    median_ms: float


def scatter(points: Sequence[Point]) -> str:
    """A log-log scatter as one <svg> element without scripts or links of its own; "" when there are no points."""
    if not points:
        return ""
    import matplotlib

    # A figure of its own, without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "edge-scs", "font.family": "sans-serif"}):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for runtime in dict.fromkeys(point.runtime for point in points):
            group = [point for point in points if point.runtime == runtime]
            axes.scatter(
                [point.giga_mult_adds for point in group],
                [point.median_ms for point in group],
                s=70,
                marker=_MARKERS.get(runtime, _OTHER_MARKER),
                color=_SHADES.get(runtime, _OTHER_SHADE),
                label=runtime,
                zorder=3,
            )
        for point in points:
            place = (point.giga_mult_adds, point.median_ms)
            axes.annotate(point.label, place, (8, 4), textcoords="offset points", fontsize=9, color=_INK)
        axes.set(xscale="log", yscale="log", xlabel="MultAdds at 720p, 10⁹", ylabel="median, ms (1 thread)")
        axes.margins(x=0.25, y=0.2)
        axes.tick_params(which="both", colors=_INK, labelsize=9)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.grid(True, which="major", color=_INK, alpha=0.15, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        legend = axes.legend(loc="lower right", title="runtime", frameon=False, labelcolor=_INK, fontsize=9)
        legend.get_title().set_color(_INK)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace(_INK, "currentColor").replace(
        "<svg ", '<svg role="img" aria-label="MultAdds against latency" ', 1
    )
