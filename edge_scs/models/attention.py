"""Self-attention and valve cross-attention, written with ``torch.bmm`` so that they stay in one delegated subgraph.

``@`` on batched matrices lowers to ``expand_copy``, which XNNPACK does not take.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(query: Tensor, key: Tensor, value: Tensor, sharpness: float = 1.0) -> Tensor:
    """softmax(sharpness Q^T K) V: query (n, c, h, w), key (n, c, hr, wr), value (n, v, hr, wr) -> (n, v, h, w)."""
    return _gathered(_shares(query, key, sharpness), value, query)


def _shares(query: Tensor, key: Tensor, sharpness: float = 1.0) -> Tensor:
    """How much of each key's value every query gets: (n, h * w, hr * wr)."""
    n, c = query.shape[:2]
    scores = torch.bmm(query.reshape(n, c, -1).transpose(1, 2), key.reshape(n, c, -1))
    return torch.softmax(scores if sharpness == 1 else scores * sharpness, dim=-1)


def _gathered(shares: Tensor, value: Tensor, like: Tensor) -> Tensor:
    n, v = value.shape[:2]
    gathered = torch.bmm(shares, value.reshape(n, v, -1).transpose(1, 2))
    return gathered.transpose(1, 2).reshape(n, v, *like.shape[-2:])


@dataclass(frozen=True)
class CrossAttention:
    """One valve cross-attention as it ran, for inspection (SCSNet, Fig. 8).

    ``query`` (n, c, h, w) on the source's grid and ``key`` (n, c, hr, wr) on the reference's, scaled so that plain
    products are the softmax's scores. ``valves`` (n, 2, h, w) in [0, 1]: V1 lets the source through, V2 what was found.
    """

    query: Tensor
    key: Tensor
    valves: Tensor

    def at(self, row: int, col: int) -> Tensor:
        """What the cell (row, col) of the source's grid looks at: (n, hr, wr), which sums to one."""
        scores = (self.query[:, :, row, col, None, None] * self.key).sum(dim=1)
        return torch.softmax(scores.flatten(1), dim=1).reshape(scores.shape)


class SelfAttention(nn.Module):
    """Self-attention (after SAGAN, Zhang et al. 2019b; SCSNet 3): ``x + out(attend(q(x), k(x), v(x)))``.

    Scores are scaled by 1/sqrt(key_channels), and the output convolution takes the place of SAGAN's gamma.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(self, channels: int, key_channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, key_channels, 1)
        self.key = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.sharpness = key_channels**-0.5

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(attend(self.query(x), self.key(x), self.value(x), self.sharpness))

    @torch.no_grad()
    def fold(self, sharpness: float = 1.0) -> None:
        """Move all of the sharpness but this into the query, where it costs nothing and int8 need not round scores."""
        for parameter in (self.query.weight, self.query.bias):
            assert parameter is not None
            parameter.mul_(self.sharpness / sharpness)
        self.sharpness = sharpness


class ValveCrossAttention(nn.Module):
    """Valve cross-attention, lite (SCSNet 3.1, Fig. 4): the reference goes where it matches, as two valves let it.

    Differences from the paper: query and key share one projection, centred and scaled to unit length, so that the
    scores are cosines (source and reference pass one tied encoder: equal content matches itself from the first step
    on, and no long key wins everywhere); the reference's chroma joins the values, because the tied encoder sees luma
    only; and the valves see how well the best matches match, as a cosine: an unrelated reference shall be ignored.

    Shapes: source (n, channels, h, w), reference (n, channels, hr, wr), chroma (n, 2, hr, wr) in [-0.5, 0.5]
    -> features (n, channels, h, w), the second valve (n, 1, h, w) in [0, 1], and the chroma that was found
    (n, 2, h, w).
    """

    SHARPNESS = 20.0  # of the softmax over cosines: exp(20) between a perfect match and none

    def __init__(self, channels: int, key_channels: int, valve_channels: int = 32):
        super().__init__()
        self.match = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels + 2, channels, 1)
        self.valve1 = nn.Conv2d(2 * channels, valve_channels, 1)
        self.valve2 = nn.Conv2d(valve_channels, 2, 3, padding=1)
        # Starts near "keep the source, listen to the reference": V1 = 0.88, V2 = 0.5.
        with torch.no_grad():
            nn.init.zeros_(self.valve2.weight)
            self.valve2.bias.copy_(torch.tensor([2.0, 0.0]))  # type: ignore[union-attr]
        self.unit = UnitLength(key_channels, self.SHARPNESS**0.5)
        self.score = Agreement(key_channels, valve_channels)

    def forward(self, source: Tensor, reference: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        warped, found_chroma, valves = self._find(source, reference, chroma)
        return valves[:, 0:1] * source + valves[:, 1:2] * warped, valves[:, 1:2], found_chroma

    def look(self, source: Tensor, reference: Tensor, chroma: Tensor) -> CrossAttention:
        """What the module attends to and how far its valves open, for inspection."""
        _, _, valves = self._find(source, reference, chroma)
        return CrossAttention(self._key(source), self._key(reference), valves)

    def _find(self, source: Tensor, reference: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The reference's features and chroma where they match, and both valves."""
        query, key = self._key(source), self._key(reference)
        shares = _shares(query, key)
        warped = _gathered(shares, self.value(torch.cat([reference, chroma], dim=1)), source)
        # Apart: joined to the features, the chroma would have the coarse steps of their int8 range.
        found_chroma = _gathered(shares, chroma, source)
        seen = self.valve1(torch.cat([source, warped], dim=1)) + self.score(query, _gathered(shares, key, source))
        valves = torch.sigmoid(self.valve2(F.relu(seen)))
        return warped, found_chroma, valves

    def _key(self, x: Tensor) -> Tensor:
        return self.unit(self.match(x))


class Agreement(nn.Conv2d):
    """How far what was found agrees with what was sought, for the valves: their products, channel by channel, mixed.

    Initialised with zeros. A module of its own because int8 must not come near the products.

    Shapes: query and found (n, channels, h, w) -> (n, out_channels, h, w).
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, query: Tensor, found: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(query * found)


class UnitLength(nn.Module):
    """Vectors along the channels, centred over the image and scaled to ``length``: products of two are cosines.

    Shapes: (n, channels, h, w) -> the same. A module of its own because int8 must not come near its squares.
    """

    def __init__(self, channels: int, length: float = 1.0):
        super().__init__()
        self.length = length
        self.register_buffer("ones", torch.ones(1, channels, 1, 1), persistent=False)
        self.ones: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean((2, 3), keepdim=True)
        # The sum over channels as a convolution: XNNPACK takes that, and not a sum over one axis of four.
        return x * (self.length * torch.rsqrt(F.conv2d(x * x, self.ones) + 1e-6))
