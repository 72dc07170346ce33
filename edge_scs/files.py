"""Writing files so that the final name only ever shows a whole one, and naming them safely in messages."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_scs.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: unfinished files then cannot be distinguished, and left for the user
    fcntl = None  # type: ignore[assignment]

_PREFIX, _MARK = ".edge-scs-", ".partial"
_UNFINISHED = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}" + re.escape(_MARK) + r"(\.\w+)?")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync it and rename it over ``path``, on failure remove it.

    A process that is killed inside leaves the temporary file, which ``sweep`` removes. Raises InputError when the
    folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=f"{_MARK}{path.suffix}", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error
    temporary = Path(name)
    try:
        try_lock(handle)  # held as long as we live: shows ``sweep`` that somebody is still writing
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(path)):
            raise  # the caller's own trouble with another file
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file under its final name or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files that killed processes left in this folder, and say which; live ones stay."""
    removed: list[Path] = []
    if fcntl is None or not folder.is_dir():
        return removed
    for entry in os.scandir(folder):
        if not _UNFINISHED.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(entry.path, os.O_RDWR)
            try:
                if try_lock(handle):
                    os.unlink(entry.path)
                    removed.append(Path(entry.path))
            finally:
                os.close(handle)
    return removed


def try_lock(handle: int) -> bool:
    """Lock an open file for this process unless another one holds it. True where there are no locks at all."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def printable(name: Path | str) -> str:
    """A name for one line of text: line breaks, bidirectional marks and bytes that are no text, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, where the system lets folders be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
