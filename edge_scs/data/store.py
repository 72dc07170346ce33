"""Decoded photographs in one file of a machine, mapped into the memory of all its processes.

The file holds the uint8 planes (3, h, w) of one photograph after another. It is written once, by whichever process
comes first, under a lock that the others wait for, and gets its name when it is whole. Its name is a hash of the
photographs' paths, sizes and time stamps: changed photographs get another file, and the one before is removed.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.files import atomic_path, sweep, try_lock

_VERSION = 1
RESERVE = 1 << 30  # bytes of the disk that are left alone
SAY_EVERY = 30.0  # seconds
AHEAD = 64  # photographs that are decoded before they are written


class Store:
    """Photographs 0 to ``count`` - 1 by index: ``store[i]`` is uint8 (3, h, w), a view of the file, to be read."""

    def __init__(self, path: Path, sizes: NDArray[np.int32]):
        self.sizes = sizes
        areas = sizes.astype(np.int64).prod(1) * 3
        self.ends = np.cumsum(areas)
        self.count, total = len(sizes), int(areas.sum())
        self.bytes = torch.from_file(str(path), shared=False, size=total, dtype=torch.uint8)

    def __getitem__(self, index: int) -> Tensor:
        h, w = map(int, self.sizes[index])
        end = int(self.ends[index])
        return self.bytes[end - 3 * h * w : end].view(3, h, w)


def open_store(
    folder: Path,
    label: str,
    keys: NDArray[np.int64],
    sizes: NDArray[np.int32],
    limit: int,
    decode: Callable[[int], Tensor],
    say: Callable[[str], None],
) -> Store | None:
    """The store of photographs with these ``keys`` and ``sizes`` (n, 2), as many of the first as fit ``limit`` bytes.

    ``decode`` gives one of them, uint8 (3, h, w), where it has to be written; ``label`` names the collection: an older
    store of it is removed. None where not even one fits, or where the folder cannot be written; ``say`` says so.
    """
    ends = np.cumsum(sizes.astype(np.int64).prod(1) * 3)
    digest = hashlib.sha256(b"%d" % _VERSION + keys.tobytes() + sizes.tobytes()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"store-{label}.lock", say):
            for path in folder.glob(f"store-{label}-{digest}-*.rgb"):
                count = int(path.stem.rpartition("-")[2])
                if count <= len(sizes) and path.stat().st_size == ends[count - 1]:
                    return Store(path, sizes[:count])
                path.unlink()
            sweep(folder)
            for path in folder.glob(f"store-{label}-*.rgb"):  # mapped ones live on until their last process ends
                path.unlink()
            room = shutil.disk_usage(folder).free - RESERVE
            count = int(np.searchsorted(ends, min(limit, room), "right"))
            if count == 0:
                return None
            path = folder / f"store-{label}-{digest}-{count}.rgb"
            say(f"decoding {count} photographs into {path}, {ends[count - 1] / 2**30:.1f} GiB, to be read from there")
            _write(path, sizes[:count], decode, say)
            return Store(path, sizes[:count])
    except OSError as error:
        say(f"{folder}: no store of decoded photographs there ({error.strerror or error}); set EDGE_SCS_CACHE")
        return None


def _write(path: Path, sizes: NDArray[np.int32], decode: Callable[[int], Tensor], say: Callable[[str], None]) -> None:
    said = time.monotonic()
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as file,
        ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool,
    ):
        for start in range(0, len(sizes), AHEAD):
            block = range(start, min(start + AHEAD, len(sizes)))
            for index, image in zip(block, pool.map(decode, block), strict=True):
                if tuple(image.shape[1:]) != tuple(sizes[index]):
                    raise InputError(f"{path}: photograph {index} has changed while it was read; start again")
                file.write(image.contiguous().numpy().tobytes())
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                say(f"decoded {block.stop} of {len(sizes)} photographs")


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time; a lock of a process that was killed is free."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        waited = False
        while not try_lock(handle):
            if not waited:
                say(f"waiting for another process that decodes the same photographs ({path})")
            waited = True
            time.sleep(0.2)
        yield
    finally:
        os.close(handle)
