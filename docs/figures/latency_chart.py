"""The chart of quality against time, from results.toml and the cards."""

from pathlib import Path

import matplotlib
import results
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

matplotlib.rcParams["svg.hashsalt"] = "edge-scs"  # the same bytes every time
COLOURS = ("#3949ab", "#e07b39")
MARKERS = {"float32": "o", "int8": "s"}
KEYS = {"float32": "b100_x4_psnr_y", "int8": "b100_x4_psnr_y_int8"}
TICKS = (0.05, 0.1, 0.2, 0.5, 1)


def draw(path: Path) -> None:
    chart = results.results()["chart"]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(chart["bicubic"], color="grey", linestyle=":")
    axes.annotate("bicubic", (0.041, chart["bicubic"]), xytext=(0, 4), textcoords="offset points", color="grey")
    axes.plot(1, chart["baseline"], "D", color="black")
    axes.annotate(
        "PCARN-M\n(no colour)", (1, chart["baseline"]), (0, -10), textcoords="offset points", ha="center", va="top"
    )
    for series, colour, above in zip(chart["series"], COLOURS, (True, False), strict=True):
        for number, point in enumerate(series["points"]):
            psnr, precision = results.card(point["card"])[KEYS[point["precision"]]], point["precision"]
            label = series["name"] if number == 0 else None
            axes.plot(point["time"], psnr, MARKERS[precision], color=colour, markersize=8, label=label)
            name = point["card"] + ("\nint8" if precision == "int8" else "")
            shift, side = ((0, 9), "bottom") if above else ((0, -10), "top")
            at = (point["time"], psnr)
            axes.annotate(name, at, shift, textcoords="offset points", color=colour, ha="center", va=side)
    axes.set_xscale("log")
    axes.set_xlim(0.04, 1.3)
    axes.set_xticks(TICKS)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(chart["bicubic"] - 0.15, chart["baseline"] + 0.2)
    axes.set_xlabel("time for one image relative to PCARN-M in float32 (ExecuTorch, one thread)")
    axes.set_ylabel("PSNR-Y on B100 at x4, dB")
    axes.legend(loc="center", title="Edge-SCS, colour included", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
