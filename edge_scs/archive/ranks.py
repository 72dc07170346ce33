"""One run on several processes of a distributed launch (torchrun, accelerate launch)."""

from datetime import timedelta
from typing import Any

import torch.distributed as dist

from edge_scs import launch

# Ranks that have finished wait for the slowest: a launcher takes a process that ends early with 3 for a crash.
_PATIENCE = timedelta(days=30)


def is_main() -> bool:
    """Whether this process speaks for all of a launch."""
    return launch.rank() == 0


class Ranks:
    """This process's ``rank`` among ``count``: 0 of 1 unless a launcher set RANK and WORLD_SIZE.

    Raises InputError where the environment announces several processes and does not say how they meet.
    """

    def __init__(self) -> None:
        launch.check()
        self.count, self.rank = launch.processes(), launch.rank()
        self._ours = False

    def __enter__(self) -> "Ranks":
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("gloo", timeout=_PATIENCE)
            self._ours = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            dist.destroy_process_group()

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, on every rank; returns when all have come here."""
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values
