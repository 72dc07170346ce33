"""Encoders: images in, feature pyramids out."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.blocks import Fire, conv3x3


class Exposure(nn.Module):
    """Luma moved towards the mean and the deviation of well exposed photographs, so that fading changes few colours.

    ``amount`` from 0 to 1 is how far. Part of the way is kept back on purpose: that a scene is dark or white says what
    it is. A flat image stays as it is: the amount falls with sigma^2 / (sigma^2 + FLAT^2). Ours.

    Shapes: (n, 1, h, w) in [0, 1] -> the same shape, about in [0, 1].
    """

    MEAN, DEVIATION, FLAT = 0.45, 0.23, 0.03

    def __init__(self, amount: float):
        super().__init__()
        self.amount = amount

    def forward(self, luma: Tensor) -> Tensor:
        mean = luma.mean((2, 3), keepdim=True)
        centred = luma - mean
        variance = (centred * centred).mean((2, 3), keepdim=True)
        share = self.amount * variance / (variance + self.FLAT**2)
        gain = self.DEVIATION * torch.rsqrt(variance + 1e-6)
        return luma + share * (centred * gain + self.MEAN - luma)


class SqueezeEncoder(nn.Module):
    """SqueezeNet 1.1's features on luma: 0.72 M parameters that can start from ImageNet.

    Differences from the original, so that any size from 1x1 works without padding the image: one input channel (the
    three RGB filters summed, see ``weights.loading.squeezenet_state``), and padding 1 in the first convolution and the
    pools, so that every level has ceil(size / 2) rows and columns.

    Shapes: (n, 1, h, w) in [0, 1] -> (n, 128, h/4, w/4), (n, 256, h/8, w/8), (n, 512, h/16, w/16), sizes rounded up.
    """

    channels = (128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv3x3(1, 64, stride=2)
        self.fire2, self.fire3 = Fire(64, 16, 64), Fire(128, 16, 64)
        self.fire4, self.fire5 = Fire(128, 32, 128), Fire(256, 32, 128)
        self.fire6, self.fire7 = Fire(256, 48, 192), Fire(384, 48, 192)
        self.fire8, self.fire9 = Fire(384, 64, 256), Fire(512, 64, 256)

    def layers(self) -> list[list[nn.Conv2d]]:
        """The convolutions in the order of the data; those side by side, whose outputs are joined, in one list."""
        fires = [getattr(self, f"fire{number}") for number in range(2, 10)]
        return [[self.conv1]] + [part for f in fires for part in ([f.squeeze1x1], [f.expand1x1, f.expand3x3])]

    def forward(self, luma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(F.relu(self.conv1(luma)), 3, 2, 1)
        quarter = self.fire3(self.fire2(x))
        eighth = self.fire5(self.fire4(F.max_pool2d(quarter, 3, 2, 1)))
        x = self.fire7(self.fire6(F.max_pool2d(eighth, 3, 2, 1)))
        return quarter, eighth, self.fire9(self.fire8(x))
