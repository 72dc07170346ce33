"""What is known of photographs between starts, so that a start need not open a million files again.

A photograph is known by its path, its size in bytes and its time stamp; a changed file is another one. Kept are its
height and width, or why it cannot be used. The file is replaced whole, so that two writers at once leave one of theirs.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_scs.data.shards import Member
from edge_scs.errors import InputError
from edge_scs.files import write_atomically

Answer = tuple[int, int] | str  # height and width, or why a file cannot be used


def cache_folder() -> Path:
    """Where indices and stores are kept: $EDGE_SCS_CACHE, else edge-scs in $XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("EDGE_SCS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-scs"


def key_of(source: Path | Member, stat: os.stat_result) -> int:
    """64 bits of what identifies a photograph; ``stat`` is the file's, or its shard's."""
    place = f"\0{source.name}\0{source.offset}" if isinstance(source, Member) else ""
    path = source.shard if isinstance(source, Member) else source
    text = f"{path}{place}\0{stat.st_size}\0{stat.st_mtime_ns}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class Index:
    """Answers by key for one selection of photographs, in ``folder``. ``what`` names the selection and its limits.

    A file that cannot be read is started anew.
    """

    def __init__(self, folder: Path, what: Iterable[object]):
        name = hashlib.sha256(repr(list(what)).encode()).hexdigest()[:16]
        self.path = folder / f"photographs-{name}.npz"
        self.keys = np.zeros(0, np.int64)
        self.sizes = np.zeros((0, 2), np.int32)
        self.reasons: dict[int, str] = {}
        try:
            with np.load(self.path, allow_pickle=False) as kept:
                keys, sizes, reasons = kept["keys"], kept["sizes"], json.loads(bytes(kept["reasons"]))
            if keys.shape == sizes.shape[:1] and sizes.shape[1:] == (2,):
                self.keys, self.sizes = keys.astype(np.int64), sizes.astype(np.int32)
                self.reasons = {int(key): str(reason) for key, reason in reasons.items()}
        except Exception:  # missing, torn or foreign: it costs a slow start and no more
            pass

    def sizes_of(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """(n, 2) heights and widths: 0 where a photograph is unknown, -1 where it cannot be used (``reasons``)."""
        found = np.zeros((len(keys), 2), np.int32)
        if len(self.keys):
            at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            hit = self.keys[at] == keys
            found[hit] = self.sizes[at[hit]]
        return found

    def write(self, keys: NDArray[np.int64], sizes: NDArray[np.int32], reasons: dict[int, str]) -> None:
        """Replace what is kept. A folder that cannot be written is no reason to stop."""
        order = np.argsort(keys, kind="stable")
        file = io.BytesIO()
        texts = np.frombuffer(json.dumps({str(key): reason for key, reason in reasons.items()}).encode(), np.uint8)
        np.savez(file, keys=keys[order], sizes=sizes[order], reasons=texts)
        with contextlib.suppress(InputError):
            write_atomically(self.path, file.getvalue())
