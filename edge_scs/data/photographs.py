"""A collection of photographs, from folders and tar shards, decoded once and kept as bytes.

In this process's memory where they fit ``cache_mb``, else in a file that all processes of a machine map
(``data.store``); what does not fit there either is decoded whenever it is drawn.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_scs import launch
from edge_scs.data.agreement import all_or_none, check_same, gathered, of_first
from edge_scs.data.index import Answer, Index, key_of
from edge_scs.data.mix import chances_of
from edge_scs.data.shards import Member
from edge_scs.data.sources import Source, Sources, find_sources
from edge_scs.data.store import Store, open_store
from edge_scs.errors import InputError
from edge_scs.images import decode_rgb, read_rgb
from edge_scs.imaging.scans import image_size, size_in
from edge_scs.metrics import colourfulness

# One name in this many is held out for validation: the same ones for everybody, whatever the order of folders.
HOLD_OUT = 50
BLOCK = 256  # images that are decoded ahead
SAY_EVERY = 30.0  # seconds


@dataclass
class Photographs:
    """uint8 RGB images by index; ``skipped`` names each file that could not be used, with the reason.

    ``sizes`` (n, 2) are heights and widths where they are known without decoding. ``cached`` are images in memory, by
    index, None where one is not; without any, it may be empty. ``store`` holds others, at the places ``stored``.
    ``chances`` (n) is how likely each is to be drawn, summed up to it; None: all alike.
    """

    paths: Sequence[Source]
    cached: Sequence[Tensor | None] = ()
    skipped: list[tuple[Source, str]] = field(default_factory=list)
    sizes: NDArray[np.int32] | None = None
    store: Store | None = None
    stored: NDArray[np.int64] | None = None
    chances: NDArray[np.float64] | None = None
    _digest: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """uint8 RGB (3, h, w). Raises InputError if an image that did not fit the cache has gone bad since."""
        kept = self.cached[index] if self.cached else None
        if kept is not None:
            return kept
        if self.store is not None and self.stored is not None and self.stored[index] < self.store.count:
            return self.store[int(self.stored[index])]
        return _decode(self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        """(h, w) of an image."""
        if self.sizes is not None:
            return int(self.sizes[index][0]), int(self.sizes[index][1])
        h, w = self[index].shape[1:]
        return h, w

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """n indices at random, with repetition: all as likely, or by ``chances``."""
        if self.chances is None:
            return rng.integers(len(self), size=n)
        return np.searchsorted(self.chances, rng.random(n) * self.chances[-1], "right")

    def digest(self) -> str:
        """SHA-256 of the names and sizes, in order: what a run's batches are drawn from. Computed once."""
        if not self._digest:
            digest = hashlib.sha256(b"[")
            for index, name in enumerate(_names(self.paths)):
                digest.update(f"{', ' * (index > 0)}{(name, *self.size(index))!r}".encode())
            digest.update(b"]")
            self._digest = digest.hexdigest()
        return self._digest

    def split(self) -> tuple["Photographs", "Photographs"]:
        """(training, validation): every HOLD_OUT-th name is held out, at least one image if there are two.

        Files of one name, in several folders, are versions of one image: all of them are held out, or none.
        """
        names = [os.path.basename(name) for name in _names(self.paths)]  # a shard's members may lie in folders
        kinds = sorted(set(names))
        chosen = set(kinds[::HOLD_OUT]) if len(kinds) > 1 else set()
        held = [index for index, name in enumerate(names) if name in chosen]
        others = np.setdiff1d(np.arange(len(self)), np.array(held, np.int64))
        return self._part(others), self._part(np.array(held or [0]))

    def _part(self, chosen: NDArray[np.int64]) -> "Photographs":
        return replace(
            self,
            paths=self.paths.take(chosen) if isinstance(self.paths, Sources) else [self.paths[i] for i in chosen],
            cached=[self.cached[i] for i in chosen] if self.cached else (),
            skipped=[],
            sizes=None if self.sizes is None else self.sizes[chosen],
            stored=None if self.stored is None else self.stored[chosen],
            chances=None if self.chances is None else np.cumsum(np.diff(self.chances, prepend=0.0)[chosen]),
            _digest="",
        )


def _decode(source: Source) -> Tensor:
    rgb = decode_rgb(source.read(), str(source)) if isinstance(source, Member) else read_rgb(source)
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def _header_size(source: Source) -> tuple[int, int]:
    return image_size(source) if isinstance(source, Path) else size_in(source.read(), Path(str(source)))


@dataclass(frozen=True)
class Limits:
    """What a photograph has to have: pixels on its short side, KB in its file, ``metrics.colourfulness``."""

    min_side: int = 64
    min_kb: int = 0
    min_colourfulness: float = 0.0
    verify: bool = True  # decode each image once; else believe its header, where that is enough

    def judge(self, source: Source, bytes_: int) -> tuple[Answer, Tensor | None]:
        """Its size and itself, uint8 (3, h, w), or why it cannot be used."""
        try:
            if bytes_ < self.min_kb << 10:
                return f"{source}: has {bytes_ >> 10} KB, at least {self.min_kb} are needed", None
            if not self.verify and not self.min_colourfulness:
                return self._large_enough(source, *_header_size(source)), None
            image = _decode(source)
        except OSError as error:
            return f"{source}: cannot be read ({error.strerror})", None
        except InputError as error:
            return str(error), None
        least = self.min_colourfulness
        if least and (found := colourfulness(image.permute(1, 2, 0).numpy())) < least:
            return f"{source}: its colourfulness is {found:.1f}, at least {least:g} is needed", None
        answer = self._large_enough(source, *image.shape[1:])
        return answer, None if isinstance(answer, str) else image

    def _large_enough(self, source: Source, h: int, w: int) -> Answer:
        if min(h, w) < self.min_side:
            return f"{source}: its short side is {min(h, w)} pixels, at least {self.min_side} are needed"
        return h, w


def load_photographs(
    folders: Iterable[Path],
    min_side: int = 64,
    cache_mb: int = 4096,
    warn: Callable[[str], None] = print,
    rank: int = 0,
    processes: int = 1,
    min_kb: int = 0,
    min_colourfulness: float = 0.0,
    store_mb: int = 0,
    cache: Path | None = None,
    verify: bool = True,
    mix: Mapping[str, float] | None = None,
) -> Photographs:
    """Find the images under ``folders`` and keep them: in memory if all fit ``cache_mb``, else see below.

    ``folders`` are folders of images or of tar shards, images, shards, or patterns such as ``shards/*.tar``. Files
    that cannot be decoded, or whose short side is under ``min_side`` pixels, are named through ``warn``, listed in
    ``skipped`` and left out. So are files of fewer than ``min_kb`` KB and images whose colourfulness
    (``metrics.colourfulness``) is under ``min_colourfulness``: SCSNet's selection of ImageNet (its 4.1) names 80 KB and
    "less color variation", for which it gives no measure.

    Every image is decoded once to see whether it can be, unless ``verify`` is False: then its header is believed, and
    a damaged one stops the run when it is drawn.

    ``mix`` gives each of ``folders``, by its path or its last name, a share of the draws. Without, all photographs are
    as likely.

    With a ``cache`` folder, what a start learns of each file is kept there, and a file that is as it was is not opened
    by the next. Images that do not fit ``cache_mb``, and those of several processes, are decoded into one store of up
    to ``store_mb`` there. Without a store, each process keeps as many of its share as fit ``cache_mb``.

    With several ``processes`` (torch.distributed is set up) each tries its share of the images and learns of the
    others' from them: all know the same collection, in the same order. Raises InputError, in all of them, when nothing
    usable remains, or when they do not see the same files.
    """
    folders, limits = list(folders), Limits(min_side, min_kb, min_colourfulness, verify)
    speak = warn if rank == 0 else lambda text: None
    sources, keys, bytes_ = all_or_none(lambda: _found(folders, speak, cache))
    known_by = "{} of {} bytes".format
    check_same(
        lambda: map(known_by, map(os.path.basename, _names(sources)), bytes_),
        "the photographs",
        "give every process the same files",
    )
    what = [sorted(map(os.path.abspath, folders)), limits]
    index = None if cache is None else Index(cache, what)
    # Rank 0's index counts: other machines may know more or less, and all have to look at the same files.
    sizes, why = of_first(lambda: _known(index, keys))
    total = int((sizes.astype(np.int64).prod(1) * (sizes[:, 0] > 0)).sum()) * 3
    # What memory holds has to be decoded anyway, which says again whether it can be.
    again = np.flatnonzero((sizes[:, 0] == 0) | (total <= cache_mb << 20 and not (store_mb and processes > 1)))
    found, kept = _judged(sources, bytes_, again[rank::processes], limits, cache_mb << 20, processes, speak)
    for share in gathered(found):
        for number, answer in share.items():
            sizes[number] = -1 if isinstance(answer, str) else answer
            why.pop(number, None)
            if isinstance(answer, str):
                why[number] = answer
    if index is not None and rank == 0 and len(again):
        index.write(keys, sizes, {int(keys[number]): reason for number, reason in why.items()})
    usable = np.flatnonzero(sizes[:, 0] > 0)
    skipped = [(sources[number], reason) for number, reason in sorted(why.items())]
    for _, reason in skipped:
        speak(f"skipped: {reason}")
    if skipped:
        speak(f"skipped {len(skipped)} of {len(sources)} files")
    if not len(usable):
        where = ", ".join(map(str, folders))
        raise InputError(f"{where}: no usable photograph; name a folder of PNG, JPEG, WebP or TIFF, or tar shards")
    paths = sources if len(usable) == len(sources) else sources.take(usable)
    photographs = Photographs(paths, [kept.get(i) for i in usable.tolist()], skipped, sizes[usable])
    if mix:
        photographs.chances = all_or_none(lambda: chances_of(paths, folders, mix))
    if index is not None and store_mb and (processes > 1 or len(kept) < len(usable)):
        photographs.store = all_or_none(
            lambda: open_store(
                index.path.parent,
                index.path.stem.rpartition("-")[2],
                keys[usable],
                sizes[usable],
                store_mb << 20,
                photographs.__getitem__,
                warn if launch.number("LOCAL_RANK", 0) == 0 else lambda text: None,
            )
        )
    if photographs.store is not None:
        photographs.stored, photographs.cached = np.arange(len(usable)), ()
        if left := len(usable) - photographs.store.count:
            speak(f"{left} of {len(usable)} photographs are decoded whenever they are drawn; raise store_mb")
    return photographs


def _judged(
    sources: Sources,
    bytes_: NDArray[np.int64],
    numbers: NDArray[np.int64],
    limits: Limits,
    keep: int,
    processes: int,
    say: Callable[[str], None],
) -> tuple[dict[int, Answer], dict[int, Tensor]]:
    """What is found of each of these sources, and the images of the first that fit ``keep`` bytes."""
    found: dict[int, Answer] = {}
    kept: dict[int, Tensor] = {}
    said = time.monotonic()
    with ThreadPoolExecutor(max(2, min(8, (os.cpu_count() or 1) // processes))) as pool:
        for start in range(0, len(numbers), BLOCK):
            block = [int(number) for number in numbers[start : start + BLOCK]]
            answers = pool.map(lambda number: limits.judge(sources[number], int(bytes_[number])), block)
            for number, (answer, image) in zip(block, answers, strict=True):
                found[number] = answer
                keep -= 0 if image is None else image.numel()
                if image is not None and keep >= 0:
                    kept[number] = image
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                say(f"looked at {start + len(block)} of {len(numbers)} photographs")
    return found, kept


def _known(index: Index | None, keys: NDArray[np.int64]) -> tuple[NDArray[np.int32], dict[int, str]]:
    """What an index has of photographs with these keys: ``Index.sizes_of``, and the reasons by number."""
    if index is None:
        return np.zeros((len(keys), 2), np.int32), {}
    sizes = index.sizes_of(keys)
    return sizes, {int(i): index.reasons[int(keys[i])] for i in np.flatnonzero(sizes[:, 0] < 0)}


def _names(sources: Sequence[Source]) -> list[str]:
    return sources.names() if isinstance(sources, Sources) else [source.name for source in sources]


def _found(
    folders: list[Path], warn: Callable[[str], None], cache: Path | None
) -> tuple[Sources, NDArray[np.int64], NDArray[np.int64]]:
    """The sources, their keys, and how many bytes each has; 0 for one that is gone."""
    found = find_sources(folders, warn, cache)
    keys, bytes_ = np.zeros(len(found), np.int64), np.zeros(len(found), np.int64)
    of_shards: dict[Path, os.stat_result] = {}
    for number, source in enumerate(found):
        if isinstance(source, Member):
            stat = of_shards.get(source.shard) or of_shards.setdefault(source.shard, os.stat(source.shard))
            bytes_[number] = source.size
        else:
            try:
                stat = os.stat(source)
            except OSError:
                continue
            bytes_[number] = stat.st_size
        keys[number] = key_of(source, stat)
    return Sources(found), keys, bytes_
