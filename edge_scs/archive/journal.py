"""What a run over a folder has done, one JSON line an image, so that another run can resume where it ended.

The journals lie in ``OUT/.edge-scs``, one file for each process of a distributed run; a later run reads them all. A
image counts as settled when its content (SHA-256), the settings and the place of the result are those of a line:
names and times of files mean nothing after an archive was copied.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from edge_scs.errors import InputError
from edge_scs.files import try_lock

FOLDER = ".edge-scs"


@dataclass
class Entry:
    """A line. ``target`` is relative to OUT, and so is ``origin``, the source's place, which ``source`` says as given.

    ``final``: the failure lies in the file, and trying again is no use.
    """

    source: str
    target: str
    sha256: str
    settings: str
    status: str
    reason: str = ""
    final: bool = False
    target_bytes: int = 0
    target_sha256: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    origin: str = ""


class Journal:
    """The journals of ``out``, read at once, and this process's own, to which ``add`` appends.

    Raises InputError when another process is writing it, or it cannot be written.
    """

    def __init__(self, out: Path, settings: dict[str, Any], rank: int = 0, read_only: bool = False):
        self.out = out
        self.settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._targets: set[str] = set()
        self._file: BinaryIO
        folder = out / FOLDER
        path = folder / f"journal-{rank}.jsonl"
        if read_only:
            self._file = io.BytesIO()
            self._read(folder)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115 -- closed by ``close``
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error
        if not try_lock(self._file.fileno()):
            self._file.close()
            raise InputError(f"{out}: another run is working there; wait for it, or choose another output folder")
        self._read(folder)
        self._end_on_a_line()

    def settled(self, source: Path, target: Path) -> Entry | None:
        """The line that makes work on this image needless: done and still there, or broken and still the same."""
        place = self._place(target)
        if place not in self._targets:
            return None
        try:
            content = sha256(source) if source.is_file() else ""  # a link to nowhere, say
        except OSError:
            return None  # the attempt itself will say why
        entry = self._entries.get((content, self.settings, place))
        if entry is None or (entry.status == "failed" and not entry.final):
            return None
        if entry.status == "done" and (not target.is_file() or target.stat().st_size != entry.target_bytes):
            return None
        return entry

    def done(self, source: Path, content: str, target: Path, seconds: float, notes: list[str]) -> None:
        size, made = target.stat().st_size, sha256(target)
        self._add(source, target, content, "done", target_bytes=size, target_sha256=made, seconds=seconds, notes=notes)

    def failed(self, source: Path, content: str, target: Path, reason: str, final: bool) -> None:
        self._add(source, target, content, "failed", reason=reason, final=final)

    def close(self) -> None:
        self._file.close()

    def _add(self, source: Path, target: Path, content: str, status: str, **more: Any) -> None:
        origin = os.path.relpath(os.path.realpath(source), os.path.realpath(self.out))
        entry = Entry(str(source), self._place(target), content, self.settings, status, origin=origin, **more)
        line = json.dumps(asdict(entry)).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.out}: its journal cannot be written ({error.strerror}); free some space"
            ) from error
        self._remember(line)

    def _remember(self, line: bytes) -> None:
        """Take in a line; one that a killed process left half-written, or that is not ours, is passed over."""
        if (entry := _entry(line)) is None:
            return
        keys = [(entry.sha256, entry.settings, entry.target)]
        if entry.target_sha256:  # a result that took its source's place is not enlarged again
            keys.append((entry.target_sha256, entry.settings, entry.target))
        self._entries.update(dict.fromkeys(keys, entry))
        self._targets.add(entry.target)

    def _read(self, folder: Path) -> None:
        for line in _lines(folder):
            self._remember(line)

    def _end_on_a_line(self) -> None:
        end = self._file.seek(0, io.SEEK_END)
        if end:
            self._file.seek(end - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def _place(self, target: Path) -> str:
        return os.path.relpath(target, self.out)


def results(out: Path) -> Callable[[Path], bool]:
    """Tells whether a file is a result that an earlier run into ``out`` made of another file, and still as it was.

    Such files are no sources, wherever results lie: beside their sources too. One that took its source's place is its
    own source.
    """
    made: dict[str, set[str]] = {}
    for line in _lines(out / FOLDER):
        entry = _entry(line)
        if entry is None or entry.status != "done" or not entry.target_sha256:
            continue
        # Journals of before have no origin: then the names decide.
        same = entry.origin == entry.target if entry.origin else Path(entry.source).name == Path(entry.target).name
        if not same:
            made.setdefault(entry.target, set()).add(entry.target_sha256)
    there = os.path.realpath(out)

    def is_result(path: Path) -> bool:
        if not made:
            return False
        digests = made.get(os.path.relpath(os.path.realpath(path), there))
        try:
            return digests is not None and sha256(path) in digests
        except OSError:
            return False

    return is_result


def _lines(folder: Path) -> Iterator[bytes]:
    """The lines of all journals in a folder."""
    for path in sorted(folder.glob("journal-*.jsonl")):
        yield from path.read_bytes().splitlines()


def _entry(line: bytes) -> Entry | None:
    try:
        entry = Entry(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.source, entry.target, entry.sha256, entry.settings, entry.target_sha256, entry.origin)
    return entry if all(isinstance(text, str) for text in texts) else None


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
