"""What the page shows of an image: a copy that a browser can hold, and the network's answer at a preview's size.

An image of up to SMALL pixels a side is previewed as it is; a larger one is made that small first, so its preview shows
the colours of the result, and not its detail.
"""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from edge_scs.imaging.arrays import ImageArray, saturated
from edge_scs.imaging.scans import Scan, read_scan
from edge_scs.imaging.sizes import check_scale, target_size
from edge_scs.inference.engine import Engine
from edge_scs.inference.likely import coloured, likely_colours
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Request
from edge_scs.web.settings import Settings

SMALL = 512  # LR pixels of a preview's longer side: a second or two of computing
SHOWN = 1600  # a preview's longer side, at most
VIEW = 3000  # the longer side of what is shown of a file
_QUALITY = 92


@dataclass
class Preview:
    """An image as the page knows it: ``size`` (h, w) and ``bits`` a sample of the file, ``view`` a JPEG of at most VIEW
    pixels a side, ``small`` uint8 (h', w') or RGB (h', w', 3) of at most SMALL.
    """

    size: tuple[int, int]
    bits: int
    view: bytes
    small: ImageArray
    notes: list[str]
    _lock: Lock = field(default_factory=Lock)
    _turn: int = 0
    _made: tuple[Settings, ImageArray] | None = None  # the last answer, at vividness 1

    def coloured(self, engine: Engine, settings: Settings, guide: ImageArray | None) -> bytes | None:
        """The network's colours on the image as it is, a JPEG: done at once. None where there is no such thing."""
        pixels = coloured(engine, self._request(settings, guide, _shape(self.small)))
        return None if pixels is None else jpeg(pixels)

    def turn(self) -> int:
        """The number of a new call of ``restored``, which earlier ones give way to."""
        self._turn += 1
        return self._turn

    def restored(self, engine: Engine, settings: Settings, guide: ImageArray | None, turn: int) -> bytes | None:
        """The network's answer, a JPEG of at most SHOWN pixels a side; None if another ``turn`` has come meanwhile.

        Where only ``vividness`` has changed since the last call, nothing is computed: it is applied to finished pixels.
        Raises InputError like ``engine.check``.
        """
        check_scale(settings.scale)
        h, w = _shape(self.small)
        scale = settings.scale if (h, w) == self.size else min(settings.scale, 2.0)
        size = target_size((h, w), _possible(engine, max(1.0, min(scale, SHOWN / max(h, w)))))
        plain = replace(settings, options=replace(settings.options, vividness=1.0), suffix=None)
        request = self._request(plain, guide, size)
        engine.check(request)
        with self._lock:
            if self._made is None or self._made[0] != plain:
                strips = []
                for strip in engine.strips(request):
                    strips.append(strip)
                    if turn != self._turn:
                        return None
                self._made = plain, np.concatenate(strips)
            return jpeg(saturated(self._made[1], settings.options.vividness))

    def likely(self, engine: Engine, settings: Settings, guide: ImageArray | None, x: float, y: float) -> list[str]:
        """The likeliest colours at pixel (x, y) of the file's image."""
        (h, w), (high, wide) = self.size, _shape(self.small)
        request = self._request(settings, guide, (high, wide))
        return likely_colours(engine, request, (x + 0.5) * wide / w - 0.5, (y + 0.5) * high / h - 0.5)

    def _request(self, settings: Settings, guide: ImageArray | None, size: tuple[int, int]) -> Request:
        return Request(self.small, size, guide, settings.at_size(self.size, _shape(self.small)).options)


def read_preview(path: Path) -> Preview:
    """Read a file whole, as ``enhance`` does. Raises InputError like ``read_scan``, and MemoryError."""
    scan = read_scan(path, colour=True, scale=1.0)
    shown = _on_white(scan)
    bits = 8 * scan.pixels.dtype.itemsize
    return Preview(_shape(scan.pixels), bits, jpeg(_shrunk(shown, VIEW)), _shrunk(shown, SMALL), scan.notes)


def view_of(path: Path) -> bytes:
    """A result's file as a JPEG of at most VIEW pixels a side. Raises InputError like ``read_scan``."""
    return jpeg(_shrunk(_on_white(read_scan(path, colour=True, scale=1.0)), VIEW))


def jpeg(pixels: ImageArray) -> bytes:
    """uint8 (h, w) or RGB (h, w, 3) as a file for the browser, chroma at full size: colour is what is looked at."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _possible(engine: Engine, scale: float) -> float:
    """The magnification, or for a network of few the largest of its own below it, else its smallest."""
    about = engine.loaded.description if isinstance(engine, Predictor) else None
    if about is None or about.enlarges(scale):
        return scale
    own = sorted({*map(float, about.scales), *((about.continuous[0],) if about.continuous else ())})
    return max([one for one in own if one <= scale], default=own[0])


def _on_white(scan: Scan) -> ImageArray:
    """uint8 pixels on white where they are transparent."""
    pixels = scan.pixels
    if scan.alpha is not None:
        rest = scan.top - scan.alpha
        pixels = pixels + (rest if pixels.ndim == 2 else rest[..., None])
    if pixels.dtype == np.uint8:
        return pixels
    return np.right_shift(pixels, 8, out=np.empty(pixels.shape, np.uint8), casting="unsafe")  # no second uint16 copy


def _shrunk(pixels: ImageArray, side: int) -> ImageArray:
    h, w = _shape(pixels)
    if max(h, w) <= side:
        return pixels
    size = (max(1, round(w * side / max(h, w))), max(1, round(h * side / max(h, w))))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


def _shape(pixels: ImageArray) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]
