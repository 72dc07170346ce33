"""CiaoSR's head as its authors released it (github.com/caojiezhang/CiaoSR): the network of the published checkpoints.

It departs from the printed equations in four ways (``ciaosr_paper.py`` has the text's own reading):

* eq. 5: phi_k and phi_v give factors; a key is F * phi_k([F, r, s]), a value [F, F~] * phi_v([F, F~, r, s]);
* eq. 7: 3x3 patches are matched, keys scaled to unit length, scores times 10; the values of a match are its
  (3 s') x (3 s') patch, overlapping patches are added, a 3x3 convolution of stride s' makes F~ of that, divided by 6.
  Query, key and value networks serve every s'. The smaller F is sampled bilinearly, without antialiasing;
* the neighbours of a point are the LR pixels at a distance of (1 - cell) / (H - 1), not LIIF's 1 / H. The distances
  agree at x2 and differ elsewhere: at x1 all four neighbours are the point's own pixel, at x3 they may be two apart;
* with SwinIR the features are its 180 channels, before the convolution that narrows them to 64.

Two rewritings are exact but for float32's rounding: the first layers of phi_k and phi_v act on the LR grid, and large
inputs are searched tile by tile (``ciaosr_window``), where the authors cut the image itself into overlapping tiles.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.ciaosr_window import tiles
from edge_scs.models.constants import constant
from edge_scs.models.implicit import Perceptron, Region, Size, cells, on_unfolded, searched_region

SHARPNESS = 10.0  # softmax_scale of the authors' CrossScaleAttention
LEAST_LENGTH = 1e-4  # a key's, before it is scaled to 1
DIVISOR = 6.0  # of the features that were found


def region_as_released(coordinates: Tensor, lr: tuple[int, int], size: Size) -> Region:
    """As ``searched_region``, at the authors' distance of (1 - cell) / (H - 1), with their arithmetic."""
    extent = constant(lr, coordinates)
    radius = 1 / ((extent - 1) / (1 - cells(size, coordinates)))
    # One pixel has no neighbours: any radius finds it, but not 0 / 0.
    return searched_region(coordinates, lr, size, torch.where(extent > 1, radius, torch.zeros_like(radius)))


class CrossScaleAttention(nn.Module):
    """Embedded non-local attention: every LR pixel finds features of patches that are ``scales`` times as large.

    ``window`` is in LR pixels. Shapes: (n, channels, h, w) -> (n, channels * len(scales), h, w).
    """

    def __init__(self, channels: int, scales: tuple[int, ...], window: int):
        super().__init__()
        self.scales, self.window = scales, window
        self.query = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.key = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.PReLU())
        self.down = nn.ModuleDict({str(s): nn.Conv2d(channels, channels, 3, stride=s, padding=1) for s in scales})

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([self._found(features, scale) for scale in self.scales], dim=1)

    def _found(self, features: Tensor, s: int) -> Tensor:
        """What is found at one scale, (n, channels, h, w)."""
        h, w = features.shape[-2:]
        padded = _pad(features, s)
        n, c, height, width = padded.shape
        queries = F.pad(self.query(padded), [1] * 4)
        values = F.pad(self.value(padded), [s] * 4)
        small = F.interpolate(padded, scale_factor=1 / s, mode="bilinear", align_corners=False)
        keys = F.unfold(self.key(small), 3, padding=1)
        keys = keys.to(torch.promote_types(keys.dtype, torch.float32))  # bf16's squares would not do
        keys = keys / keys.norm(dim=1, keepdim=True).clamp(min=LEAST_LENGTH)
        keys = keys.reshape(n, -1, height // s, width // s)
        canvas = values.new_zeros(n, c, s * (height + 2), s * (width + 2))
        for rows, seen_rows in tiles(height, height // s, s, self.window):
            for cols, seen_cols in tiles(width, width // s, s, self.window):
                asked = F.unfold(queries[..., rows.start : rows.stop + 2, cols.start : cols.stop + 2], 3)
                seen = keys[..., seen_rows, seen_cols].flatten(2)
                beside = values[..., s * seen_rows.start : s * (seen_rows.stop + 2), :]
                patches = F.unfold(beside[..., s * seen_cols.start : s * (seen_cols.stop + 2)], 3 * s, stride=s)
                scores = torch.bmm(asked.transpose(1, 2), seen.to(asked.dtype))
                shares = torch.softmax(scores * SHARPNESS, dim=-1).to(patches.dtype)
                found = torch.bmm(shares, patches.transpose(1, 2)).transpose(1, 2)
                covered = (s * (rows.stop + 2 - rows.start), s * (cols.stop + 2 - cols.start))
                top, left = s * rows.start, s * cols.start
                canvas[..., top : top + covered[0], left : left + covered[1]] += F.fold(found, covered, 3 * s, stride=s)
        return self.down[str(s)](canvas[..., s:-s, s:-s])[..., :h, :w] / DIVISOR


def _pad(x: Tensor, multiple: int) -> Tensor:
    """At the bottom and right to a multiple: mirrored, or where the image is too small for that, its last pixels."""
    down, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    mode = "reflect" if down < x.shape[-2] and right < x.shape[-1] else "replicate"
    return F.pad(x, (0, right, 0, down), mode=mode) if down or right else x


class ReleasedAttention(nn.Module):
    """i-Attention (eq. 3 to 6) as released: what a point is, from its four neighbours.

    ``channels`` of features and ``nonlocal_channels`` of non-local ones; both perceptrons' inputs are laid out as
    unfolded features (channel, row, column), non-local features for values, r (row, column), s (row, column).
    ``attention=False`` is the ablation of 5.2: a perceptron on what phi_k sees gives the ensemble's weights itself.
    """

    def __init__(self, channels: int, nonlocal_channels: int, hidden: int, attention: bool = True):
        super().__init__()
        local, both = 9 * channels, 9 * channels + nonlocal_channels
        self.attention = attention
        self.key = Perceptron(local + 4, local if attention else 1, hidden)
        self.value = Perceptron(both + 4, both, hidden)
        self.query = Perceptron(both, 3, hidden)

    def maps(self, features: Tensor, nonlocal_features: Tensor) -> tuple[Tensor, ...]:
        """First layers of phi_k and phi_v (n, hidden, h, w), unfolded and non-local features, on the LR grid."""
        keys = on_unfolded(features, self.key.first.weight, self.key.first.bias)
        values = on_unfolded(features, self.value.first.weight, self.value.first.bias)
        if nonlocal_features.shape[1]:
            at_nonlocal = self.value.first.weight[:, 9 * features.shape[1] : -4]
            values = values + F.conv2d(nonlocal_features, at_nonlocal[:, :, None, None])
        unfolded = F.unfold(features, 3, padding=1).reshape(len(features), -1, *features.shape[-2:])
        return keys, values, unfolded, nonlocal_features

    def forward(self, keys: Tensor, values: Tensor, unfolded: Tensor, found: Tensor, region: Region) -> Tensor:
        """The maps pixel by pixel, each (n h w, channels) -> RGB residual (n, q, 3)."""
        place = region.place.to(keys.dtype)
        local = unfolded[region.index]
        key = self.key.last(self.key.hidden(keys[region.index] + F.linear(place, self.key.first.weight[:, -4:])))
        if self.attention:
            key = (local * key) @ unfolded[region.nearest][..., None]
        weights = torch.softmax(key, dim=2)
        factors = self.value.last(
            self.value.hidden(values[region.index] + F.linear(place, self.value.first.weight[:, -4:]))
        )
        value = torch.cat([local, found[region.index]], dim=-1) * factors
        return self.query((weights * value).sum(2))
