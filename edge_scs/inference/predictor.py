"""A network applied to images of any size: chroma once for the whole, texture by tiles, 8 or 16 bits in and out.

Memory is bounded by the tile: no float copy of a whole image is ever made, and ``strips`` hands out finished rows.
"""

import math
from collections.abc import Iterator
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from edge_scs.artifacts.manifest import weights_sha256
from edge_scs.color import rgb_to_ycc
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import (
    ImageArray,
    as_grey,
    as_rgb,
    enlarge_part,
    shrink_reference,
    strips_of,
    to_tensor,
)
from edge_scs.imaging.sizes import DEFAULT_SCALE
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.hint_points import planes_of
from edge_scs.inference.request import Options, Request
from edge_scs.inference.tiles import Span, equal_windows, span_of, spans
from edge_scs.models.colour import average, colour_grid, resize_to_grid
from edge_scs.models.edge_scs import EdgeSCS, shuffle_scale
from edge_scs.models.heads import lr_coordinates, sample_bilinear
from edge_scs.weights.loading import Loaded

# HR pixels that the continuous head maps at a time: it is 16 channels wide there. More cost memory and gain no time.
BAND_PIXELS = 1 << 16
GPU_BAND_PIXELS = 1 << 21  # where launching a kernel takes longer than the work of so few
# LR pixels that become floats at a time on their way to the colour grid.
GRID_PIXELS = 1 << 22
# Tiles computed together on a GPU. On a CPU one tile fills the caches already.
GPU_BATCH = 8

Piece = tuple[slice, slice, Tensor]


class Predictor(Engine):
    """Runs a loaded network on whole images.

    ``tile`` is the side of a tile in LR pixels, or None for the whole image at once. Edge-SCS and RGB networks at
    their whole scales give the same image for any tile; other networks always run whole, because they gather from
    everywhere. ``device`` is any torch device; the network moves there. ``batch`` tiles are computed together (default:
    GPU_BATCH on a GPU, else one).

    An image in colour is reduced to luma first, unless ``keep_colour``: then the network sees luma and the image's own
    chroma on the LR grid, its luma is taken, and the chroma is the image's own, enlarged bicubically, so that no hue is
    invented. What has no colour then stays grey. An RGB network gets the image as it is, or three equal planes.
    Progress counts tiles.

    Whole means ``forward``, within float32: at decimal magnifications ``F.interpolate`` rounds coordinates to 24 bits
    and this class to 53, which shows in the fourth decimal at the very most.
    """

    def __init__(
        self, loaded: Loaded, tile: int | None = 256, device: str | torch.device = "cpu", batch: int | None = None
    ):
        if tile is not None and tile < 1:
            raise InputError(f"tile {tile}: must be at least 1 LR pixel, or none for the whole image at once")
        self.loaded, self.name, self.takes_reference = loaded, loaded.name, loaded.description.reference
        self.takes_hints = loaded.description.hints
        self.tile = tile
        self.device = torch.device(device)
        self.batch = batch or (GPU_BATCH if self.device.type == "cuda" else 1)
        self.model = loaded.model.to(self.device).eval()
        if self.device.type == "cuda":
            # An image must not depend on its tiles: TF32 rounds to 10 bits, in other places for other shapes.
            torch.backends.cudnn.allow_tf32 = False

    @cached_property
    def identity(self) -> str:
        """The same for the same network with the same weights, wherever they were loaded from."""
        return f"{self.loaded.name} {weights_sha256(self.loaded.model)}"

    @property
    def default_scale(self) -> float:
        scales = self.loaded.description.scales
        return DEFAULT_SCALE if self.loaded.description.continuous or not scales else float(max(scales))

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[ImageArray]:
        """A row of tiles at a time."""
        image, size = request.image, request.size
        stops = [cut.stop for cut in spans(image.shape[0], size[0], self.tile, 0)]
        yield from strips_of(self.pieces(request, progress), stops, size[1], image.dtype)

    def pieces(self, request: Request, progress: Progress | None = None) -> Iterator[Piece]:
        """``enhance`` before rounding, piece by piece: HR rows, HR columns, their RGB (1, 3, rows, cols) in [0, 1].

        Rows of tiles come from top to bottom; within one its pieces come in any order.
        """
        self.check(request)
        with torch.inference_mode():
            if isinstance(self.model, EdgeSCS):
                yield from self._edge_scs(self.model, request, progress)
            else:
                yield from self._by_contract(request, progress)

    def check_options(self, options: Options, reference: bool, scale: float | None = None) -> None:
        super().check_options(options, reference, scale)
        about = self.loaded.description
        if options.keep_colour and about.input == "grey" and not isinstance(self.model, EdgeSCS):
            raise InputError(f"{about.name}: predicts colour and cannot keep it; drop --keep-colour")

    def _check_scale(self, scale: float) -> None:
        self._check_times(scale, scale)

    def _check_magnification(self, lr: tuple[int, int], size: tuple[int, int]) -> None:
        self._check_times(size[0] / lr[0], size[1] / lr[1])

    def _check_times(self, down: float, across: float) -> None:
        about = self.loaded.description
        low, high = about.continuous or (math.inf, -math.inf)
        if (down == across and down in about.scales) or (low <= min(down, across) and max(down, across) <= high):
            return
        ways = [f"x{scale}" for scale in about.scales]
        ways += [f"anything from x{low:g} to x{high:g}"] if about.continuous else []
        requested = f"x{across:.4g}" if down == across else f"x{across:.4g} across, x{down:.4g} down"
        raise InputError(f"{about.name}: cannot magnify by {requested}; it supports {', '.join(ways)}")

    def _edge_scs(
        self,
        model: EdgeSCS,
        request: Request,
        progress: Progress | None,
    ) -> Iterator[Piece]:
        image, size, reference, keep = request.image, request.size, request.reference, request.options.keep_colour
        lr = (image.shape[0], image.shape[1])
        ratios, scale = (size[0] / lr[0], size[1] / lr[1]), shuffle_scale(lr, size)
        guide = None if reference is None else to_tensor(shrink_reference(reference), self.device)
        hints = None
        if request.options.hints:
            hints = planes_of(request.options.hints, lr, model.colour.answer_size(lr)).to(self.device)
        chroma = None if keep else model.colour(self._on_colour_grid(model, image), guide, hints, on_grid=True)
        for group in self._groups(lr, size, progress):
            parts = [image[rows.low : rows.high, cols.low : cols.high] for rows, cols in group]
            if chroma is None:
                ycc = torch.cat([rgb_to_ycc(to_tensor(as_rgb(part), self.device)) for part in parts])
                gray, colour = ycc[:, :1], ycc[:, 1:]
            else:
                gray = torch.cat([to_tensor(as_grey(part), self.device) for part in parts])
                colour = torch.cat([chroma_at(chroma, lr, rows, cols) for rows, cols in group])
            if scale is not None:
                hr = model.render(gray, colour, (gray.shape[-2] * scale, gray.shape[-1] * scale))
            else:
                features = model.texture(gray, colour)
            for i, (rows, cols) in enumerate(group):
                own = [Image.fromarray(plane) for plane in colour[i].cpu().numpy()] if keep else []
                if scale is not None:
                    bands = iter([(slice(rows.start, rows.stop), _crop(hr[i : i + 1], rows, cols, scale))])
                else:
                    base = torch.cat([gray[i : i + 1], colour[i : i + 1]], dim=1)
                    bands = _bands(model, features[i : i + 1], base, rows, cols, ratios)
                across = slice(cols.start, cols.stop)
                for band, ycc in bands:
                    if own:
                        origin = (rows.low, cols.low)
                        enlarged = torch.stack([enlarge_part(plane, band, across, ratios, origin) for plane in own])
                        ycc = torch.cat([ycc[:, :1], enlarged[None].to(ycc)], dim=1)
                    yield band, across, model.rgb(ycc)

    def _on_colour_grid(self, model: EdgeSCS, image: ImageArray) -> Tensor:
        """The image's luma as ``to_colour_grid`` gives it, from some rows at a time."""
        grid, cell = colour_grid((image.shape[0], image.shape[1]), model.colour.side)
        if cell is None:
            return resize_to_grid(to_tensor(as_grey(image), self.device), grid)
        step = cell[0] * max(1, GRID_PIXELS // (cell[0] * image.shape[1]))
        bands = [image[row : row + step] for row in range(0, image.shape[0], step)]
        means = [average(to_tensor(as_grey(band), self.device), (min(cell[0], len(band)), cell[1])) for band in bands]
        return resize_to_grid(torch.cat(means, dim=2), grid)

    def _by_contract(self, request: Request, progress: Progress | None) -> Iterator[Piece]:
        """Networks that are nothing but their description and ``forward``."""
        image, size, reference = request.image, request.size, request.reference
        about, lr = self.loaded.description, (image.shape[0], image.shape[1])
        everything = (slice(0, size[0]), slice(0, size[1]))
        if about.input == "grey":
            gray = to_tensor(as_grey(image), self.device)
            guide = () if reference is None else (to_tensor(shrink_reference(reference), self.device),)
            yield *everything, self.model(gray, size, *guide)
            if progress is not None:
                progress(1, 1)
            return
        seen = as_rgb(image if request.options.keep_colour else as_grey(image))
        scale = size[0] // lr[0]
        if size != (lr[0] * scale, lr[1] * scale) or scale not in about.scales:
            yield *everything, self.model(to_tensor(seen, self.device), size)
            return
        for rows, cols in self._tiles(lr, size, progress):
            part = to_tensor(seen[rows.low : rows.high, cols.low : cols.high], self.device)
            rgb = self.model(part, (part.shape[-2] * scale, part.shape[-1] * scale))
            yield slice(rows.start, rows.stop), slice(cols.start, cols.stop), _crop(rgb, rows, cols, scale)

    def _tiles(
        self, lr: tuple[int, int], size: tuple[int, int], progress: Progress | None
    ) -> Iterator[tuple[Span, Span]]:
        for group in self._groups(lr, size, progress, batch=1):
            yield from group

    def _groups(
        self, lr: tuple[int, int], size: tuple[int, int], progress: Progress | None, batch: int | None = None
    ) -> Iterator[list[tuple[Span, Span]]]:
        """Tiles row by row, as many of a row at a time as are computed together; those see equally many LR pixels."""
        halo, batch = self.loaded.description.halo, batch or self.batch
        down, across = spans(lr[0], size[0], self.tile, halo), spans(lr[1], size[1], self.tile, halo)
        if batch > 1:
            across = equal_windows(across, lr[1])
        done = 0
        for rows in down:
            for left in range(0, len(across), batch):
                group = [(rows, cols) for cols in across[left : left + batch]]
                yield group
                done += len(group)
                if progress is not None:
                    progress(done, len(down) * len(across))


def chroma_at(chroma: Tensor, lr: tuple[int, int], rows: Span, cols: Span) -> Tensor:
    """Chroma (n, 2, hc, wc) on the LR grid of one tile, as ``enlarge_chroma`` gives it for the whole image."""
    along = [
        lr_coordinates(span.high - span.low, count / coarse, span.low, chroma.device)
        for span, count, coarse in zip((rows, cols), lr, chroma.shape[-2:], strict=True)
    ]
    return sample_bilinear(chroma, *along)


def _crop(hr: Tensor, rows: Span, cols: Span, scale: int) -> Tensor:
    """The tile's own HR pixels from what its LR pixels with halo became."""
    top, left = rows.start - rows.low * scale, cols.start - cols.low * scale
    return hr[..., top : top + rows.stop - rows.start, left : left + cols.stop - cols.start]


def _bands(
    model: EdgeSCS, features: Tensor, base: Tensor, rows: Span, cols: Span, ratios: tuple[float, float]
) -> Iterator[tuple[slice, Tensor]]:
    """A tile by the continuous head, some HR rows at a time: the rows, and their luma and chroma.

    A band takes the feature rows that it interpolates between, and one more on either side for the heads' 3x3
    convolutions.
    """
    at_cols = lr_coordinates(cols.stop - cols.start, ratios[1], cols.start, base.device) - cols.low
    pixels = BAND_PIXELS if base.device.type == "cpu" else GPU_BAND_PIXELS
    step = max(1, pixels // (cols.stop - cols.start))
    for start in range(rows.start, rows.stop, step):
        stop = min(start + step, rows.stop)
        band = span_of(start, stop, rows.high, ratios[0], halo=1)
        low = max(band.low, rows.low)
        inside = slice(low - rows.low, band.high - rows.low)
        at_rows = lr_coordinates(stop - start, ratios[0], start, base.device) - low
        windows = features[..., inside, :], base[..., inside, :]
        yield slice(start, stop), model.continuous.at(*windows, at_rows, at_cols, ratios)
