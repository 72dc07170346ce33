"""Checkpoints: one file that holds all a run needs to resume exactly, written whole or not at all."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from edge_scs.errors import InputError
from edge_scs.files import atomic_path

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values only); the checkpoint before it stays as ``checkpoint.previous.pt``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_path(folder / NAME) as temporary:
        with open(temporary, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # a full disk shows here at the latest, with both older checkpoints in place
        if (folder / NAME).exists():
            (folder / NAME).replace(folder / PREVIOUS)


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


def _check_archive(path: Path) -> None:
    """Raise for what torch reads without a word: changed bytes, and entries that unpack to more than the file holds.

    torch writes checksums and packs nothing, but looks at neither when it reads.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries are compressed")
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} has a wrong checksum")
