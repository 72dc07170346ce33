"""Discriminators: three on a pyramid for PCARN, one with spectral normalisation for SCSNet. They return logits."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

LEAST_SIDE = 32  # pixels of an image that they take


class MultiScaleDiscriminator(nn.Module):
    """PCARN's three discriminators (its Fig. 1 and 3, eq. 6): of the image, and of it average-pooled by 2 and by 4.

    Each has nine convolutions, 64 to 512 channels, three of stride 2, batch norm in all but the first and the last,
    and classifies overlapping patches. Kernels and slope as in the authors' code, as the figure is not legible.

    Shapes: (n, 3, h, w) -> three logits (n, 1, h', w') with h' = h/8, h/16, h/32; h and w at least 32.
    """

    def __init__(self, channels: int = 64, scales: int = 3):
        super().__init__()
        self.scales = nn.ModuleList(_pcarn_body(channels) for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [scale(F.avg_pool2d(x, 2**level) if level else x) for level, scale in enumerate(self.scales)]


def _pcarn_body(c: int) -> nn.Sequential:
    plan = [(c, c, 2), (c, 2 * c, 1), (2 * c, 2 * c, 2), (2 * c, 4 * c, 1), (4 * c, 4 * c, 2), (4 * c, 8 * c, 1),
            (8 * c, 8 * c, 1)]  # fmt: skip
    layers: list[nn.Module] = [nn.Conv2d(3, c, 3, padding=1), nn.LeakyReLU(0.01)]
    for before, after, stride in plan:
        kernel = 4 if stride == 2 else 3
        layers += [nn.Conv2d(before, after, kernel, stride, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers, nn.Conv2d(8 * c, 1, 3, padding=1))


class SpectralDiscriminator(nn.Module):
    """One discriminator of overlapping patches with spectral normalisation in every layer (Miyato et al. 2018).

    The SCSNet paper prints no architecture: this is the usual one beside a self-attention generator without batch
    statistics; four 4x4 convolutions of stride 2 (64 to 512 channels) and a last one to one channel.

    Shapes: (n, 3, h, w) -> one logit map (n, 1, h', w') in a list, h' about h/16; h and w at least 32.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        widths = (3, channels, 2 * channels, 4 * channels, 8 * channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.body(x)]


DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "multi_scale": MultiScaleDiscriminator,
    "single_scale": partial(MultiScaleDiscriminator, scales=1),  # PCARN's Table 2, "+ GAN"
    "spectral": SpectralDiscriminator,
}
