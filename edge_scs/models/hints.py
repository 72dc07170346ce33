"""Colour hints: points of an image whose colour is known, as inputs of the colour branch (after Zhang et al. 2017).

Hints are three planes on the grid that the branch answers on, a quarter of the colour grid: Cb and Cr where there is a
hint, and 1 there (presence). All are 0 elsewhere, so a grey hint differs from none. Without any hint every product
below is zero, and the answer is bit for bit the automatic one.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Cells: a point colours nine. Four and sixteen were measured to help less (docs/log/round-12.md).
POINT_RADIUS = 1.5
VOTE_GAIN = 4.0  # of a hint's votes against those of a reference
CHROMA_SCALE = 8.0  # photographs' chroma has a deviation of about an eighth


def hint_cells(points: Tensor, radius: Tensor, size: tuple[int, int]) -> Tensor:
    """Which cells each hint covers: those whose centres are closer than ``radius`` cells on both axes.

    ``points`` (n, k, 2) are rows and columns as shares of the image in [0, 1], ``radius`` (n, k), 0 for no hint
    -> (n, k, *size) of 0 and 1.
    """
    inside = []
    for axis, count in enumerate(size):
        centres = torch.arange(count, device=points.device) + 0.5
        # A point on the border lies beyond the last centre: the nearest cell is its own.
        at = (points[..., axis, None] * count).clamp(0.5, count - 0.5)
        inside.append((centres - at).abs() < radius[..., None])
    return (inside[0][..., :, None] & inside[1][..., None, :]).float()


def hint_planes(cells: Tensor, chroma: Tensor) -> Tensor:
    """Cells (n, k, h, w) of ``hint_cells`` and the hints' chroma (n, k, 2) -> planes (n, 3, h, w).

    Where hints overlap, their mean counts.
    """
    count = cells.sum(1, keepdim=True)
    total = torch.einsum("nkhw,nkc->nchw", cells, chroma.to(cells))
    return torch.cat([total / count.clamp(min=1), count.clamp(max=1)], dim=1)


def true_hints(chroma: Tensor, points: Tensor) -> Tensor:
    """Hint planes (n, 3, h, w) at ``points`` (n, k, 3), each of the mean chroma (n, 2, h, w) of the cells it covers.

    ``points`` are rows and columns as shares of the image, and radii in cells (``hint_cells``).
    """
    cells = hint_cells(points[..., :2], points[..., 2], (chroma.shape[-2], chroma.shape[-1]))
    means = torch.einsum("nkhw,nchw->nkc", cells, chroma) / cells.sum((2, 3)).clamp(min=1)[..., None]
    return hint_planes(cells, means)


class Hints(nn.Module):
    """What hint planes (n, 3, h, w) add to the branch's features at 1/4, 1/8 and 1/16, and to its logits.

    ``channels`` are those of the features; ``votes`` (classes, 3, 1, 1) as ``colour.vote_weights`` gives them. The
    convolutions are initialised with zeros: a trained automatic branch learns hints without losing anything first.
    Their strides lead to levels of ceil(size / 2) cells, as the encoder has them.
    """

    def __init__(self, channels: tuple[int, int, int], votes: Tensor):
        super().__init__()
        quarter, eighth, sixteenth = channels
        self.at4 = nn.Conv2d(3, quarter, 3, 1, 1, bias=False)
        self.at8 = nn.Conv2d(3, eighth, 5, 2, 2, bias=False)
        self.at16 = nn.Conv2d(3, sixteenth, 7, 4, 3, bias=False)
        for conv in (self.at4, self.at8, self.at16):
            nn.init.zeros_(conv.weight)
        self.register_buffer("scale", torch.tensor([CHROMA_SCALE, CHROMA_SCALE, 1.0])[:, None, None], persistent=False)
        self.scale: Tensor
        self.votes = HintVotes(votes)

    def forward(self, hints: Tensor, x4: Tensor, x8: Tensor, x16: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The features at 1/4, 1/8 and 1/16, with what the hints add."""
        planes = hints * self.scale
        return x4 + self.at4(planes), x8 + self.at8(planes), x16 + self.at16(planes)


class HintVotes(nn.Module):
    """Class logits, and the hints' votes for the classes near their chroma.

    A module of its own because it must stay float in int8 networks, like ``colour.Votes``: what is done outside of a
    module's ``forward`` belongs to its caller there.

    Shapes: logits (n, classes, h, w), hint planes (n, 3, h, w) -> (n, classes, h, w).
    """

    def __init__(self, votes: Tensor):
        super().__init__()
        self.register_buffer("weights", VOTE_GAIN * votes, persistent=False)
        self.weights: Tensor

    def forward(self, logits: Tensor, hints: Tensor) -> Tensor:
        return logits + F.conv2d(hints, self.weights)
