"""CiaoSR's head as the text of its paper has it: what ``CiaoSRConfig(reading="paper")`` builds.

Cao et al., arXiv 2212.04362, equations 3 to 8. The authors' released network departs from eq. 5 and 7 as printed
(``ciaosr_released.py``, which is the default); no published weights fit this one. Readings that the paper leaves open:

* the local region is the four LR pixels around a point, r and s in LIIF's units (``implicit.Region``);
* phi_k, phi_v and phi_q are LIIF's perceptrons, four hidden layers of 256 with ReLU; phi_v returns as many channels as
  features and non-local features have together (9 x 64 + 64);
* eq. 7: p = 1 ("pixel-wise similarity"), so that the convolution that closes it takes an s' x s' patch of values to
  one feature, with s' = 2 alone. Query, key and value networks are 1x1 convolutions with PReLU, query and key of half
  the channels (after Mei et al., CVPR 2020, the paper's [49]); F is made smaller by averaging.

Three exact rewritings halve the arithmetic and change no weight. What is linear may act earlier: the first layers of
phi_k and phi_v see features through a 3x3 convolution on the LR grid, not at every point; the last layer of phi_k moves
into the query, Q^T (W h) = (W^T Q)^T h (its bias would be the same for all neighbours and cancel in the softmax, so it
has none), and that of phi_v behind the weighted sum; the convolution of eq. 7 acts on the values before they are
gathered.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import attend
from edge_scs.models.ciaosr_window import tiles
from edge_scs.models.implicit import Perceptron, Region, on_unfolded


class NonLocalAttention(nn.Module):
    """Embedded scale-aware non-local attention (eq. 7, 8) for one s': every LR pixel finds features ``scale`` x larger.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(self, channels: int, scale: int, window: int):
        super().__init__()
        self.scale, self.window = scale, window
        self.query = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.key = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.PReLU())
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.PReLU())
        self.down = nn.Conv2d(channels, channels, scale, stride=scale)

    def forward(self, features: Tensor) -> Tensor:
        h, w = features.shape[-2:]
        padded = F.pad(features, (0, -w % self.scale, 0, -h % self.scale), mode="replicate")
        query = self.query(features)
        key = self.key(F.avg_pool2d(padded, self.scale))
        value = self.down(self.value(padded))
        bands = []
        for rows, seen_rows in tiles(h, key.shape[2], self.scale, self.window):
            band = [
                attend(query[..., rows, cols], key[..., seen_rows, seen], value[..., seen_rows, seen])
                for cols, seen in tiles(w, key.shape[3], self.scale, self.window)
            ]
            bands.append(torch.cat(band, dim=3))
        return torch.cat(bands, dim=2)


class ImplicitAttention(nn.Module):
    """i-Attention (eq. 3 to 6): what a point is, from its four LR neighbours.

    ``channels`` of features and ``nonlocal_channels`` of non-local ones; both perceptrons' inputs are laid out as in
    eq. 5: unfolded features (channel, row, column), non-local features for values, r (row, column), s (row, column).
    """

    def __init__(self, channels: int, nonlocal_channels: int, hidden: int):
        super().__init__()
        local, both = 9 * channels, 9 * channels + nonlocal_channels
        self.key = Perceptron(local + 4, local, hidden, bias=False)
        self.value = Perceptron(both + 4, both, hidden)
        self.query = Perceptron(both, 3, hidden)

    def maps(self, features: Tensor, nonlocal_features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and queries as far as they depend on LR pixels alone: each (n, hidden, h, w)."""
        keys = on_unfolded(features, self.key.first.weight, self.key.first.bias)
        values = on_unfolded(features, self.value.first.weight, self.value.first.bias)
        at_nonlocal = self.value.first.weight[:, 9 * features.shape[1] : -4]
        if nonlocal_features.shape[1]:
            values = values + F.conv2d(nonlocal_features, at_nonlocal[:, :, None, None])
        return keys, values, on_unfolded(features, self.key.last.weight.t())

    def forward(self, keys: Tensor, values: Tensor, queries: Tensor, region: Region) -> Tensor:
        """The maps pixel by pixel, each (n h w, hidden) -> RGB residual (n, q, 3)."""
        place = region.place.to(keys.dtype)
        key = self.key.hidden(keys[region.index] + F.linear(place, self.key.first.weight[:, -4:]))
        weights = torch.softmax(key @ queries[region.nearest][..., None], dim=2).transpose(2, 3)
        value = self.value.hidden(values[region.index] + F.linear(place, self.value.first.weight[:, -4:]))
        return self.query(self.value.last((weights @ value).squeeze(2)))
