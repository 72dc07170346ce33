"""A network applied to pictures of any size: chroma once for the whole, texture by tiles, uint8 in and out."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edge_scs.color import rgb_to_ycc
from edge_scs.enhance.pictures import (
    Picture,
    as_grey,
    as_rgb,
    check_picture,
    enlarge_part,
    shrink_reference,
    to_picture,
    to_tensor,
)
from edge_scs.enhance.sizes import DEFAULT_SCALE
from edge_scs.enhance.tiles import Span, span_of, spans
from edge_scs.errors import InputError
from edge_scs.models.edge_scs import EdgeSCS, shuffle_scale
from edge_scs.models.heads import lr_coordinates, sample_bilinear
from edge_scs.weights.loading import Loaded, load

# HR pixels that the continuous head maps at a time: it is 16 channels wide there. More cost memory and gain no time.
BAND_PIXELS = 1 << 16

Progress = Callable[[int, int], None]
Piece = tuple[slice, slice, Tensor]


class Enhancer(Protocol):
    """What a folder run needs: this module's ``Predictor`` or the fixed-size one of an exported artifact."""

    @property
    def default_scale(self) -> float: ...

    def check_options(self, reference: bool, keep_colour: bool, scale: float | None = None) -> None: ...

    def enhance(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None = None,
        keep_colour: bool = False,
        progress: Progress | None = None,
    ) -> Picture: ...


def make_predictor(
    model: str,
    weights: Path | None = None,
    runtime: str = "torch",
    artifact: Path | None = None,
    tile: int | None = 256,
    device: str = "cpu",
) -> Enhancer:
    """The enhancer that the command line asks for.

    ``runtime`` "torch" takes ``model`` (a name or a checkpoint), ``weights``, ``tile`` and ``device``; "executorch"
    takes ``artifact``, an exported .pte that fixes all of them. Raises InputError for anything that does not fit.
    """
    if runtime == "executorch":
        from edge_scs.enhance.continuous import ContinuousPredictor
        from edge_scs.enhance.fixed import FixedPredictor
        from edge_scs.export.manifest import read_manifest

        if artifact is None or weights is not None:
            raise InputError(
                "runtime executorch: give --artifact FILE.pte, made by `edge-scs export`, and no --weights"
            )
        manifest = read_manifest(artifact)
        return FixedPredictor(artifact) if manifest.continuous is None else ContinuousPredictor(artifact, manifest)
    if runtime != "torch":
        raise InputError(f"runtime {runtime}: must be torch or executorch")
    if artifact is not None:
        raise InputError(f"{artifact}: an artifact needs --runtime executorch")
    return Predictor(load(model, weights), tile, device)


class Predictor:
    """Runs a loaded network on whole pictures.

    ``tile`` is the side of a tile in LR pixels, or None for the whole picture at once. Edge-SCS and RGB networks at
    their whole scales give the same picture for any tile; other networks always run whole, because they gather from
    everywhere. ``device`` is any torch device; the network moves there.

    Whole means ``forward``, within float32: at decimal magnifications ``F.interpolate`` rounds coordinates to 24 bits
    and this class to 53, which shows in the fourth decimal at the very most.
    """

    def __init__(self, loaded: Loaded, tile: int | None = 256, device: str | torch.device = "cpu"):
        if tile is not None and tile < 1:
            raise InputError(f"tile {tile}: must be at least 1 LR pixel, or none for the whole picture at once")
        self.loaded = loaded
        self.tile = tile
        self.device = torch.device(device)
        self.model = loaded.model.to(self.device).eval()

    @property
    def default_scale(self) -> float:
        scales = self.loaded.description.scales
        return DEFAULT_SCALE if self.loaded.description.continuous or not scales else float(max(scales))

    @torch.inference_mode()
    def enhance(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None = None,
        keep_colour: bool = False,
        progress: Progress | None = None,
    ) -> Picture:
        """uint8 grey (h, w) or RGB (h, w, 3), size (H, W) -> uint8 RGB (H, W, 3).

        A picture in colour is reduced to luma first, unless ``keep_colour``: then the network sees luma and the
        picture's own chroma on the LR grid, its luma is taken, and the chroma is the picture's own, enlarged
        bicubically, so that no hue is invented. What has no colour then stays grey. An RGB network gets
        the picture as it is, or three equal planes.

        ``reference`` is an RGB picture of any size. ``progress`` is called with (tiles done, tiles).
        Raises InputError for a size, reference or option that the network cannot serve.
        """
        out = np.empty((*size, 3), np.uint8)
        for rows, cols, rgb in self.pieces(picture, size, reference, keep_colour, progress):
            out[rows, cols] = to_picture(rgb)
        return out

    def pieces(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None = None,
        keep_colour: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Piece]:
        """``enhance`` before rounding, piece by piece: HR rows, HR columns, their RGB (1, 3, rows, cols) in [0, 1]."""
        check_picture(picture)
        if reference is not None:
            check_picture(reference)
        self.check_options(reference is not None, keep_colour)
        self._check_times(size[0] / picture.shape[0], size[1] / picture.shape[1])
        if not isinstance(self.model, EdgeSCS):
            yield from self._by_contract(picture, size, reference, keep_colour, progress)
        elif keep_colour:
            ycc = rgb_to_ycc(to_tensor(as_rgb(picture), self.device))
            yield from self._edge_scs(self.model, ycc[:, :1], ycc[:, 1:], size, True, progress)
        else:
            gray = to_tensor(as_grey(picture), self.device)
            guide = None if reference is None else to_tensor(shrink_reference(reference), self.device)
            yield from self._edge_scs(self.model, gray, self.model.colour(gray, guide), size, False, progress)

    def check_options(self, reference: bool, keep_colour: bool, scale: float | None = None) -> None:
        """Raise InputError for what this network cannot do with any picture: borrow colours, keep them, a scale."""
        about = self.loaded.description
        if reference and keep_colour:
            raise InputError("keep-colour and reference exclude each other: the colours are kept or borrowed")
        if reference and not about.reference:
            raise InputError(f"{about.name}: has no reference branch; drop --reference or choose another model")
        if keep_colour and about.input == "grey" and not isinstance(self.model, EdgeSCS):
            raise InputError(f"{about.name}: predicts colour and cannot keep it; drop --keep-colour")
        if scale is not None:
            self._check_times(scale, scale)

    def _check_times(self, down: float, across: float) -> None:
        about = self.loaded.description
        low, high = about.continuous or (math.inf, -math.inf)
        if (down == across and down in about.scales) or (low <= min(down, across) and max(down, across) <= high):
            return
        ways = [f"x{scale}" for scale in about.scales]
        ways += [f"anything from x{low:g} to x{high:g}"] if about.continuous else []
        asked = f"x{across:.4g}" if down == across else f"x{across:.4g} across, x{down:.4g} down"
        raise InputError(f"{about.name}: cannot magnify by {asked}; it supports {', '.join(ways)}")

    def _edge_scs(
        self, model: EdgeSCS, gray: Tensor, chroma: Tensor, size: tuple[int, int], keep: bool, progress: Progress | None
    ) -> Iterator[Piece]:
        """gray (1, 1, h, w); chroma coarse, or with ``keep`` the picture's own on the LR grid (1, 2, h, w)."""
        lr = (gray.shape[-2], gray.shape[-1])
        ratios = (size[0] / lr[0], size[1] / lr[1])
        scale = shuffle_scale(lr, size)
        own = [Image.fromarray(plane) for plane in chroma[0].cpu().numpy()] if keep else []
        for rows, cols in self._tiles(lr, size, progress):
            part = gray[..., rows.low : rows.high, cols.low : cols.high]
            colour = chroma_at(chroma, lr, rows, cols)
            if scale is None:
                bands = _bands(model, part, colour, rows, cols, ratios)
            else:
                hr = (part.shape[-2] * scale, part.shape[-1] * scale)
                bands = iter([(slice(rows.start, rows.stop), _crop(model.render(part, colour, hr), rows, cols, scale))])
            across = slice(cols.start, cols.stop)
            for band, ycc in bands:
                if own:
                    enlarged = torch.stack([enlarge_part(plane, band, across, ratios) for plane in own])
                    ycc = torch.cat([ycc[:, :1], enlarged[None].to(ycc)], dim=1)
                yield band, across, model.rgb(ycc)

    def _by_contract(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None,
        keep_colour: bool,
        progress: Progress | None,
    ) -> Iterator[Piece]:
        """Networks that are nothing but their description and ``forward``."""
        about, lr = self.loaded.description, (picture.shape[0], picture.shape[1])
        everything = (slice(0, size[0]), slice(0, size[1]))
        if about.input == "grey":
            gray = to_tensor(as_grey(picture), self.device)
            guide = () if reference is None else (to_tensor(shrink_reference(reference), self.device),)
            yield *everything, self.model(gray, size, *guide)
            if progress is not None:
                progress(1, 1)
            return
        seen = as_rgb(picture if keep_colour else as_grey(picture))
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
        halo = self.loaded.description.halo
        across = spans(lr[1], size[1], self.tile, halo)
        tiles = [(rows, cols) for rows in spans(lr[0], size[0], self.tile, halo) for cols in across]
        for done, tile in enumerate(tiles, start=1):
            yield tile
            if progress is not None:
                progress(done, len(tiles))


def chroma_at(chroma: Tensor, lr: tuple[int, int], rows: Span, cols: Span) -> Tensor:
    """Chroma (n, 2, hc, wc) on the LR grid of one tile, as ``enlarge_chroma`` gives it for the whole picture."""
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
    model: EdgeSCS, gray: Tensor, chroma: Tensor, rows: Span, cols: Span, ratios: tuple[float, float]
) -> Iterator[tuple[slice, Tensor]]:
    """A tile by the continuous head, some HR rows at a time: the rows, and their luma and chroma.

    The features are computed once; a band takes the feature rows that it interpolates between, and one more on either
    side for the head's 3x3 convolution.
    """
    features, base = model.texture(gray, chroma), torch.cat([gray, chroma], dim=1)
    at_cols = lr_coordinates(cols.stop - cols.start, ratios[1], cols.start, gray.device) - cols.low
    step = max(1, BAND_PIXELS // (cols.stop - cols.start))
    for start in range(rows.start, rows.stop, step):
        stop = min(start + step, rows.stop)
        band = span_of(start, stop, rows.high, ratios[0], halo=1)
        low = max(band.low, rows.low)
        inside = slice(low - rows.low, band.high - rows.low)
        at_rows = lr_coordinates(stop - start, ratios[0], start, gray.device) - low
        part = model.continuous.at(features[..., inside, :], base[..., inside, :], at_rows, at_cols, ratios)
        yield slice(start, stop), part
