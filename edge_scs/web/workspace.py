"""The folder that uploads and results live in: nobody else may read it, and it ends with the server."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from edge_scs.files import try_lock

_PREFIX, _LOCK = "edge-scs-web-", "lock"


class Workspace:
    """A temporary folder, removed when the block is left.

    A killed server leaves its folder behind. The next one of the same user finds it by its lock, which nobody holds any
    more, and removes it.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try_lock(self._lock)

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _sweep(place: Path) -> None:
    if not hasattr(os, "getuid"):  # Windows: without locks, the dead cannot be distinguished from the living
        return
    with os.scandir(place) as entries:
        left = [entry for entry in entries if entry.name.startswith(_PREFIX)]
    for entry in left:
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            handle = os.open(Path(entry.path, _LOCK), os.O_RDWR | os.O_NOFOLLOW)
            try:
                if try_lock(handle):
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(handle)
