"""Heads: LR features to HR pixels, at x2, x3, x4 by PixelShuffle and at any magnification by continuous pixel mapping.

Geometry everywhere: pixel centres at half-integers (``align_corners=False``), because that is how LR images are made
by an antialiased resize. HR pixel i of n looks at LR coordinate (i + 0.5) * lr / hr - 0.5.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.blocks import conv3x3

# ITU-R BT.601 full range, [Y, Cb, Cr] -> [R, G, B] (JFIF): the constant that folds into the last layers at export.
YCC_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
NO_FLOAT64 = ("mps",)  # kinds of devices
FINEST = 4
Enlarge = Callable[[Tensor, Tensor], Tensor]  # x (n, c, h, w), like (n, any, H, W) -> (n, c, H, W), bilinear


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """PixelShuffle in view form, which int8 quantisers see through: (n, c s^2, h, w) -> (n, c, h s, w s)."""
    n, c, h, w = x.shape
    x = x.reshape(n, c // scale**2, scale, scale, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // scale**2, h * scale, w * scale)


class PixelShuffleHead(nn.Module):
    """One 3x3 convolution, plus the LR pixel repeated scale^2 times (best residual in int8), then PixelShuffle.

    At export the repetition becomes a 1x1 convolution with constant weights, and the YCC -> RGB matrix folds into both
    convolutions (``lowering.deploy``). Here it stays out of autocast's reach: bf16 would round the base to 8 bits.

    Shapes: features (n, channels, h, w), base (n, 3, h, w) -> (n, 3, h * scale, w * scale).
    """

    def __init__(self, channels: int, scale: int):
        super().__init__()
        self.scale = scale
        self.conv = conv3x3(channels, 3 * scale**2)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, base: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(features) + base.repeat_interleave(self.scale**2, dim=1), self.scale)


def enlarge_like(x: Tensor, like: Tensor) -> Tensor:
    """x (n, c, h, w), bilinear, at the size of ``like`` (n, any, H, W) -> (n, c, H, W)."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def sample_bilinear(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Bilinear samples of x (n, c, h, w) on the grid rows (H) x cols (W) of LR coordinates -> (n, c, H, W).

    Coordinates are those of ``lr_coordinates``; where they lie beyond the border they clamp to it. Equals
    ``F.interpolate(mode="bilinear")`` on the whole image's grid, and can also compute a part of it, which is
    what tiles need.
    """
    h, w = x.shape[-2:]
    rows, cols = rows.clamp(0, h - 1), cols.clamp(0, w - 1)
    top, left = rows.floor().long(), cols.floor().long()
    down, right = (rows - top)[:, None].to(x), (cols - left).to(x)
    bottom, beside = (top + 1).clamp(max=h - 1).to(x.device), (left + 1).clamp(max=w - 1).to(x.device)
    top, left = top.to(x.device), left.to(x.device)
    x = x[..., top, :] * (1 - down) + x[..., bottom, :] * down
    return x[..., left] * (1 - right) + x[..., beside] * right


def lr_coordinates(count: int, ratio: float, start: int = 0, device: torch.device | None = None) -> Tensor:
    """LR coordinates (float64) of HR pixel centres start .. start + count - 1; ``ratio`` = HR size / LR size.

    On ``device``, or on the CPU where that has no float64.
    """
    return (torch.arange(start, start + count, dtype=torch.float64, device=for_float64(device)) + 0.5) / ratio - 0.5


def for_float64(device: torch.device | None) -> torch.device | None:
    """The device itself, or the CPU."""
    return torch.device("cpu") if device is not None and device.type in NO_FLOAT64 else device


def finer(coordinates: Tensor, scale: int) -> Tensor:
    """LR coordinates on a grid that is ``scale`` times as fine."""
    return (coordinates + 0.5) * scale - 0.5


class ContinuousHead(nn.Module):
    """Continuous pixel mapping (SCSNet 3.2, Fig. 6) with its first layer on the LR grid.

    The paper's mapping is a perceptron on [interpolated features, Z_rel] at every HR point. Interpolation is linear, so
    the feature part of the first layer may act before it: W [interp(F), Z] = interp(W_F F) + W_Z Z, exactly, on
    scale^2 times fewer points. Here W_F sees the 3x3 neighbourhood of each LR point (LIIF's feature unfolding), and Z
    is eq. 3's relative coordinate, with x the HR pixel's centre, plus LIIF's cell: LR / HR, per axis. Two more readings
    of ours: three linear layers, not four, and pixel centres, not aligned corners (SCSNet itself keeps its own).

    What the perceptron says is added to an x4 image, ``fine``, sampled bilinearly at the same points. It comes from a
    PixelShuffle head of this head's own, ``finest``, which learns what bilinear sampling will blur (docs/log/round-3.md
    has the gain of both).

    Shapes: features (n, channels, h, w), base (n, 3, h, w), size (H, W) -> (n, 3, H, W); fine (n, 3, 4 h, 4 w).
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.on_features = conv3x3(channels, hidden)
        self.on_rows = nn.Conv2d(2, hidden, 1, bias=False)
        self.on_cols = nn.Conv2d(2, hidden, 1, bias=False)
        self.hidden = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, 3, 1)
        self.finest = PixelShuffleHead(channels, FINEST)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, base: Tensor, size: tuple[int, int]) -> Tensor:
        ratios = (size[0] / features.shape[-2], size[1] / features.shape[-1])
        rows = lr_coordinates(size[0], ratios[0], device=features.device)
        cols = lr_coordinates(size[1], ratios[1], device=features.device)
        return self.map(
            F.interpolate(self.on_features(features), size, mode="bilinear", align_corners=False),
            self.positions(rows, ratios[0]).to(features),
            self.positions(cols, ratios[1]).to(features),
            F.interpolate(self.finest(features, base), size, mode="bilinear", align_corners=False),
        )

    def at(self, features: Tensor, base: Tensor, rows: Tensor, cols: Tensor, ratios: tuple[float, float]) -> Tensor:
        """The same mapping on any grid of LR coordinates: rows (H), cols (W) -> (n, 3, H, W). For tiles."""
        return self.map(
            sample_bilinear(self.on_features(features), rows, cols),
            self.positions(rows, ratios[0]).to(features),
            self.positions(cols, ratios[1]).to(features),
            sample_bilinear(self.finest(features, base), finer(rows, FINEST), finer(cols, FINEST)),
        )

    @staticmethod
    def positions(coordinates: Tensor, ratio: float) -> Tensor:
        """Eq. 3's relative coordinate and the cell, for one axis: (count) -> (2, count).

        Z_rel is in [-1, 1), -1 at the near edge of the LR pixel; the cell is LR / HR.
        """
        # 1e-9: a centre on the edge of two LR pixels belongs to the next one, also where hr / lr rounds below it.
        z = (coordinates + (0.5 + 1e-9)).remainder(1.0) * 2 - 1
        return torch.stack([z, torch.full_like(z, 1 / ratio)])

    def map(self, grid: Tensor, row_positions: Tensor, col_positions: Tensor, fine: Tensor) -> Tensor:
        """The rest of the perceptron: grid (n, hidden, H, W), positions (2, H) and (2, W), fine (n, 3, H, W).

        Z acts through separate row and column terms, which is the same linear map without two full-size planes.
        """
        position = self.on_rows(row_positions[None, :, :, None]) + self.on_cols(col_positions[None, :, None, :])
        x = F.relu(grid + position)
        x = F.relu(self.hidden(x))
        return self.out(x) + fine
