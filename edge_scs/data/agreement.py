"""What the processes of one run agree on: rank 0 decides, and what stops one before the first step stops all.

Without a process group there is one process, and nothing to agree on.
"""

import hashlib
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch.distributed as dist

from edge_scs.errors import InputError

T = TypeVar("T")
# How gloo and NCCL say that a process is gone.
_LOST = re.compile(r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe", re.IGNORECASE)


class StoppedElsewhere(InputError):  # noqa: N818 - another's error
    """Another process reports why the run stops; this one ends without a word."""


def together() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gathered(value: T) -> list[T]:
    """The value of every process, on every process, in the order of ranks. ``value`` can be pickled."""
    if not together():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def of_first(make: Callable[[], T]) -> T:
    """What ``make`` returns on rank 0, on every rank; it is called there only.

    Raises InputError where it does: with the message on rank 0, as StoppedElsewhere on the others.
    """
    if not together():
        return make()
    box: list[Any] = [None]
    failed: InputError | None = None
    if dist.get_rank() == 0:
        try:
            box = [("made", make())]
        except InputError as error:
            box, failed = [("failed", str(error))], error
    dist.broadcast_object_list(box, src=0)
    if failed is not None:
        raise failed
    kind, made = box[0]
    if kind == "failed":
        raise StoppedElsewhere(made)
    return made


def all_or_none(make: Callable[[], T]) -> T:
    """What ``make`` returns here. Where it raises InputError on any process, all of them stop.

    The first process that failed says why; the others raise StoppedElsewhere.
    """
    if not together():
        return make()
    failed: InputError | None = None
    made: Any = None
    try:
        made = make()
    except InputError as error:
        failed = error
    reasons = gathered(None if failed is None else f"{failed}")
    first = next((rank for rank, reason in enumerate(reasons) if reason is not None), None)
    if first is None:
        return made
    if failed is not None and first == dist.get_rank():
        raise failed
    raise StoppedElsewhere(reasons[first])


def check_same(lines: Callable[[], Iterable[str]], what: str, fix: str) -> None:
    """Raise InputError, on every process, unless ``lines`` gives the same ones in all.

    The message of rank 0 names the first process that differs, its machine and the first line that does.
    """
    if not together():
        return
    digest = hashlib.sha256()
    for line in lines():
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    digests = gathered((digest.hexdigest(), socket.gethostname()))
    if len({each for each, _ in digests}) == 1:
        return
    lists = gathered(list(lines()))
    rank = next(rank for rank, (each, _) in enumerate(digests) if each != digests[0][0])
    odd = min({*lists[0]} ^ {*lists[rank]}, default="")
    where = f"{odd} is on rank {0 if odd in lists[0] else rank} alone" if odd else "their order"
    counts = f"rank 0 ({len(lists[0])}) and rank {rank} on {digests[rank][1]} ({len(lists[rank])})"
    raise (InputError if dist.get_rank() == 0 else StoppedElsewhere)(f"{what} differ between {counts}: {where}; {fix}")


@contextmanager
def unless_others_end(fix: str) -> Iterator[None]:
    """Turn what a collective raises when another process has ended into an InputError with a ``fix``."""
    try:
        yield
    except RuntimeError as error:
        if not together() or not _LOST.search(str(error)):
            raise
        raise InputError(f"another process of this run has ended; its own message says why. {fix}") from error
