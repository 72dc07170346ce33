"""Edge-SCS's colour branch: luma, and a reference if there is one -> coarse chroma, once for the whole image.

Colour is BT.601 luma and chroma (docs/design.md says why not LAB).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.attention import CrossAttention, SelfAttention, ValveCrossAttention
from edge_scs.models.blocks import RecursiveBlock
from edge_scs.models.encoders import Exposure, SqueezeEncoder
from edge_scs.models.heads import Enlarge, enlarge_like
from edge_scs.models.hints import Hints

RGB_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# The colour branch always sees about this many pixels (240^2 = 320x180, the LR image of a 720p x4 job): objects
# then have the size it was trained on, and its cost does not grow with the image.
COLOUR_SIDE = 240
# Chroma classes: a grid of this many steps from -CHROMA_LIMIT to CHROMA_LIMIT on each axis (Cb, Cr).
CHROMA_STEPS, CHROMA_LIMIT = 17, 0.4
VOTE_DEVIATION = 0.05  # one step of that grid


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
    An image that has the right size already (320x180) passes untouched.
    """
    size, kernel = colour_grid(x.shape[-2:], side)
    return resize_to_grid(x if kernel is None else average(x, kernel), size)


def colour_grid(
    lr: tuple[int, int] | torch.Size, side: int = COLOUR_SIDE
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The colour grid's size for an image (h, w), and the cell (rows, cols) to average before the resize, or None."""
    h, w = lr
    factor = side / (h * w) ** 0.5
    size = (min(side**2, max(1, round(h * factor))), min(side**2, max(1, round(w * factor))))
    shrink = int(1 / factor)
    return size, (min(shrink, h), min(shrink, w)) if shrink >= 2 else None


def answer_size(lr: tuple[int, int] | torch.Size, side: int = COLOUR_SIDE) -> tuple[int, int]:
    """(hc, wc) of the coarse chroma of an image (h, w), and of its hint planes: a quarter of the colour grid."""
    (h, w), _ = colour_grid(lr, side)
    return -(-h // 4), -(-w // 4)


def resize_to_grid(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def average(x: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Mean over cells of ``kernel`` pixels, those at the border cut: as many cells as the encoder's levels have."""
    # ceil_mode only where it changes something, and an explicit stride: XNNPACK is particular about both.
    uneven = bool(x.shape[-2] % kernel[0] or x.shape[-1] % kernel[1])
    return F.avg_pool2d(x, kernel, kernel, ceil_mode=uneven, count_include_pad=False)


class LumaChroma(nn.Module):
    """RGB (n, 3, h, w) in [0, 1] -> luma (n, 1, h, w) in [0, 1] and chroma (n, 2, h, w) in [-0.5, 0.5], BT.601.

    A convolution, and a module that can stay float in int8 networks: docs/log/quantisation.md says what products with
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

    ``exposure`` evens the encoder's input (``Exposure``). ``scene`` adds what the encoder's last level is on average to
    every cell of 1/16, as the global features of Iizuka et al. (2016) do: what kind of scene it is.

    Colour hints (``models.hints``), if there are any, join the features at every level and vote like a reference.

    The answer is the annealed mean of the class distribution: softmax(logits / temperature) . centres, times
    ``vividness``, because a mean of what the branch doubts between is paler than any of it. The chroma of references
    and hints is divided by ``vividness`` first: what they say comes out as they say it.
    """

    def __init__(
        self,
        reference: bool = True,
        temperature: float = 1.0,
        vividness: float = 1.0,
        hints: bool = False,
        exposure: float = 0.0,
        scene: bool = False,
    ):
        super().__init__()
        quarter, eighth, sixteenth = SqueezeEncoder.channels
        self.exposure = Exposure(exposure) if exposure else None
        self.encoder = SqueezeEncoder()
        self.lateral4 = nn.Conv2d(quarter, 32, 1)
        self.lateral8 = nn.Conv2d(eighth, 64, 1)
        self.lateral16 = nn.Conv2d(sixteenth, 96, 1)
        self.scene = nn.Conv2d(sixteenth, 96, 1, bias=False) if scene else None
        if self.scene is not None:
            nn.init.zeros_(self.scene.weight)
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
        self.hints = Hints((32, 64, 96), vote_weights()) if hints else None
        self.temperature, self.vividness = temperature, vividness
        self.side = COLOUR_SIDE  # training may start on a smaller grid, which is cheaper
        self.register_buffer("centres", chroma_classes().T.reshape(2, -1, 1, 1), persistent=False)
        self.centres: Tensor

    def forward(
        self,
        gray: Tensor,
        reference: Tensor | None = None,
        hints: Tensor | None = None,
        on_grid: bool = False,
    ) -> Tensor:
        """gray (n, 1, h, w) in [0, 1], reference (n, 3, hr, wr) RGB in [0, 1], hints (n, 3, hc, wc) -> chroma
        (n, 2, hc, wc).

        hc x wc is a quarter of the colour grid (``answer_size``): about 60 x 60 whatever the image. ``hints`` are
        planes as ``models.hints.hint_planes`` makes them. ``on_grid``: gray is on the colour grid already. Raises
        ValueError when a reference or hints are given to a branch that was built without them.
        """
        logits = self.logits_on_grid if on_grid else self.logits
        return self.annealed_mean(logits(gray, reference, hints)) * self.vividness

    def answer_size(self, lr: tuple[int, int] | torch.Size) -> tuple[int, int]:
        """(hc, wc) for an image (h, w)."""
        return answer_size(lr, self.side)

    def annealed_mean(self, logits: Tensor) -> Tensor:
        """Zhang et al. 2016, eq. 5: (n, classes, hc, wc) -> chroma (n, 2, hc, wc)."""
        return F.conv2d(torch.softmax(logits / self.temperature, dim=1), self.centres)

    @torch.no_grad()
    def fold_temperature(self) -> None:
        """Move the temperature into what makes the logits: the same answers, for nothing."""
        voters = (self.votes, None if self.hints is None else self.hints.votes)
        votes = [part.weights for part in voters if part is not None]
        for x in (*self.classify.parameters(), *votes):
            x.div_(self.temperature)
        self.temperature = 1.0

    @torch.no_grad()
    def fold_vividness(self) -> None:
        """Move the vividness into the class centres, and out of what references and hints say: the same answers."""
        self.centres.mul_(self.vividness)
        if self.split is not None:
            self.split.matrix[1:].div_(self.vividness)
        if self.hints is not None:
            self.hints.scale[:2].div_(self.vividness)
            self.hints.votes.weights[:, :2].div_(self.vividness)
        self.vividness = 1.0

    def logits(self, gray: Tensor, reference: Tensor | None = None, hints: Tensor | None = None) -> Tensor:
        """Class logits (n, CHROMA_STEPS^2, hc, wc)."""
        return self.logits_on_grid(to_colour_grid(gray, self.side), reference, hints)

    def logits_on_grid(
        self,
        gray: Tensor,
        reference: Tensor | None = None,
        hints: Tensor | None = None,
        enlarge: tuple[Enlarge, Enlarge] = (enlarge_like, enlarge_like),
    ) -> Tensor:
        """``logits`` of a grey image that ``to_colour_grid`` has resized already.

        ``enlarge``: what climbs from 1/16 to 1/8 of the grid and from there to 1/4; export has a way of its own.
        """
        to8, to4 = enlarge
        x4, x8, encoded = self.encode(gray)
        x4, x8, x16 = self.lateral4(x4), self.lateral8(x8), self.lateral16(encoded)
        heard = None
        if reference is not None:
            x8, x16, heard = self._listen(x8, x16, reference)
        planes = None
        if hints is not None:
            if self.hints is None:
                raise ValueError("this network was built without colour hints")
            planes = self._through_vividness(hints)
            x4, x8, x16 = self.hints(planes, x4, x8, x16)
        if self.scene is not None:
            x16 = x16 + self.scene(encoded.mean((2, 3), keepdim=True))
        x16 = self.block16(self.attention(F.relu(x16)))
        x8 = self.merge8(torch.cat([to8(x16, x8), F.relu(x8)], dim=1))
        x8 = self.block8(F.relu(x8))
        x4 = self.merge4(torch.cat([to4(x8, x4), F.relu(x4)], dim=1))
        logits = self.classify(F.relu(self.block4(F.relu(x4))))
        if heard is not None and self.votes is not None:
            logits = self.votes(logits, *heard, to4)
        return logits if planes is None or self.hints is None else self.hints.votes(logits, planes)

    def encode(self, luma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's three levels, of luma with its exposure evened."""
        levels: tuple[Tensor, Tensor, Tensor] = self.encoder(luma if self.exposure is None else self.exposure(luma))
        return levels

    def look(self, gray: Tensor, reference: Tensor) -> tuple[CrossAttention, CrossAttention]:
        """What both cross-attentions look at, at 1/8 and 1/16 of the colour grid: arguments as in ``forward``."""
        cross8, cross16 = self._crossings()
        _, x8, x16 = self.encode(to_colour_grid(gray, self.side))
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
        if self.vividness != 1:
            chroma = chroma / self.vividness
        _, r8, r16 = self.encode(luma)
        return (self.lateral8(r8), average(chroma, (8, 8))), (self.lateral16(r16), average(chroma, (16, 16)))

    def _through_vividness(self, hints: Tensor) -> Tensor:
        """Hint planes with their chroma divided by ``vividness``."""
        if self.vividness == 1:
            return hints
        return torch.cat([hints[:, :2] / self.vividness, hints[:, 2:]], dim=1)

    def _crossings(self) -> tuple[ValveCrossAttention, ValveCrossAttention]:
        if self.cross8 is None or self.cross16 is None:
            raise ValueError("this network was built without its reference branch")
        return self.cross8, self.cross16
