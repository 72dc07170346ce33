"""What a referential network looks at: attention maps and gates ("valves") over the images (SCSNet, Figure 8)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge_scs.errors import InputError
from edge_scs.files import atomic_path
from edge_scs.images import check_writable, read_grey
from edge_scs.imaging.arrays import ImageArray, as_grey, check_image, shrink_reference, to_tensor
from edge_scs.imaging.scans import read_reference
from edge_scs.models.attention import CrossAttention
from edge_scs.weights.loading import Loaded

Point = tuple[int, int]
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45")
MAX_POINTS = len(COLOURS)
_INCH = 2.4  # a cell of the sheet


def inspect(loaded: Loaded, image: Path, reference: Path, points: Sequence[str], out: Path) -> list[Point]:
    """Draw what ``loaded`` looks at in ``reference`` while it colours ``image``, and write it to ``out``.

    ``points`` are pixels of the image, as "X,Y" counted from 0; without any, three on the falling diagonal. Returns
    the points. Raises InputError: a network without a reference branch, unreadable images, an ``out`` of unknown
    format or that is one of them, points that are no pixels of the image, or too many.
    """
    if not loaded.description.reference:
        raise InputError(f"{loaded.name}: has no reference branch to look into; choose a referential model")
    check_writable(out, (1, 1))
    if out.resolve() in (image.resolve(), reference.resolve()):
        raise InputError(f"{out}: would replace its source; choose another output")
    grey, guide = read_grey(image), read_reference(Path(reference))
    chosen = parse_points(points, (grey.shape[0], grey.shape[1])) if points else diagonal(grey.shape[1], grey.shape[0])
    draw(grey, guide, look(loaded, grey, guide), chosen, loaded.name, out)
    return chosen


def parse_points(points: Sequence[str], size: tuple[int, int]) -> list[Point]:
    """ "X,Y" -> (x, y) for each, pixels of an image of ``size`` = (h, w). Raises InputError for anything else."""
    if len(points) > MAX_POINTS:
        raise InputError(f"--at: {len(points)} points are too many for one sheet; give at most {MAX_POINTS}")
    chosen = []
    for text in points:
        x, _, y = text.partition(",")
        if not (x.strip().isdecimal() and y.strip().isdecimal()):
            raise InputError(f"--at {text}: write a pixel as X,Y, counted from 0, for example 120,80")
        chosen.append((int(x), int(y)))
        if int(x) >= size[1] or int(y) >= size[0]:
            raise InputError(f"--at {text}: lies outside the image, whose pixels go up to {size[1] - 1},{size[0] - 1}")
    return chosen


def diagonal(w: int, h: int) -> list[Point]:
    """Three points of an image: at a quarter, a half and three quarters of it."""
    return list(dict.fromkeys((w * k // 4, h * k // 4) for k in (1, 2, 3)))


@torch.inference_mode()
def look(loaded: Loaded, image: ImageArray, reference: ImageArray) -> tuple[CrossAttention, ...]:
    """The cross-attentions of a referential network, the finest first.

    ``image`` uint8 grey or RGB, ``reference`` uint8 RGB of any size, made 128x128 as for ``enhance``.
    """
    check_image(image)
    check_image(reference)
    device = next(loaded.model.parameters()).device
    gray, guide = to_tensor(as_grey(image), device), to_tensor(shrink_reference(reference), device)
    return loaded.model.attention(gray, guide)  # type: ignore[operator]


def cell(point: Point, size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """The (row, column) of a grid (rows, columns) spread over an image of ``size`` = (h, w) that holds a pixel."""
    row, col = ((2 * at + 1) * cells // (2 * side) for at, side, cells in zip(point[::-1], size, grid, strict=True))
    return row, col


def draw(
    image: ImageArray,
    reference: ImageArray,
    attentions: Sequence[CrossAttention],
    points: Sequence[Point],
    title: str,
    out: Path,
) -> None:
    """One sheet: the images and the valves of every scale above, then a row for each point with what it looks at.

    Valves lie over the grey image, from 0 (dark) to 1 (bright). Attention lies over the reference, each map scaled to
    its own peak; the title gives that peak as a multiple of even attention, and over how many cells it spreads
    (exp of the entropy).
    """
    from matplotlib.figure import Figure  # a figure of its own, without pyplot: no global state, no display

    size = (image.shape[0], image.shape[1])
    rows, cols = 2 + len(points), 1 + len(attentions)
    figure = Figure(figsize=(_INCH * cols, (_INCH + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, cols, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    grey = np.repeat(as_grey(image)[..., None], 3, axis=2)
    _show(axes[0, 0], grey, "image")
    _show(axes[1, 0], reference, "reference")
    for col, attention in enumerate(attentions, start=1):
        grid = tuple(attention.query.shape[-2:])
        valves = attention.valves[0].float().cpu().numpy()
        for row, valve in enumerate(valves):
            what = ("V1: source", "V2: reference")[row]
            _show(axes[row, col], grey, f"{what}, {grid[1]}x{grid[0]}, mean {valve.mean():.2f}")
            _lay_over(axes[row, col], valve, size, 1.0)
        for row, point in enumerate(points, start=2):
            found = attention.at(*cell(point, size, (grid[0], grid[1])))[0].float().cpu().numpy()
            peak, spread = found.max() * found.size, math.exp(-(found * np.log(found + 1e-30)).sum())
            _show(axes[row, col], reference, f"peak {peak:.3g}x even, {spread:.0f} of {found.size} cells")
            _lay_over(axes[row, col], found, reference.shape[:2], float(found.max()))
    for row, (point, colour) in enumerate(zip(points, COLOURS, strict=False), start=2):
        _show(axes[row, 0], grey, f"at {point[0]},{point[1]}")
        for axis in (axes[0, 0], axes[row, 0]):
            axis.plot(*point, marker="o", markersize=8, markerfacecolor="none", markeredgewidth=2, color=colour)
    scales = "valves from 0 (dark) to 1 (bright); below, what each point looks at, scaled to its peak"
    figure.suptitle(f"{title}: cross-attention, fine to coarse\n{scales}", fontsize=9)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=100)


def _show(axis: Any, image: ImageArray, title: str) -> None:
    axis.imshow(image)
    axis.set_title(title, fontsize=7)


def _lay_over(axis: Any, values: NDArray[np.float32], size: tuple[int, ...], top: float) -> None:
    """``values`` from 0 to ``top`` over an image of ``size`` = (h, w), cell by cell, not smoothed."""
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    axis.imshow(values, cmap="inferno", vmin=0, vmax=top, alpha=0.65, extent=extent, interpolation="nearest")
