"""A collection of photographs, from folders and tar shards, decoded once and kept as bytes where memory allows."""

import glob
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from edge_scs.data.shards import Member, index_shard, is_shard
from edge_scs.errors import InputError
from edge_scs.images import decode_rgb, find_images, pictures_below, read_rgb
from edge_scs.metrics import colourfulness

# One name in this many is held out for validation: the same ones for everybody, whatever the order of folders.
HOLD_OUT = 50

Source = Path | Member


@dataclass
class Photographs:
    """uint8 RGB images by index; ``skipped`` names each file that could not be used, with the reason.

    ``sizes`` are heights and widths where they are known without decoding.
    """

    paths: list[Source]
    cached: list[Tensor | None]
    skipped: list[tuple[Source, str]] = field(default_factory=list)
    sizes: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """uint8 RGB (3, h, w). Raises InputError if an image that did not fit the cache has gone bad since."""
        kept = self.cached[index]
        return kept if kept is not None else _decode(self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        """(h, w) of an image."""
        if self.sizes is not None:
            return self.sizes[index]
        h, w = self[index].shape[1:]
        return h, w

    def digest(self) -> str:
        """SHA-256 of the names and sizes, in order: what a run's batches are drawn from."""
        drawn_from = [(path.name, *self.size(index)) for index, path in enumerate(self.paths)]
        return hashlib.sha256(repr(drawn_from).encode()).hexdigest()

    def split(self) -> tuple["Photographs", "Photographs"]:
        """(training, validation): every HOLD_OUT-th name is held out, at least one image if there are two.

        Files of one name, in several folders, are versions of one image: all of them are held out, or none.
        """
        names = [Path(path.name).name for path in self.paths]  # a shard's members may lie in folders
        kinds = sorted(set(names))
        chosen = set(kinds[::HOLD_OUT]) if len(kinds) > 1 else set()
        held = {index for index, name in enumerate(names) if name in chosen}
        parts = ([i for i in range(len(self)) if i not in held], sorted(held) or [0])
        train, validation = (
            Photographs(
                [self.paths[i] for i in part],
                [self.cached[i] for i in part],
                sizes=None if self.sizes is None else [self.sizes[i] for i in part],
            )
            for part in parts
        )
        return train, validation


def _decode(source: Source) -> Tensor:
    rgb = decode_rgb(source.read(), str(source)) if isinstance(source, Member) else read_rgb(source)
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def load_photographs(
    folders: Iterable[Path],
    min_side: int = 64,
    cache_mb: int = 4096,
    warn: Callable[[str], None] = print,
    rank: int = 0,
    processes: int = 1,
    min_kb: int = 0,
    min_colourfulness: float = 0.0,
) -> Photographs:
    """Decode every image under ``folders``; keep as many as fit ``cache_mb`` in memory, read the others when needed.

    ``folders`` are folders of images or of tar shards, images, shards, or patterns such as ``shards/*.tar``. Files
    that cannot be decoded, or whose short side is under ``min_side`` pixels, are named through ``warn``, listed in
    ``skipped`` and left out. So are files of fewer than ``min_kb`` KB and images whose colourfulness
    (``metrics.colourfulness``) is under ``min_colourfulness``: SCSNet's selection of ImageNet (its 4.1) names 80 KB and
    "less color variation", for which it gives no measure. With several ``processes`` (torch.distributed is set up) each
    tries and keeps its share of the images and learns of the others' from them: all know the same collection, in the
    same order. Raises InputError when nothing usable remains.
    """
    folders = list(folders)
    sources = find_sources(folders, warn if rank == 0 else lambda text: None)
    budget = cache_mb << 20
    kept: dict[int, Tensor] = {}
    found: dict[int, tuple[int, int] | str] = {}

    def attempt(index: int) -> Tensor | str:
        source = sources[index]
        try:
            size = source.size if isinstance(source, Member) else source.stat().st_size
            if size < min_kb << 10:
                return f"{source}: has {size >> 10} KB, at least {min_kb} are needed"
            picture = _decode(source)
        except OSError as error:
            return f"{source}: cannot be read ({error.strerror})"
        except InputError as error:
            return str(error)
        if min_colourfulness and (found := colourfulness(picture.permute(1, 2, 0).numpy())) < min_colourfulness:
            return f"{source}: its colourfulness is {found:.1f}, at least {min_colourfulness:g} is needed"
        if min(picture.shape[1:]) < min_side:
            return (
                f"{sources[index]}: its short side is {min(picture.shape[1:])} pixels, at least {min_side} are needed"
            )
        return picture

    mine = range(rank, len(sources), processes)
    with ThreadPoolExecutor(2) as pool:
        for index, picture in zip(mine, pool.map(attempt, mine), strict=True):
            if isinstance(picture, str):
                found[index] = picture
                continue
            found[index] = (picture.shape[1], picture.shape[2])
            budget -= picture.numel()
            if budget >= 0:
                kept[index] = picture
    if processes > 1:
        shares: list[dict[int, tuple[int, int] | str]] = [{}] * processes
        torch.distributed.all_gather_object(shares, found)
        found = {index: result for share in shares for index, result in share.items()}
    photographs, sizes = Photographs([], []), []
    for index, source in enumerate(sources):
        result = found[index]
        if isinstance(result, str):
            photographs.skipped.append((source, result))
            continue
        photographs.paths.append(source)
        photographs.cached.append(kept.get(index))
        sizes.append(result)
    photographs.sizes = sizes
    if rank == 0:
        for _, reason in photographs.skipped:
            warn(f"skipped: {reason}")
        if photographs.skipped:
            warn(f"skipped {len(photographs.skipped)} of {len(sources)} files")
    if not photographs.paths:
        where = ", ".join(map(str, folders))
        raise InputError(f"{where}: no usable photograph; name a folder of PNG, JPEG, WebP or TIFF, or tar shards")
    return photographs


def find_sources(folders: Iterable[Path], warn: Callable[[str], None]) -> list[Source]:
    """Images and members of shards, in an order that does not depend on that of ``folders``.

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
                others += pictures_below(match, unlisted)
                for folder, reason in unlisted:
                    warn(f"skipped: {folder}: {reason}")
            elif not alone:
                others.append(match)
    members = [member for shard in sorted(shards) for member in index_shard(shard, warn)]
    return [*(find_images(others) if others else []), *members]
