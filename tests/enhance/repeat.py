"""An enhancer for tests of everything around the network. A module of its own, so that other processes find it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edge_scs.errors import InputError


class Repeat:
    """An enhancer that repeats pixels and remembers what it was asked."""

    identity = "repeat"
    default_scale = 2.0

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def check_options(self, reference: bool, keep_colour: bool, scale: float | None = None) -> None:
        if scale == 7:
            raise InputError("repeat: cannot magnify by x7; it supports the rest")

    def strips(
        self,
        picture: np.ndarray,
        size: tuple[int, int],
        reference: np.ndarray | None = None,
        keep_colour: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[np.ndarray]:
        self.asked.append({"shape": picture.shape, "size": size, "reference": reference, "keep_colour": keep_colour})
        if progress is not None:
            progress(1, 1)
        rows, cols = (np.arange(n) * old // n for n, old in zip(size, picture.shape[:2], strict=True))
        out = picture[rows][:, cols]
        yield out if out.ndim == 3 else np.repeat(out[..., None], 3, axis=2)


class Deadly(Repeat):
    """Kills its process over a picture 13 pixels wide, the way a broken decoder would."""

    def strips(self, picture: np.ndarray, *given: object, **more: object) -> Iterator[np.ndarray]:
        if picture.shape[1] == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().strips(picture, *given, **more)


class Slow(Repeat):
    """Makes its first strip, leaves a file called "begun" in the current folder, and takes its time."""

    def strips(self, *given: object, **more: object) -> Iterator[np.ndarray]:
        for strip in super().strips(*given, **more):
            yield strip[:1]
            Path("begun").touch()
            time.sleep(60)
            yield strip[1:]
