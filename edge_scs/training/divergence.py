"""Steps that must not be taken, and loaders that break: what keeps a long run alive, or ends it with one clear line."""

import math
from collections.abc import Iterator
from typing import Any

from edge_scs.errors import InputError

# So many bad steps in a row are no accident: the run has diverged, or the data is bad.
MAX_SKIPPED = 10


class Guard:
    """Decides on each step by the norm of its gradient, which is that of all processes together.

    ``passes`` is False for a step to be skipped; ``skipped`` counts them. Raises InputError when MAX_SKIPPED of them
    follow one another, naming the stage and the fix.
    """

    def __init__(self, stage: str):
        self.stage, self.skipped, self._in_a_row = stage, 0, 0

    def passes(self, norm: Any) -> bool:
        if norm is None or math.isfinite(float(norm)):
            self._in_a_row = 0
            return True
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        if self._in_a_row >= MAX_SKIPPED:
            key = f"--set stage.{self.stage}"
            fix = f"resume with --resume and a lower {key}.learning_rate= or {key}.clip="
            raise InputError(f"stage {self.stage}: no finite loss or gradient in {MAX_SKIPPED} steps in a row; {fix}")
        return False


def next_batch(loader: Iterator[Any]) -> Any:
    """The loader's next batch. What a worker process raised comes without the worker's traceback."""
    try:
        return next(loader)
    except InputError as error:
        raise InputError(str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]) from error
