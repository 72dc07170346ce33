"""Training batches: (small image, colour HR, reference), drawn by counters so that any step can be made again.

The random generator of a batch is seeded with (seed, stage, step): a resumed run sees exactly what an undisturbed one
would have seen, without replaying or storing anything. With several processes the batch of a step is one batch of
``data.batch`` images for each of them: every process draws the plan of all of it, from the images' sizes alone, and
reads and makes its own part. So two processes train on what one process with the doubled batch would train on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edge_scs.data.degradation import bicubic, degrade, faded, grey
from edge_scs.data.photographs import Photographs
from edge_scs.recipes import DataSection

REFERENCE_SIDE = 128
WHOLE_SCALES = (2, 3, 4)
ASPECTS = ((4, 3), (3, 4), (1, 1), (16, 9))


@dataclass
class Batch:
    """gray (n, 1, h, w), hr (n, 3, H, W) RGB, reference (n, 3, 128, 128) RGB or None: floats in [0, 1].

    ``chroma_ratio``: how much coarser than the LR grid the chroma shall be that the texture stage is given. ``rgb``
    (n, 3, h, w) is the small image in colour, for networks whose input it is. ``points`` (n, q), int64, are HR pixels
    in reading order, drawn without repetition, where ``data.points`` requests them. ``shifts`` (n / 2, 2), where every
    image comes as two views, is how far the second one lies below and to the right of the first, in window extents;
    the second one is mirrored as well. ``hints`` (n, k, 3) are rows and columns of colour hints as shares of the image,
    and their radius in cells of the chroma grid, 0 for none (``models.hints.hint_cells``).
    """

    gray: Tensor
    hr: Tensor
    reference: Tensor | None
    chroma_ratio: float
    rgb: Tensor | None = None
    points: Tensor | None = None
    shifts: Tensor | None = None
    hints: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """On its way to a device as it is, uint8 images too, and there as floats: the same ones as ``unit`` makes."""
        return self._each(lambda x: unit(x.to(device, non_blocking=True)) if x.dtype == torch.uint8 else x.to(device))

    def pin_memory(self) -> "Batch":
        """In memory that a GPU reads by itself: DataLoader calls this where it is asked to pin."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {key: change(x) for key, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **changed)


def unit(x: Tensor) -> Tensor:
    """uint8 -> float in [0, 1]."""
    return x.float() / 255


class StepBatches(Dataset[Batch]):
    """``batches[step]`` is that step's batch for one process: a map-style dataset, for DataLoader workers to share.

    ``as_bytes``: images are uint8 until ``Batch.to``, a quarter of the memory on their way to a device.
    ``colour``: the network's input is RGB, so the batch holds ``rgb`` too. ``heads``: the whole scales that it has
    heads of their own for, which ``whole_scales = 0`` leaves out.
    """

    def __init__(
        self,
        photographs: Photographs,
        data: DataSection,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        colour: bool = False,
        heads: tuple[int, ...] = WHOLE_SCALES,
        as_bytes: bool = False,
    ):
        self.photographs, self.data, self.seed = photographs, data, seed
        self._pixels: Callable[[Tensor], Tensor] = Tensor.contiguous if as_bytes else unit
        self.rank, self.processes, self.colour, self.heads = rank, processes, colour, heads

    def plan(self, step: int) -> "Plan":
        """What the whole batch of a step shows, all processes' parts of it: drawn from the images' sizes alone."""
        data, n = self.data, self.data.batch * self.processes
        rng = np.random.default_rng([self.seed, step, 0])
        lr, size = draw_sizes(data, rng, self.heads)
        windows = draw_windows(self.photographs, data, size, n // data.views, rng)
        shifts = None
        if data.views == 2:
            windows, shifts = second_views(windows, self.photographs, rng)
        references = None
        if data.reference_every and step % data.reference_every == data.reference_every - 1:
            references = draw_references(n, data.foreign_references, rng, data.spoiled_references, data.views)
        return Plan(lr, size, windows, shifts, references, float(rng.uniform(1.5, 8.0)))

    def __getitem__(self, step: int) -> Batch:
        data, n, plan = self.data, self.data.batch * self.processes, self.plan(step)
        lr, size, windows, shifts, references = plan.lr, plan.size, plan.windows, plan.shifts, plan.references
        own = range(self.rank * data.batch, (self.rank + 1) * data.batch)
        needed = {*own} if references is None else {*own, *(references.order[i] for i in own)}
        images = {i: windows[i].cut(self.photographs[windows[i].image], size) for i in sorted(needed)}
        hr = torch.stack([images[i] for i in own])
        small = hr if self.colour else grey(hr)
        # One generator an image, apart from the plan's: what a degradation draws moves nothing else.
        rngs = [np.random.default_rng([self.seed, step, 1 + i]) for i in own]
        small = degrade(small, lr, data.degradation, rngs)
        reference = None
        if references is not None:
            sources = torch.stack([images[references.order[i]] for i in own])
            reference = references.make(sources, slice(own.start, own.stop))
        points = None
        if data.points:
            count = min(data.points, size[0] * size[1])
            drawn = [r.choice(size[0] * size[1], size=count, replace=False) for r in rngs]
            points = torch.from_numpy(np.stack(drawn))
        gray = faded(grey(small) if self.colour else small, data.fade, rngs)
        return Batch(
            gray=self._pixels(gray) if gray.dtype == torch.uint8 else unit(gray),
            hr=self._pixels(hr),
            reference=reference,
            chroma_ratio=plan.chroma_ratio,
            rgb=self._pixels(small) if self.colour else None,
            points=points,
            shifts=None if shifts is None else shifts[own.start // 2 : own.stop // 2],
            hints=draw_hints(n, data, [self.seed, step])[own.start : own.stop] if data.hints else None,
        )


def draw_sizes(
    data: DataSection, rng: np.random.Generator, heads: tuple[int, ...] = WHOLE_SCALES
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The LR and the HR size (h, w) of a batch: one scale for all of it.

    A network with ``heads`` of their own for whole scales trains the other ones apart (``whole_scales = 0``); a size
    that rounding made a whole multiple is one pixel larger then, because its head would take it.
    """
    scale = draw_scale(data, rng)
    if data.crop == "image":
        # About hr_side^2 pixels in one of the usual aspects: the colour branch needs to see whole scenes.
        rows, cols = ASPECTS[rng.integers(len(ASPECTS))]
        unit = data.hr_side / (rows * cols) ** 0.5 / scale
        lr = (max(8, round(rows * unit)), max(8, round(cols * unit)))
    else:
        lr = (data.lr_patch, data.lr_patch)
    size = (round(lr[0] * scale), round(lr[1] * scale))
    if not data.scales and not data.whole_scales and any(size == (lr[0] * n, lr[1] * n) for n in heads):
        size = (size[0] + 1, size[1] + 1)
    return lr, size


def few_shapes(data: DataSection) -> bool:
    """Whether batches come in a handful of sizes: points, or patches at whole or named scales."""
    return data.own_scales or (data.crop != "image" and (bool(data.scales) or data.whole_scales >= 1))


def draw_scale(data: DataSection, rng: np.random.Generator) -> float:
    """One of ``scales``; without them U(1, 4) (CiaoSR), or with probability ``whole_scales`` one of x2, x3, x4, x4
    twice as often.
    """
    if data.scales:
        return float(rng.choice(data.scales))
    if rng.random() < data.whole_scales:
        return float(rng.choice([*WHOLE_SCALES, 4]))
    return float(rng.uniform(1.0, 4.0))


def draw_hints(n: int, data: DataSection, seed: list[int]) -> Tensor:
    """Hints of n images, as ``Batch.hints`` says: a share ``data.hints`` gets some, all views of it or none.

    Half of these as in Zhang et al. 2017, geometric numbers with a mean of 7; half up to 60, evenly in their logarithm,
    so that many are seen too. Anywhere in the image; from one cell to a patch of five.
    """
    rng = np.random.default_rng([*seed, 0, 1])
    counts = []
    for index in range(n):
        if index % data.views == 0:
            wanted = rng.random() < data.hints
        few = int(rng.geometric(1 / 8)) - 1
        many = int(np.exp(rng.uniform(0, np.log(60))))
        counts.append(min(60, few if rng.random() < 0.5 else many) if wanted else 0)
    hints = np.zeros((n, 60, 3), np.float32)
    for drawn, count in zip(hints, counts, strict=True):
        drawn[:count, :2] = rng.random((count, 2))
        drawn[:count, 2] = rng.choice([1.0, 1.0, 1.0, 1.5, 2.5], size=count)
    return torch.from_numpy(hints)


@dataclass
class Window:
    """Which part of which image: rows and columns of the image mirrored at its border, then its orientation.

    ``mirror`` is left-right, ``flip`` upside down, ``turn`` a transposition: together all eight orientations.
    """

    image: int
    top: int
    left: int
    h: int
    w: int
    mirror: bool
    turn: bool
    flip: bool = False

    def cut(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """uint8 (3, h, w) -> uint8 (3, *size); a smaller image is mirrored at its border until it is large enough."""
        while image.shape[1] < self.h:
            image = torch.cat([image, image.flip(1)], 1)
        while image.shape[2] < self.w:
            image = torch.cat([image, image.flip(2)], 2)
        image = image[:, self.top : self.top + self.h, self.left : self.left + self.w]
        if (self.h, self.w) != size:
            image = bicubic(image[None], size)[0]
        if self.mirror:
            image = image.flip(2)
        if self.flip:
            image = image.flip(1)
        return image.transpose(1, 2) if self.turn else image


def draw_windows(
    photographs: Photographs, data: DataSection, size: tuple[int, int], n: int, rng: np.random.Generator
) -> list[Window]:
    """n windows for an HR batch of ``size``.

    Patches are cut at the image's own resolution; each of the eight orientations is as likely (texture has no up;
    four, without transpositions, where a patch is not square). Scenes are most of an image (``zoom`` to all of the
    largest window of this aspect), resized, and mirrored only.
    """
    windows = []
    patches = data.crop == "patch"
    for image in photographs.draw(rng, n):
        h, w = photographs.size(int(image))
        rows, cols = size
        if not patches:
            zoom = min(h / size[0], w / size[1]) * float(rng.uniform(data.zoom, 1.0))
            rows, cols = max(1, min(h, round(size[0] * zoom))), max(1, min(w, round(size[1] * zoom)))
        while h < rows:
            h *= 2
        while w < cols:
            w *= 2
        top, left = int(rng.integers(h - rows + 1)), int(rng.integers(w - cols + 1))
        mirror = rng.random() < 0.5
        turn = patches and rng.random() < 0.5 and size[0] == size[1]
        flip = patches and rng.random() < 0.5  # not drawn for scenes: their batches stay what they were
        windows.append(Window(int(image), top, left, rows, cols, bool(mirror), bool(turn), bool(flip)))
    return windows


def second_views(
    windows: list[Window], photographs: Photographs, rng: np.random.Generator
) -> tuple[list[Window], Tensor]:
    """Every window followed by a second view of the same image, mirrored and moved by up to a twentieth of its extent.

    Returns the windows and how far the second views were moved, (windows, 2), rows and columns in window extents.
    """
    views, shifts = [], []
    for window in windows:
        h, w = photographs.size(window.image)
        moved = []
        for start, extent, limit in ((window.top, window.h, h), (window.left, window.w, w)):
            offset = round(float(rng.uniform(-0.05, 0.05)) * extent)
            moved.append(min(max(start + offset, 0), max(limit - extent, start)))
        views += [window, replace(window, top=moved[0], left=moved[1], mirror=not window.mirror)]
        right = moved[1] - window.left if not window.mirror else window.left - moved[1]
        shifts.append(((moved[0] - window.top) / window.h, right / window.w))
    return views, torch.tensor(shifts)


@dataclass
class Plan:
    """What a batch shows: LR and HR sizes (h, w), windows, second views' shifts, references, ``Batch.chroma_ratio``."""

    lr: tuple[int, int]
    size: tuple[int, int]
    windows: list[Window]
    shifts: Tensor | None
    references: "References | None"
    chroma_ratio: float


@dataclass
class References:
    """The plan of a whole batch's references: whose image each shows, mirrored or not, how it is deformed, spoiled."""

    order: list[int]
    mirrored: Tensor
    noise: Tensor
    spoilers: list[tuple[Tensor, Tensor] | None]

    def make(self, images: Tensor, part: slice) -> Tensor:
        """uint8 (n, 3, H, W), the images that ``part`` of the batch shows -> (n, 3, 128, 128) in [0, 1]."""
        from kornia.geometry.transform import elastic_transform2d

        small = unit(bicubic(images, (REFERENCE_SIDE, REFERENCE_SIDE)))
        small = torch.where(self.mirrored[part], small.flip(3), small)
        # Blurred, the noise has a deviation of 0.02 half-widths; times alpha that moves pixels by some 5 of 128.
        small = elastic_transform2d(
            small, self.noise[part], kernel_size=(31, 31), sigma=(8.0, 8.0), alpha=(4.0, 4.0), padding_mode="reflection"
        ).clamp(0, 1)
        for image, spoiler in zip(small, self.spoilers[part], strict=True):
            if spoiler is not None:
                matrix, gamma = spoiler
                image.copy_(torch.einsum("oc,chw->ohw", matrix, image).clamp(0, 1) ** gamma)
        return small


def draw_references(
    n: int, foreign: float, rng: np.random.Generator, spoiled: float = 0.0, views: int = 1
) -> References:
    """References for n images: the same image, flipped and elastically deformed (SCSNet 4.1, Simard et al. 2003); a
    share ``foreign`` gets the next image of the batch, of ``views`` each, instead; a share ``spoiled`` gets a reference
    without true colour.
    """
    own = np.arange(n)
    order = np.where(rng.random(n) < foreign, (own + views) % n, own)
    mirrored = torch.from_numpy(rng.random(n) < 0.5).reshape(n, 1, 1, 1)
    noise = rng.uniform(-1, 1, size=(n, 2, REFERENCE_SIDE, REFERENCE_SIDE)).astype(np.float32)
    spoilers = [_draw_spoiler(rng) if spoiled > rng.random() else None for _ in range(n)]
    return References(order.tolist(), mirrored, torch.from_numpy(noise), spoilers)


def _draw_spoiler(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What spoils a reference: a matrix on RGB and a gamma. Grey, toned (sepia and others), a colour cast, exposure."""
    luma = torch.tensor([0.299, 0.587, 0.114])
    kind = rng.integers(4)
    if kind == 0:
        return luma.expand(3, 3), torch.tensor(1.0)
    tint = torch.from_numpy(rng.uniform(0.6, 1.1, 3)).float()
    if kind == 1:
        return tint.sort(descending=True).values[:, None] * luma, torch.tensor(1.0)
    if kind == 2:
        return torch.diag(tint), torch.tensor(1.0)
    return torch.eye(3), torch.tensor(float(rng.choice([rng.uniform(0.2, 0.4), rng.uniform(2.5, 4.0)])))
