"""How far a run is and how long it will take: a bar on a terminal's stderr, a line every half minute elsewhere."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from edge_scs.files import printable
from edge_scs.imaging.metadata import Metadata
from edge_scs.imaging.writers import write_image
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.request import Options, Request

LINE_SECONDS = 30.0
# Runs of fewer LR pixels are over before an estimate is.
WORTH_ESTIMATING = 1_000_000
_SAMPLE_SIDE = 192


def seconds_per_pixel(
    engine: Engine, ratios: tuple[float, float], suffix: str, reference: Any, options: Options
) -> float:
    """Time per LR pixel, from one tile that is made and written, after one to warm up. It is a guess: other tiles
    compress worse or better, and the machine has other things to do.
    """
    coarse = np.random.default_rng(0).integers(40, 216, (24, 24, 3), dtype=np.uint8)
    sample = np.asarray(Image.fromarray(coarse).resize((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BICUBIC))
    size = (round(_SAMPLE_SIDE * ratios[0]), round(_SAMPLE_SIDE * ratios[1]))
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="edge-scs-") as folder:
        for _ in range(2):
            begun = time.perf_counter()
            strips = engine.strips(Request(sample, size, reference, replace(options, hints=())))
            write_image(Path(folder) / f"sample{suffix}", strips, size, 3, Metadata(Image.Exif()))
            seconds = time.perf_counter() - begun
    return seconds / _SAMPLE_SIDE**2


def duration(seconds: float) -> str:
    """A time as people say it: "about 40 s", "about 12 min", "about 3.5 h"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


class Display:
    """Progress through images whose ``weights`` are their LR pixels: the time left goes by those, not by files."""

    def __init__(self, weights: list[float], wanted: bool, say: Callable[[str], None]):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        self._weights = weights
        self._finished, self._done, self._failed = 0.0, 0, 0
        self._say = say if wanted else None
        self._begun = self._said = time.monotonic()
        self._terminal = wanted and console.is_terminal
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn(),
            console=console, transient=True, disable=not self._terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=sum(weights), count="")

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, index: int, source: Path) -> Progress:
        """A callback for the tiles of an image that begins now."""
        from rich.markup import escape

        self._bar.update(self._task, description=escape(printable(source.name)))
        return lambda done, total: self._show(self._finished + self._weights[index] * done / total)

    def end(self, index: int, failed: bool) -> None:
        self._finished += self._weights[index]
        self._done, self._failed = self._done + (not failed), self._failed + failed
        self._show(self._finished)

    def _show(self, weight: float) -> None:
        self._bar.update(self._task, completed=weight, count=f"{self._done + self._failed}/{len(self._weights)}")
        now = time.monotonic()
        if self._say is None or self._terminal or now - self._said < LINE_SECONDS:
            return
        self._said = now
        left = (now - self._begun) * (sum(self._weights) - weight) / max(weight, 1e-9)
        self._say(f"{self._done} of {len(self._weights)} done, {self._failed} failed, {duration(left)} left")
