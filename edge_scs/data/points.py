"""Batches of points, for networks that are trained on them: every image at a magnification of its own.

As LIIF's and CiaoSR's authors draw them. ``StepBatches`` has one magnification a batch, because whole images of one
batch must have one size; points need not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge_scs.data.degradation import degrade, grey
from edge_scs.data.pairs import Batch, StepBatches, Window, draw_sizes, draw_windows

Plan = tuple[tuple[int, int], tuple[int, int], Window]  # LR size, HR size, what is cut


@dataclass
class PointBatch(Batch):
    """A batch whose HR images have sizes of their own, so that ``hr`` is empty, (n, 3, 0, 0).

    ``sizes`` (n, 2) are theirs, rows first; ``coordinates`` (n, q, 2) the centres of q HR pixels of each, as
    ``ImplicitNetwork.points`` takes them, and ``targets`` (n, q, 3) their RGB in [0, 1].
    """

    sizes: Tensor | None = None
    coordinates: Tensor | None = None
    targets: Tensor | None = None


class PointBatches(StepBatches):
    """``batches[step]``, drawn by the same counters as ``StepBatches``."""

    def __getitem__(self, step: int) -> PointBatch:
        rng = np.random.default_rng([self.seed, step, 0])
        plans = [self._draw(rng) for _ in range(self.data.batch * self.processes)]
        own = range(self.rank * self.data.batch, (self.rank + 1) * self.data.batch)
        count = min(self.data.points, *(size[0] * size[1] for _, size, _ in plans))
        made = [self._make(plans[i], count, np.random.default_rng([self.seed, step, 1 + i])) for i in own]
        small, coordinates, targets = (torch.stack(column) for column in zip(*made, strict=True))
        return PointBatch(
            gray=self._pixels(grey(small) if self.colour else small),
            hr=torch.empty(len(own), 3, 0, 0),
            reference=None,
            chroma_ratio=1.0,
            rgb=self._pixels(small) if self.colour else None,
            sizes=torch.tensor([plans[i][1] for i in own], dtype=torch.float32),
            coordinates=coordinates,
            targets=self._pixels(targets),
        )

    def _draw(self, rng: np.random.Generator) -> Plan:
        lr, size = draw_sizes(self.data, rng, self.heads)
        return lr, size, draw_windows(self.photographs, self.data, size, 1, rng)[0]

    def _make(self, plan: Plan, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 LR (c, h, w), coordinates (q, 2), targets (q, 3)."""
        lr, (height, width), window = plan
        hr = window.cut(self.photographs[window.image], (height, width))
        small = degrade((hr if self.colour else grey(hr))[None], lr, self.data.degradation, [rng])[0]
        points = torch.from_numpy(rng.choice(height * width, size=count, replace=False))
        rows, cols = points // width, points % width
        coordinates = torch.stack([(2 * rows + 1) / height - 1, (2 * cols + 1) / width - 1], dim=-1)
        return small, coordinates.float(), hr.flatten(1)[:, points].T
