"""PCARN and PCARN-M: RGB in, RGB out, one network for x2, x3 and x4.

The generators of Ahn, Kang, Sohn, "Photo-realistic image super-resolution with fast and lightweight cascading residual
network" (arXiv 1903.02240), section 3.

Readings that the paper leaves open, settled by the official checkpoints (which then reproduce the printed figures):

* eq. 2 as printed gathers the *outputs of the 1x1 convolutions*; the published networks gather the outputs of the
  residual blocks, i.e. the 1x1 convolution after unit u sees [input, R1, ..., Ru];
* both residual blocks end in ReLU after the addition;
* in PCARN-M the upsampling convolutions are grouped too, the exit convolution is not;
* the mean colour of DIV2K is taken off before the first convolution and added after the last.

CARN and CARN-M (Ahn, Kang, Sohn, "Fast, accurate, and lightweight super-resolution with cascading residual network",
ECCV 2018) are the same networks without the addition around the body and with a ReLU after each 1x1 convolution
(section 3.1, modifications 1 and 2). Their upsampling has ReLU in the authors' code, too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.blocks import ResidualBlock, conv3x3
from edge_scs.models.heads import pixel_shuffle

SCALES = (2, 3, 4)
# Mean R, G, B of the DIV2K training images, in [0, 1], as the official checkpoints store it.
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
# The shuffles that make up each scale: x4 is x2 twice.
_STEPS = {2: (2,), 3: (3,), 4: (2, 2)}

# As printed: parameters and MultAdds in Table 4 (x4 only), GAN-trained PSNR at x4 in Table 4, L1-trained Set14 x4 in
# Table 2 and, "0.20 dB" below it for PCARN-M, in section 4.3. Figures the paper does not print are None.
PUBLISHED: dict[str, dict[str, object]] = {
    "pcarn": {
        "source": "arXiv 1903.02240, Tables 2 and 4",
        "params": 1.6e6,
        "mult_adds_720p": {"2": None, "3": None, "4": 90.9e9},
        "psnr_y": {"Set5": {"4": 29.75}, "Set14": {"4": 26.57}, "B100": {"4": 25.56}, "Urban100": {"4": 24.17}},
        "psnr_y_l1": {"Set14": {"4": 28.50}},
    },
    "pcarn_m": {
        "source": "arXiv 1903.02240, Table 4 and section 4.3",
        "params": 0.4e6,
        "mult_adds_720p": {"2": None, "3": None, "4": 32.5e9},
        "psnr_y": {"Set5": {"4": 29.38}, "Set14": {"4": 26.31}, "B100": {"4": 25.48}, "Urban100": {"4": 23.73}},
        "psnr_y_l1": {"Set14": {"4": 28.30}},
    },
    # CARN's own paper, Table 2.
    "carn": {
        "source": "ECCV 2018 (arXiv 1803.08664), Table 2",
        "params": 1.592e6,
        "mult_adds_720p": {"2": 222.8e9, "3": 118.8e9, "4": 90.9e9},
        "psnr_y": {
            "Set5": {"2": 37.76, "3": 34.29, "4": 32.13},
            "Set14": {"2": 33.52, "3": 30.29, "4": 28.60},
            "B100": {"2": 32.09, "3": 29.06, "4": 27.58},
            "Urban100": {"2": 31.92, "3": 28.06, "4": 26.07},
        },
    },
    "carn_m": {
        "source": "ECCV 2018 (arXiv 1803.08664), Table 2",
        "params": 0.412e6,
        "mult_adds_720p": {"2": 91.2e9, "3": 46.1e9, "4": 32.5e9},
        "psnr_y": {
            "Set5": {"2": 37.53, "3": 33.99, "4": 31.92},
            "Set14": {"2": 33.26, "3": 30.08, "4": 28.42},
            "B100": {"2": 31.92, "3": 28.91, "4": 27.44},
            "Urban100": {"2": 31.23, "3": 27.55, "4": 25.62},
        },
    },
}


@dataclass(frozen=True)
class PCARNConfig:
    """What a checkpoint needs to rebuild its network. The defaults are PCARN; ``groups=4, tied=True`` is PCARN-M.

    Table 1's rows are ``local_cascade``, ``global_cascade`` and ``residual`` (the addition around the body), all false
    for its baseline, with ``scales=(4,)``. Figure 8's G1R has ``tied`` and ``pointwise``; None: with groups only.
    ``gather_relu`` is CARN's ReLU after 1x1 convolutions.
    """

    channels: int = 64
    blocks: int = 3
    repeats: int = 3
    groups: int = 1
    tied: bool = False
    scales: tuple[int, ...] = SCALES
    local_cascade: bool = True
    global_cascade: bool = True
    residual: bool = True
    pointwise: bool | None = None
    gather_relu: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))  # JSON has no tuples
        if not self.scales or len(set(self.scales) & set(SCALES)) < len(self.scales):
            raise ValueError("scales: must be some of 2, 3 and 4, each once")


class Cascade(nn.Module):
    """Units in a cascade (eq. 1 to 3, Fig. 2b, 4b): after each, a 1x1 convolution over the input and all outputs yet.

    The network uses it twice: over residual blocks (local) and over such cascades (global). One unit for several calls
    is the recursive scheme of 3.3: the same module called again, so its parameters exist once. Without ``cascading``
    the units follow each other, as in Table 1's baseline.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(self, units: list[nn.Module], calls: int, channels: int, cascading: bool = True, relu: bool = False):
        super().__init__()
        self.units = nn.ModuleList(units)
        self.calls, self.relu = calls, relu
        gathers = calls if cascading else 0
        self.gathers = nn.ModuleList(nn.Conv2d((call + 2) * channels, channels, 1) for call in range(gathers))

    def forward(self, x: Tensor) -> Tensor:
        gathered = [x]
        for call in range(self.calls):
            x = self.units[call % len(self.units)](x)
            if self.gathers:
                gathered.append(x)
                x = self.gathers[call](torch.cat(gathered, dim=1))
                x = F.relu(x) if self.relu else x
        return x


class Upsampler(nn.Module):
    """Grouped 3x3 convolution, ReLU, PixelShuffle; twice for x4 (section 3.1, modification 2).

    Shapes: (n, channels, h, w) -> (n, channels, h * scale, w * scale).
    """

    def __init__(self, channels: int, scale: int, groups: int):
        super().__init__()
        self.steps = _STEPS[scale]
        self.convs = nn.ModuleList(conv3x3(channels, channels * step**2, groups=groups) for step in self.steps)

    def forward(self, x: Tensor) -> Tensor:
        for step, conv in zip(self.steps, self.convs, strict=True):
            x = pixel_shuffle(F.relu(conv(x)), step)
        return x


class PCARN(nn.Module):
    """The generator: ``forward(rgb_lr, size)`` -> RGB HR. PyTorch's default init is the best of the paper's Table 3."""

    def __init__(self, config: PCARNConfig | None = None):
        super().__init__()
        self.config = config = config or PCARNConfig()
        c = config.channels

        def local() -> Cascade:
            units = 1 if config.tied else config.repeats
            blocks: list[nn.Module] = [
                ResidualBlock(c, config.groups, final_relu=True, pointwise=config.pointwise) for _ in range(units)
            ]
            return Cascade(blocks, config.repeats, c, config.local_cascade, config.gather_relu)

        self.entry = conv3x3(3, c)
        locals_: list[nn.Module] = [local() for _ in range(config.blocks)]
        self.body = Cascade(locals_, config.blocks, c, config.global_cascade, config.gather_relu)
        self.upsamplers = nn.ModuleDict({str(scale): Upsampler(c, scale, config.groups) for scale in config.scales})
        self.exit = conv3x3(c, 3)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.folded = False

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: entry, two a residual block, and under two for the x4 tail."""
        return 1 + 2 * self.config.repeats * self.config.blocks + 2

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """rgb (n, 3, h, w) in [0, 1], size (H, W) = x2, x3 or x4 of it -> RGB (n, 3, H, W).

        In eval mode clamped to [0, 1]; in training not, so that no gradient is lost, nor once folded. Raises ValueError
        for other sizes.
        """
        h, w = rgb.shape[-2:]
        scale = next((scale for scale in self.config.scales if (h * scale, w * scale) == tuple(size)), None)
        if scale is None:
            scales = " or ".join(", ".join(map(str, self.config.scales)).rsplit(", ", 1))
            raise ValueError(f"PCARN enlarges {w}x{h} by {scales}, not to {size[1]}x{size[0]}")
        x = self.entry(rgb - self.mean)
        x = self.body(x) + x if self.config.residual else self.body(x)
        out = self.exit(self.upsamplers[str(scale)](x))
        if self.folded:
            return out
        out = out + self.mean
        return out if self.training else out.clamp(0, 1)

    @torch.no_grad()
    def fold(self) -> None:
        """Move the last mean into the exit's bias, and leave clamping to the caller: two steps at full size less.

        The first mean stays: the entry's zero padding is of what comes after it.
        """
        assert self.exit.bias is not None
        self.exit.bias += self.mean.flatten()
        self.folded = True

    @torch.no_grad()
    def unfold(self, bias: Tensor) -> None:
        """Take over the ``bias`` (3) of the exit of a folded copy."""
        assert self.exit.bias is not None
        self.exit.bias.copy_(bias - self.mean.flatten())
