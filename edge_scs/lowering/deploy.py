"""From an eager network to the module that is lowered: sizes fixed, constants folded, delegable operations only.

The eager network answers any size; an artifact answers one. Fixing the size turns much of the arithmetic into
constants: the YCC -> RGB matrix disappears into the heads, the repeated base pixel becomes a 1x1 convolution, the
continuous head's positions become two thin buffers. ``verify`` always measures against the eager network, so whatever
is folded here is verified there.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.colour import ColourBranch
from edge_scs.models.edge_scs import EdgeSCS, TextureBranch, enlarge_chroma, shuffle_scale
from edge_scs.models.heads import ContinuousHead, lr_coordinates, pixel_shuffle
from edge_scs.models.pcarn import PCARN


def deploy(
    model: nn.Module, lr: tuple[int, int], size: tuple[int, int], reference: bool = False, hints: bool = False
) -> nn.Module:
    """The module to lower for LR images of ``lr`` = (h, w) and HR images of ``size`` = (H, W).

    ``forward(gray)`` (``forward(rgb)`` for RGB networks), with ``reference`` and ``hints`` as further arguments, in
    this order, as far as they are requested -> RGB (n, 3, H, W) in [0, 1]. Works on a deep copy, which keeps tied
    blocks tied. Raises ValueError when they are requested of a network that does not take them.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if not isinstance(model, EdgeSCS):
        if reference or hints:
            raise ValueError(f"{type(model).__name__} has no reference branch and takes no hints")
        model = _without_idle_parts(model, lr, size)
        if isinstance(model, PCARN):
            model.fold()
        return FixedSize(model, size)
    if reference and model.colour.cross8 is None:
        raise ValueError("this network was built without its reference branch")
    if hints and model.colour.hints is None:
        raise ValueError("this network was built without colour hints")
    return DeployedEdgeSCS(model, lr, size, reference, hints)


class FixedSize(nn.Module):
    """Any other network with its output size decided: forward(x) -> model(x, size), clamped to [0, 1]."""

    def __init__(self, model: nn.Module, size: tuple[int, int]):
        super().__init__()
        self.model, self.size = model, size

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, self.size).clamp(0, 1)


def _without_idle_parts(model: nn.Module, lr: tuple[int, int], size: tuple[int, int]) -> nn.Module:
    """Drop the modules that an RGB network does not call for these sizes, such as the tails for other scales.

    One forward pass on the meta device, where shapes are all there is, shows which are called.
    """
    called: set[str] = set()
    probe = copy.deepcopy(model).to("meta")
    for name, module in probe.named_modules():
        module.register_forward_pre_hook(lambda _, __, name=name: called.add(name))
    probe(torch.empty(1, 3, *lr, device="meta"), size)
    needed = {
        ".".join(name.split(".")[:depth]) for name in called for depth in range(name.count(".") + 2)
    }  # and parents
    for name in [name for name, _ in model.named_modules() if name not in needed]:
        parent, _, child = name.rpartition(".")
        if parent in needed:
            del model.get_submodule(parent)._modules[child]
    return model


def absorb(model: nn.Module, deployed: nn.Module) -> None:
    """The way back from ``deploy``: a network takes over what its deployed copy has learned since.

    Raises ValueError for a deployed network whose folds cannot be undone (the continuous head's positions).
    """
    with torch.no_grad():
        if not isinstance(deployed, DeployedEdgeSCS):
            assert isinstance(deployed, FixedSize)
            model.load_state_dict(deployed.model.state_dict(), strict=False)
            if isinstance(deployed.model, PCARN):
                model.unfold(deployed.model.exit.bias)  # type: ignore[operator]
            return
        assert isinstance(model, EdgeSCS)
        if not isinstance(deployed.head, FoldedShuffleHead):
            raise ValueError("a deployed network with the continuous head cannot be taken back")
        sharpness = model.colour.attention.sharpness
        model.colour.load_state_dict(deployed.colour.branch.state_dict(), strict=False)
        model.colour.attention.sharpness = 1.0  # as it is folded in the deployed one
        model.colour.attention.fold(sharpness)
        for parameter in model.colour.classify.parameters():
            parameter.mul_(model.colour.temperature)
        deployed.texture.back_into(model.texture)
        back = torch.linalg.inv(model.to_rgb.reshape(3, 3).double())
        head = _mix_outputs(deployed.head.conv, back)
        model.heads[str(deployed.head.scale)].conv.load_state_dict(head.state_dict())  # type: ignore[union-attr]


class DeployedEdgeSCS(nn.Module):
    """EdgeSCS for one size.

    forward(gray (n, 1, h, w)[, reference (n, 3, hr, wr)][, hints (n, 3, hc, wc)]) -> RGB (n, 3, H, W) in [0, 1].
    """

    def __init__(self, model: EdgeSCS, lr: tuple[int, int], size: tuple[int, int], reference: bool, hints: bool):
        super().__init__()
        self.lr = lr
        self.colour = DeployedColour(model.colour, reference, hints)
        self.texture = DeployedTexture(model.texture)
        self.head = fold_head(model, lr, size)

    def forward(self, gray: Tensor, *guides: Tensor) -> Tensor:
        coarse, coarse_positive = self.colour(gray, *guides)
        chroma = enlarge_chroma(coarse, self.lr)
        positive = chroma if coarse_positive is None else enlarge_chroma(coarse_positive, self.lr)
        return self.head(self.texture(gray, chroma), torch.cat([gray, positive], dim=1)).clamp(0, 1)


def share_chroma(deployed: nn.Module) -> nn.Module:
    """For float: the residual takes the texture branch's chroma, with one mean over the classes and one enlargement.

    Only int8 wants the residual's chroma in a range of its own (``AnnealedMean``). Changes the module and returns it;
    what is no DeployedEdgeSCS is left as it is. It can no longer be given to ``absorb``.
    """
    if isinstance(deployed, DeployedEdgeSCS):
        deployed.colour.mean.positive = None
        head = deployed.head
        shuffle = head if isinstance(head, FoldedShuffleHead) else head.finest
        assert isinstance(shuffle, FoldedShuffleHead)
        assert shuffle.base.bias is not None
        shuffle.base.bias.zero_()  # nothing has been added that would have to be taken off
    return deployed


class DeployedTexture(nn.Module):
    """The texture branch, its global cascade written as a sum: W [a, b] = W_a a + W_b b, and the residual W_a a + a.

    In int8, what is joined shares one range: the first blocks' outputs, which are small, would have the steps of the
    last one's, which are not (docs/log/quantisation.md). In float it makes no difference, nor in time.

    Shapes: as ``TextureBranch``.
    """

    def __init__(self, texture: TextureBranch):
        super().__init__()
        self.stem, self.blocks, self.fuse = texture.stem, texture.blocks, texture.fuse
        channels, gather = texture.stem.out_channels, texture.gather
        self.gathers = nn.ModuleList()
        for index, weight in enumerate(gather.weight.split(channels, dim=1)):
            part = nn.Conv2d(channels, channels, 1, bias=index == 0).to(weight).requires_grad_(False)
            part.weight.copy_(weight)
            self.gathers.append(part)
        first = self.gathers[0]
        first.bias.copy_(gather.bias)  # type: ignore[arg-type, operator, union-attr]
        first.weight += torch.eye(channels).to(gather.weight)[:, :, None, None]  # type: ignore[operator]

    def forward(self, gray: Tensor, chroma: Tensor) -> Tensor:
        x = self.stem(gray)
        gathered = self.gathers[0](x)
        for block, gather in zip(self.blocks, self.gathers[1:], strict=True):  # type: ignore[arg-type]
            x = block(x)
            gathered = gathered + gather(x)
        return F.relu(self.fuse(torch.cat([gathered, chroma], dim=1)))

    def back_into(self, texture: TextureBranch) -> None:
        """Give a texture branch these weights."""
        for name in ("stem", "blocks", "fuse"):
            getattr(texture, name).load_state_dict(getattr(self, name).state_dict())
        texture.gather.weight.copy_(torch.cat([part.weight for part in self.gathers], dim=1))  # type: ignore[arg-type, misc]
        own = texture.stem.out_channels
        texture.gather.weight[:, :own] -= torch.eye(own).to(texture.gather.weight)[:, :, None, None]
        texture.gather.bias.copy_(self.gathers[0].bias)  # type: ignore[union-attr, arg-type]


class DeployedColour(nn.Module):
    """The colour branch without what this artifact does not call. Answers like ``AnnealedMean``."""

    def __init__(self, colour: ColourBranch, reference: bool, hints: bool):
        super().__init__()
        colour.fold_vividness()
        self.mean = AnnealedMean(colour.centres.reshape(2, -1))
        self.guides = [name for name, given in (("reference", reference), ("hints", hints)) if given]
        del colour.centres  # lowering refuses buffers that nothing reads
        colour.attention.fold()
        colour.fold_temperature()
        if not reference:
            colour.cross8 = colour.cross16 = colour.split = colour.votes = None
        if not hints:
            colour.hints = None
        self.branch = colour

    def forward(self, gray: Tensor, *guides: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.mean(self.branch.logits(gray, **dict(zip(self.guides, guides, strict=True))))


class AnnealedMean(nn.Module):
    """Zhang et al. 2016, eq. 5, at temperature 1 and over the last axis, the only one over which XNNPACK takes softmax.

    Three axes, not four: after a convolution ``softmax(x.permute(0, 2, 3, 1), -1)`` is delegated too, and silently
    normalises over the wrong axis, because XNNPACK's lowering keeps four-dimensional tensors channels-last.

    Shapes: logits (n, classes, h, w) -> chroma (n, 2, h, w) in [-0.5, 0.5], and the same plus 0.5: in [0, 1] it can be
    joined to the luma without costing the luma any of int8's 256 steps. The shares sum to 1, so 0.5 on every class
    centre is 0.5 on their mean. None in its place once ``share_chroma`` has taken it away.
    """

    def __init__(self, centres: Tensor):
        super().__init__()
        self.register_buffer("centres", centres.clone())  # (2, classes)
        self.register_buffer("positive", centres + 0.5)
        self.centres: Tensor
        self.positive: Tensor | None

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        n, classes, h, w = logits.shape
        logits = logits.reshape(n, classes, h * w).transpose(1, 2)
        shares = torch.softmax(logits, dim=-1)
        chroma = F.linear(shares, self.centres).transpose(1, 2).reshape(n, 2, h, w)
        if self.positive is None:
            return chroma, None
        return chroma, F.linear(shares, self.positive).transpose(1, 2).reshape(n, 2, h, w)


def fold_head(model: EdgeSCS, lr: tuple[int, int], size: tuple[int, int]) -> nn.Module:
    """The head for these sizes with every constant folded in: (features, base) -> RGB, not clamped.

    ``base`` is luma and chroma, the chroma plus 0.5 (``AnnealedMean``): what that adds is taken off in a bias. Both
    heads end in linear maps, so with M the YCC -> RGB matrix:

    * PixelShuffle: M (conv(f) + repeat(b)) = (M conv)(f) + (M repeat)(b), the repetition being a 1x1 convolution whose
      weight for output channel (colour, phase) and input channel c is M[colour, c], whatever the phase;
    * continuous: M (out(x) + interp(b)) = (M out)(x) + interp(M b), because interpolation does not mix channels,
      b being the answer of its own x4 PixelShuffle head.
    """
    matrix = model.to_rgb.reshape(3, 3)
    offset = -0.5 * (matrix[:, 1] + matrix[:, 2])
    scale = shuffle_scale(lr, size)
    head = model.continuous.finest if scale is None else model.shuffle_head(scale)
    phases = head.scale**2
    base = _constant_conv(matrix.repeat_interleave(phases, dim=0), offset.repeat_interleave(phases))
    shuffle = FoldedShuffleHead(_mix_outputs(head.conv, matrix), base, head.scale)
    if scale is not None:
        return shuffle
    return FoldedContinuousHead(model.continuous, _mix_outputs(model.continuous.out, matrix), shuffle, lr, size)


class FoldedShuffleHead(nn.Module):
    """features (n, channels, h, w), base (n, 3, h, w), luma and chroma + 0.5 -> RGB (n, 3, h * scale, w * scale)."""

    def __init__(self, conv: nn.Conv2d, base: nn.Conv2d, scale: int):
        super().__init__()
        self.conv, self.base, self.scale = conv, base, scale

    def forward(self, features: Tensor, base: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(features) + self.base(base), self.scale)


class FoldedContinuousHead(nn.Module):
    """features (n, channels, h, w), base (n, 3, h, w), luma and chroma + 0.5 -> RGB (n, 3, H, W).

    Rows and columns are added one after the other: their sum would be a constant of hidden * H * W numbers, which Core
    ML's constant folding would happily store.
    """

    def __init__(
        self,
        head: ContinuousHead,
        out: nn.Conv2d,
        finest: FoldedShuffleHead,
        lr: tuple[int, int],
        size: tuple[int, int],
    ):
        super().__init__()
        self.on_features, self.hidden, self.out, self.size = head.on_features, head.hidden, out, size
        self.finest = finest
        ratios = (size[0] / lr[0], size[1] / lr[1])
        weight = head.on_rows.weight
        rows = head.positions(lr_coordinates(size[0], ratios[0]), ratios[0]).to(weight)
        cols = head.positions(lr_coordinates(size[1], ratios[1]), ratios[1]).to(weight)
        with torch.no_grad():
            self.register_buffer("rows", head.on_rows(rows[None, :, :, None]))  # (1, hidden, H, 1)
            self.register_buffer("cols", head.on_cols(cols[None, :, None, :]))  # (1, hidden, 1, W)
        self.rows: Tensor
        self.cols: Tensor

    def forward(self, features: Tensor, base: Tensor) -> Tensor:
        x = self._enlarge(self.on_features(features)) + self.rows + self.cols
        return self.out(F.relu(self.hidden(F.relu(x)))) + self._enlarge(self.finest(features, base))

    def _enlarge(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, mode="bilinear", align_corners=False)


def _mix_outputs(conv: nn.Conv2d, matrix: Tensor) -> nn.Conv2d:
    """M after a convolution whose outputs are (3 colours x phases): a copy with the colours mixed, in float64."""
    mixed = copy.deepcopy(conv)
    with torch.no_grad():
        for parameter in (mixed.weight, mixed.bias):
            assert parameter is not None
            colours = parameter.double().reshape(3, -1)
            parameter.copy_((matrix.double() @ colours).reshape(parameter.shape))
    return mixed


def _constant_conv(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """weight (out, in), bias (out) -> a frozen 1x1 convolution."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1).to(weight).requires_grad_(False)
    conv.weight.copy_(weight[:, :, None, None])
    conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv
