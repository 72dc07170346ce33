"""Moving a verified artifact to its final name: whole, alone, and not interrupted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_scs.artifacts.golden import golden_path
from edge_scs.artifacts.manifest import manifest_path
from edge_scs.interrupts import uninterrupted


def publish(artifact: Path, final: Path) -> None:
    """Move a verified artifact, its golden pairs and its manifest to their final names.

    The old manifest goes first and the new one comes last: without one an artifact is not whole. A folder cannot be
    replaced in one step, so all older ones step aside, and come back if the new ones cannot be moved in. Exports into
    the same folder wait for each other here, and signals that end the process wait until all is moved.
    """
    moves = [(path(artifact), path(final)) for path in (golden_path, lambda path: path, manifest_path)]
    moves = [(new, place) for new, place in moves if new.exists()]
    asides = [(place, artifact.with_name(f"replaced-{place.name}")) for _, place in reversed(moves)]
    with alone(final.parent), uninterrupted():
        done: list[tuple[Path, Path]] = []
        try:
            for source, target in ((place, aside) for place, aside in asides if place.exists()):
                os.replace(source, target)
                done.append((source, target))
            for source, target in moves:
                os.replace(source, target)
                done.append((source, target))
        except OSError:
            for source, target in reversed(done):
                os.replace(target, source)
            raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, where the system has such locks (not Windows)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
