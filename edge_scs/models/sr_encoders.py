"""Super-resolution encoders without their upsampling tails: RGB to features on the LR grid, for any head.

Each is ``forward(rgb (n, 3, h, w)) -> features (n, out_channels, h, w)`` for any h and w, and names its ``halo``, the
radius of its receptive field in LR pixels. Input is RGB with its mean taken off, which is the caller's to do.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.blocks import ResidualBlock, conv3x3
from edge_scs.models.swinir import SwinIR


class EDSRBaseline(nn.Module):
    """EDSR-baseline (Lim et al., "Enhanced deep residual networks", CVPRW 2017, Fig. 3): no batch norm.

    16 residual blocks of 64 channels, residual scaling 1. Without the tail that is 1,220,416 parameters; with its x2
    tail (a convolution to 4 x 64 channels, PixelShuffle, a convolution to RGB: 149,443) the published 1.37 M.

    Shapes: (n, 3, h, w) -> (n, channels, h, w).
    """

    def __init__(self, channels: int = 64, blocks: int = 16):
        super().__init__()
        self.out_channels = channels
        self.halo = 1 + 2 * blocks + 1
        self.entry = conv3x3(3, channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.exit = conv3x3(channels, channels)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.entry(rgb)
        return x + self.exit(self.blocks(x))


class ResidualDenseBlock(nn.Module):
    """Residual dense block (RDN section 3.3, eq. 4 to 7): every layer sees all before it, a 1x1 convolution fuses.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(self, channels: int, layers: int, growth: int):
        super().__init__()
        self.layers = nn.ModuleList(conv3x3(channels + layer * growth, growth) for layer in range(layers))
        self.fusion = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = x
        for layer in self.layers:
            dense = torch.cat([dense, F.relu(layer(dense))], dim=1)
        return x + self.fusion(dense)


class RDN(nn.Module):
    """RDN (Zhang et al., "Residual dense network for image super-resolution", CVPR 2018, section 3), without UPNet.

    D = 16 blocks of C = 8 layers, G = G0 = 64. 21,973,952 parameters; with UPNet for x2 (149,443) the published 22.1 M.

    Shapes: (n, 3, h, w) -> (n, channels, h, w).
    """

    def __init__(self, channels: int = 64, blocks: int = 16, layers: int = 8, growth: int = 64):
        super().__init__()
        self.out_channels = channels
        self.halo = 2 + blocks * layers + 1
        self.shallow1 = conv3x3(3, channels)
        self.shallow2 = conv3x3(channels, channels)
        self.blocks = nn.ModuleList(ResidualDenseBlock(channels, layers, growth) for _ in range(blocks))
        self.fusion = nn.Sequential(nn.Conv2d(blocks * channels, channels, 1), conv3x3(channels, channels))

    def forward(self, rgb: Tensor) -> Tensor:
        shallow = self.shallow1(rgb)
        x = self.shallow2(shallow)
        gathered = []
        for block in self.blocks:
            x = block(x)
            gathered.append(x)
        return shallow + self.fusion(torch.cat(gathered, dim=1))


Encoder = EDSRBaseline | RDN | SwinIR
ENCODERS: dict[str, type[Encoder]] = {"edsr": EDSRBaseline, "rdn": RDN, "swinir": SwinIR}


def create_encoder(name: str, options: dict[str, int] | None = None) -> Encoder:
    """A freshly initialised encoder; ``options`` are its constructor's arguments.

    Raises ValueError for an unknown name or an option below 1, and TypeError for an unknown option.
    """
    if name not in ENCODERS:
        raise ValueError(f"no encoder {name!r}; known: {', '.join(ENCODERS)}")
    for key, value in (options or {}).items():
        if not isinstance(value, int) or value < 1:  # range(-1) would be a network without blocks, and no error
            raise ValueError(f"encoder option {key} is {value!r}; it must be a whole number, 1 or more")
    return ENCODERS[name](**(options or {}))
