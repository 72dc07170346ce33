"""Batches that are made on the training's device: the CPU draws what they show, and cuts it out at most.

A stage with ``data.on_device`` has them. Photographs that fit ``device_mb`` lie on the device as uint8; windows of
others are cut from memory or the store by the loader and sent as they are. Reduction, luma and references are computed
there, for all images of a batch at once. Draws are ``StepBatches``'; reduction is Pillow's bit for bit, from which the
loader's differs by a grey level.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_scs.data.degradation import grey
from edge_scs.data.pairs import Batch, References, StepBatches, Window, draw_hints, unit
from edge_scs.data.photographs import SAY_EVERY, Photographs
from edge_scs.errors import InputError
from edge_scs.models.heads import for_float64

# The columns of ``Planned.table``: where an image's first byte lies, its extent, the window, its orientation.
_COLUMNS = ("start", "height", "width", "top", "left", "rows", "cols", "mirror", "flip", "turn")
_SUPPORT = 2.0  # of the bicubic kernel, in pixels of the smaller image
_BITS = 22  # of Pillow's weights


@dataclass
class Planned:
    """A batch before it is made. ``table`` (k, 10), int64, has a row for each window, as ``_COLUMNS`` names them.

    ``pixels`` (any), uint8, are the images that ``start`` points into; None: those that lie on the device. ``own`` are
    the rows of the batch's images, ``shown`` those of its references. The rest is as in ``Batch`` and ``References``.
    """

    table: Tensor
    pixels: Tensor | None
    lr: tuple[int, int]
    size: tuple[int, int]
    own: list[int]
    colour: bool
    chroma_ratio: float
    shown: list[int] = field(default_factory=list)
    mirrored: Tensor | None = None
    noise: Tensor | None = None
    spoilers: list[tuple[Tensor, Tensor] | None] = field(default_factory=list)
    points: Tensor | None = None
    shifts: Tensor | None = None
    hints: Tensor | None = None

    def pin_memory(self) -> "Planned":
        """In memory that a GPU reads by itself: DataLoader calls this where it is asked to pin."""
        return self._each(Tensor.pin_memory)

    def made(self, device: torch.device, resident: Tensor | None) -> Batch:
        """The batch on ``device``; ``resident`` are the photographs that lie there (``Resident.pixels``)."""
        sent = self._each(lambda x: x.to(device, non_blocking=True))
        pixels = resident if sent.pixels is None else sent.pixels
        assert pixels is not None
        images = _images(pixels, sent.table, self.table, self.size)
        hr = images[self.own]
        reference = None
        if sent.noise is not None and sent.mirrored is not None:
            spoilers = [None if s is None else (s[0].to(device), s[1].to(device)) for s in self.spoilers]
            plan = References([], sent.mirrored, sent.noise, spoilers)
            reference = plan.make(images[self.shown], slice(None))
        small = reduced(hr if self.colour else grey(hr), self.lr)
        return Batch(
            gray=unit(grey(small) if self.colour else small),
            hr=unit(hr),
            reference=reference,
            chroma_ratio=self.chroma_ratio,
            rgb=unit(small) if self.colour else None,
            points=sent.points,
            shifts=sent.shifts,
            hints=sent.hints,
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Planned":
        changed: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Tensor):
                changed[each.name] = change(value)
        return replace(self, **changed)


class PlannedBatches(StepBatches):
    """``batches[step]`` is that step's ``Planned`` for one process, drawn by the same counters as ``StepBatches``.

    ``resident``: the photographs lie on the device, so that batches hold no pixels.
    """

    resident = False

    def __getitem__(self, step: int) -> Planned:  # type: ignore[override]
        data, n, plan = self.data, self.data.batch * self.processes, self.plan(step)
        own = range(self.rank * data.batch, (self.rank + 1) * data.batch)
        order = [] if plan.references is None else [plan.references.order[i] for i in own]
        needed = sorted({*own, *order})
        place = {image: row for row, image in enumerate(needed)}
        windows = [plan.windows[i] for i in needed]
        table, pixels = self._in_place(windows) if self.resident else self._cut(windows)
        planned = Planned(
            table, pixels, plan.lr, plan.size, [place[i] for i in own], self.colour, plan.chroma_ratio,
            shifts=None if plan.shifts is None else plan.shifts[own.start // 2 : own.stop // 2],
            hints=draw_hints(n, data, [self.seed, step])[own.start : own.stop] if data.hints else None,
        )  # fmt: skip
        if plan.references is not None:
            part = slice(own.start, own.stop)
            planned.shown = [place[i] for i in order]
            planned.mirrored, planned.noise = plan.references.mirrored[part], plan.references.noise[part]
            planned.spoilers = plan.references.spoilers[part]
        if data.points:
            area = plan.size[0] * plan.size[1]
            rngs = [np.random.default_rng([self.seed, step, 1 + i]) for i in own]
            drawn = [r.choice(area, size=min(data.points, area), replace=False) for r in rngs]
            planned.points = torch.from_numpy(np.stack(drawn))
        return planned

    def _in_place(self, windows: list[Window]) -> tuple[Tensor, None]:
        places = ((int(self._starts[w.image]), *self.photographs.size(w.image), w.top, w.left) for w in windows)
        rows = [(*place, *_shape(w)) for place, w in zip(places, windows, strict=True)]
        return torch.tensor(rows, dtype=torch.int64), None

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each photograph's first byte lies in ``Resident.pixels``."""
        areas = _areas(self.photographs)
        return np.cumsum(areas) - areas

    def _cut(self, windows: list[Window]) -> tuple[Tensor, Tensor]:
        rows, parts, start = [], [], 0
        for w in windows:
            part = replace(w, mirror=False, flip=False, turn=False).cut(self.photographs[w.image], (w.h, w.w))
            rows.append((start, w.h, w.w, 0, 0, *_shape(w)))
            parts.append(part.reshape(-1))
            start += part.numel()
        return torch.tensor(rows, dtype=torch.int64), torch.cat(parts)


def _shape(w: Window) -> tuple[int, ...]:
    return w.h, w.w, w.mirror, w.flip, w.turn


class Resident:
    """Photographs as uint8 on a device, one after another, if they fit ``limit`` bytes; copied when first used."""

    def __init__(self, photographs: Photographs, limit: int, say: Callable[[str], None] = lambda text: None):
        self.photographs, self.total, self.say = photographs, int(_areas(photographs).sum()), say
        self.fits = self.total <= limit
        self._pixels: Tensor | None = None

    def pixels(self, device: torch.device) -> Tensor | None:
        """uint8 (total), or None where they do not fit. Raises InputError where the device has less memory."""
        if self._pixels is not None or not self.fits:
            return self._pixels
        try:
            pixels = torch.empty(self.total, dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            needed = self.total >> 20
            raise InputError(
                f"device_mb: {device} has no {needed} MB left for the photographs; set it below"
            ) from error
        self.say(f"copying {len(self.photographs)} photographs to {device}, {self.total / 2**30:.1f} GiB")
        start, said = 0, time.monotonic()
        for index in range(len(self.photographs)):
            flat = self.photographs[index].reshape(-1)
            pixels[start : start + len(flat)].copy_(flat)
            start += len(flat)
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                self.say(f"copied {index + 1} of {len(self.photographs)} photographs")
        self._pixels = pixels
        return pixels


def _areas(photographs: Photographs) -> NDArray[np.int64]:
    """How many bytes each has."""
    sizes = photographs.sizes
    if sizes is None:
        sizes = np.array([photographs.size(index) for index in range(len(photographs))], np.int32)
    return 3 * sizes.astype(np.int64).prod(1)


def _images(pixels: Tensor, table: Tensor, known: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (k, 3, *size): the windows of ``table`` in ``pixels``, resized and turned. ``known``: it on the CPU."""
    rows, cols = (int(known[:, _COLUMNS.index(key)].max()) for key in ("rows", "cols"))
    column = {key: table[:, i, None] for i, key in enumerate(_COLUMNS)}
    down = torch.arange(rows, device=pixels.device)[None]
    across = torch.arange(cols, device=pixels.device)[None]
    whole = bool(((known[:, 5] == size[0]) & (known[:, 6] == size[1])).all())
    # Positions along each axis, beyond the window the last one: what is there has no weight.
    last_row, last_col = column["rows"] - 1, column["cols"] - 1
    down, across = torch.minimum(down, last_row), torch.minimum(across, last_col)
    down = torch.where(column["flip"] > 0, last_row - down, down)
    across = torch.where(column["mirror"] > 0, last_col - across, across)
    area = column["height"] * column["width"]
    of_rows = _folded(down + column["top"], column["height"]) * column["width"]
    of_cols = _folded(across + column["left"], column["width"])
    if rows == cols:  # what is turned is square
        turned = column["turn"] > 0
        of_rows, of_cols = torch.where(turned, of_cols, of_rows), torch.where(turned, of_rows, of_cols)
    planes = column["start"][:, :, None] + area[:, :, None] * torch.arange(3, device=pixels.device)[None, :, None]
    x = pixels[planes[..., None] + of_rows[:, None, :, None] + of_cols[:, None, None, :]]
    if whole:
        return x
    return resized(x, (column["rows"][:, 0], column["cols"][:, 0]), size)


def _folded(position: Tensor, extent: Tensor) -> Tensor:
    """Positions in an image that is mirrored at its border again and again, as ``Window.cut`` has it."""
    position = position % (2 * extent)
    return torch.minimum(position, 2 * extent - 1 - position)


def reduced(x: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (n, c, h, w) -> uint8 (n, c, *size): Pillow's ``resize(..., BICUBIC)``, bit for bit."""
    extents = [torch.full((1,), extent, device=x.device) for extent in x.shape[-2:]]
    return resized(x, (extents[0], extents[1]), size)


def resized(x: Tensor, extents: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    """As ``reduced``, of images in the upper left corners of x: ``extents`` are their rows and columns, (n) or (1).

    Two products of matrices, with Pillow's weights of 22 bits: sums of whole numbers, exact in float64 in any order.
    Where a device has none, in float32, to one grey level.
    """
    across, down = bicubic_weights(extents[1], x.shape[-1], size[1]), bicubic_weights(extents[0], x.shape[-2], size[0])
    x = _rounded(x.to(across.dtype) @ across[:, None].transpose(-1, -2))
    return _rounded(down[:, None] @ x).to(torch.uint8)


def _rounded(x: Tensor) -> Tensor:
    return ((x + 2 ** (_BITS - 1)) * 2.0**-_BITS).floor().clamp(0, 255)


def bicubic_weights(extent: Tensor, width: int, count: int) -> Tensor:
    """Pillow's antialiased bicubic (a = -0.5) along one axis: (n, count, width), whole numbers, rows of about 2^22.

    ``extent`` (n) pixels of ``width`` are an image's; the others have no weight. Each gives ``count`` pixels.
    """
    exact = for_float64(extent.device)
    scale = extent.to(exact, torch.float64)[:, None, None] / count
    stretch = scale.clamp(min=1)
    centre = (torch.arange(count, device=exact, dtype=torch.float64)[:, None] + 0.5) * scale
    pixel = torch.arange(width, device=exact, dtype=torch.float64)
    first = (centre - _SUPPORT * stretch + 0.5).trunc().clamp(min=0)
    last = torch.minimum((centre + _SUPPORT * stretch + 0.5).trunc(), extent.to(exact)[:, None, None])
    t = ((pixel - centre + 0.5) / stretch).abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = (((t - 5) * t + 8) * t - 4) * -0.5
    weights = torch.where(t < 1, near, torch.where(t < _SUPPORT, far, 0.0)) * ((pixel >= first) & (pixel < last))
    weights = weights / weights.sum(-1, keepdim=True) * 2**_BITS
    weights = (weights + torch.where(weights < 0, -0.5, 0.5)).trunc()
    return weights if exact == extent.device else weights.to(extent.device, torch.float32)
