"""Photographs inside tar files, as WebDataset lays them out, read at random by an index of their places.

The ``webdataset`` package is not used: it streams shards and shuffles by a buffer, so that a batch depends on all that
was read before it. Here a batch is a function of the step, which needs any image at any time; an uncompressed tar
gives it with one seek. What lies beside the images in a sample (.json, .txt, .cls) is left alone.
"""

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.images import SUFFIXES


@dataclass(frozen=True, slots=True)
class Member:
    """One image in a shard: where its bytes stand."""

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def read(self) -> bytes:
        """Its bytes. Raises InputError when the shard cannot be read any more."""
        try:
            with open(self.shard, "rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise InputError(f"{self}: cannot be read ({error.strerror})") from error
        if len(content) < self.size:
            raise InputError(f"{self}: cut off after {len(content)} of {self.size} bytes; copy the shard again")
        return content


def index_shard(path: Path, warn: Callable[[str], None], cache: Path | None = None) -> list[Member]:
    """The images of an uncompressed tar, in its order. What cannot be read is named through ``warn`` and left out.

    With a ``cache`` folder the places are kept there, and a shard of the same size and time stamp is not read again.
    """
    kept = None if cache is None else _kept_as(path, cache)
    if kept is not None and (known := _read_places(path, kept)) is not None:
        return known
    members: list[Member] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                name = Path(info.name)
                if info.isreg() and name.suffix.lower() in SUFFIXES and not name.name.startswith("."):
                    members.append(Member(path, info.name, info.offset_data, info.size))
    except (tarfile.TarError, OSError, EOFError) as error:
        warn(f"{path}: not read to its end as an uncompressed tar ({error}); {len(members)} images found in it")
        return members
    if kept is not None:
        _write_places(members, kept)
    return members


def _kept_as(path: Path, cache: Path) -> Path | None:
    """The file of a shard's places: the shard's path, then what changes with it. None for one that is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    parts = (os.path.abspath(path), f"{stat.st_size} {stat.st_mtime_ns}")
    own, state = (hashlib.sha256(os.fsencode(part)).hexdigest()[:16] for part in parts)
    return cache / f"shard-{own}-{state}.npz"


def _read_places(path: Path, kept: Path) -> list[Member] | None:
    try:
        with np.load(kept, allow_pickle=False) as file:
            names, places = json.loads(bytes(file["names"])), file["places"]
        return [
            Member(path, str(name), int(offset), int(size))
            for name, (offset, size) in zip(names, places.tolist(), strict=True)
        ]
    except Exception:  # missing, torn or foreign: the shard is read again
        return None


def _write_places(members: list[Member], kept: Path) -> None:
    """Replace what is kept of a shard. A folder that cannot be written is no reason to stop."""
    file = io.BytesIO()
    names = np.frombuffer(json.dumps([member.name for member in members]).encode(), np.uint8)
    places = np.array([(member.offset, member.size) for member in members], np.int64).reshape(-1, 2)
    np.savez(file, names=names, places=places)
    with contextlib.suppress(InputError, OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in kept.parent.glob(f"{kept.stem.rpartition('-')[0]}-*.npz"):
            old.unlink(missing_ok=True)
        write_atomically(kept, file.getvalue())


def is_shard(path: Path) -> bool:
    return path.suffix.lower() == ".tar"
