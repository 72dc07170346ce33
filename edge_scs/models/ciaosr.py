"""CiaoSR: RGB at any magnification; attention ensembles the LR neighbours of a point, and non-local attention feeds it.

Cao et al., "CiaoSR: continuous implicit attention-in-attention network for arbitrary-scale image super-resolution"
(arXiv 2212.04362), section 4, equations 3 to 8, on the features of any encoder of ``sr_encoders``.

Readings that the paper leaves open (the supplement that holds the architecture was not at hand):

* the local region is the four LR pixels around a point; beyond the border the nearest border pixel stands in, with its
  own coordinate. r and s are in LIIF's units, in which an LR pixel is 2 wide: r = 2 (LR position - neighbour), and
  s = 2 LR / HR, per axis;
* phi_k, phi_v and phi_q are LIIF's perceptrons, four hidden layers of 256 with ReLU; phi_v returns as many channels as
  features and non-local features have together (9 x 64 + 64);
* eq. 7: p = 1 ("pixel-wise similarity"), so that the convolution that closes it takes an s' x s' patch of values to
  one feature, with s' = 2 alone. Query, key and value networks are 1x1 convolutions with PReLU, query and key of half
  the channels (after Mei et al., CVPR 2020, the paper's [49]); F is made smaller by averaging;
* the search window: queries go in tiles of 48 x 48, the training patch, and each tile sees the 256 x 256 LR pixels
  around it, moved inwards at borders. A picture of up to 256 x 256 is searched whole;
* what is predicted is the residual to the bilinear enlargement, as in the authors' code; the mean colour of DIV2K is
  taken off before the encoder.

With these the head has 1,407,558 parameters, the "1.4 M" of Table 7.

Three exact rewritings make it about half the arithmetic of the equations, and change no weight. What is linear may act
earlier: the first layers of phi_k and phi_v see features through a 3x3 convolution on the LR grid, not at every point;
the last layer of phi_k moves into the query, Q^T (W h) = (W^T Q)^T h (its bias would be the same for all neighbours and
cancel in the softmax, so it has none), and that of phi_v behind the weighted sum; the convolution of eq. 7 acts on the
values before they are gathered.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import attend
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.models.sr_encoders import create_encoder

SCALES = (1.0, 12.0)
# Points that are decoded at a time without gradients: 16 MB for each layer's activations, whatever the picture's size.
POINTS = 4096
# Side of a tile of non-local queries in LR pixels: 150 MB of scores in a full window.
TILE = 48
# A position this far (LR pixels) before the next neighbours counts as theirs: float32 does not decide it then.
_TIE = 1e-3

# As printed: PSNR on RGB in Table 1, PSNR-Y in Tables 2 and 3, size of the head alone in Table 7. No MultAdds are.
_COMMON = {
    "source": "arXiv 2212.04362, Tables 1, 2, 3 and 7",
    "params": None,
    "head_params": 1.4e6,
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

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


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
                attend(query[..., rows, cols], key[..., seen_rows, seen], value[..., seen_rows, seen], 1.0)
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


class Perceptron(nn.Module):
    """Linear layers with ReLU between them, four hidden ones: (..., in) -> (..., out)."""

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


@dataclass(frozen=True)
class LatentGrid:
    """What points are decoded from: rows of (n h w, hidden), pixel by pixel, and the LR picture (n, 3, h, w)."""

    keys: Tensor
    values: Tensor
    queries: Tensor
    rgb: Tensor


class ImplicitAttention(nn.Module):
    """i-Attention (eq. 3 to 6): the RGB residual at any point, from its four LR neighbours.

    ``channels`` of features and ``nonlocal_channels`` of non-local ones; both perceptrons' inputs are laid out as in
    eq. 5: unfolded features (channel, row, column), non-local features for values, r (row, column), s (row, column).
    """

    def __init__(self, channels: int, nonlocal_channels: int, hidden: int):
        super().__init__()
        self.channels = channels
        local, both = 9 * channels, 9 * channels + nonlocal_channels
        self.key = Perceptron(local + 4, local, hidden, bias=False)
        self.value = Perceptron(both + 4, both, hidden)
        self.query = Perceptron(both, 3, hidden)

    def grid(self, features: Tensor, nonlocal_features: Tensor, rgb: Tensor) -> LatentGrid:
        """Everything that depends on LR pixels alone. Features (n, channels, h, w), non-local ones beside them."""
        keys = self._unfolded(features, self.key.first.weight, self.key.first.bias)
        values = self._unfolded(features, self.value.first.weight, self.value.first.bias)
        at_nonlocal = self.value.first.weight[:, 9 * self.channels : -4]
        values = values + F.conv2d(nonlocal_features, at_nonlocal[:, :, None, None])
        queries = self._unfolded(features, self.key.last.weight.t(), None)
        keys, values, queries = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (keys, values, queries))
        return LatentGrid(keys, values, queries, rgb)

    def _unfolded(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A linear layer on 3x3 neighbourhoods (zeros beyond the border), which is a convolution."""
        weight = weight[:, : 9 * self.channels].reshape(-1, self.channels, 3, 3)
        return F.conv2d(features, weight, bias, padding=1)

    def forward(self, grid: LatentGrid, coordinates: Tensor, size: tuple[int, int]) -> Tensor:
        """Coordinates (n, q, 2) as in ``CiaoSR.points`` -> residual (n, q, 3)."""
        h, w = grid.rgb.shape[-2:]
        extent = coordinates.new_tensor([h, w])
        at = ((coordinates + 1) * extent - 1) / 2
        corners = coordinates.new_tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        neighbours = (at + _TIE).floor()[:, :, None] + corners
        neighbours = torch.minimum(neighbours.clamp(min=0), extent - 1)
        nearest = torch.minimum((at + 0.5 + _TIE).floor().clamp(min=0), extent - 1)
        r = 2 * (at[:, :, None] - neighbours)
        s = coordinates.new_tensor([2 * h / size[0], 2 * w / size[1]]).expand_as(r)
        place = torch.cat([r, s], dim=-1).to(grid.rgb.dtype)
        index = _index(neighbours, h, w)

        key = self.key.hidden(grid.keys[index] + F.linear(place, self.key.first.weight[:, -4:]))
        scores = key @ grid.queries[_index(nearest, h, w)][..., None]
        weights = torch.softmax(scores, dim=2).transpose(2, 3)
        value = self.value.hidden(grid.values[index] + F.linear(place, self.value.first.weight[:, -4:]))
        return self.query(self.value.last((weights @ value).squeeze(2)))


def _index(pixels: Tensor, h: int, w: int) -> Tensor:
    """(n, ..., 2) rows and columns -> (n, ...) row numbers in a ``LatentGrid``."""
    pixels = pixels.long()
    picture = torch.arange(len(pixels), device=pixels.device).reshape(-1, *[1] * (pixels.dim() - 2))
    return (picture * h + pixels[..., 0]) * w + pixels[..., 1]


class CiaoSR(nn.Module):
    """``forward(rgb, size)`` -> RGB of any size; ``points`` answers for single points, which is what training asks."""

    def __init__(self, config: CiaoSRConfig | None = None):
        super().__init__()
        self.config = config = config or CiaoSRConfig()
        self.encoder = create_encoder(config.encoder, config.encoder_options)
        c = self.encoder.out_channels
        self.nonlocals = nn.ModuleList(NonLocalAttention(c, s, config.window) for s in config.nonlocal_scales)
        self.attention = ImplicitAttention(c, c * len(config.nonlocal_scales), config.hidden)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    @property
    def halo(self) -> int:
        """Radius of the local path in LR pixels: encoder, unfolding, neighbour. The non-local one is not counted."""
        return self.encoder.halo + 2

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """rgb (n, 3, h, w) in [0, 1], size (H, W) -> RGB (n, 3, H, W): ``points`` at all pixel centres.

        In eval mode clamped to [0, 1]; in training not, so that no gradient is lost.
        """
        exact = torch.promote_types(rgb.dtype, torch.float32)
        rows, cols = ((2 * torch.arange(side, device=rgb.device, dtype=exact) + 1) / side - 1 for side in size)
        centres = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1).reshape(1, -1, 2)
        out = self.points(rgb, centres.expand(len(rgb), -1, -1), size)
        return out.transpose(1, 2).reshape(len(rgb), 3, *size)

    def points(self, rgb: Tensor, coordinates: Tensor, size: tuple[int, int]) -> Tensor:
        """RGB at some points of the HR picture: rgb (n, 3, h, w), coordinates (n, q, 2), size (H, W) -> (n, q, 3).

        Coordinates are HR pixel centres (row, column), float32, the picture being [-1, 1] from edge to edge: pixel i of
        H is at (2 i + 1) / H - 1. ``size`` gives the scale s. Clamped like ``forward``.
        """
        features = self.encoder(rgb - self.mean)
        nonlocal_features = torch.cat([attention(features) for attention in self.nonlocals], dim=1)
        grid = self.attention.grid(features, nonlocal_features, rgb)
        # With gradients every activation is kept anyway, and on the meta device, where costs are counted, none is.
        whole = torch.is_grad_enabled() or rgb.is_meta
        step = coordinates.shape[1] if whole else max(1, POINTS // len(rgb))
        decoded = [self._decode(grid, part, size) for part in coordinates.split(step, dim=1)]
        out = torch.cat(decoded, dim=1)
        return out if self.training else out.clamp(0, 1)

    def _decode(self, grid: LatentGrid, coordinates: Tensor, size: tuple[int, int]) -> Tensor:
        samples, rgb = coordinates.flip(-1)[:, None], grid.rgb.to(coordinates.dtype)
        base = F.grid_sample(rgb, samples, mode="bilinear", padding_mode="border", align_corners=False)
        return self.attention(grid, coordinates, size) + base[:, :, 0].transpose(1, 2)
