"""LIIF, the baseline of continuous super-resolution: a perceptron on each LR neighbour, averaged by areas.

Chen, Liu, Wang, "Learning continuous image representation with local implicit image function" (CVPR 2021, arXiv
2012.09161), section 3: eq. 2 and 4 (local ensemble), feature unfolding, cell decoding. Its first layer acts on the LR
grid, which is exact because it is linear. Images are in [-1, 1] inside.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.models.constants import constant
from edge_scs.models.implicit import ImplicitNetwork, Perceptron, Region, Size, on_unfolded, searched_region
from edge_scs.models.sr_encoders import create_encoder

# As CiaoSR prints it (Tables 1 and 7; the size with EDSR-baseline, which the table does not say).
PUBLISHED: dict[str, dict[str, object]] = {
    "liif_edsr": {
        "source": "arXiv 2212.04362, Tables 1 and 7",
        "params": 1.6e6,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_rgb": {
            "DIV2K": {"2": 34.67, "3": 30.96, "4": 29.00, "6": 26.75}
            | {"12": 23.71, "18": 22.17, "24": 21.18, "30": 20.48},
        },
    },
    "liif_rdn": {
        "source": "arXiv 2212.04362, Tables 1 to 3",
        "params": None,
        "mult_adds_720p": {"2": None, "3": None, "4": None},
        "psnr_rgb": {
            "DIV2K": {"2": 34.99, "3": 31.26, "4": 29.27, "6": 26.99}
            | {"12": 23.89, "18": 22.34, "24": 21.31, "30": 20.59},
        },
    },
}


@dataclass(frozen=True)
class LIIFConfig:
    """What a checkpoint needs to rebuild its network. ``encoder_options`` are arguments of the encoder's class."""

    encoder: str = "edsr"
    encoder_options: dict[str, int] = field(default_factory=dict)
    hidden: int = 256


class LIIF(ImplicitNetwork):
    """``forward(rgb, size)`` and ``points`` as any ``ImplicitNetwork``."""

    def __init__(self, config: LIIFConfig | None = None):
        config = config or LIIFConfig()
        super().__init__(create_encoder(config.encoder, config.encoder_options))
        self.config = config
        self.perceptron = Perceptron(9 * self.encoder.out_channels + 4, 3, config.hidden)

    def maps(self, rgb: Tensor) -> tuple[Tensor, ...]:
        first = self.perceptron.first
        return (on_unfolded(self.encoder(2 * rgb - 1), first.weight, first.bias),)

    def region(self, coordinates: Tensor, lr: tuple[int, int], size: Size) -> Region:
        return searched_region(coordinates, lr, size, 1 / constant(lr, coordinates))

    def decode(self, rows: tuple[Tensor, ...], region: Region) -> Tensor:
        # Opposite areas, as the authors add them up: where a point lies on the last row's or column's centre, the
        # same pixel is found twice, all areas are nothing, and 1e-9 makes the weights equal.
        areas = region.place[..., 0].mul(region.place[..., 1]).abs() + 1e-9
        weights = (areas.flip(-1) / areas.sum(-1, keepdim=True)).to(rows[0].dtype)
        place = F.linear(region.place.to(rows[0].dtype), self.perceptron.first.weight[:, -4:])
        rgb = self.perceptron.last(self.perceptron.hidden(rows[0][region.index] + place))
        return (torch.sum(weights[..., None] * rgb, dim=2) + 1) / 2
