"""Photographs inside tar files, as WebDataset lays them out, read at random by an index of their places.

The ``webdataset`` package is not used: it streams shards and shuffles by a buffer, so that a batch depends on all that
was read before it. Here a batch is a function of the step, which needs any image at any time; an uncompressed tar
gives it with one seek. What lies beside the images in a sample (.json, .txt, .cls) is left alone.
"""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_scs.errors import InputError
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


def index_shard(path: Path, warn: Callable[[str], None]) -> list[Member]:
    """The images of an uncompressed tar, in its order. What cannot be read is named through ``warn`` and left out."""
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


def is_shard(path: Path) -> bool:
    return path.suffix.lower() == ".tar"
