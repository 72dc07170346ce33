"""Any size and any magnification from one program: Edge-SCS cut into methods whose sizes are chosen at run time.

=============  ====================================================================================================
``colour``     grey image on the colour grid, and the weights of its bilinear steps -> coarse chroma of the whole
               image, once
``colour_led`` the same, guided by a reference image of 128x128
``encode``     a tile of luma and chroma on the LR grid -> ``features``, ``base`` (the tile in RGB) and ``grid``: the
               continuous head's first layer
``x2 x3 x4``   ``features`` and ``base`` of a tile -> its HR pixels by the PixelShuffle heads
``finest``     the same by the continuous head's own x4 head, not clamped: what ``decode`` refines
``decode``     windows of ``grid`` and of the finest image, and where to look in them, by rows and by columns -> a
               chunk of HR pixels
=============  ====================================================================================================

Nothing here resizes to a size that is known only at run time: ``colour`` and ``decode`` sample bilinearly by two matrix
products with thin matrices that the caller fills (two numbers a row), which XNNPACK does faster than a gather
(docs/log/export.md has the measurement).
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.artifacts.driver import CHUNK, COLOUR_CELLS, GRID_SIDES, TILE
from edge_scs.errors import InputError
from edge_scs.lowering.deploy import _mix_outputs
from edge_scs.lowering.methods import Method
from edge_scs.models.edge_scs import SHUFFLE_SCALES, EdgeSCS
from edge_scs.models.heads import FINEST, PixelShuffleHead

REFERENCE_SIDE = 128


class Colour(nn.Module):
    """gray (1, 1, hc, wc) on the colour grid [, reference (1, 3, 128, 128)] [, hints (1, 3, hc / 4, wc / 4)] -> chroma
    (1, 2, hc / 4, wc / 4).

    ``rows8`` (hc / 8, hc / 16) and ``cols8`` hold the bilinear weights that lead from 1/16 of the grid to 1/8,
    ``rows4`` (hc / 4, hc / 8) and ``cols4`` those from there to 1/4, all quotients rounded up: XNNPACK's own bilinear
    step takes fixed sizes only. ``driver.climbing`` fills them.
    """

    def __init__(self, model: EdgeSCS, reference: bool, hints: bool):
        super().__init__()
        self.branch = copy.deepcopy(model.colour)
        self.branch.fold_temperature()
        self.branch.fold_vividness()
        self.guides = [name for name, given in (("reference", reference), ("hints", hints)) if given]
        self.register_buffer("centres", self.branch.centres.reshape(2, -1).clone())
        self.centres: Tensor
        del self.branch.centres  # lowering refuses buffers that nothing reads
        if not reference:
            self.branch.cross8 = self.branch.cross16 = self.branch.split = self.branch.votes = None
        if not hints:
            self.branch.hints = None

    def forward(
        self,
        gray: Tensor,
        rows8: Tensor,
        rows4: Tensor,
        cols8: Tensor,
        cols4: Tensor,
        first: Tensor | None = None,
        second: Tensor | None = None,
    ) -> Tensor:
        """``first`` and ``second`` are the guides: named arguments, because dynamic shapes are matched with them."""

        def to8(x: Tensor, like: Tensor) -> Tensor:
            return _turned(x, rows8, cols8).transpose(2, 3)

        def to4(x: Tensor, like: Tensor) -> Tensor:
            return _turned(x, rows4, cols4).transpose(2, 3)

        guides = dict(zip(self.guides, (x for x in (first, second) if x is not None), strict=True))
        logits = self.branch.logits_on_grid(gray, **guides, enlarge=(to8, to4))
        n, classes, h, w = logits.shape
        # Three axes: over four, XNNPACK's softmax normalises the wrong one (lowering.deploy).
        shares = torch.softmax(logits.reshape(n, classes, -1).transpose(1, 2), dim=-1)
        return F.linear(shares, self.centres).transpose(1, 2).reshape(n, 2, h, w)


class Encode(nn.Module):
    """gray (1, 1, h, w), chroma (1, 2, h, w) -> features (1, c, h, w), base (1, 3, h, w), grid (1, hidden, h, w)."""

    def __init__(self, model: EdgeSCS):
        super().__init__()
        self.texture, self.on_features = model.texture, model.continuous.on_features
        self.register_buffer("to_rgb", model.to_rgb.clone())
        self.to_rgb: Tensor

    def forward(self, gray: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.texture(gray, chroma)
        return features, F.conv2d(torch.cat([gray, chroma], dim=1), self.to_rgb), self.on_features(features)


class Shuffle(nn.Module):
    """features (1, channels, h, w), base (1, 3, h, w) -> RGB (1, 3, h * scale, w * scale), in [0, 1] if ``clamped``."""

    def __init__(self, model: EdgeSCS, head: PixelShuffleHead, clamped: bool = True):
        super().__init__()
        self.conv = _mix_outputs(head.conv, model.to_rgb.reshape(3, 3))
        self.scale, self.clamped = head.scale, clamped
        scale = head.scale
        self.repeat = nn.Conv2d(3, 3 * scale**2, 1, bias=False).requires_grad_(False)
        self.repeat.weight.copy_(torch.eye(3).repeat_interleave(scale**2, dim=0)[:, :, None, None])

    def forward(self, features: Tensor, base: Tensor) -> Tensor:
        rgb = F.pixel_shuffle(self.conv(features) + self.repeat(base), self.scale)
        return rgb.clamp(0, 1) if self.clamped else rgb


class Decode(nn.Module):
    """Windows of ``grid`` (1, hidden, h, w) and ``fine`` (1, 3, H, W) at R x C points -> RGB (1, 3, R, C) in [0, 1].

    ``rows`` (R, h) and ``cols`` (C, w) hold the bilinear weights for grid, ``fine_rows`` (R, H) and ``fine_cols``
    (C, W) those for fine: ``driver.sampling`` fills them. ``row_positions`` (1, 2, 1, R) and ``col_positions``
    (1, 2, C, 1) are ``ContinuousHead.positions``. Columns come first in there because the chunk is made turned, and
    turned back when it has three channels only.
    """

    def __init__(self, model: EdgeSCS):
        super().__init__()
        head = model.continuous
        self.on_rows, self.on_cols, self.hidden = head.on_rows, head.on_cols, head.hidden
        self.out = _mix_outputs(head.out, model.to_rgb.reshape(3, 3))

    def forward(
        self,
        grid: Tensor,
        rows: Tensor,
        cols: Tensor,
        fine: Tensor,
        fine_rows: Tensor,
        fine_cols: Tensor,
        row_positions: Tensor,
        col_positions: Tensor,
    ) -> Tensor:
        x = _turned(grid, rows, cols)
        x = F.relu(x + self.on_rows(row_positions) + self.on_cols(col_positions))
        rgb = self.out(F.relu(self.hidden(x))) + _turned(fine, fine_rows, fine_cols)
        return rgb.transpose(2, 3).clamp(0, 1)


def _turned(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """x (1, c, h, w) between rows (R, h) and cols (C, w) -> (1, c, C, R).

    ``F.linear`` acts on the last axis whatever the others are, so that no size has to be known: XNNPACK takes a
    reshape with one unknown length only, and ``bmm`` would need two such reshapes.
    """
    return F.linear(F.linear(x, cols).transpose(2, 3), rows)


def continuous_methods(model: EdgeSCS, reference: bool = False, hints: bool = False) -> dict[str, Method]:
    """The methods to lower into one program, ``colour_led`` if requested. The network is copied, tied blocks stay tied.

    With ``hints`` both colour methods take hint planes: zeros for none. Raises InputError for what the network does not
    take.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    channels, hidden = model.config.channels, model.config.continuous_channels
    tile, window, fine = (1, TILE), (2, CHUNK + 2), (2, FINEST * CHUNK + 2)
    bounds = {
        "tile_h": tile, "tile_w": tile, "window_h": window, "window_w": window, "fine_h": fine, "fine_w": fine,
        "chunk_h": (1, CHUNK), "chunk_w": (1, CHUNK),
    }  # fmt: skip
    on_tile = {2: "tile_h", 3: "tile_w"}
    if hints and not model.config.hints:
        raise InputError("this network was built without colour hints; use hints = false")
    methods = {"colour": _colour_method(Colour(model, False, hints), {}, hints)}
    if reference:
        if not model.config.reference:
            raise InputError("this network was built without its reference branch; use reference = false")
        led = {"reference": torch.rand(1, 3, REFERENCE_SIDE, REFERENCE_SIDE)}
        methods["colour_led"] = _colour_method(Colour(model, True, hints), led, hints)
    small = {"gray": torch.rand(1, 1, 80, 96), "chroma": torch.rand(1, 2, 80, 96)}
    methods["encode"] = Method(
        Encode(model), small, ("features", "base", "grid"), dict.fromkeys(small, on_tile), bounds
    )
    encoded = {"features": torch.rand(1, channels, 80, 96), "base": torch.rand(1, 3, 80, 96)}
    for scale in SHUFFLE_SCALES:
        methods[f"x{scale}"] = Method(
            Shuffle(model, model.shuffle_head(scale)), encoded, varying=dict.fromkeys(encoded, on_tile), bounds=bounds
        )
    finest = Shuffle(model, model.continuous.finest, clamped=False)
    methods["finest"] = Method(finest, encoded, ("fine",), dict.fromkeys(encoded, on_tile), bounds)
    methods["decode"] = Method(
        Decode(model),
        {
            "grid": torch.rand(1, hidden, 36, 40),
            "rows": torch.rand(100, 36),
            "cols": torch.rand(120, 40),
            "fine": torch.rand(1, 3, 140, 150),
            "fine_rows": torch.rand(100, 140),
            "fine_cols": torch.rand(120, 150),
            "row_positions": torch.rand(1, 2, 1, 100),
            "col_positions": torch.rand(1, 2, 120, 1),
        },
        varying={
            "grid": {2: "window_h", 3: "window_w"},
            "rows": {0: "chunk_h", 1: "window_h"},
            "cols": {0: "chunk_w", 1: "window_w"},
            "fine": {2: "fine_h", 3: "fine_w"},
            "fine_rows": {0: "chunk_h", 1: "fine_h"},
            "fine_cols": {0: "chunk_w", 1: "fine_w"},
            "row_positions": {3: "chunk_h"},
            "col_positions": {2: "chunk_w"},
        },
        bounds=bounds,
    )
    return methods


def _colour_method(module: Colour, more: dict[str, Tensor], hints: bool) -> Method:
    """On an example grid of 180x320, with ``more`` inputs; sides on every level of the grid vary with the grid's."""
    examples = {"gray": torch.rand(1, 1, 180, 320)}
    varying = {"gray": {2: "grid_h", 3: "grid_w"}}
    bounds = {"grid_h": GRID_SIDES, "grid_w": GRID_SIDES}
    for name, axis, side in (("rows", "h", 180), ("cols", "w", 320)):
        for cell in COLOUR_CELLS:
            examples[f"{name}{cell}"] = torch.rand(-(-side // cell), -(-side // (2 * cell)))
            varying[f"{name}{cell}"] = {0: f"{axis}{cell}", 1: f"{axis}{2 * cell}"}
            for c in (cell, 2 * cell):
                bounds[f"{axis}{c}"] = (GRID_SIDES[0] // c, GRID_SIDES[1] // c)
    if hints:
        more = more | {"hints": torch.rand(1, 3, *(-(-side // 4) for side in (180, 320)))}
        varying["hints"] = {2: "h4", 3: "w4"}
    # Inferred: how a level's sides follow from the grid's is nothing that dimensions with names could say.
    return Method(module, examples | more, ("chroma",), varying, bounds, inferred=True)


def output_shapes(name: str, method: Method) -> dict[str, list[int]]:
    """The largest outputs of one of the methods, by name."""
    inputs = {key: method.limit(key) for key in method.inputs}
    if name.startswith("colour"):
        return {"chroma": [1, 2, *(math.ceil(side / 4) for side in inputs["gray"][2:])]}
    if name == "encode":
        assert isinstance(method.module, Encode)
        side = inputs["gray"][2:]
        first = method.module.on_features
        return {
            "features": [1, first.in_channels, *side],
            "base": [1, 3, *side],
            "grid": [1, first.out_channels, *side],
        }
    if name == "decode":
        return {"rgb": [1, 3, inputs["rows"][0], inputs["cols"][0]]}
    assert isinstance(method.module, Shuffle)
    return {method.outputs[0]: [1, 3, *(side * method.module.scale for side in inputs["features"][2:])]}
