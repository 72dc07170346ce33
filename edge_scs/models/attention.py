"""Self-attention and valve cross-attention, written with ``torch.bmm`` so that they stay in one delegated subgraph.

``@`` on batched matrices lowers to ``expand_copy``, which XNNPACK does not take.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q^T K / sqrt(C)) V for query (n, c, h, w), key (n, c, hr, wr), value (n, v, hr, wr) -> (n, v, h, w)."""
    n, c, h, w = query.shape
    v = value.shape[1]
    scores = torch.bmm(query.reshape(n, c, h * w).transpose(1, 2), key.reshape(n, c, -1)) * c**-0.5
    gathered = torch.bmm(torch.softmax(scores, dim=-1), value.reshape(n, v, -1).transpose(1, 2))
    return gathered.transpose(1, 2).reshape(n, v, h, w)


class SelfAttention(nn.Module):
    """SAGAN self-attention (Zhang et al. 2019b; SCSNet 3): ``x + out(attend(q(x), k(x), v(x)))``.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(self, channels: int, key_channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, key_channels, 1)
        self.key = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(_attend(self.query(x), self.key(x), self.value(x)))


class ValveCrossAttention(nn.Module):
    """Valve cross-attention, lite (SCSNet 3.1, Fig. 4): reference features go where they match, as far as two valves let them.

    Differences from the paper: query and key share one projection (source and reference pass one tied encoder, so
    equal content gives equal keys from the first step on), and the reference's chroma joins the values, because the
    tied encoder itself sees luma only.

    Shapes: source (n, channels, h, w), reference (n, channels, hr, wr), chroma (n, 2, hr, wr) in [-0.5, 0.5]
    -> (n, channels, h, w).
    """

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

    def forward(self, source: Tensor, reference: Tensor, chroma: Tensor) -> Tensor:
        value = self.value(torch.cat([reference, chroma], dim=1))
        warped = _attend(self.match(source), self.match(reference), value)
        valves = torch.sigmoid(self.valve2(F.relu(self.valve1(torch.cat([source, warped], dim=1)))))
        return valves[:, 0:1] * source + valves[:, 1:2] * warped
