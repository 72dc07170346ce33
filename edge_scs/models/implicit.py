"""Implicit image functions: RGB at any point of an image, decoded from an encoder's features around it.

What LIIF (Chen, Liu, Wang, "Learning continuous image representation with local implicit image function", CVPR 2021)
and CiaoSR share: coordinates, the four LR neighbours of a point, perceptrons, and decoding in bounded chunks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.constants import constant
from edge_scs.models.sr_encoders import Encoder

SCALES = (1.0, 30.0)  # as far as CiaoSR's Table 1 goes
# Points that are decoded at a time without gradients. On a CPU, with 256 hidden channels, 4 MB for each layer's
# activations, which stay in caches (docs/performance.md); elsewhere as many as in the authors' evaluation.
CPU_POINTS, POINTS = 1024, 30000
# A position this far (LR pixels) before the next neighbours counts as theirs: float32 does not decide it then.
_TIE = 1e-3
# LIIF's eps_shift: ties between two LR pixels go to the next one, and no point leaves the image, which is 2 wide.
EPSILON = 1e-6


@dataclass(frozen=True)
class Region:
    """The local region of q points in n images: for each, the four LR pixels around it, row by row.

    Beyond the border the nearest border pixel stands in, with its own coordinate. ``index`` (n, q, 4) and ``nearest``
    (n, q) number the pixels of all images; ``place`` (n, q, 4, 4) is [r, s] in LIIF's units, in which an LR pixel is
    2 wide: r = 2 (LR position - neighbour), s = 2 LR / HR, each (row, column); ``corners`` and ``area`` (n, q, 4) are
    the pixels and weights of bilinear interpolation, ``corners`` being ``index`` unless a network searches elsewhere.
    """

    index: Tensor
    nearest: Tensor
    place: Tensor
    area: Tensor
    corners: Tensor


Size = tuple[int, int] | Tensor  # HR (H, W) of all images, or (n, 2) of each


def cells(size: Size, like: Tensor) -> Tensor:
    """LIIF's cells, 2 / H and 2 / W: (n, 1, 2), or (1, 1, 2) for one size of all images."""
    sizes = size.to(like) if isinstance(size, Tensor) else constant(size, like)
    return 2 / sizes.reshape(-1, 1, 2)


def region_of(coordinates: Tensor, lr: tuple[int, int], size: Size) -> Region:
    """Coordinates (n, q, 2) as in ``ImplicitNetwork.points``, LR size (h, w), HR size -> the points' regions."""
    extent = constant(lr, coordinates)
    at = ((coordinates + 1) * extent - 1) / 2
    corners = constant(((0, 0), (0, 1), (1, 0), (1, 1)), coordinates)
    first = (at + _TIE).floor()
    beyond = (at - first)[:, :, None]
    neighbours = torch.minimum((first[:, :, None] + corners).clamp(min=0), extent - 1)
    nearest = torch.minimum((at + 0.5 + _TIE).floor().clamp(min=0), extent - 1)
    r = 2 * (at[:, :, None] - neighbours)
    s = (cells(size, coordinates) * extent)[:, :, None].expand_as(r)
    area = torch.where(corners > 0, beyond, 1 - beyond).prod(-1)
    index = numbers(neighbours, lr)
    return Region(index, numbers(nearest, lr), torch.cat([r, s], dim=-1), area, index)


def searched_region(coordinates: Tensor, lr: tuple[int, int], size: Size, radius: Tensor) -> Region:
    """As ``region_of``, with the neighbours that LIIF's and CiaoSR's code finds at a distance of ``radius`` (.., 2).

    The same arithmetic in the same precision, and ``torch``'s own nearest sampling: at most decimal scales some points
    lie half-way between two LR pixels, which may be anything but alike, and its rounding decides.
    """
    plain = region_of(coordinates, lr, size)
    grid = torch.stack(torch.meshgrid(*(centres(side, coordinates) for side in lr), indexing="ij"))
    places = [torch.arange(side, device=grid.device, dtype=grid.dtype) for side in lr]
    sampled = torch.cat([grid, torch.stack(torch.meshgrid(*places, indexing="ij"))])
    sampled = sampled[None].expand(len(coordinates), -1, -1, -1)
    extent = constant(lr, coordinates)
    neighbours, positions = [], []
    for down in (-1, 1):
        for right in (-1, 1):
            shifted = coordinates + (constant((down, right), coordinates) * radius + EPSILON)
            found = _nearest(sampled, shifted.clamp(-1 + EPSILON, 1 - EPSILON))
            positions.append(found[..., :2])
            neighbours.append(found[..., 2:])
    r = (coordinates[:, :, None] - torch.stack(positions, dim=2)) * extent
    place = torch.cat([r, (cells(size, coordinates) * extent)[:, :, None].expand_as(r)], dim=-1)
    index = numbers(torch.stack(neighbours, dim=2), lr)
    nearest = numbers(_nearest(sampled, coordinates)[..., 2:], lr)
    return Region(index, nearest, place, plain.area, plain.corners)


def _nearest(sampled: Tensor, coordinates: Tensor) -> Tensor:
    """sampled (n, c, h, w) at the pixels nearest to coordinates (n, q, 2) -> (n, q, c)."""
    found = F.grid_sample(
        sampled, coordinates.flip(-1)[:, None], mode="nearest", padding_mode="border", align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def centres(count: int, like: Tensor) -> Tensor:
    """Coordinates (count) of pixel centres along one axis, the edges at -1 and 1, rounded as LIIF's ``make_coord``."""
    return torch.arange(count, device=like.device, dtype=like.dtype) * (2 / count) + (1 / count - 1)


def numbers(pixels: Tensor, lr: tuple[int, int]) -> Tensor:
    """(n, ..., 2) rows and columns -> (n, ...): the pixels of n images, numbered row by row."""
    pixels = pixels.long()
    image = torch.arange(len(pixels), device=pixels.device).reshape(-1, *[1] * (pixels.dim() - 2))
    return (image * lr[0] + pixels[..., 0]) * lr[1] + pixels[..., 1]


class Perceptron(nn.Module):
    """LIIF's: linear layers with ReLU between them, four hidden ones: (..., in) -> (..., out)."""

    def __init__(self, in_features: int, out_features: int, hidden: int, bias: bool = True):
        super().__init__()
        self.first = nn.Linear(in_features, hidden)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(3))
        self.last = nn.Linear(hidden, out_features, bias=bias)

    def hidden(self, first: Tensor) -> Tensor:
        """What the last layer sees, from what the first one gives."""
        x = F.relu(first)
        for layer in self.middle:
            x = F.relu(layer(x))
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.hidden(self.first(x)))


def on_unfolded(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer on 3x3 neighbourhoods (zeros beyond the border), which is a convolution.

    The first 9 c inputs of ``weight`` (out, 9 c or more) are features by (channel, row, column), as ``F.unfold`` has
    them. Shapes: (n, c, h, w) -> (n, out, h, w).
    """
    c = features.shape[1]
    features = features.contiguous(memory_format=torch.channels_last)  # so that rows of pixels are a view of the result
    return F.conv2d(features, weight[:, : 9 * c].reshape(-1, c, 3, 3), bias, padding=1)


class ImplicitNetwork(nn.Module):
    """An encoder and what decodes its features: ``forward(rgb, size)`` -> RGB of any size, ``points`` for single ones.

    Subclasses say what depends on LR pixels alone (``maps``) and what is then done for each point (``decode``).
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: encoder, unfolding, neighbour."""
        return self.encoder.halo + 2

    def region(self, coordinates: Tensor, lr: tuple[int, int], size: Size) -> Region:
        """Which LR pixels a point sees: as ``region_of``."""
        return region_of(coordinates, lr, size)

    def maps(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """rgb (n, 3, h, w) -> any number of (n, channels, h, w)."""
        raise NotImplementedError

    def decode(self, rows: tuple[Tensor, ...], region: Region) -> Tensor:
        """The maps pixel by pixel, each (n h w, channels), and q points an image -> RGB (n, q, 3)."""
        raise NotImplementedError

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """rgb (n, 3, h, w) in [0, 1], size (H, W) -> RGB (n, 3, H, W): ``points`` at all pixel centres.

        In eval mode clamped to [0, 1]; in training not, so that no gradient is lost.
        """
        exact = torch.promote_types(rgb.dtype, torch.float32)
        rows, cols = (centres(side, rgb.new_empty(0, dtype=exact)) for side in size)
        grid = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1).reshape(1, -1, 2)
        out = self.points(rgb, grid.expand(len(rgb), -1, -1), size)
        return out.transpose(1, 2).reshape(len(rgb), 3, *size)

    def points(self, rgb: Tensor, coordinates: Tensor, size: Size) -> Tensor:
        """RGB at some points of the HR image: rgb (n, 3, h, w), coordinates (n, q, 2), size (H, W) -> (n, q, 3).

        Coordinates are HR pixel centres (row, column), float32, the image being [-1, 1] from edge to edge: pixel i of
        H is at (2 i + 1) / H - 1. ``size`` gives the scale s, (n, 2) one for each image. Clamped like ``forward``.
        """
        lr = (rgb.shape[-2], rgb.shape[-1])
        rows = tuple(x.permute(0, 2, 3, 1).flatten(0, 2) for x in self.maps(rgb))
        if torch.is_grad_enabled() or rgb.is_meta:  # every activation is kept anyway, or (counting costs) none is
            out = self.decode(rows, self.region(coordinates, lr, size))
        else:
            out = coordinates.new_empty(*coordinates.shape[:2], 3)
            step = max(1, (CPU_POINTS if rgb.device.type == "cpu" else POINTS) // len(rgb))
            for start in range(0, coordinates.shape[1], step):
                part = coordinates[:, start : start + step]
                out[:, start : start + step] = self.decode(rows, self.region(part, lr, size))
        return out if self.training else out.clamp(0, 1)
