"""The caller of a continuous program: what an app does with the methods that ``lowering.continuous`` makes."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.artifacts.pte import PteProgram
from edge_scs.errors import InputError
from edge_scs.models.colour import COLOUR_SIDE, answer_size, to_colour_grid
from edge_scs.models.edge_scs import shuffle_scale
from edge_scs.models.heads import FINEST, ContinuousHead, lr_coordinates, sample_bilinear

Piece = tuple[slice, slice, Tensor]
# What a continuous program is made for.
TILE = 256  # LR pixels a side that encode takes at most, halo included
CHUNK = 128  # HR pixels a side that decode makes at most
GRID_SIDES = (32, 512)  # of the colour grid: images up to 4.5 times as long as high
COLOUR_CELLS = (8, 4)  # of the colour grid's levels that a bilinear step leads to, each from a level half as fine


def sampling(coordinates: Tensor, low: int, high: int, last: int) -> Tensor:
    """Bilinear weights (count, high - low) of LR coordinates in a window low .. high - 1; ``last``: the border pixel.

    Coordinates beyond the image's border clamp to it, as ``F.interpolate`` does.
    """
    at = coordinates.clamp(0, last)
    near = at.floor().long()
    far = (near + 1).clamp(max=last)
    weights = torch.zeros(len(at), high - low, dtype=torch.float64)
    index = torch.arange(len(at))
    weights[index, near - low] = 1 - (at - near)
    weights[index, far - low] += at - near
    return weights.float()


def climbing(side: int, cell: int) -> Tensor:
    """Bilinear weights (n, m) along one side of the colour grid, from m cells of 2 * ``cell`` pixels to n of ``cell``.

    A cell that the border cuts counts.
    """
    fine, coarse = math.ceil(side / cell), math.ceil(side / (2 * cell))
    return sampling(lr_coordinates(fine, fine / coarse), 0, coarse, coarse - 1)


class ContinuousProgram:
    """The driver: what an app does with the methods. ``halo`` is the network's, from the manifest."""

    def __init__(self, program: PteProgram, halo: int, takes_hints: bool = False):
        """Raises InputError when the program lacks a method."""
        self.program, self.halo, self.takes_hints = program, halo, takes_hints
        missing = {"colour", "encode", "finest", "decode"} - set(program.methods)
        if missing:
            raise InputError(f"{program.path}: lacks the method {min(missing)}; export the continuous preset")

    @property
    def takes_reference(self) -> bool:
        return "colour_led" in self.program.methods

    def chroma(self, gray: Tensor, reference: Tensor | None = None, hints: Tensor | None = None) -> Tensor:
        """gray (1, 1, h, w), reference (1, 3, 128, 128) or None -> coarse chroma of the whole image.

        ``hints``: planes (1, 3, hc, wc) on the grid of ``models.colour.answer_size``, None for no hints.
        Raises InputError for an image that is too long and thin for the program.
        """
        grid = to_colour_grid(gray, COLOUR_SIDE)
        if not all(GRID_SIDES[0] <= side <= GRID_SIDES[1] for side in grid.shape[-2:]):
            h, w = gray.shape[-2:]
            raise InputError(f"image {w}x{h}: too long and thin for {self.program.path}; cut it in two")
        inputs = [grid, *(climbing(side, cell) for side in grid.shape[-2:] for cell in COLOUR_CELLS)]
        planes = []
        if self.takes_hints:
            planes = [torch.zeros(1, 3, *answer_size(gray.shape[-2:])) if hints is None else hints]
        if reference is None:
            return self.program.run([*inputs, *planes], "colour")[0]
        return self.program.run([*inputs, reference, *planes], "colour_led")[0]

    def render(self, gray: Tensor, chroma: Tensor, size: tuple[int, int]) -> Tensor:
        """``pieces`` put together: RGB (1, 3, H, W) in [0, 1]."""
        out = torch.full((1, 3, *size), math.nan)
        for rows, cols, rgb in self.pieces(gray, chroma, size):
            out[:, :, rows, cols] = rgb
        return out

    def pieces(self, gray: Tensor, chroma: Tensor, size: tuple[int, int]) -> Iterator[Piece]:
        """gray (1, 1, h, w), chroma (1, 2, any) of the whole image, size (H, W): HR rows, HR columns, their RGB.

        A tile sees what the network sees of the whole image around its pixels: there are no seams to hide.
        """
        lr = (gray.shape[-2], gray.shape[-1])
        ratios = (size[0] / lr[0], size[1] / lr[1])
        scale = shuffle_scale(lr, size)
        for rows in self._spans(lr[0], size[0]):
            for cols in self._spans(lr[1], size[1]):
                part = gray[..., rows.low : rows.high, cols.low : cols.high]
                along = [
                    lr_coordinates(span.high - span.low, count / coarse, span.low)
                    for span, count, coarse in zip((rows, cols), lr, chroma.shape[-2:], strict=True)
                ]
                features, base, grid = self.program.run([part, sample_bilinear(chroma, *along)], "encode")
                if scale is None:
                    fine = self.program.run([features, base], "finest")[0]
                    yield from self._chunks((grid, fine), rows, cols, lr, ratios)
                    continue
                rgb = self.program.run([features, base], f"x{scale}")[0]
                top, left = rows.start - rows.low * scale, cols.start - cols.low * scale
                rgb = rgb[..., top : top + rows.stop - rows.start, left : left + cols.stop - cols.start]
                yield slice(rows.start, rows.stop), slice(cols.start, cols.stop), rgb

    def row_stops(self, lr: int, hr: int) -> list[int]:
        """The HR rows at which a row of tiles ends and all above are finished."""
        return [rows.stop for rows in self._spans(lr, hr)]

    def _chunks(
        self,
        images: tuple[Tensor, Tensor],
        rows: "_Span",
        cols: "_Span",
        lr: tuple[int, int],
        ratios: tuple[float, float],
    ) -> Iterator[Piece]:
        """``images``: what the tile's ``grid`` and its finest image are."""
        for top in range(rows.start, rows.stop, CHUNK):
            bottom = min(top + CHUNK, rows.stop)
            for left in range(cols.start, cols.stop, CHUNK):
                right = min(left + CHUNK, cols.stop)
                inputs: list[Tensor] = []
                for image, factor in zip(images, (1, FINEST), strict=True):
                    down = _Axis(top, bottom, lr[0] * factor, ratios[0] / factor)
                    across = _Axis(left, right, lr[1] * factor, ratios[1] / factor)
                    window = image[
                        ...,
                        down.low - rows.low * factor : down.high - rows.low * factor,
                        across.low - cols.low * factor : across.high - cols.low * factor,
                    ]
                    beyond = (across.high - across.low - window.shape[3], down.high - down.low - window.shape[2])
                    inputs += [F.pad(window, (0, beyond[0], 0, beyond[1])), down.weights, across.weights]
                inputs.append(_positions(top, bottom, ratios[0])[None, :, None, :])
                inputs.append(_positions(left, right, ratios[1])[None, :, :, None])
                yield slice(top, bottom), slice(left, right), self.program.run(inputs, "decode")[0]

    def _spans(self, lr: int, hr: int) -> list["_Span"]:
        """HR pixels that one encoded tile makes, and the LR pixels that it has to see; equal tiles of at most TILE."""
        room = TILE - 2 * (self.halo + 1)
        count = 1 if lr <= TILE else math.ceil(lr / room)
        edges = [round(round(lr * i / count) * hr / lr) for i in range(count + 1)]
        found = []
        for start, stop in pairwise(edges):
            low, high = _seen(start, stop, lr, hr / lr, self.halo)
            found.append(_Span(start, stop, low, high))
        return found


class _Span:
    """HR pixels start .. stop - 1 of one axis, made from LR pixels low .. high - 1."""

    def __init__(self, start: int, stop: int, low: int, high: int):
        self.start, self.stop, self.low, self.high = start, stop, low, high


class _Axis:
    """One axis of a chunk: HR pixels start .. stop - 1 lie in the window low .. high - 1, ``weights`` says where."""

    def __init__(self, start: int, stop: int, lr: int, ratio: float):
        self.low, self.high = _seen(start, stop, lr, ratio, halo=0)
        if self.high - self.low == 1:  # a window has at least two pixels, the second of which may lie outside
            self.low = max(0, self.low - 1)
            self.high = self.low + 2
        self.weights = sampling(lr_coordinates(stop - start, ratio, start), self.low, self.high, lr - 1)


def _positions(start: int, stop: int, ratio: float) -> Tensor:
    return ContinuousHead.positions(lr_coordinates(stop - start, ratio, start), ratio).float()


def _seen(start: int, stop: int, lr: int, ratio: float, halo: int) -> tuple[int, int]:
    """The LR pixels between which HR pixels start .. stop - 1 lie, and ``halo`` more, within the image."""
    first = math.floor((start + 0.5) / ratio - 0.5)
    last = math.floor((stop - 0.5) / ratio - 0.5) + 1
    return max(0, first - halo), min(lr, last + 1 + halo)
