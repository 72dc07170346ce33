"""An engine for tests of everything around the network. A module of its own, so that other processes find it."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_scs.archive.folder import RunOptions, Summary, enhance_files
from edge_scs.archive.restore import Wanted
from edge_scs.errors import InputError
from edge_scs.imaging.sizes import parse_size
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.request import Request


def run_over(
    inputs: list[Path], out: Path, engine: Engine, make: Any = None, say: Any = print, **given: Any
) -> Summary:
    """``enhance_files`` with the fields of its options side by side, and a size as people write it."""
    if isinstance(given.get("size"), str):
        given["size"] = parse_size(given["size"])
    wanted = {field.name: given.pop(field.name) for field in fields(Wanted) if field.name in given}
    run = RunOptions(Wanted(**wanted), **({"progress": False} | given))
    return enhance_files(inputs, out, engine, run, make=make, say=say)


class Repeat(Engine):
    """An engine that repeats pixels and remembers what was requested."""

    name = "repeat"
    takes_reference = True

    identity = "repeat"
    default_scale = 2.0

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def _check_scale(self, scale: float) -> None:
        if scale == 7:
            raise InputError("repeat: cannot magnify by x7; it supports the rest")

    def _check_magnification(self, lr: tuple[int, int], size: tuple[int, int]) -> None:
        """Any."""

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[np.ndarray]:
        image, size = request.image, request.size
        self.asked.append({"shape": image.shape, "size": size, "reference": request.reference})
        self.asked[-1]["keep_colour"] = request.options.keep_colour
        if progress is not None:
            progress(1, 1)
        rows, cols = (np.arange(n) * old // n for n, old in zip(size, image.shape[:2], strict=True))
        out = image[rows][:, cols]
        yield out if out.ndim == 3 else np.repeat(out[..., None], 3, axis=2)


class Deadly(Repeat):
    """Kills its process over an image 13 pixels wide, the way a broken decoder would."""

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[np.ndarray]:
        if request.image.shape[1] == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super()._strips(request, progress)


class Mistaken(Repeat):
    """Makes a mistake of its own over images 60 pixels wide."""

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[np.ndarray]:
        if request.image.shape[1] == 60:
            raise KeyError("no such\nkey")
        yield from super()._strips(request, progress)


class Slow(Repeat):
    """Makes its first strip, leaves a file called "begun" in the current folder, and takes its time."""

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[np.ndarray]:
        for strip in super()._strips(request, progress):
            yield strip[:1]
            Path("begun").touch()
            time.sleep(60)
            yield strip[1:]
