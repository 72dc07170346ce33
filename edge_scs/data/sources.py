"""Where photographs come from: files and members of tar shards, found in folders and held in little memory."""

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edge_scs.data.shards import Member, index_shard, is_shard
from edge_scs.errors import InputError
from edge_scs.images import find_images, images_below

Source = Path | Member


class Sources(Sequence[Source]):
    """Files and members by index, as bytes and numbers in arrays.

    A million ``Path`` objects take 0.6 GB, and every loader process would come to hold a copy of its own: looking at an
    object counts a reference, which copies the memory that it shares with its parent.
    """

    def __init__(self, sources: Iterable[Source]):
        names, shards, places = [], dict[Path, int](), []
        for source in sources:
            member = isinstance(source, Member)
            names.append(os.fsencode(source.name if isinstance(source, Member) else source))
            if isinstance(source, Member):
                places.append((shards.setdefault(source.shard, len(shards)), source.offset, source.size))
            elif places or member:
                places.append((-1, 0, 0))
        self._text = b"".join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        self._shards = list(shards)
        missing = len(names) - len(places)  # files stand before members
        self._places = np.array([(-1, 0, 0)] * missing * bool(places) + places, np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self._ends)

    def names(self) -> list[str]:
        """Every ``name`` of ``Path`` or ``Member``: of files without their folders, of members with them."""
        ends, starts = self._ends.tolist(), [0, *self._ends[:-1].tolist()]
        whole = [os.fsdecode(self._text[start:end]) for start, end in zip(starts, ends, strict=True)]
        if not len(self._places):
            return [os.path.basename(name) for name in whole]
        inside = (self._places[:, 0] >= 0).tolist()
        return [name if member else os.path.basename(name) for name, member in zip(whole, inside, strict=True)]

    def take(self, chosen: NDArray[np.int64]) -> "Sources":
        """Those at some indices, in this order."""
        ends = self._ends.tolist()
        part = Sources([])
        part._text = b"".join(self._text[ends[i - 1] if i else 0 : ends[i]] for i in chosen.tolist())
        part._ends = np.cumsum(np.diff(self._ends, prepend=0)[chosen], dtype=np.int64)
        part._shards, part._places = self._shards, self._places[chosen] if len(self._places) else self._places
        return part

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> list[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | list[Source]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        name = os.fsdecode(self._text[self._ends[index - 1] if index else 0 : self._ends[index]])
        if len(self._places) and self._places[index, 0] >= 0:
            shard, offset, size = map(int, self._places[index])
            return Member(self._shards[shard], name, offset, size)
        return Path(name)


def find_sources(folders: Iterable[Path], warn: Callable[[str], None], cache: Path | None = None) -> list[Source]:
    """Images and members of shards, in an order that does not depend on that of ``folders``.

    ``cache``: where the places in shards are kept (``shards.index_shard``).

    Raises InputError like ``images.find_images``, and for a pattern that nothing matches.
    """
    shards: set[Path] = set()
    others: list[Path] = []
    for path in folders:
        matches = [path]
        if not path.exists() and glob.has_magic(str(path)):
            matches = [Path(name) for name in glob.glob(str(path))]
            if not matches:
                raise InputError(f"{path}: nothing matches this pattern; check the path")
        for match in matches:
            inside = sorted(match.glob("*.tar")) if match.is_dir() else []
            alone = is_shard(match) and match.is_file()
            shards.update([match] if alone else inside)
            if inside:
                unlisted: list[tuple[Path, str]] = []
                others += images_below(match, unlisted)
                for folder, reason in unlisted:
                    warn(f"skipped: {folder}: {reason}")
            elif not alone:
                others.append(match)
    members = [member for shard in sorted(shards) for member in index_shard(shard, warn, cache)]
    return [*(find_images(others) if others else []), *members]
