"""SwinIR's encoder: residual groups of Swin transformer layers, attention within windows that shift every other layer.

Liang et al., "SwinIR: Image restoration using Swin transformer" (ICCVW 2021), section 3, in its classical configuration
(section 4.1: 6 groups x 6 layers, window 8, 180 channels, 6 heads); the layer is that of Liu et al., "Swin transformer"
(ICCV 2021), section 3.2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.blocks import conv3x3

DROP_PATH = 0.1  # of the last layer, in training


def to_windows(x: Tensor, window: int) -> Tensor:
    """(n, h, w, c), h and w multiples of the window -> (n * windows, window^2, c), row by row."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // window, window, w // window, window, c).transpose(2, 3)
    return x.reshape(-1, window * window, c)


def from_windows(windows: Tensor, window: int, size: tuple[int, int]) -> Tensor:
    """The way back: (n * windows, window^2, c), size (h, w) -> (n, h, w, c)."""
    h, w = size
    x = windows.reshape(-1, h // window, w // window, window, window, windows.shape[-1]).transpose(2, 3)
    return x.reshape(-1, h, w, windows.shape[-1])


def shift_mask(size: tuple[int, int], window: int, shift: int, device: torch.device) -> Tensor:
    """Which pixels of a shifted window may see each other: (windows, window^2, window^2), 0 or -inf.

    Rolling the image by ``shift`` brings opposite borders into one window; pixels that came from different sides of a
    seam must not attend (Swin, Fig. 4).
    """
    rows, cols = (
        (torch.arange(side, device=device) >= side - shift).long()
        + (torch.arange(side, device=device) >= side - window)
        for side in size
    )
    part = (3 * rows[:, None] + cols)[None, :, :, None]
    part = to_windows(part, window).squeeze(-1)
    apart = part[:, :, None] != part[:, None, :]
    return torch.zeros(apart.shape, device=device).masked_fill(apart, float("-inf"))


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each relative position (Swin, eq. 4).

    Shapes: windows (n * windows, window^2, channels), mask (windows, window^2, window^2) or None -> the same.
    """

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        row, col = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        row, col = row.flatten(), col.flatten()
        down, right = row[:, None] - row + window - 1, col[:, None] - col + window - 1
        self.register_buffer("relative", down * (2 * window - 1) + right, persistent=False)
        self.relative: Tensor

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        count, area, channels = windows.shape
        qkv = self.qkv(windows).reshape(count, area, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        bias = self.position_bias[self.relative].permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(count // len(mask), 1, 1, 1)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out(x.transpose(1, 2).reshape(count, area, channels))


class SwinLayer(nn.Module):
    """Swin transformer layer (SwinIR eq. 9): x + attention(norm(x)), then x + mlp(norm(x)).

    Shapes: (n, h, w, channels), h and w multiples of the window -> the same.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int, mlp_ratio: int, drop: float = 0.0):
        super().__init__()
        self.window, self.shift, self.drop = window, shift, drop
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels), nn.GELU(), nn.Linear(mlp_ratio * channels, channels)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        size = (x.shape[1], x.shape[2])
        y = self.norm1(x)
        if self.shift:
            y = y.roll((-self.shift, -self.shift), (1, 2))
        y = self.attention(to_windows(y, self.window), mask if self.shift else None)
        y = from_windows(y, self.window, size)
        if self.shift:
            y = y.roll((self.shift, self.shift), (1, 2))
        x = x + self._kept(y)
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: Tensor) -> Tensor:
        """In training nothing of an image's branch with probability ``drop``, and more of the others'."""
        if not (self.training and self.drop):
            return branch
        kept = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.drop
        return branch * kept.to(branch.dtype) / (1 - self.drop)


class ResidualSwinGroup(nn.Module):
    """Residual Swin transformer block (SwinIR eq. 5, 6): layers, shifted every other time, a 3x3 convolution, residual.

    Shapes: (n, h, w, channels) -> the same.
    """

    def __init__(self, channels: int, drops: list[float], heads: int, window: int, mlp_ratio: int):
        super().__init__()
        self.layers = nn.ModuleList(
            SwinLayer(channels, heads, window, (layer % 2) * (window // 2), mlp_ratio, drop)
            for layer, drop in enumerate(drops)
        )
        self.conv = conv3x3(channels, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y, mask)
        return x + self.conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class SwinIR(nn.Module):
    """Shallow features, residual Swin groups, and the convolution that narrows them for a head.

    Readings, from the authors' code: pixels are the tokens (patch size 1), their embedding ends in a LayerNorm, and in
    training a layer's branches are left out with a probability that rises from 0 to 0.1 at the last layer. Of the
    reconstruction module the convolution before the upsampling (``width`` -> ``channels``, LeakyReLU) stays, unless
    ``channels`` is ``width``: released CiaoSR takes all 180 channels. With 64 of them 11,603,044 parameters are
    counted; with the x2 upsampler (149,443) the published 11.8 M.

    Any size: the image is padded at the bottom and right to whole windows, by reflection where it is large enough for
    that and by its border pixels where not, and the features are cropped.

    Shapes: (n, 3, h, w) -> (n, channels, h, w).
    """

    def __init__(
        self,
        channels: int = 64,
        width: int = 180,
        groups: int = 6,
        layers: int = 6,
        heads: int = 6,
        window: int = 8,
        mlp_ratio: int = 2,
    ):
        super().__init__()
        if width % heads or window % 2:
            raise ValueError(f"width {width} must be a multiple of heads {heads}, and window {window} even")
        self.out_channels = channels
        self.window = window
        # A layer reaches across its window at most; the convolutions are one a group, entry, exit and narrow.
        self.halo = groups * (layers * (window - 1) + 1) + 3
        self.entry = conv3x3(3, width)
        self.embed_norm = nn.LayerNorm(width)
        last = max(1, groups * layers - 1)
        drops = [DROP_PATH * layer / last for layer in range(groups * layers)]
        self.groups = nn.ModuleList(
            ResidualSwinGroup(width, drops[first : first + layers], heads, window, mlp_ratio)
            for first in range(0, groups * layers, layers)
        )
        self.norm = nn.LayerNorm(width)
        self.exit = conv3x3(width, width)
        self.narrow = conv3x3(width, channels) if channels != width else None
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, rgb: Tensor) -> Tensor:
        h, w = rgb.shape[-2:]
        shallow = self.entry(whole_windows(rgb, self.window))
        x = self.embed_norm(shallow.permute(0, 2, 3, 1))
        mask = shift_mask((x.shape[1], x.shape[2]), self.window, self.window // 2, x.device)
        for group in self.groups:
            x = group(x, mask)
        deep = self.exit(self.norm(x).permute(0, 3, 1, 2))
        features = shallow + deep
        if self.narrow is not None:
            features = F.leaky_relu(self.narrow(features))
        return features[..., :h, :w]


def whole_windows(x: Tensor, multiple: int) -> Tensor:
    """Padded at the bottom and right to multiples: mirrored, or where the image is too small, its border pixels."""
    down, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    mode = "reflect" if down < x.shape[-2] and right < x.shape[-1] else "replicate"
    return F.pad(x, (0, right, 0, down), mode=mode)
