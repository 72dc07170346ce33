"""Edge-SCS: SCSNet's task (grey LR in, colour HR out, any magnification, reference optional) with PCARN-M's economy.

Three parts that meet in pictures, not in features, so that each can be trained, replaced and tiled on its own:

* ``ColourBranch``: luma (and a reference) -> coarse chroma, once for the whole picture;
* ``TextureBranch``: luma and the chroma enlarged to the LR grid -> features, tile by tile;
* heads: features -> HR luma and chroma. ``PixelShuffleHead`` at x2, x3, x4; anywhere else ``ContinuousHead``.

Colour is BT.601 luma and chroma (docs/design.md says why not LAB). Grey in is luma, values in [0, 1].
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import CrossAttention, SelfAttention, ValveCrossAttention
from edge_scs.models.blocks import RecursiveBlock, conv3x3
from edge_scs.models.encoders import SqueezeEncoder
from edge_scs.models.heads import YCC_TO_RGB, ContinuousHead, Enlarge, PixelShuffleHead, enlarge_like

SHUFFLE_SCALES = (2, 3, 4)
RGB_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
MAX_SCALE = 8.0
# The colour branch always sees about this many pixels (240^2 = 320x180, the LR picture of a 720p x4 job): objects
# then have the size it was trained on, and its cost does not grow with the picture.
COLOUR_SIDE = 240
# Chroma classes: a grid of this many steps from -CHROMA_LIMIT to CHROMA_LIMIT on each axis (Cb, Cr).
CHROMA_STEPS, CHROMA_LIMIT = 17, 0.4
VOTE_DEVIATION = 0.05  # one step of that grid


@dataclass(frozen=True)
class EdgeSCSConfig:
    """What a checkpoint needs to rebuild its network.

    ``widths``: hidden channels of the texture branch's residual units, one a call, block by block; empty: ``channels``
    each. Only where every call has weights of its own.
    """

    channels: int = 28
    blocks: int = 3
    repeats: int = 3
    groups: int = 1
    cascade: bool = False
    tied: bool = True
    continuous_channels: int = 16
    reference: bool = True
    temperature: float = 1.0
    vividness: float = 1.0
    widths: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        if self.widths and (self.tied or self.cascade or self.groups > 1):
            raise ValueError("widths go with tied = false, without groups and cascade")
        if self.widths and (len(self.widths) != self.blocks or not all(self.widths) or min(map(min, self.widths)) < 1):
            raise ValueError(f"widths must be {self.blocks} lists of whole numbers from 1 up, none of them empty")
        if not self.temperature > 0:
            raise ValueError("temperature must be above 0")
        if not 0 < self.vividness <= 0.5 / CHROMA_LIMIT:
            raise ValueError(f"vividness must be above 0 and at most {0.5 / CHROMA_LIMIT:g}: chroma ends at 0.5")

    @property
    def calls(self) -> list[int]:
        """Residual units of each block, counted as often as they are called."""
        return [len(row) for row in self.widths] or [self.repeats] * self.blocks

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def chroma_classes() -> Tensor:
    """Class centres (CHROMA_STEPS^2, 2): Cb slow, Cr fast, in [-CHROMA_LIMIT, CHROMA_LIMIT]."""
    axis = torch.linspace(-CHROMA_LIMIT, CHROMA_LIMIT, CHROMA_STEPS)
    return torch.cartesian_prod(axis, axis)


def vote_weights() -> Tensor:
    """Weights (classes, 3, 1, 1) that turn [valve * chroma, valve] into votes for the classes near that chroma.

    A vote is valve * log N(centre; chroma, VOTE_DEVIATION^2) but for a term common to all classes, which softmax drops:
    valve * (centre . chroma - |centre|^2 / 2) / VOTE_DEVIATION^2.
    """
    centres = chroma_classes()
    votes = torch.cat([centres, -(centres**2).sum(1, keepdim=True) / 2], dim=1) / VOTE_DEVIATION**2
    return votes[:, :, None, None]


def to_colour_grid(x: Tensor, side: int = COLOUR_SIDE) -> Tensor:
    """Resize (n, c, h, w) to about side^2 pixels with the aspect kept: whole-pixel averaging, then bilinear.

    Averaging by whole factors first stands in for an antialiased resize, which neither XNNPACK nor Core ML has.
    A picture that has the right size already (320x180) passes untouched.
    """
    size, kernel = colour_grid(x.shape[-2:], side)
    return resize_to_grid(x if kernel is None else average(x, kernel), size)


def colour_grid(
    lr: tuple[int, int] | torch.Size, side: int = COLOUR_SIDE
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The colour grid's size for a picture (h, w), and the cell (rows, cols) to average before the resize, or None."""
    h, w = lr
    factor = side / (h * w) ** 0.5
    size = (min(side**2, max(1, round(h * factor))), min(side**2, max(1, round(w * factor))))
    shrink = int(1 / factor)
    return size, (min(shrink, h), min(shrink, w)) if shrink >= 2 else None


def resize_to_grid(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def average(x: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Mean over cells of ``kernel`` pixels, those at the border cut: as many cells as the encoder's levels have."""
    # ceil_mode only where it changes something, and an explicit stride: XNNPACK is particular about both.
    uneven = bool(x.shape[-2] % kernel[0] or x.shape[-1] % kernel[1])
    return F.avg_pool2d(x, kernel, kernel, ceil_mode=uneven, count_include_pad=False)


class LumaChroma(nn.Module):
    """RGB (n, 3, h, w) in [0, 1] -> luma (n, 1, h, w) in [0, 1] and chroma (n, 2, h, w) in [-0.5, 0.5], BT.601.

    A convolution, and a module that can stay float in int8 networks: docs/quantization.md says what products with
    single numbers came to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.tensor(RGB_TO_YCC)[:, :, None, None], persistent=False)
        self.matrix: Tensor

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        ycc = F.conv2d(rgb, self.matrix)
        return ycc[:, :1], ycc[:, 1:]


class Votes(nn.Module):
    """Class logits, and what chroma the attention found as votes for the classes near it, as far as its valve is open.

    A module of its own because it must stay float in int8 networks: votes are ten times as large as the other logits.

    Shapes: logits (n, classes, h, w), valve (n, 1, hv, wv) in [0, 1], found (n, 2, hv, wv) -> (n, classes, h, w).
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", vote_weights(), persistent=False)
        self.weights: Tensor

    def forward(self, logits: Tensor, valve: Tensor, found: Tensor, enlarge: Enlarge = enlarge_like) -> Tensor:
        votes = enlarge(torch.cat([valve * found, valve], dim=1), logits)
        return logits + F.conv2d(votes, self.weights)


class ColourBranch(nn.Module):
    """Luma -> coarse chroma, by classification over a chroma grid (Zhang et al. 2016's remedy for brown averages).

    The encoder is SqueezeNet 1.1's (1/4, 1/8, 1/16); a light decoder with self-attention at 1/16 climbs back to 1/4.
    Pyramid valve cross-attention, lite: at 1/16 and 1/8, between the source's features and those of the reference,
    which passes the same encoder. What chroma the attention finds at 1/8 also votes for the classes near it, as far as
    the valve is open. Without a reference nothing of this is called: the reference switch.

    The answer is the annealed mean of the class distribution: softmax(logits / temperature) . centres; without a
    reference times ``vividness``, because a mean of what the branch doubts between is paler than any of it.
    """

    def __init__(self, reference: bool = True, temperature: float = 1.0, vividness: float = 1.0):
        super().__init__()
        quarter, eighth, sixteenth = SqueezeEncoder.channels
        self.encoder = SqueezeEncoder()
        self.lateral4 = nn.Conv2d(quarter, 32, 1)
        self.lateral8 = nn.Conv2d(eighth, 64, 1)
        self.lateral16 = nn.Conv2d(sixteenth, 96, 1)
        self.attention = SelfAttention(96, 32)
        self.block16 = RecursiveBlock(96, repeats=2)
        self.merge8 = nn.Conv2d(96 + 64, 80, 1)
        self.block8 = RecursiveBlock(80, repeats=2)
        self.merge4 = nn.Conv2d(80 + 32, 64, 1)
        self.block4 = RecursiveBlock(64, repeats=1)
        self.classify = nn.Conv2d(64, CHROMA_STEPS**2, 1)
        self.cross16 = ValveCrossAttention(96, 64) if reference else None
        self.cross8 = ValveCrossAttention(64, 64) if reference else None
        self.split = LumaChroma() if reference else None
        self.votes = Votes() if reference else None
        self.temperature, self.vividness = temperature, vividness
        self.side = COLOUR_SIDE  # training may start on a smaller grid, which is cheaper
        self.register_buffer("centres", chroma_classes().T.reshape(2, -1, 1, 1), persistent=False)
        self.centres: Tensor

    def forward(self, gray: Tensor, reference: Tensor | None = None, on_grid: bool = False) -> Tensor:
        """gray (n, 1, h, w) in [0, 1], reference (n, 3, hr, wr) RGB in [0, 1] -> chroma (n, 2, hc, wc).

        hc x wc is a quarter of the colour grid: about 60 x 60 whatever the picture. ``on_grid``: gray is on the colour
        grid already. Raises ValueError when a reference is given to a branch that was built without one.
        """
        logits = self.logits_on_grid(gray, reference) if on_grid else self.logits(gray, reference)
        chroma = self.annealed_mean(logits)
        return chroma * self.vividness if reference is None else chroma

    def annealed_mean(self, logits: Tensor) -> Tensor:
        """Zhang et al. 2016, eq. 5: (n, classes, hc, wc) -> chroma (n, 2, hc, wc)."""
        return F.conv2d(torch.softmax(logits / self.temperature, dim=1), self.centres)

    @torch.no_grad()
    def fold_temperature(self) -> None:
        """Move the temperature into what makes the logits: the same answers, for nothing."""
        votes = [] if self.votes is None else [self.votes.weights]
        for x in (*self.classify.parameters(), *votes):
            x.div_(self.temperature)
        self.temperature = 1.0

    def logits(self, gray: Tensor, reference: Tensor | None = None) -> Tensor:
        """Class logits (n, CHROMA_STEPS^2, hc, wc)."""
        return self.logits_on_grid(to_colour_grid(gray, self.side), reference)

    def logits_on_grid(
        self,
        gray: Tensor,
        reference: Tensor | None = None,
        enlarge: tuple[Enlarge, Enlarge] = (enlarge_like, enlarge_like),
    ) -> Tensor:
        """``logits`` of a grey picture that ``to_colour_grid`` has resized already.

        ``enlarge``: what climbs from 1/16 to 1/8 of the grid and from there to 1/4; export has a way of its own.
        """
        to8, to4 = enlarge
        x4, x8, x16 = self.encoder(gray)
        x4, x8, x16 = self.lateral4(x4), self.lateral8(x8), self.lateral16(x16)
        heard = None
        if reference is not None:
            x8, x16, heard = self._listen(x8, x16, reference)
        x16 = self.block16(self.attention(F.relu(x16)))
        x8 = self.merge8(torch.cat([to8(x16, x8), F.relu(x8)], dim=1))
        x8 = self.block8(F.relu(x8))
        x4 = self.merge4(torch.cat([to4(x8, x4), F.relu(x4)], dim=1))
        logits = self.classify(F.relu(self.block4(F.relu(x4))))
        return logits if heard is None or self.votes is None else self.votes(logits, *heard, to4)

    def look(self, gray: Tensor, reference: Tensor) -> tuple[CrossAttention, CrossAttention]:
        """What both cross-attentions look at, at 1/8 and 1/16 of the colour grid: arguments as in ``forward``."""
        cross8, cross16 = self._crossings()
        _, x8, x16 = self.encoder(to_colour_grid(gray, self.side))
        at8, at16 = self._heard(reference)
        return cross8.look(self.lateral8(x8), *at8), cross16.look(self.lateral16(x16), *at16)

    def _listen(self, x8: Tensor, x16: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        cross8, cross16 = self._crossings()
        at8, at16 = self._heard(reference)
        x8, valve, found = cross8(x8, *at8)
        x16, _, _ = cross16(x16, *at16)
        return x8, x16, (valve, found)

    def _heard(self, reference: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The reference's features and chroma, at 1/8 and at 1/16."""
        assert self.split is not None
        luma, chroma = self.split(to_colour_grid(reference, self.side))
        _, r8, r16 = self.encoder(luma)
        return (self.lateral8(r8), average(chroma, (8, 8))), (self.lateral16(r16), average(chroma, (16, 16)))

    def _crossings(self) -> tuple[ValveCrossAttention, ValveCrossAttention]:
        if self.cross8 is None or self.cross16 is None:
            raise ValueError("this network was built without its reference branch")
        return self.cross8, self.cross16


class TextureBranch(nn.Module):
    """Luma features from recursive tied residual blocks, gathered by one global cascade, fused with the chroma.

    The global cascade (PCARN eq. 3) is a single 1x1 convolution over the stem and all block outputs, the one cascade
    that was measured to pay at this width; the global residual (PCARN 3.1) adds the stem.

    Shapes: gray (n, 1, h, w), chroma (n, 2, h, w) on the same grid -> (n, channels, h, w).
    """

    def __init__(self, config: EdgeSCSConfig):
        super().__init__()
        c = config.channels
        self.stem = conv3x3(1, c)
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
    """The whole network. ``forward(gray_lr, size, reference=None)`` -> RGB HR, values in [0, 1]."""

    def __init__(self, config: EdgeSCSConfig | None = None):
        super().__init__()
        self.config = config or EdgeSCSConfig()
        self.colour = ColourBranch(self.config.reference, self.config.temperature, self.config.vividness)
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

    def forward(self, gray: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        """gray (n, 1, h, w), size (H, W), reference (n, 3, hr, wr) -> RGB (n, 3, H, W), all in [0, 1]."""
        chroma = enlarge_chroma(self.colour(gray, reference), gray.shape[-2:])
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

    def render_at(
        self, gray: Tensor, chroma: Tensor, rows: Tensor, cols: Tensor, ratios: tuple[float, float]
    ) -> Tensor:
        """``render`` by the continuous head on any grid of LR coordinates within these LR pixels: a tile's part."""
        features, base = self.texture(gray, chroma), torch.cat([gray, chroma], dim=1)
        return self.continuous.at(features, base, rows, cols, ratios)

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
