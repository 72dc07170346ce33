"""Training batches: (grey LR, colour HR, reference), drawn by counters so that any step can be made again.

The random generator of a batch is seeded with (seed, stage, step, rank): a resumed run sees exactly what an
undisturbed one would have seen, without replaying or storing anything.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edge_scs.data.degradation import bicubic, grey, pillow_bicubic, to_lr
from edge_scs.data.photographs import Photographs
from edge_scs.recipes import DataSection

REFERENCE_SIDE = 128
ASPECTS = ((4, 3), (3, 4), (1, 1), (16, 9))


@dataclass
class Batch:
    """gray (n, 1, h, w), hr (n, 3, H, W) RGB, reference (n, 3, 128, 128) RGB or None: floats in [0, 1].

    ``chroma_ratio``: how much coarser than the LR grid the chroma shall be that the texture stage is given.
    """

    gray: Tensor
    hr: Tensor
    reference: Tensor | None
    chroma_ratio: float

    def to(self, device: torch.device) -> "Batch":
        reference = None if self.reference is None else self.reference.to(device)
        return Batch(self.gray.to(device), self.hr.to(device), reference, self.chroma_ratio)


class StepBatches(Dataset[Batch]):
    """``batches[step]`` is that step's batch for one process: a map-style dataset, for DataLoader workers to share."""

    def __init__(self, photographs: Photographs, data: DataSection, seed: int, rank: int = 0):
        self.photographs, self.data, self.seed, self.rank = photographs, data, seed, rank

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step, self.rank])
        return draw(self.photographs, self.data, rng, step)


def draw(photographs: Photographs, data: DataSection, rng: np.random.Generator, step: int) -> Batch:
    """One batch: one scale for all, crops, flips; a reference every ``data.reference_every``-th step (0: never)."""
    scale = draw_scale(data, rng)
    if data.crop == "patch":
        lr = (data.lr_patch, data.lr_patch)
    else:
        # About hr_side^2 pixels in one of the usual aspects: the colour branch needs to see whole scenes.
        rows, cols = ASPECTS[rng.integers(len(ASPECTS))]
        unit = data.hr_side / (rows * cols) ** 0.5 / scale
        lr = (max(8, round(rows * unit)), max(8, round(cols * unit)))
    size = (round(lr[0] * scale), round(lr[1] * scale))
    indices = rng.integers(len(photographs), size=data.batch)
    cut = cut_patch if data.crop == "patch" else cut_scene
    hr = torch.stack([flip(cut(photographs[int(i)], size, rng), data.crop == "patch", rng) for i in indices])
    reference = None
    if data.reference_every and step % data.reference_every == data.reference_every - 1:
        reference = draw_references(hr, data.foreign_references, rng)
    gray = to_lr(grey(hr), lr)
    return Batch(gray, hr.float() / 255, reference, chroma_ratio=float(rng.uniform(1.5, 8.0)))


def draw_scale(data: DataSection, rng: np.random.Generator) -> float:
    """U(1, 4) (CiaoSR, SCSNet), or with probability ``whole_scales`` one of x2, x3, x4, x4 twice as often."""
    if rng.random() < data.whole_scales:
        return float(rng.choice([2, 3, 4, 4]))
    return float(rng.uniform(1.0, 4.0))


def cut_patch(picture: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A random window of uint8 (3, h, w) at its own resolution; a smaller picture is mirrored at its border."""
    h, w = picture.shape[1:]
    while h < size[0] or w < size[1]:
        picture = torch.cat([picture, picture.flip(1)], 1) if h < size[0] else torch.cat([picture, picture.flip(2)], 2)
        h, w = picture.shape[1:]
    top, left = int(rng.integers(h - size[0] + 1)), int(rng.integers(w - size[1] + 1))
    return picture[:, top : top + size[0], left : left + size[1]]


def cut_scene(picture: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Most of the picture (70 to 100 % of the largest window of this aspect), resized to ``size``, uint8 (3, *size)."""
    h, w = picture.shape[1:]
    zoom = min(h / size[0], w / size[1]) * float(rng.uniform(0.7, 1.0))
    window = (max(1, min(h, round(size[0] * zoom))), max(1, min(w, round(size[1] * zoom))))
    scene = cut_patch(picture, window, rng)
    return pillow_bicubic(scene[None], size)[0]


def flip(picture: Tensor, turn: bool, rng: np.random.Generator) -> Tensor:
    """Mirror left-right half of the time; ``turn`` transposes half of the time too (texture has no up, scenes do)."""
    if rng.random() < 0.5:
        picture = picture.flip(2)
    if turn and rng.random() < 0.5 and picture.shape[1] == picture.shape[2]:
        picture = picture.transpose(1, 2)
    return picture


def draw_references(hr: Tensor, foreign: float, rng: np.random.Generator) -> Tensor:
    """uint8 (n, 3, H, W) -> references (n, 3, 128, 128) in [0, 1]: the same picture, flipped and elastically deformed
    (SCSNet 4.1, Simard et al. 2003); a share ``foreign`` gets the picture of a neighbour in the batch instead.
    """
    from kornia.geometry.transform import elastic_transform2d

    n = len(hr)
    order = np.where(rng.random(n) < foreign, (np.arange(n) + 1) % n, np.arange(n))
    small = bicubic(hr[torch.from_numpy(order)].float() / 255, (REFERENCE_SIDE, REFERENCE_SIDE)).clamp(0, 1)
    mirrored = torch.from_numpy(rng.random(n) < 0.5).reshape(n, 1, 1, 1)
    small = torch.where(mirrored, small.flip(3), small)
    noise = torch.from_numpy(rng.uniform(-1, 1, size=(n, 2, REFERENCE_SIDE, REFERENCE_SIDE)).astype(np.float32))
    # Blurred, the noise has a deviation of 0.02 half-widths; times alpha that moves pixels by some 5 of 128, smoothly.
    return elastic_transform2d(
        small, noise, kernel_size=(31, 31), sigma=(8.0, 8.0), alpha=(4.0, 4.0), padding_mode="reflection"
    ).clamp(0, 1)
