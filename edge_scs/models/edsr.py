"""EDSR-baseline with its own PixelShuffle tail: the fixed-scale network that continuous heads are compared with.

Lim, Son, Kim, Nah, Lee, "Enhanced deep residual networks for single image super-resolution" (CVPRW 2017), section 3. A
network is trained for each scale; x4 shuffles twice. The mean colour of DIV2K is taken off before and added after.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_scs.models.blocks import conv3x3
from edge_scs.models.heads import pixel_shuffle
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.models.sr_encoders import EDSRBaseline

# The shuffles that make up each scale.
_STEPS = {2: (2,), 3: (3,), 4: (2, 2)}

# The size as EDSR's authors print it for x4, PSNR on RGB as CiaoSR's Table 1 does, of one network for each scale.
PUBLISHED: dict[str, dict[str, object]] = {
    "edsr": {
        "source": "CVPRW 2017 (params), arXiv 2212.04362, Table 1",
        "params": 1.5e6,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_rgb": {"DIV2K": {"2": 34.55, "3": 30.90, "4": 28.94}},
    }
}


@dataclass(frozen=True)
class EDSRConfig:
    """What a checkpoint needs to rebuild its network."""

    scale: int = 4
    channels: int = 64
    blocks: int = 16

    def __post_init__(self) -> None:
        if self.scale not in _STEPS:
            raise ValueError(f"scale {self.scale}: EDSR is built for 2, 3 or 4")


class EDSR(nn.Module):
    """``forward(rgb_lr, size)`` -> RGB HR at the one scale of its config."""

    def __init__(self, config: EDSRConfig | None = None):
        super().__init__()
        self.config = config = config or EDSRConfig()
        c = config.channels
        self.encoder = EDSRBaseline(c, config.blocks)
        self.upsamplers = nn.ModuleList(conv3x3(c, c * step**2) for step in _STEPS[config.scale])
        self.exit = conv3x3(c, 3)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)
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
        scale = self.config.scale
        if (h * scale, w * scale) != tuple(size):
            raise ValueError(f"this EDSR enlarges {w}x{h} by {scale}, not to {size[1]}x{size[0]}")
        x = self.encoder(rgb - self.mean)
        for step, conv in zip(_STEPS[scale], self.upsamplers, strict=True):
            x = pixel_shuffle(conv(x), step)
        out = self.exit(x) + self.mean
        return out if self.training else out.clamp(0, 1)
