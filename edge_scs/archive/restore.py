"""One image from file to file: read as it is, enlarged strip by strip, written with what it carried."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import ImageArray, enlarge_part
from edge_scs.imaging.scans import Scan, read_scan
from edge_scs.imaging.writers import check_target, write_image
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.request import Options, Request
from edge_scs.inference.tiles import span_of

MAX_OUTPUT_PIXELS = 200_000_000


@dataclass(frozen=True)
class Wanted:
    """What is requested for every image of a run: its size, how it is restored, and how the result is written.

    ``scale`` or ``size`` (W, H), the network's own scale where neither is given; ``quality`` of JPEG and WebP, 1 to
    100; larger results than ``max_output_pixels`` are refused. Raises InputError for a scale beside a size.
    """

    scale: float | None = None
    size: tuple[int, int] | None = None
    options: Options = field(default_factory=Options)
    quality: int | None = None
    max_output_pixels: int | None = MAX_OUTPUT_PIXELS

    def __post_init__(self) -> None:
        if self.scale is not None and self.size is not None:
            raise InputError("scale and size exclude each other: give --scale or --size, not both")


def restore(
    source: Path,
    target: Path,
    engine: Engine,
    wanted: Wanted,
    reference: ImageArray | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Make ``target`` from ``source``, whole or not at all; returns what is worth a note.

    Raises InputError, one line with the file and the fix, and MemoryError.
    """
    scan = read_scan(source, wanted.options.keep_colour, wanted.scale, wanted.size, wanted.max_output_pixels)
    check_target(target, scan.size)
    strips = engine.strips(Request(scan.pixels, scan.size, reference, wanted.options), progress)
    channels = 3 if scan.alpha is None else 4
    write_image(target, finished(strips, scan), scan.size, channels, scan.metadata, wanted.quality)
    return scan.notes


def finished(strips: Iterator[ImageArray], scan: Scan) -> Iterator[ImageArray]:
    """Strips as they are written: no longer premultiplied, in the image's own colour space, with their alpha."""
    opaque = scan.alpha is None or int(scan.alpha.min()) == scan.top
    row = 0
    for rgb in strips:
        if opaque:
            alpha = np.full(rgb.shape[:2], scan.top, rgb.dtype)
        else:
            alpha = _enlarged_alpha(scan, slice(row, row + len(rgb)))
            whole = np.minimum(rgb * (scan.top / np.maximum(alpha, 1).astype(np.float32))[..., None], scan.top)
            rgb = np.rint(whole).astype(rgb.dtype)
        row += len(rgb)
        if scan.profile is not None and scan.profile.writable:
            rgb = scan.profile.from_srgb(rgb)
        yield rgb if scan.alpha is None else np.dstack([rgb, alpha])


def _enlarged_alpha(scan: Scan, rows: slice) -> ImageArray:
    """HR rows of the alpha channel, enlarged bicubically with the geometry of the pixels."""
    assert scan.alpha is not None
    h, w = scan.alpha.shape
    ratios = (scan.size[0] / h, scan.size[1] / w)
    around = span_of(rows.start, rows.stop, h, ratios[0], halo=2)
    plane = Image.fromarray(scan.alpha[around.low : around.high].astype(np.float32))
    part = enlarge_part(plane, rows, slice(0, scan.size[1]), ratios, (around.low, 0)).numpy()
    return np.rint(np.clip(part, 0, scan.top)).astype(scan.alpha.dtype)
