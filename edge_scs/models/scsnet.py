"""SCSNet: grey LR in, colour HR out at any magnification, automatic or reference-guided, in one network.

Zhang et al., "SCSNet: An efficient paradigm for learning simultaneously image colorization and
super-resolution" (AAAI 2022): the layers of Table 8, the attention of section 3.1 (``scsnet_attention.py``), the
continuous pixel mapping of 3.2. Without a reference nothing of the reference branch is called: the switch of Fig. 3.

Readings that the paper leaves open:

* F_init is the first convolution's own output ("an initial convolution", section 3). The colour encoder continues with
  that row's instance norm; the texture branch does not, because the norm would take the image's brightness from it;
* instance norms have no parameters of their own (so the counts say, see ``scsnet_attention``);
* UP is a 3x3 convolution to four times the channels and PixelShuffle; a basic block is ``x + conv(relu(conv(x)))``;
* CPM is the fusing 3x3 convolution 128 -> 256 and linear layers 258-256-256-256-3 with ReLU between them (with 64
  channels in, 346,371 parameters: Table 7's 0.35 M);
* positions x, y in eq. 3 run from 0 at the first HR pixel to 1 at the last, so that the same x that aligns corners in
  the interpolation makes Z_rel (-1, -1) in the upper left corner and (+1, +1) in the lower right one, as printed;
* LAB is normalised: L / 100, a / 110, b / 110.

Parameters: 9,000,196 + the reference's 5,403,526 = 14,403,722. The paper prints 9.954 M automatic and 15.358 M
referential: the branch agrees to the last digit, and 0.954 M of the automatic part are missing here. They cannot be
derived from Table 8, which does not say how UP enlarges, and nothing was added to make up for them.

Cost: as in the paper, CPM's first layer acts on interpolated features, at every HR pixel. It could act on the LR grid
(exactly, see ``heads.ContinuousHead``), 17 % cheaper at x4; it does not, so that what is counted and timed is the
published network. Attention is quadratic in the image and the instance norms see all of it: no tiles.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import CrossAttention
from edge_scs.models.blocks import ResidualBlock, conv3x3
from edge_scs.models.heads import for_float64, pixel_shuffle, sample_bilinear
from edge_scs.models.lab import to_lab, to_rgb
from edge_scs.models.scsnet_attention import SLOPE, BCAttn, PVCAttn, SAttn

# The encoders halve twice. At least two cells a side must be left, as instance norm cannot norm a single one.
MULTIPLE, MIN_SIDE = 4, 8
# HR pixels that CPM maps at a time when it need not remember them for gradients: 256 channels wide, 16 MiB a layer.
CHUNK_PIXELS = 1 << 14

# As printed: Tables 1 and 2 (4x, 128x128 in; mean of five datasets for FID and colourfulness; FPS on a V100), Table 7.
PUBLISHED: dict[str, object] = {
    "source": "AAAI 2022, Tables 1, 2 and 7",
    "params": {"automatic": 9.954e6, "referential": 15.358e6},
    "params_cpm": 0.35e6,
    "mult_adds_720p": {"2": None, "3": None, "4": None},
    "fps_v100_128_to_512": {"automatic": 33.293, "referential": 27.466},
    "fid_mean": {"automatic": 31.771, "referential": 11.903},
    "colourfulness_mean": {"automatic": 4.442, "referential": 5.043},
    "psnr": {
        "automatic": {"ImageNet-C": 22.807, "CelebA-HQ": 27.160, "COCO": 23.341},
        "referential": {"ImageNet-C": 27.694, "CelebA-HQ": 30.741, "COCO": 28.197},
    },
    "ssim": {
        "automatic": {"ImageNet-C": 0.856, "CelebA-HQ": 0.917, "COCO": 0.872},
        "referential": {"ImageNet-C": 0.923, "CelebA-HQ": 0.950, "COCO": 0.931},
    },
}


@dataclass(frozen=True)
class SCSNetConfig:
    """What a checkpoint needs to rebuild its network. The defaults are the paper's; all widths follow ``channels``.

    Table 5's rows are ``attention`` = "bcattn" instead of "pvcattn", ``reference`` = false where a row has neither, and
    ``head`` = "shuffle" where CPM is missing: a convolution and PixelShuffle to x4, as the paper does not say what
    stood there.
    """

    channels: int = 64
    blocks: int = 16
    reference: bool = True
    attention: str = "pvcattn"
    head: str = "cpm"

    def __post_init__(self) -> None:
        if self.attention not in ("pvcattn", "bcattn"):
            raise ValueError(f"attention {self.attention!r}: must be pvcattn or bcattn")
        if self.head not in ("cpm", "shuffle"):
            raise ValueError(f"head {self.head!r}: must be cpm or shuffle")


def relative_positions(lr: int, hr: int, device: torch.device | None = None) -> Tensor:
    """Z_rel of eq. 3 for one axis: (hr) float64 in [-1, 1], with x = i / (hr - 1) and unit 1 / lr.

    mod(x, unit) / unit is the fraction of i lr / (hr - 1), taken in whole numbers: a position on the edge of two units
    shall not depend on rounding. The last HR pixel ends the last unit, so it is +1 and not -1 again. On ``device``, or
    on the CPU where that has no float64.
    """
    i = torch.arange(hr - 1, dtype=torch.float64, device=for_float64(device))
    z = (i * lr).remainder(hr - 1) / (hr - 1) * 2 - 1
    return torch.cat([z, z.new_full((1,), 1.0 if hr > 1 else -1.0)])


class PixelMapping(nn.Module):
    """CPM (section 3.2, Fig. 6): F_cs = conv(x), then F(.) on [F_cs interpolated with aligned corners, Z_rel].

    Shapes: x (n, in_channels, h, w), size (H, W) -> (n, 3, H, W). In eval mode large outputs are mapped some rows at a
    time, within float32 the same.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = conv3x3(in_channels, channels)
        self.mapping = nn.Sequential(  # linear layers at every pixel
            nn.Conv2d(channels + 2, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, 3, 1),
        )

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        features = self.conv(x)
        n, _, h, w = features.shape
        z_rows, z_cols = (relative_positions(*pair, x.device).to(features) for pair in ((h, size[0]), (w, size[1])))
        step = max(1, CHUNK_PIXELS // (n * size[1]))
        if self.training or x.is_meta or step >= size[0]:  # counting costs keeps nothing
            return self._map(F.interpolate(features, size, mode="bilinear", align_corners=True), z_rows, z_cols)
        rows, cols = aligned_coordinates(h, size[0], x.device), aligned_coordinates(w, size[1], x.device)
        out = features.new_empty(n, 3, *size)  # now: small results made in between would pin the large ones' memory
        for start in range(0, size[0], step):
            band = slice(start, start + step)
            out[:, :, band] = self._map(sample_bilinear(features, rows[band], cols), z_rows[band], z_cols)
        return out

    def _map(self, features: Tensor, z_rows: Tensor, z_cols: Tensor) -> Tensor:
        """features (n, channels, H, W), z_rows (H), z_cols (W) -> (n, 3, H, W)."""
        n, _, h, w = features.shape
        z = torch.stack([z_cols.expand(h, w), z_rows[:, None].expand(h, w)])  # x, then y
        return self.mapping(torch.cat([features, z.expand(n, 2, h, w)], dim=1))


def aligned_coordinates(lr: int, hr: int, device: torch.device) -> Tensor:
    """LR coordinates (hr) float64 of HR pixels with corners aligned: the first at 0, the last at lr - 1."""
    return torch.arange(hr, dtype=torch.float64, device=for_float64(device)) * ((lr - 1) / max(1, hr - 1))


class ShuffleHead(nn.Module):
    """CPM's place in Table 5's rows without it: two 3x3 convolutions and PixelShuffle, x4 alone.

    Shapes: x (n, in_channels, h, w), size (4 h, 4 w) -> (n, 3, 4 h, 4 w). Raises ValueError for other sizes.
    """

    SCALE = 4

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv = conv3x3(in_channels, channels)
        self.out = conv3x3(channels, 3 * self.SCALE**2)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        h, w = x.shape[-2:]
        if tuple(size) != (h * self.SCALE, w * self.SCALE):
            raise ValueError(f"this SCSNet enlarges {w}x{h} by {self.SCALE}, not to {size[1]}x{size[0]}")
        return pixel_shuffle(self.out(F.relu(self.conv(x))), self.SCALE)


class Up(nn.Module):
    """UP of Table 8: 3x3 convolution and PixelShuffle. (n, channels, h, w) -> (n, channels, 2h, 2w)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv3x3(channels, 4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(x), 2)


def _row(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    """A row of Table 8: Conv, IN, LReLU."""
    return [conv3x3(in_channels, out_channels, stride), nn.InstanceNorm2d(out_channels), nn.LeakyReLU(SLOPE)]


def _encoder(in_channels: int, c: int) -> list[nn.Module]:
    """The nine rows that both encoders share but for the input: (n, in_channels, h, w) -> (n, 4c, h / 4, w / 4)."""
    widths = [(in_channels, c), (c, c), (c, c), (c, c), (c, 2 * c), (2 * c, 2 * c), (2 * c, 2 * c), (2 * c, 4 * c)]
    widths.append((4 * c, 4 * c))
    return [layer for i, (before, after) in enumerate(widths) for layer in _row(before, after, 2 if i in (3, 6) else 1)]


class SCSNet(nn.Module):
    """The whole network: ``forward(gray_lr, size, reference=None)`` -> RGB HR, and ``lab`` -> the same in LAB."""

    def __init__(self, config: SCSNetConfig | None = None):
        super().__init__()
        self.config = config = config or SCSNetConfig()
        c = config.channels
        self.initial, *rest = _encoder(1, c)
        self.encoder = nn.Sequential(*rest)
        self.reference_encoder = nn.Sequential(*_encoder(3, c)) if config.reference else None
        self.pvcattn: PVCAttn | BCAttn | None = None
        if config.reference:
            self.pvcattn = PVCAttn(4 * c) if config.attention == "pvcattn" else BCAttn(4 * c)
        self.extractor = nn.Sequential(*(layer for _ in range(3) for layer in _row(4 * c, 4 * c)))
        self.decoder = nn.Sequential(
            SAttn(4 * c),
            Up(4 * c),
            *_row(4 * c, 4 * c),
            *_row(4 * c, 2 * c),
            Up(2 * c),
            *_row(2 * c, 2 * c),
            *_row(2 * c, c),
        )
        self.texture = nn.Sequential(*(ResidualBlock(c) for _ in range(config.blocks)))
        self.cpm = PixelMapping(2 * c, 4 * c) if config.head == "cpm" else ShuffleHead(2 * c, 4 * c)

    @property
    def halo(self) -> int:
        """Radius in LR pixels that texture comes from: two a block, one for either end, one to interpolate."""
        return 1 + 2 * self.config.blocks + 1 + 1

    def forward(self, gray: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        """gray (n, 1, h, w), size (H, W), reference (n, 3, hr, wr) sRGB or None -> sRGB (n, 3, H, W), all in [0, 1].

        Raises ValueError when a reference is given to a network that was built without its branch.
        """
        return to_rgb(self.lab(gray, size, reference))

    def lab(self, gray: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        """``forward`` in normalised LAB (see ``to_lab``), not clamped: what the losses of section 3.3 compare."""
        h, w = gray.shape[-2:]
        initial = self.initial(_lightness(gray))
        colour = self.encoder(initial)
        if reference is not None:
            colour = self._pvcattn()(colour, self._encode(reference))
        colour = self.decoder(self.extractor(colour))
        x = torch.cat([self.texture(initial), colour], dim=1)
        if x.shape[-2:] != (h, w):
            x = x[..., :h, :w]
        return self.cpm(x, size).to(gray.dtype)

    def attention(self, gray: Tensor, reference: Tensor) -> tuple[CrossAttention, ...]:
        """The three cross-attentions, the finest first, for inspection (Fig. 8): arguments as in ``forward``.

        Their grids lie over the padded images: 1/4, 1/8 and 1/16 of them.
        """
        pvcattn = self._pvcattn()
        if not isinstance(pvcattn, PVCAttn):
            raise ValueError("only pyramid valve cross-attention can be inspected")
        return pvcattn.look(self.encoder(self.initial(_lightness(gray))), self._encode(reference))

    def _encode(self, reference: Tensor) -> Tensor:
        assert self.reference_encoder is not None
        return self.reference_encoder(_pad(to_lab(reference)))

    def _pvcattn(self) -> PVCAttn | BCAttn:
        if self.pvcattn is None:
            raise ValueError("this network was built without its reference branch")
        return self.pvcattn


def _lightness(gray: Tensor) -> Tensor:
    """Grey sRGB values (n, 1, h, w) -> L / 100 of those neutral colours, padded.

    The luma of a colour image and its L are not the same function of it; a grey photograph has nothing but grey to
    go by, and the network's own L is free to differ.
    """
    return _pad(to_lab(gray.expand(-1, 3, -1, -1))[:, :1])


def _pad(x: Tensor) -> Tensor:
    """Repeat the last row and column until both sides fit the encoders."""
    down, right = (max(MIN_SIDE, -(-side // MULTIPLE) * MULTIPLE) - side for side in x.shape[-2:])
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
