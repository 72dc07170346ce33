"""The drawing of the architecture; parameters and MultAdds are counted from the shipped edge_scs_m."""

from itertools import pairwise
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.weights.loading import load

matplotlib.rcParams["svg.hashsalt"] = "edge-scs"  # the same bytes every time
LR, HR = (180, 320), (720, 1280)
COLOUR, TEXTURE, IMAGE = "#fbe3d0", "#dbe1f6", "#eeeeee"


def costs() -> dict[str, str]:
    """Part -> its parameters and MultAdds for one image from 320x180 to 1280x720, without a reference."""
    model = load("edge_scs_m").model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 1, *LR), HR)
    found = {}
    for part in ("colour", "texture", "heads.4"):
        flops = sum(counter.get_flop_counts()[f"{type(model).__name__}.{part}"].values())
        parameters = sum(p.numel() for p in model.get_submodule(part).parameters())
        found[part] = f"{parameters / 1e6:.3f} M parameters, {flops / 2e9:.2f} G MultAdds"
    return found


def box(axes: Axes, x: float, y: float, w: float, h: float, title: str, lines: tuple[str, ...], colour: str) -> None:
    shape = FancyBboxPatch((x, y), w, h, "round,pad=0,rounding_size=0.12", facecolor=colour, edgecolor="#444444")
    axes.add_patch(shape)
    top = y + h / 2 + 0.13 * len(lines)
    axes.text(x + w / 2, top, title, ha="center", va="center", fontsize=10.5, weight="bold")
    for number, line in enumerate(lines, start=1):
        axes.text(x + w / 2, top - 0.27 * number, line, ha="center", va="center", fontsize=8.5)


def arrow(axes: Axes, points: list[tuple[float, float]], label: str = "", at: tuple[float, float] = (0, 0)) -> None:
    for start, end in pairwise(points):
        style = {"arrowstyle": "-|>" if end == points[-1] else "-", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", end, start, arrowprops=style)
    axes.text(*at, label, fontsize=8.5, ha="center", va="center", color="#444444")


def draw(path: Path) -> None:
    cost = costs()
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 13.4), ylim=(0, 5.3), aspect="equal")
    axes.axis("off")
    box(axes, 0.1, 3.5, 1.9, 1.1, "reference", ("optional", "colour image"), IMAGE)
    box(axes, 0.1, 0.7, 1.9, 1.1, "grey image", ("luma, any size",), IMAGE)
    lines = ("SqueezeNet encoder, decoder, 289 chroma classes", "whole image at about 240x240", cost["colour"])
    box(axes, 3.0, 3.2, 5.2, 1.7, "colour branch", lines, COLOUR)
    lines = ("residual blocks, global cascade", "tile by tile, at the input's size", cost["texture"])
    box(axes, 3.0, 0.4, 4.2, 1.7, "texture branch", lines, TEXTURE)
    parameters, mult_adds = cost["heads.4"].split(", ")
    lines = ("PixelShuffle at x2, x3, x4", "continuous at x1 to x8", f"x4: {parameters}", mult_adds)
    box(axes, 8.3, 0.25, 2.6, 2.0, "head", lines, TEXTURE)
    box(axes, 11.6, 0.7, 1.7, 1.1, "RGB", ("x1 to x8",), IMAGE)
    arrow(axes, [(2.0, 4.05), (3.0, 4.05)])
    arrow(axes, [(2.0, 1.25), (3.0, 1.25)])
    arrow(axes, [(2.5, 1.25), (2.5, 3.5), (3.0, 3.5)])
    arrow(axes, [(5.1, 3.2), (5.1, 2.1)], "coarse chroma, 2 planes", (6.35, 2.65))
    arrow(axes, [(7.2, 1.25), (8.3, 1.25)], "features", (7.75, 1.42))
    arrow(axes, [(10.9, 1.25), (11.6, 1.25)])
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
