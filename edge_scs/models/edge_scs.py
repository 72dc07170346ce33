"""Edge-SCS: SCSNet's task (grey LR in, colour HR out, any magnification, reference optional) with PCARN-M's economy.

Three parts that meet in images, not in features, so that each can be trained, replaced and tiled on its own:

* ``ColourBranch``: luma (and a reference) -> coarse chroma, once for the whole image;
* ``TextureBranch``: luma and the chroma enlarged to the LR grid -> features, tile by tile;
* heads: features -> HR luma and chroma. ``PixelShuffleHead`` at x2, x3, x4; anywhere else ``ContinuousHead``.

Colour is BT.601 luma and chroma (docs/design.md says why not LAB). Grey in is luma, values in [0, 1].
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import CrossAttention
from edge_scs.models.blocks import RecursiveBlock, conv3x3
from edge_scs.models.colour import ColourBranch
from edge_scs.models.heads import YCC_TO_RGB, ContinuousHead, PixelShuffleHead

SHUFFLE_SCALES = (2, 3, 4)
MAX_SCALE = 8.0
MEAN_LUMA = 0.45  # of photographs
MAX_VIVIDNESS = 2.0  # means of a distribution without class rebalancing are about half as colourful as photographs


@dataclass(frozen=True)
class EdgeSCSConfig:
    """What a checkpoint needs to rebuild its network.

    ``widths``: hidden channels of the texture branch's residual units, one a call, block by block; empty: ``channels``
    each. Only where every call has weights of its own. ``exposure`` and ``scene``: see ``ColourBranch``.
    """

    channels: int = 28
    blocks: int = 3
    repeats: int = 3
    groups: int = 1
    cascade: bool = False
    tied: bool = True
    continuous_channels: int = 16
    reference: bool = True
    hints: bool = False
    exposure: float = 0.0
    scene: bool = False
    temperature: float = 1.0
    vividness: float = 1.0
    widths: list[list[int]] = field(default_factory=list)  # as JSON and TOML give them

    def __post_init__(self) -> None:
        if self.widths and (self.tied or self.cascade or self.groups > 1):
            raise ValueError("widths go with tied = false, without groups and cascade")
        if self.widths and (len(self.widths) != self.blocks or not all(self.widths) or min(map(min, self.widths)) < 1):
            raise ValueError(f"widths must be {self.blocks} lists of whole numbers from 1 up, none of them empty")
        if not 0 <= self.exposure <= 1:
            raise ValueError("exposure must be from 0 to 1")
        if not self.temperature > 0:
            raise ValueError("temperature must be above 0")
        if not 0 < self.vividness <= MAX_VIVIDNESS:
            raise ValueError(f"vividness must be above 0 and at most {MAX_VIVIDNESS:g}")

    @property
    def calls(self) -> list[int]:
        """Residual units of each block, counted as often as they are called."""
        return [len(row) for row in self.widths] or [self.repeats] * self.blocks


class TextureBranch(nn.Module):
    """Luma features from residual blocks, tied or not, gathered by one global cascade, fused with the chroma.

    The global cascade (PCARN eq. 3) is a single 1x1 convolution over the stem and all block outputs, the one cascade
    that was measured to pay at this width; the global residual (PCARN 3.1) adds the stem.

    Shapes: gray (n, 1, h, w), chroma (n, 2, h, w) on the same grid -> (n, channels, h, w).
    """

    def __init__(self, config: EdgeSCSConfig):
        super().__init__()
        c = config.channels
        self.stem = conv3x3(1, c)
        with torch.no_grad():  # the blocks start around the mean luma: +0.017 dB (docs/log/round-8.md)
            self.stem.bias.copy_(-MEAN_LUMA * self.stem.weight.sum((1, 2, 3)))  # type: ignore[union-attr]
        self.blocks = nn.ModuleList(
            RecursiveBlock(
                c, calls, config.groups, config.cascade, config.tied, config.widths[index] if config.widths else None
            )
            for index, calls in enumerate(config.calls)
        )
        self.gather = nn.Conv2d((config.blocks + 1) * c, c, 1)
        self.fuse = conv3x3(c + 2, c)

    def forward(self, gray: Tensor, chroma: Tensor) -> Tensor:
        x = stem = self.stem(gray)
        outputs = [stem]
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        x = self.gather(torch.cat(outputs, dim=1)) + stem
        return F.relu(self.fuse(torch.cat([x, chroma], dim=1)))


class EdgeSCS(nn.Module):
    """The whole network. ``forward(gray_lr, size, reference=None, hints=None)`` -> RGB HR, values in [0, 1]."""

    def __init__(self, config: EdgeSCSConfig | None = None):
        super().__init__()
        self.config = config or EdgeSCSConfig()
        self.colour = ColourBranch(
            self.config.reference,
            self.config.temperature,
            self.config.vividness,
            self.config.hints,
            self.config.exposure,
            self.config.scene,
        )
        self.texture = TextureBranch(self.config)
        self.heads = nn.ModuleDict(
            {str(scale): PixelShuffleHead(self.config.channels, scale) for scale in SHUFFLE_SCALES}
        )
        self.continuous = ContinuousHead(self.config.channels, self.config.continuous_channels)
        self.register_buffer("to_rgb", torch.tensor(YCC_TO_RGB).reshape(3, 3, 1, 1), persistent=False)
        self.to_rgb: Tensor

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its pixels depend on: one per 3x3 convolution, one to interpolate."""
        return 1 + 2 * sum(self.config.calls) + 1 + 1 + 1

    def forward(
        self, gray: Tensor, size: tuple[int, int], reference: Tensor | None = None, hints: Tensor | None = None
    ) -> Tensor:
        """gray (n, 1, h, w), size (H, W), reference (n, 3, hr, wr) -> RGB (n, 3, H, W), all in [0, 1].

        ``hints`` are planes (n, 3, hc, wc) on the grid of ``colour.answer_size`` (``models.hints``).
        """
        chroma = enlarge_chroma(self.colour(gray, reference, hints), gray.shape[-2:])
        return self.rgb(self.render(gray, chroma, size))

    def attention(self, gray: Tensor, reference: Tensor) -> tuple[CrossAttention, ...]:
        """The cross-attentions, the finest first, for inspection: arguments as in ``forward``."""
        return self.colour.look(gray, reference)

    def render(self, gray: Tensor, chroma: Tensor, size: tuple[int, int]) -> Tensor:
        """Luma (n, 1, h, w) and chroma on the same grid (n, 2, h, w) -> luma and chroma (n, 3, H, W), not clamped."""
        features, base = self.texture(gray, chroma), torch.cat([gray, chroma], dim=1)
        scale = shuffle_scale(gray.shape[-2:], size)
        if scale is not None:
            return self.shuffle_head(scale)(features, base)
        return self.continuous(features, base, size)

    def shuffle_head(self, scale: int) -> PixelShuffleHead:
        head = self.heads[str(scale)]
        assert isinstance(head, PixelShuffleHead)
        return head

    def rgb(self, ycc: Tensor) -> Tensor:
        """Luma and chroma (n, 3, h, w) -> RGB clamped to [0, 1]."""
        return F.conv2d(ycc, self.to_rgb).clamp(0, 1)


def enlarge_chroma(chroma: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Coarse chroma to the LR grid, bilinear."""
    return F.interpolate(chroma, tuple(size), mode="bilinear", align_corners=False)


def shuffle_scale(lr: tuple[int, int] | torch.Size, hr: tuple[int, int]) -> int | None:
    """The PixelShuffle head for these sizes, or None: then the continuous head does it."""
    for scale in SHUFFLE_SCALES:
        if (lr[0] * scale, lr[1] * scale) == tuple(hr):
            return scale
    return None
