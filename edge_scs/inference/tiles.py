"""An image in tiles that equal the whole: which HR pixels each tile makes, and which LR pixels it has to see.

All of it is arithmetic on one axis; a tile is a span of rows and a span of columns. HR pixel i looks at LR coordinate
(i + 0.5) * lr / hr - 0.5 (``models.heads.lr_coordinates``).
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# LR pixels over which neighbouring tiles of one fixed size fade into each other, between the halos that saw padding.
FADE = 16


@dataclass(frozen=True)
class Span:
    """HR pixels ``start`` .. ``stop`` - 1, made from LR pixels ``low`` .. ``high`` - 1 of the same axis."""

    start: int
    stop: int
    low: int
    high: int


def spans(lr: int, hr: int, tile: int | None, halo: int) -> list[Span]:
    """Cut one axis into spans of at most about ``tile`` LR pixels of equal length; None cuts nothing.

    The LR range reaches ``halo`` pixels beyond what the HR pixels look at, but never beyond the image: there the
    network's zero padding has to stand where it stands for the whole image.
    """
    ratio = hr / lr
    count = 1 if tile is None else math.ceil(lr / tile)
    edges = [round(lr * i / count) for i in range(count + 1)]
    starts = [round(edge * hr / lr) for edge in edges]
    return [span_of(start, stop, lr, ratio, halo) for start, stop in pairwise(starts)]


def span_of(start: int, stop: int, lr: int, ratio: float, halo: int) -> Span:
    """The span that makes HR pixels start .. stop - 1, with the LR pixels it looks at and their halo."""
    first = math.floor((start + 0.5) / ratio - 0.5)
    last = math.floor((stop - 0.5) / ratio - 0.5) + 1
    return Span(start, stop, max(0, first - halo), min(lr, last + 1 + halo))


def equal_windows(cuts: list[Span], lr: int) -> list[Span]:
    """The same HR pixels from LR ranges that all have the longest one's length, so that tiles can share a batch."""
    longest = max(span.high - span.low for span in cuts)
    lows = [min(span.low, lr - longest) for span in cuts]
    return [Span(span.start, span.stop, low, low + longest) for span, low in zip(cuts, lows, strict=True)]


def fixed_starts(lr: int, tile: int, overlap: int, step: int = 1) -> list[int]:
    """Where tiles of one fixed length begin so that they cover the axis and overlap by at least ``overlap``.

    An image that is not longer than the tile has one, at 0. Starts are multiples of ``step``, so the last tile may
    reach up to step - 1 pixels beyond the image. ``overlap + step`` must be less than ``tile``.
    """
    if lr <= tile:
        return [0]
    reach = math.ceil((lr - tile) / step) * step
    count = math.ceil(reach / (tile - overlap - step + 1)) + 1
    return [reach * i // (count - 1) // step * step for i in range(count)]


def blend_weights(starts: list[int], tile: int, margin: int) -> NDArray[np.float32]:
    """Weights (len(starts), tile) that sum to one at every pixel of the axis: linear across each overlap.

    A tile's outermost ``margin`` pixels, where it saw padding instead of the image, weigh nothing unless no other
    tile covers them. All in the same pixels (LR or HR).
    """
    end = starts[-1] + tile
    raw = np.zeros((len(starts), end))
    for i, start in enumerate(starts):
        distance = np.arange(tile)
        rise = np.ones(tile) if i == 0 else distance - margin + 1
        fall = np.ones(tile) if i == len(starts) - 1 else tile - distance - margin
        # Towards a neighbour the ramp is as long as the overlap within both margins; beyond it the weight stays.
        before = starts[i - 1] + tile - start - 2 * margin + 1 if i else 1
        after = start + tile - starts[i + 1] - 2 * margin + 1 if i + 1 < len(starts) else 1
        raw[i, start : start + tile] = np.clip(rise / before, 0, 1) * np.clip(fall / after, 0, 1)
    raw /= raw.sum(axis=0, keepdims=True)
    return np.stack([raw[i, start : start + tile] for i, start in enumerate(starts)]).astype(np.float32)


def fixed_axis(lr: int, tile: int, ratio: Fraction, halo: int) -> tuple[list[int], NDArray[np.float32]] | None:
    """One axis for an artifact that takes ``tile`` LR pixels: where its tiles start, in LR, and their HR weights.

    Starts fall on whole HR pixels. Weights (count, tile * ratio). None where tiles that overlap would not fit.
    """
    hr = int(tile * ratio)
    if lr <= tile:
        return [0], np.ones((1, hr), np.float32)
    overlap = min(2 * halo + FADE, tile // 2)
    if overlap + ratio.denominator >= tile:
        return None
    starts = fixed_starts(lr, tile, overlap, ratio.denominator)
    margin = max(0, min(halo, (overlap - FADE) // 2))
    return starts, blend_weights([int(start * ratio) for start in starts], hr, int(margin * ratio))
