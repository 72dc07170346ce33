"""Networks of one scale: an encoder and a PixelShuffle tail. EDSR-baseline, RDN and SwinIR as their authors have them.

What continuous heads are compared with, and what their encoders come from. A network is trained for each scale; x4
shuffles twice. The tails are the same three layers: convolution, PixelShuffle (twice for x4), convolution to RGB.

* EDSR-baseline: Lim, Son, Kim, Nah, Lee, "Enhanced deep residual networks for single image super-resolution" (CVPRW
  2017), section 3; the mean colour of DIV2K is taken off before and added after;
* RDN: Zhang et al., "Residual dense network for image super-resolution" (CVPR 2018), without a mean;
* SwinIR: Liang et al., "SwinIR: Image restoration using Swin transformer" (ICCVW 2021), classical, with the mean.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from edge_scs.models.blocks import conv3x3
from edge_scs.models.heads import pixel_shuffle
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.models.sr_encoders import EDSRBaseline, Encoder, create_encoder
from edge_scs.models.swinir import SwinIR, whole_windows

# The shuffles that make up each scale.
_STEPS = {2: (2,), 3: (3,), 4: (2, 2)}

# The size as EDSR's authors print it for x4, PSNR on RGB as CiaoSR's Table 1 does, of one network for each scale.
PUBLISHED: dict[str, dict[str, object]] = {
    "edsr": {
        "source": "CVPRW 2017 (params), arXiv 2212.04362, Table 1",
        "params": 1.5e6,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_rgb": {"DIV2K": {"2": 34.55, "3": 30.90, "4": 28.94}},
    },
    "rdn": {
        "source": "arXiv 2212.04362, Tables 1 and 2",
        "params": None,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_rgb": {"DIV2K": {"2": 34.94, "3": 31.22, "4": 29.19}},
        "psnr_y": {
            "Set5": {"2": 38.24, "3": 34.71, "4": 32.47},
            "Set14": {"2": 34.01, "3": 30.57, "4": 28.81},
            "B100": {"2": 32.34, "3": 29.26, "4": 27.72},
            "Urban100": {"2": 32.89, "3": 28.80, "4": 26.61},
        },
    },
    "swinir": {
        "source": "ICCVW 2021 (params), arXiv 2212.04362, Table 2",
        "params": 11.8e6,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_y": {
            "Set5": {"2": 38.35, "3": 34.89, "4": 32.72},
            "Set14": {"2": 34.14, "3": 30.77, "4": 28.94},
            "B100": {"2": 32.44, "3": 29.37, "4": 27.83},
            "Urban100": {"2": 33.40, "3": 29.29, "4": 27.07},
        },
    },
}


@dataclass(frozen=True)
class EDSRConfig:
    """What a checkpoint needs to rebuild an ``EDSR``."""

    scale: int = 4
    channels: int = 64
    blocks: int = 16

    def __post_init__(self) -> None:
        _check_scale(self.scale)


@dataclass(frozen=True)
class ShuffleConfig:
    """What a checkpoint needs to rebuild a ``ShuffleNetwork``. ``mean``: DIV2K's mean colour is taken off inside."""

    encoder: str = "rdn"
    encoder_options: dict[str, int] = field(default_factory=dict)
    scale: int = 4
    mean: bool = True

    def __post_init__(self) -> None:
        _check_scale(self.scale)


def _check_scale(scale: int) -> None:
    if scale not in _STEPS:
        raise ValueError(f"scale {scale}: the network is built for 2, 3 or 4")


class PixelShuffleNetwork(nn.Module):
    """``forward(rgb_lr, size)`` -> RGB HR at one scale."""

    def __init__(self, encoder: Encoder, scale: int, mean: bool):
        super().__init__()
        c = encoder.out_channels
        self.scale = scale
        self.encoder = encoder
        self.upsamplers = nn.ModuleList(conv3x3(c, c * step**2) for step in _STEPS[scale])
        self.exit = conv3x3(c, 3)
        colour = torch.tensor(DIV2K_MEAN) if mean else torch.zeros(3)
        self.register_buffer("mean", colour.reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: the encoder's, and under two for the tail."""
        return self.encoder.halo + 2

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """rgb (n, 3, h, w) in [0, 1], size (H, W) = ``scale`` times it -> RGB (n, 3, H, W).

        In eval mode clamped to [0, 1]; in training not, so that no gradient is lost. Raises ValueError for other sizes.
        """
        h, w = rgb.shape[-2:]
        scale = self.scale
        if (h * scale, w * scale) != tuple(size):
            raise ValueError(f"this network enlarges {w}x{h} by {scale}, not to {size[1]}x{size[0]}")
        x = rgb - self.mean
        if isinstance(self.encoder, SwinIR):  # the authors' tail sees the padding as well; only its output is cropped
            x = whole_windows(x, self.encoder.window)
        x = self.encoder(x)
        for step, conv in zip(_STEPS[scale], self.upsamplers, strict=True):
            x = pixel_shuffle(conv(x), step)
        out = self.exit(x)[..., : size[0], : size[1]] + self.mean
        return out if self.training else out.clamp(0, 1)


class EDSR(PixelShuffleNetwork):
    """EDSR-baseline."""

    def __init__(self, config: EDSRConfig | None = None):
        config = config or EDSRConfig()
        super().__init__(EDSRBaseline(config.channels, config.blocks), config.scale, mean=True)
        self.config = config


class ShuffleNetwork(PixelShuffleNetwork):
    """RDN, SwinIR or EDSR, as ``encoder`` says."""

    def __init__(self, config: ShuffleConfig | None = None):
        config = config or ShuffleConfig()
        super().__init__(create_encoder(config.encoder, config.encoder_options), config.scale, config.mean)
        self.config = config
