"""Checkpoints: one file that holds all a run needs to resume exactly, written whole or not at all."""

import io
import os
import re
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from edge_scs.data.agreement import StoppedElsewhere, gathered, together
from edge_scs.errors import InputError
from edge_scs.files import atomic_path

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
_KEPT = re.compile(r"checkpoint-\d+-\d+\.pt")


def save_checkpoint(folder: Path, state: dict[str, Any], keep: int = 0) -> None:
    """Write ``state`` (tensors and plain values only); the checkpoint before it stays as ``checkpoint.previous.pt``.

    The last ``keep`` also stay under names of their own, ``checkpoint-1-0000500.pt`` for stage 1, step 500: hard links,
    where the file system has them, so that the two newest take no room twice.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_path(folder / NAME) as temporary:
        with open(temporary, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # a full disk shows here at the latest, with both older checkpoints in place
        if (folder / NAME).exists():
            (folder / NAME).replace(folder / PREVIOUS)
    if keep:
        position = state["position"]
        path = folder / f"checkpoint-{position['stage']}-{position['step']:07d}.pt"
        path.unlink(missing_ok=True)
        try:
            os.link(folder / NAME, path)
        except OSError:
            shutil.copyfile(folder / NAME, path)
        named = [old for old in folder.glob("checkpoint-*.pt") if _KEPT.fullmatch(old.name)]
        for old in sorted(named, key=lambda old: tuple(map(int, old.stem.split("-")[1:])))[:-keep]:
            old.unlink()


def holds_run(folder: Path) -> bool:
    """Whether there is a checkpoint, be it only the older: a crash may come between ``save_checkpoint``'s renames."""
    return any((folder / name).exists() for name in (NAME, PREVIOUS))


def load_checkpoint(folder: Path, warn: Any = print) -> dict[str, Any] | None:
    """The newest readable checkpoint of a run, or None if it has none. Falls back to the one before, and says so.

    Raises InputError when there are checkpoints and none can be read.
    """
    broken = []
    for path in (folder / NAME, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            _check_archive(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn or foreign file fails in many ways; all mean "not this one"
            broken.append(path)
            warn(f"{path}: unreadable ({type(error).__name__}), trying the checkpoint before it")
            continue
        return dict(state)
    if broken:
        raise InputError(f"{broken[0]}: no checkpoint of this run can be read; start again without --resume")
    return None


def check_first_is_ahead(folder: Path) -> None:
    """Compare the checkpoints that the processes of a run see: rank 0's counts, and is sent to the others.

    Raises InputError, on every process, where another machine holds a later one: only rank 0 writes checkpoints, so the
    machines have changed places, and resuming would throw the later steps away.
    """
    if not together():
        return
    here = _position(folder)
    seen = gathered((here, socket.gethostname()))
    ahead = [(position, rank) for rank, (position, _) in enumerate(seen) if position > seen[0][0]]
    if not ahead:
        return
    position, rank = max(ahead)
    own = "none" if seen[0][0] < (0, 0) else "one of stage {}, step {}".format(*seen[0][0])
    line = (
        f"{folder}: rank {rank} on {seen[rank][1]} holds a checkpoint of stage {position[0]}, step {position[1]}, "
        f"rank 0 on {seen[0][1]} {own}; copy the folder to the machine of rank 0, or remove it on the other"
    )
    raise (InputError if dist.get_rank() == 0 else StoppedElsewhere)(line)


def _position(folder: Path) -> tuple[int, int]:
    """Stage and step of the newest readable checkpoint; (-1, -1) without one."""
    try:
        state = load_checkpoint(folder, lambda text: None)
    except InputError:
        state = None
    return (-1, -1) if state is None else (int(state["position"]["stage"]), int(state["position"]["step"]))


def _check_archive(path: Path) -> None:
    """Raise for what torch reads without a word: changed bytes, and entries that unpack to more than the file holds.

    torch writes checksums and packs nothing, but looks at neither when it reads.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries are compressed")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} has a wrong checksum")
