"""A collection of photographs, decoded once and kept as bytes where memory allows."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.images import find_images, read_rgb

# One picture in this many is held out for validation: the same ones for everybody, whatever the order of folders.
HOLD_OUT = 50


@dataclass
class Photographs:
    """uint8 RGB pictures by index; ``skipped`` names each file that could not be used, with the reason."""

    paths: list[Path]
    cached: list[Tensor | None]
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """uint8 RGB (3, h, w). Raises InputError if a picture that did not fit the cache has gone bad since."""
        kept = self.cached[index]
        return kept if kept is not None else _decode(self.paths[index])

    def split(self) -> tuple["Photographs", "Photographs"]:
        """(training, validation): every HOLD_OUT-th picture by name is held out, at least one if there are two."""
        order = sorted(range(len(self)), key=lambda index: self.paths[index].name)
        held = set(order[::HOLD_OUT]) if len(order) > 1 else set()
        parts = ([i for i in range(len(self)) if i not in held], sorted(held) or [0])
        train, validation = (Photographs([self.paths[i] for i in p], [self.cached[i] for i in p]) for p in parts)
        return train, validation


def _decode(path: Path) -> Tensor:
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1).contiguous()


def load_photographs(
    folders: Iterable[Path], min_side: int = 64, cache_mb: int = 4096, warn: Callable[[str], None] = print
) -> Photographs:
    """Decode every picture under ``folders``; keep as many as fit ``cache_mb`` in memory, read the others when needed.

    Files that cannot be decoded, or whose short side is under ``min_side`` pixels, are named through ``warn``, listed
    in ``skipped`` and left out. Raises InputError when nothing usable remains.
    """
    files = find_images(list(folders))
    paths: list[Path] = []
    cached: list[Tensor | None] = []
    skipped: list[tuple[Path, str]] = []
    budget = cache_mb << 20

    def attempt(path: Path) -> Tensor | str:
        try:
            picture = _decode(path)
        except InputError as error:
            return str(error)
        if min(picture.shape[1:]) < min_side:
            return f"{path}: its short side is {min(picture.shape[1:])} pixels, at least {min_side} are needed"
        return picture

    with ThreadPoolExecutor(2) as pool:
        for path, result in zip(files, pool.map(attempt, files), strict=True):
            if isinstance(result, str):
                skipped.append((path, result))
                warn(f"skipped: {result}")
                continue
            budget -= result.numel()
            paths.append(path)
            cached.append(result if budget >= 0 else None)
    if skipped:
        warn(f"skipped {len(skipped)} of {len(files)} files")
    if not paths:
        where = ", ".join(map(str, folders))
        raise InputError(f"{where}: no usable photograph; name a folder of PNG, JPEG, WebP or TIFF")
    return Photographs(paths, cached, skipped)
