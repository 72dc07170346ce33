"""Any size and any magnification from one program: Edge-SCS cut into methods whose sizes are chosen at run time.

=============  ====================================================================================================
``colour``     grey picture on the colour grid -> coarse chroma of the whole picture, once
``colour_led`` the same, led by a reference picture of 128x128
``encode``     a tile of luma and chroma on the LR grid -> ``features`` (for x2, x3, x4) and ``grid``: the continuous
               head's first layer, and the base picture in RGB
``decode``     a window of ``grid`` and where to look in it, by rows and by columns -> a chunk of HR pixels
``x2 x3 x4``   ``features`` and ``grid`` of a tile -> its HR pixels by the PixelShuffle heads
=============  ====================================================================================================

Nothing here resizes to a size that is known only at run time: ``decode`` samples bilinearly by two matrix products
with thin matrices that the caller fills (two numbers a row), which XNNPACK does faster than a gather
(docs/export.md has the measurement).
"""

import copy
import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.errors import InputError
from edge_scs.export.deploy import _mix_outputs
from edge_scs.export.executorch import PteProgram
from edge_scs.export.methods import Method
from edge_scs.models.edge_scs import COLOUR_SIDE, SHUFFLE_SCALES, EdgeSCS, shuffle_scale, to_colour_grid
from edge_scs.models.heads import ContinuousHead, PixelShuffleHead, lr_coordinates, sample_bilinear

TILE = 256  # LR pixels a side that encode takes at most, halo included
CHUNK = 128  # HR pixels a side that decode makes at most
GRID_SIDES = (32, 512)  # of the colour grid: pictures up to 4.5 times as long as high
REFERENCE_SIDE = 128
Piece = tuple[slice, slice, Tensor]


class Colour(nn.Module):
    """gray (1, 1, hc, wc) on the colour grid [, reference (1, 3, 128, 128)] -> chroma (1, 2, hc / 4, wc / 4)."""

    def __init__(self, model: EdgeSCS, reference: bool):
        super().__init__()
        self.branch = copy.deepcopy(model.colour)
        self.sharpness = 1 / self.branch.temperature
        self.register_buffer("centres", self.branch.centres.reshape(2, -1).clone())
        self.centres: Tensor
        del self.branch.centres  # lowering refuses buffers that nothing reads
        if not reference:
            self.branch.cross8 = self.branch.cross16 = None
            del self.branch.votes

    def forward(self, gray: Tensor, reference: Tensor | None = None) -> Tensor:
        logits = self.branch.logits_on_grid(gray, reference)
        n, classes, h, w = logits.shape
        # Three axes: over four, XNNPACK's softmax normalises the wrong one (export.deploy).
        shares = torch.softmax(logits.reshape(n, classes, h * w).transpose(1, 2) * self.sharpness, dim=-1)
        return F.linear(shares, self.centres).transpose(1, 2).reshape(n, 2, h, w)


class Encode(nn.Module):
    """gray (1, 1, h, w), chroma (1, 2, h, w) -> features (1, channels, h, w), grid (1, hidden + 3, h, w)."""

    def __init__(self, model: EdgeSCS):
        super().__init__()
        self.texture, self.on_features = model.texture, model.continuous.on_features
        self.register_buffer("to_rgb", model.to_rgb.clone())
        self.to_rgb: Tensor

    def forward(self, gray: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        features = self.texture(gray, chroma)
        base = F.conv2d(torch.cat([gray, chroma], dim=1), self.to_rgb)
        return features, torch.cat([self.on_features(features), base], dim=1)


class Decode(nn.Module):
    """A window of ``grid`` (1, hidden + 3, h, w) sampled at R x C points -> RGB (1, 3, R, C) in [0, 1].

    ``rows`` (1, R, h) and ``cols`` (1, w, C) hold the bilinear weights: ``sampling`` fills them. ``row_positions``
    (1, 2, R, 1) and ``col_positions`` (1, 2, 1, C) are ``ContinuousHead.positions``.
    """

    def __init__(self, model: EdgeSCS):
        super().__init__()
        head = model.continuous
        self.on_rows, self.on_cols, self.hidden = head.on_rows, head.on_cols, head.hidden
        self.out = _mix_outputs(head.out, model.to_rgb.reshape(3, 3))

    def forward(self, grid: Tensor, rows: Tensor, cols: Tensor, row_positions: Tensor, col_positions: Tensor) -> Tensor:
        _, channels, h, w = grid.shape
        down, across = rows.shape[1], cols.shape[2]
        x = torch.bmm(grid.reshape(1, channels * h, w), cols).reshape(channels, h, across)
        x = torch.bmm(rows.expand(channels, down, h), x).reshape(1, channels, down, across)
        x, base = x[:, :-3], x[:, -3:]
        x = F.relu(x + self.on_rows(row_positions) + self.on_cols(col_positions))
        return (self.out(F.relu(self.hidden(x))) + base).clamp(0, 1)


class Shuffle(nn.Module):
    """features (1, channels, h, w), grid (1, hidden + 3, h, w) -> RGB (1, 3, h * scale, w * scale) in [0, 1]."""

    def __init__(self, model: EdgeSCS, scale: int):
        super().__init__()
        head = model.heads[str(scale)]
        assert isinstance(head, PixelShuffleHead)
        self.conv = _mix_outputs(head.conv, model.to_rgb.reshape(3, 3))
        self.scale = scale
        # Takes the base picture out of the grid as well: a slice would not be delegated.
        hidden = model.config.continuous_channels
        self.repeat = nn.Conv2d(hidden + 3, 3 * scale**2, 1, bias=False).requires_grad_(False)
        self.repeat.weight.zero_()
        self.repeat.weight[:, hidden:, 0, 0] = torch.eye(3).repeat_interleave(scale**2, dim=0)

    def forward(self, features: Tensor, grid: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(features) + self.repeat(grid), self.scale).clamp(0, 1)


def continuous_methods(model: EdgeSCS, reference: bool = False) -> dict[str, Method]:
    """The methods to lower into one program, ``colour_led`` if asked for. The network is copied, tied blocks stay tied.

    Raises InputError for ``reference`` where the network has no such branch.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    channels, grid_channels = model.config.channels, model.config.continuous_channels + 3
    tile, window = (1, TILE), (2, CHUNK + 2)
    bounds = {
        "grid_h": GRID_SIDES, "grid_w": GRID_SIDES, "tile_h": tile, "tile_w": tile,
        "window_h": window, "window_w": window, "chunk_h": (1, CHUNK), "chunk_w": (1, CHUNK),
    }  # fmt: skip
    gray = torch.rand(1, 1, 180, 320)
    on_grid, on_tile = {2: "grid_h", 3: "grid_w"}, {2: "tile_h", 3: "tile_w"}
    methods = {"colour": Method(Colour(model, False), {"gray": gray}, ("chroma",), {"gray": on_grid}, bounds)}
    if reference:
        if not model.config.reference:
            raise InputError("this network was built without its reference branch; use reference = false")
        led = {"gray": gray, "reference": torch.rand(1, 3, REFERENCE_SIDE, REFERENCE_SIDE)}
        methods["colour_led"] = Method(Colour(model, True), led, ("chroma",), {"gray": on_grid}, bounds)
    small = {"gray": torch.rand(1, 1, 80, 96), "chroma": torch.rand(1, 2, 80, 96)}
    methods["encode"] = Method(Encode(model), small, ("features", "grid"), dict.fromkeys(small, on_tile), bounds)
    methods["decode"] = Method(
        Decode(model),
        {
            "grid": torch.rand(1, grid_channels, 36, 40),
            "rows": torch.rand(1, 100, 36),
            "cols": torch.rand(1, 40, 120),
            "row_positions": torch.rand(1, 2, 100, 1),
            "col_positions": torch.rand(1, 2, 1, 120),
        },
        varying={
            "grid": {2: "window_h", 3: "window_w"},
            "rows": {1: "chunk_h", 2: "window_h"},
            "cols": {1: "window_w", 2: "chunk_w"},
            "row_positions": {2: "chunk_h"},
            "col_positions": {3: "chunk_w"},
        },
        bounds=bounds,
    )
    encoded = {"features": torch.rand(1, channels, 80, 96), "grid": torch.rand(1, grid_channels, 80, 96)}
    for scale in SHUFFLE_SCALES:
        methods[f"x{scale}"] = Method(
            Shuffle(model, scale), encoded, varying=dict.fromkeys(encoded, on_tile), bounds=bounds
        )
    return methods


def output_shapes(name: str, method: Method) -> dict[str, list[int]]:
    """The largest outputs of one of the methods, by name."""
    inputs = {key: method.limit(key) for key in method.inputs}
    if name.startswith("colour"):
        return {"chroma": [1, 2, *(math.ceil(side / 4) for side in inputs["gray"][2:])]}
    if name == "encode":
        assert isinstance(method.module, Encode)
        side = inputs["gray"][2:]
        hidden = method.module.on_features
        return {"features": [1, hidden.in_channels, *side], "grid": [1, hidden.out_channels + 3, *side]}
    if name == "decode":
        return {"rgb": [1, 3, inputs["rows"][1], inputs["cols"][2]]}
    return {"rgb": [1, 3, *(side * int(name[1:]) for side in inputs["features"][2:])]}


def sampling(coordinates: Tensor, low: int, high: int, last: int) -> Tensor:
    """Bilinear weights (count, high - low) of LR coordinates in a window low .. high - 1; ``last``: the border pixel.

    Coordinates beyond the picture's border clamp to it, as ``F.interpolate`` does.
    """
    at = coordinates.clamp(0, last)
    near = at.floor().long()
    far = (near + 1).clamp(max=last)
    weights = torch.zeros(len(at), high - low, dtype=torch.float64)
    index = torch.arange(len(at))
    weights[index, near - low] = 1 - (at - near)
    weights[index, far - low] += at - near
    return weights.float()


class ContinuousProgram:
    """The driver: what an app does with the methods. ``halo`` is the network's, from the manifest."""

    def __init__(self, program: PteProgram, halo: int):
        """Raises InputError when the program lacks a method."""
        self.program, self.halo = program, halo
        missing = {"colour", "encode", "decode"} - set(program.methods)
        if missing:
            raise InputError(f"{program.path}: lacks the method {min(missing)}; export the continuous preset")

    @property
    def takes_reference(self) -> bool:
        return "colour_led" in self.program.methods

    def chroma(self, gray: Tensor, reference: Tensor | None = None) -> Tensor:
        """gray (1, 1, h, w), reference (1, 3, 128, 128) or None -> coarse chroma of the whole picture.

        Raises InputError for a picture that is too long and thin for the program.
        """
        grid = to_colour_grid(gray, COLOUR_SIDE)
        if not all(GRID_SIDES[0] <= side <= GRID_SIDES[1] for side in grid.shape[-2:]):
            h, w = gray.shape[-2:]
            raise InputError(f"picture {w}x{h}: too long and thin for {self.program.path}; cut it in two")
        if reference is None:
            return self.program.run([grid], "colour")[0]
        return self.program.run([grid, reference], "colour_led")[0]

    def render(self, gray: Tensor, chroma: Tensor, size: tuple[int, int]) -> Tensor:
        """``pieces`` put together: RGB (1, 3, H, W) in [0, 1]."""
        out = torch.full((1, 3, *size), math.nan)
        for rows, cols, rgb in self.pieces(gray, chroma, size):
            out[:, :, rows, cols] = rgb
        return out

    def pieces(self, gray: Tensor, chroma: Tensor, size: tuple[int, int]) -> Iterator[Piece]:
        """gray (1, 1, h, w), chroma (1, 2, any) of the whole picture, size (H, W): HR rows, HR columns, their RGB.

        A tile sees what the network sees of the whole picture around its pixels: there are no seams to hide.
        """
        lr = (gray.shape[-2], gray.shape[-1])
        ratios = (size[0] / lr[0], size[1] / lr[1])
        scale = shuffle_scale(lr, size)
        for rows in self._spans(lr[0], size[0]):
            for cols in self._spans(lr[1], size[1]):
                part = gray[..., rows.low : rows.high, cols.low : cols.high]
                along = [
                    lr_coordinates(span.high - span.low, count / coarse, span.low)
                    for span, count, coarse in zip((rows, cols), lr, chroma.shape[-2:], strict=True)
                ]
                features, grid = self.program.run([part, sample_bilinear(chroma, *along)], "encode")
                if scale is None:
                    yield from self._chunks(grid, rows, cols, lr, ratios)
                    continue
                rgb = self.program.run([features, grid], f"x{scale}")[0]
                top, left = rows.start - rows.low * scale, cols.start - cols.low * scale
                rgb = rgb[..., top : top + rows.stop - rows.start, left : left + cols.stop - cols.start]
                yield slice(rows.start, rows.stop), slice(cols.start, cols.stop), rgb

    def row_stops(self, lr: int, hr: int) -> list[int]:
        """The HR rows at which a row of tiles ends and all above are finished."""
        return [rows.stop for rows in self._spans(lr, hr)]

    def _chunks(
        self, grid: Tensor, rows: "_Span", cols: "_Span", lr: tuple[int, int], ratios: tuple[float, float]
    ) -> Iterator[Piece]:
        for top in range(rows.start, rows.stop, CHUNK):
            down = _Axis(top, min(top + CHUNK, rows.stop), lr[0], ratios[0])
            for left in range(cols.start, cols.stop, CHUNK):
                across = _Axis(left, min(left + CHUNK, cols.stop), lr[1], ratios[1])
                window = grid[
                    ..., down.low - rows.low : down.high - rows.low, across.low - cols.low : across.high - cols.low
                ]
                beyond = (across.high - across.low - window.shape[3], down.high - down.low - window.shape[2])
                inputs = [
                    F.pad(window, (0, beyond[0], 0, beyond[1])),
                    down.weights[None],
                    across.weights.T[None],
                    down.positions[None, :, :, None],
                    across.positions[None, :, None, :],
                ]
                yield down.hr, across.hr, self.program.run(inputs, "decode")[0]

    def _spans(self, lr: int, hr: int) -> list["_Span"]:
        """HR pixels that one encoded tile makes, and the LR pixels that it has to see; equal tiles of at most TILE."""
        room = TILE - 2 * (self.halo + 1)
        count = 1 if lr <= TILE else math.ceil(lr / room)
        edges = [round(round(lr * i / count) * hr / lr) for i in range(count + 1)]
        found = []
        for start, stop in pairwise(edges):
            low, high = _seen(start, stop, lr, hr / lr, self.halo)
            found.append(_Span(start, stop, low, high))
        return found


class _Span:
    """HR pixels start .. stop - 1 of one axis, made from LR pixels low .. high - 1."""

    def __init__(self, start: int, stop: int, low: int, high: int):
        self.start, self.stop, self.low, self.high = start, stop, low, high


class _Axis:
    """One axis of a chunk: HR pixels ``hr``, the window low .. high - 1, bilinear weights in it, positions."""

    def __init__(self, start: int, stop: int, lr: int, ratio: float):
        self.hr = slice(start, stop)
        self.low, self.high = _seen(start, stop, lr, ratio, halo=0)
        if self.high - self.low == 1:  # a window has at least two pixels, the second of which may lie outside
            self.low = max(0, self.low - 1)
            self.high = self.low + 2
        coordinates = lr_coordinates(stop - start, ratio, start)
        self.weights = sampling(coordinates, self.low, self.high, lr - 1)
        self.positions = ContinuousHead.positions(coordinates, ratio).float()


def _seen(start: int, stop: int, lr: int, ratio: float, halo: int) -> tuple[int, int]:
    """The LR pixels between which HR pixels start .. stop - 1 lie, and ``halo`` more, within the picture."""
    first = math.floor((start + 0.5) / ratio - 0.5)
    last = math.floor((stop - 0.5) / ratio - 0.5) + 1
    return max(0, first - halo), min(lr, last + 1 + halo)
