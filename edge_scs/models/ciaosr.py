"""CiaoSR: RGB at any magnification; attention ensembles the LR neighbours of a point, and non-local attention feeds it.

Cao et al., "CiaoSR: continuous implicit attention-in-attention network for arbitrary-scale image super-resolution"
(arXiv 2212.04362), section 4, equations 3 to 8, on the features of any encoder of ``sr_encoders``.

Readings that the paper leaves open (the supplement that holds the architecture was not at hand):

* the local region is the four LR pixels around a point, r and s in LIIF's units (``implicit.Region``);
* phi_k, phi_v and phi_q are LIIF's perceptrons, four hidden layers of 256 with ReLU; phi_v returns as many channels as
  features and non-local features have together (9 x 64 + 64);
* eq. 7: p = 1 ("pixel-wise similarity"), so that the convolution that closes it takes an s' x s' patch of values to
  one feature, with s' = 2 alone. Query, key and value networks are 1x1 convolutions with PReLU, query and key of half
  the channels (after Mei et al., CVPR 2020, the paper's [49]); F is made smaller by averaging;
* the search window: queries go in tiles of 48 x 48, the training patch, and each tile sees the 256 x 256 LR pixels
  around it, moved inwards at borders. An image of up to 256 x 256 is searched whole. This reaches far beyond ``halo``,
  which is the local path's radius;
* what is predicted is the residual to the bilinear enlargement, as in the authors' code; the mean colour of DIV2K is
  taken off before the encoder.

The authors' code departs from eq. 5 and 7 as printed: there phi_k and phi_v give factors that the features are
multiplied by, and patches of 3x3 are matched by their cosine; with SwinIR the head takes all 180 channels. Here the
equations hold, and their checkpoints do not fit.

The head has 1,407,558 parameters; Table 7 prints 1.4 M. (Its 1.6 M for LIIF fit only head and EDSR-baseline together.)

Three exact rewritings halve the arithmetic (EDSR-baseline, 720p x4: 2.1 T MultAdds, not 4.2) and change no weight. What
is linear may act earlier: the first layers of phi_k and phi_v see features through a 3x3 convolution on the LR grid,
not at every point; the last layer of phi_k moves into the query, Q^T (W h) = (W^T Q)^T h (its bias would be the same
for all neighbours and cancel in the softmax, so it has none), and that of phi_v behind the weighted sum; the
convolution of eq. 7 acts on the values before they are gathered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import attend
from edge_scs.models.implicit import ImplicitNetwork, Perceptron, Region, on_unfolded
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.models.sr_encoders import create_encoder

# Side of a tile of non-local queries in LR pixels: 150 MB of scores in a full window.
TILE = 48

# As printed: PSNR on RGB in Table 1, PSNR-Y in Tables 2 and 3, size of the head alone in Table 7. No MultAdds are.
_COMMON: dict[str, object] = {
    "source": "arXiv 2212.04362, Tables 1, 2, 3 and 7",
    "params": {"head": 1.4e6},
    "mult_adds_720p": {"2": None, "3": None, "4": None},
}


def _psnr(*values: float) -> dict[str, float]:
    return dict(zip(("2", "3", "4", "6", "8", "12"), values, strict=True))


def _psnr_div2k(*values: float) -> dict[str, dict[str, float]]:
    return {"DIV2K": dict(zip(("2", "3", "4", "6", "12", "18", "24", "30"), values, strict=True))}


PUBLISHED: dict[str, dict[str, object]] = {
    "ciaosr_edsr": _COMMON | {"psnr_rgb": _psnr_div2k(34.91, 31.15, 29.23, 26.95, 23.88, 22.32, 21.32, 20.59)},
    "ciaosr_rdn": _COMMON
    | {
        "psnr_rgb": _psnr_div2k(35.15, 31.42, 29.45, 27.16, 24.06, 22.48, 21.43, 20.70),
        "psnr_y": {
            "Set5": _psnr(38.29, 34.85, 32.66, 29.46, 27.36, 24.92),
            "Set14": _psnr(34.22, 30.65, 28.93, 26.79, 25.28, 23.37),
            "B100": _psnr(32.41, 29.34, 27.83, 26.07, 25.00, 23.64),
            "Urban100": _psnr(33.30, 29.17, 27.11, 24.58, 23.13, 21.42),
            "Manga109": _psnr(39.51, 34.57, 31.57, 27.70, 25.40, 22.63),
        },
    },
    "ciaosr_swinir": _COMMON
    | {
        "psnr_rgb": _psnr_div2k(35.29, 31.55, 29.59, 27.28, 24.15, 22.54, 21.51, 20.74),
        "psnr_y": {
            "Set5": _psnr(38.38, 34.91, 32.84, 29.62, 27.45, 24.96),
            "Set14": _psnr(34.33, 30.82, 29.08, 26.88, 25.42, 23.38),
            "B100": _psnr(32.47, 29.42, 27.90, 26.13, 25.07, 23.68),
            "Urban100": _psnr(33.65, 29.52, 27.42, 24.84, 23.34, 21.60),
            "Manga109": _psnr(39.67, 34.84, 31.91, 28.01, 25.61, 22.79),
        },
    },
}


@dataclass(frozen=True)
class CiaoSRConfig:
    """What a checkpoint needs to rebuild its network. ``encoder_options`` are arguments of the encoder's class.

    ``nonlocal_scales`` are the s' of eq. 8, ``window`` is in LR pixels. Raises ValueError for other scales.
    """

    encoder: str = "edsr"
    encoder_options: dict[str, int] = field(default_factory=dict)
    hidden: int = 256
    nonlocal_scales: tuple[int, ...] = (2,)
    window: int = 256

    def __post_init__(self) -> None:
        scales = tuple(self.nonlocal_scales)
        object.__setattr__(self, "nonlocal_scales", scales)  # JSON has no tuples
        if not scales or len(set(scales) & {2, 3, 4}) < len(scales):
            raise ValueError("nonlocal_scales: must be some of 2, 3 and 4, each once")
        if self.window < max(scales):
            raise ValueError(f"window {self.window}: must be at least {max(scales)}, one key wide")


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
        for rows, seen_rows in self._tiles(h, key.shape[2]):
            tiles = [
                attend(query[..., rows, cols], key[..., seen_rows, seen], value[..., seen_rows, seen])
                for cols, seen in self._tiles(w, key.shape[3])
            ]
            bands.append(torch.cat(tiles, dim=3))
        return torch.cat(bands, dim=2)

    def _tiles(self, pixels: int, keys: int) -> Iterator[tuple[slice, slice]]:
        """Along one axis: a tile of LR pixels, and the keys in the window around it."""
        seen = min(keys, self.window // self.scale)
        for start in range(0, pixels, TILE):
            stop = min(start + TILE, pixels)
            first = (start + stop) // (2 * self.scale) - seen // 2
            first = min(max(first, 0), keys - seen)
            yield slice(start, stop), slice(first, first + seen)


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
        values = values + F.conv2d(nonlocal_features, at_nonlocal[:, :, None, None])
        return keys, values, on_unfolded(features, self.key.last.weight.t())

    def forward(self, keys: Tensor, values: Tensor, queries: Tensor, region: Region) -> Tensor:
        """The maps pixel by pixel, each (n h w, hidden) -> RGB residual (n, q, 3)."""
        place = region.place.to(keys.dtype)
        key = self.key.hidden(keys[region.index] + F.linear(place, self.key.first.weight[:, -4:]))
        weights = torch.softmax(key @ queries[region.nearest][..., None], dim=2).transpose(2, 3)
        value = self.value.hidden(values[region.index] + F.linear(place, self.value.first.weight[:, -4:]))
        return self.query(self.value.last((weights @ value).squeeze(2)))


class CiaoSR(ImplicitNetwork):
    """``forward(rgb, size)`` and ``points`` as any ``ImplicitNetwork``."""

    def __init__(self, config: CiaoSRConfig | None = None):
        config = config or CiaoSRConfig()
        super().__init__(create_encoder(config.encoder, config.encoder_options))
        self.config = config
        c = self.encoder.out_channels
        self.nonlocals = nn.ModuleList(NonLocalAttention(c, s, config.window) for s in config.nonlocal_scales)
        self.attention = ImplicitAttention(c, c * len(config.nonlocal_scales), config.hidden)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def maps(self, rgb: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(rgb - self.mean)
        nonlocal_features = torch.cat([attention(features) for attention in self.nonlocals], dim=1)
        return (*self.attention.maps(features, nonlocal_features), rgb)

    def decode(self, rows: tuple[Tensor, ...], region: Region) -> Tensor:
        *attended, rgb = rows
        bilinear = (region.area[..., None] * rgb[region.index]).sum(2)
        return self.attention(*attended, region) + bilinear
