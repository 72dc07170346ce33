"""Residual, cascading and fire blocks: the parts that the trunks are built from.

PCARN (Ahn, Kang, Sohn) calls its units EResidual (Fig. 4a: two 3x3 group convolutions and a pointwise one) and
ECascading (Fig. 4b: the *same* unit called several times, its outputs gathered by 1x1 convolutions). Both choices,
the group count and the cascade, are options here, because at phone budgets they have to be measured, not assumed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """3x3 convolution, zero padding 1. PyTorch's default init is U(+-sqrt(1/fan_in)), the winner of PCARN's Table 3."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, groups=groups)


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; with ``groups > 1`` PCARN-M's EResidual (eq. 9): a pointwise convolution follows.

    Shapes: (n, channels, h, w) -> the same. ``final_relu`` is PCARN's ReLU after the addition; plain residual blocks
    leave it out. ``hidden`` channels lie between the two convolutions (None: ``channels``). ``pointwise`` asks for that
    convolution, or none, whatever the groups.
    """

    def __init__(
        self,
        channels: int,
        groups: int = 1,
        final_relu: bool = False,
        hidden: int | None = None,
        pointwise: bool | None = None,
    ):
        super().__init__()
        hidden = channels if hidden is None else hidden
        self.conv1 = conv3x3(channels, hidden, groups=groups)
        self.conv2 = conv3x3(hidden, channels, groups=groups)
        pointwise = groups > 1 if pointwise is None else pointwise
        self.pointwise = nn.Conv2d(channels, channels, 1) if pointwise else None
        self.final_relu = final_relu

    def forward(self, x: Tensor) -> Tensor:
        body = self.conv2(F.relu(self.conv1(x)))
        if self.pointwise is not None:
            body = self.pointwise(F.relu(body))
        out = x + body
        return F.relu(out) if self.final_relu else out


class RecursiveBlock(nn.Module):
    """One residual block called ``repeats`` times (PCARN 3.3: recursion shares the parameters, not the work).

    ``cascade`` adds PCARN's local cascading (eq. 2): after every call a 1x1 convolution over the input and all the
    outputs so far. ``tied=False`` builds one residual block per call instead: the same work with more parameters.
    ``hidden`` gives these blocks hidden widths of their own, one a call.

    Shapes: (n, channels, h, w) -> the same.
    """

    def __init__(
        self,
        channels: int,
        repeats: int,
        groups: int = 1,
        cascade: bool = False,
        tied: bool = True,
        hidden: Sequence[int] | None = None,
    ):
        super().__init__()
        self.repeats = repeats
        widths = [channels] * (1 if tied else repeats) if hidden is None else hidden
        self.units = nn.ModuleList(ResidualBlock(channels, groups, groups > 1, width) for width in widths)
        self.gathers = nn.ModuleList(
            nn.Conv2d((call + 2) * channels, channels, 1) for call in range(repeats if cascade else 0)
        )

    def forward(self, x: Tensor) -> Tensor:
        gathered = [x]
        for call in range(self.repeats):
            x = self.units[call % len(self.units)](x)
            if self.gathers:
                gathered.append(x)
                x = self.gathers[call](torch.cat(gathered, dim=1))
        return x


class Fire(nn.Module):
    """SqueezeNet's fire module (Iandola et al. 2016): squeeze 1x1, then expand 1x1 and 3x3 side by side.

    Shapes: (n, in_channels, h, w) -> (n, 2 * expand, h, w). Attribute names follow the published checkpoints.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = conv3x3(squeeze, expand)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze1x1(x))
        # ReLU before joining, which is the same: int8 then spends no steps on what ReLU would cut off.
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], dim=1)
