"""The chart of quality against time, from results.toml and the cards."""

from pathlib import Path
from statistics import fmean

import matplotlib
import results
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

matplotlib.rcParams["svg.hashsalt"] = "edge-scs"  # the same bytes every time
COLOURS = ("#3949ab", "#e07b39")
MARKERS = {"float32": "o", "int8": "s"}
KEYS = {"float32": "b100_x4_psnr_y", "int8": "b100_x4_psnr_y_int8"}
TICKS = (0.05, 0.1, 0.2, 0.5, 1)


def points() -> dict[str, list[tuple[str, str, float]]]:
    """Series -> (card, precision, PCARN-M's time over the network's)."""
    found = results.results()
    here = []
    for network in found["network"]:
        for precision, key in (("float32", "faster"), ("int8", "faster_int8")):
            if key in network:
                here.append((network["card"], precision, fmean(network[key])))
    chart = found["chart"]
    there = [(point["card"], point["precision"], point["faster"]) for point in chart["points"]]
    return {chart["above"]: here, chart["below"]: there}


def draw(path: Path) -> None:
    psnr = {network["name"]: network["psnr"][0] for network in results.results()["network"] if "name" in network}
    baseline, bicubic = psnr["PCARN-M, official L1 weights"], psnr["bicubic"]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(bicubic, color="grey", linestyle=":")
    axes.annotate("bicubic", (0.041, bicubic), xytext=(0, 4), textcoords="offset points", color="grey")
    axes.plot(1, baseline, "D", color="black")
    axes.annotate("PCARN-M\n(no colour)", (1, baseline), (0, -10), textcoords="offset points", ha="center", va="top")
    for (title, series), colour, above in zip(points().items(), COLOURS, (True, False), strict=True):
        shift, side = ((0, 9), "bottom") if above else ((0, -10), "top")
        for number, (card, precision, faster) in enumerate(series):
            at = (1 / faster, results.card(card)[KEYS[precision]])
            label = None if number else title
            axes.plot(*at, MARKERS[precision], color=colour, markersize=8, label=label)
            name = card + ("\nint8" if precision == "int8" else "")
            axes.annotate(name, at, shift, textcoords="offset points", color=colour, ha="center", va=side)
    axes.set_xscale("log")
    axes.set_xlim(0.04, 1.3)
    axes.set_xticks(TICKS)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bicubic - 0.15, baseline + 0.2)
    axes.set_xlabel("time for one image relative to PCARN-M in float32 (ExecuTorch, one thread)")
    axes.set_ylabel("PSNR-Y on B100 at x4, dB")
    axes.legend(loc="center", title="Edge-SCS, colour included", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
