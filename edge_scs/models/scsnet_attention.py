"""SCSNet's attention: self-attention, valve cross-attention, and the pyramid of them.

Zhang et al., "SCSNet: An efficient paradigm for learning simultaneously image colorization and
super-resolution" (AAAI 2022), section 3.1 and Figures 4 and 5. Readings that the paper leaves open:

* scores are plain products Q^T K, as in SAGAN (Zhang et al. 2019b), to which section 3.1 refers; Q and K have half the
  channels, V has all of them, and no convolution follows;
* a valve is a 1x1 convolution [F_s, F_r->s] -> 64 channels, LeakyReLU, a 3x3 convolution -> 2 channels and a sigmoid:
  V1 and V2 are one-channel maps, and F_t = V1 F_s + V2 F_r->s;
* the pyramid is average pooling by 1, 2 and 4; a scale's 3x3 pre-convolution serves source and reference alike; coarse
  answers come back by bilinear interpolation before the 3x3 post-convolution.

With the reference encoder (``scsnet.py``) this makes 5,403,526 parameters: 5.404 M, exactly the difference of the
paper's two figures, 15.358 M and 9.954 M.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import CrossAttention, attend
from edge_scs.models.blocks import conv3x3

SLOPE = 0.2  # of every LeakyReLU; the paper gives none, 0.2 is usual where a GAN trains
PYRAMID = (1, 2, 4)
# Scores held at a time (64 MiB as float32): maps are quadratic in the image, so queries take turns by rows.
MAX_SCORES = 1 << 24


def attend_by_rows(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q^T K) V, some rows of queries at a time, so that memory is bounded: shapes as in ``attend``."""
    n, _, h, w = query.shape
    rows = max(1, MAX_SCORES // (n * w * key.shape[-2] * key.shape[-1]))
    if rows >= h:
        return attend(query, key, value)
    return torch.cat([attend(part, key, value) for part in query.split(rows, dim=2)], dim=2)


class SAttn(nn.Module):
    """SAGAN's self-attention: ``x + gamma softmax(Q^T K) V``, gamma zero at first. (n, channels, h, w) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 2, 1)
        self.key = nn.Conv2d(channels, channels // 2, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * attend_by_rows(self.query(x), self.key(x), self.value(x))


class VCAttn(nn.Module):
    """Valve cross-attention (Fig. 4): source (n, channels, h, w), reference (n, channels, hr, wr) -> as the source."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 2, 1)
        self.key = nn.Conv2d(channels, channels // 2, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.valves = nn.Sequential(
            nn.Conv2d(2 * channels, channels // 4, 1),
            nn.LeakyReLU(SLOPE),
            conv3x3(channels // 4, 2),
            nn.Sigmoid(),
        )

    def forward(self, source: Tensor, reference: Tensor) -> Tensor:
        found = attend_by_rows(self.query(source), self.key(reference), self.value(reference))
        valves = self.valves(torch.cat([source, found], dim=1))
        return valves[:, :1] * source + valves[:, 1:] * found

    def look(self, source: Tensor, reference: Tensor) -> CrossAttention:
        """What the module attends to and how far its valves open, for inspection."""
        query, key = self.query(source), self.key(reference)
        found = attend_by_rows(query, key, self.value(reference))
        return CrossAttention(query, key, self.valves(torch.cat([source, found], dim=1)))


class PVCAttn(nn.Module):
    """Pyramid valve cross-attention (Fig. 5): source and reference as in ``VCAttn`` -> as the source."""

    def __init__(self, channels: int):
        super().__init__()
        self.before = nn.ModuleList(conv3x3(channels, channels) for _ in PYRAMID)
        self.attentions = nn.ModuleList(VCAttn(channels) for _ in PYRAMID)
        self.after = conv3x3(len(PYRAMID) * channels, channels)

    def forward(self, source: Tensor, reference: Tensor) -> Tensor:
        size = source.shape[-2:]
        found = [attention(*pair) for attention, pair in self._levels(source, reference)]
        whole = [x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear") for x in found]
        return self.after(torch.cat(whole, dim=1))

    def look(self, source: Tensor, reference: Tensor) -> tuple[CrossAttention, ...]:
        """``VCAttn.look`` at every scale, the finest first."""
        return tuple(attention.look(*pair) for attention, pair in self._levels(source, reference))

    def _levels(self, source: Tensor, reference: Tensor) -> list[tuple[VCAttn, tuple[Tensor, Tensor]]]:
        """At every scale the attention and what it takes: source and reference, pooled and pre-convolved."""
        return [
            (attention, (conv(pool(source, factor)), conv(pool(reference, factor))))  # type: ignore[misc]
            for factor, conv, attention in zip(PYRAMID, self.before, self.attentions, strict=True)
        ]


class BCAttn(nn.Module):
    """Basic cross-attention (Table 5): one scale, no valves; what is found is added. Shapes as in ``VCAttn``."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 2, 1)
        self.key = nn.Conv2d(channels, channels // 2, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, source: Tensor, reference: Tensor) -> Tensor:
        return source + attend_by_rows(self.query(source), self.key(reference), self.value(reference))


def pool(x: Tensor, factor: int) -> Tensor:
    """Means over cells of ``factor`` pixels a side; those at the border may be cut, so that any size works."""
    if factor == 1:
        return x
    h, w = x.shape[-2:]
    # ceil_mode only where it changes something: XNNPACK takes average pooling without it alone.
    return F.avg_pool2d(x, (min(factor, h), min(factor, w)), factor, ceil_mode=bool(h % factor or w % factor))
