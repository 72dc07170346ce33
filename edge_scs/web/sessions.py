"""Who has uploaded what: a session for every open page, which needs its token and leaves nothing.

A session ends when its page is closed or has not been heard of for IDLE seconds, and with the server.
"""

import secrets
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from edge_scs.archive.output_paths import result_name
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import ImageArray
from edge_scs.web.jobs import DONE, Job, Queue
from edge_scs.web.previews import Preview
from edge_scs.web.settings import Settings, suffix_for

IDLE = 12 * 3600.0  # browsers let hidden pages sleep
MAX_SESSIONS, MAX_UPLOADS = 64, 500


class GoneError(Exception):
    """There is no such session, or nothing of that number in it."""


@dataclass
class Upload:
    """An image that somebody has given: its ``name`` is only ever shown, and no part of a path on the disk."""

    number: int
    name: str
    folder: Path
    source: Path
    preview: Preview
    job: Job | None = None

    def result(self) -> Path:
        """The finished file. Raises GoneError where there is none."""
        if self.job is None or self.job.state != DONE:
            raise GoneError
        return self.job.target

    def result_name(self, settings: Settings) -> str:
        """What the result is called: "old.jpg" becomes "old-restored.jpg"."""
        name = result_name(Path(self.name), settings.suffix)
        return f"{name.stem}-restored{name.suffix}"


@dataclass
class Session:
    token: str
    folder: Path
    uploads: dict[int, Upload] = field(default_factory=dict)
    references: dict[int, ImageArray] = field(default_factory=dict)  # RGB (128, 128, 3), as networks see them
    seen: float = field(default_factory=time.monotonic)
    ended: bool = False
    _count: int = 0
    _lock: Lock = field(default_factory=Lock)

    def place(self, name: str) -> tuple[int, Path]:
        """The number of a new upload, and where its content goes. Raises InputError where there are too many."""
        with self._lock:
            self._count += 1
            if self.ended or len(self.uploads) + len(self.references) >= MAX_UPLOADS:
                raise InputError(f"{name}: {MAX_UPLOADS} images are here already; remove some first")
            folder = self.folder / str(self._count)
            folder.mkdir(parents=True, mode=0o700)
            return self._count, folder / f"source{suffix_for(name)}"

    def upload(self, number: int) -> Upload:
        if number not in self.uploads:
            raise GoneError
        return self.uploads[number]

    def guide(self, settings: Settings) -> ImageArray | None:
        """The reference of these settings. Raises InputError for one that is not here."""
        if settings.reference is None:
            return None
        if settings.reference not in self.references:
            raise InputError("reference: is not here; choose it again")
        return self.references[settings.reference]

    def restore(self, upload: Upload, settings: Settings, given: dict[str, object], queue: Queue) -> Job:
        """Queue an upload; an earlier run of it, or its result, is given up."""
        guide = self.guide(settings)
        if upload.job is not None:
            upload.job.cancel()
            if upload.job.ended:
                upload.job.target.unlink(missing_ok=True)
        with self._lock:
            self._count += 1
            target = upload.folder / f"result-{self._count}{Path(upload.result_name(settings)).suffix}"
        upload.job = Job(upload.source, target, settings, guide, given, partial(self._release, upload))
        queue.add(upload.job)
        return upload.job

    def remove(self, upload: Upload) -> None:
        """Forget an upload and remove its files; those of a running job go when it lets go of them."""
        if upload.job is not None:
            upload.job.cancel()
        self.uploads.pop(upload.number, None)
        self._release(upload)

    def end(self) -> None:
        self.ended = True
        for upload in list(self.uploads.values()):
            self.remove(upload)
        self.references.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _release(self, upload: Upload) -> None:
        if upload.number not in self.uploads:
            shutil.rmtree(upload.folder, ignore_errors=True)
        if self.ended:
            shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All of them, by their tokens."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._open: dict[str, Session] = {}
        self._lock = Lock()

    def begin(self) -> Session:
        """A new one. Raises InputError while too many are open."""
        self.expire()
        with self._lock:
            if len(self._open) >= MAX_SESSIONS:
                raise InputError(f"{MAX_SESSIONS} pages are open already; close some, or restart the server")
            token = secrets.token_urlsafe(24)
            session = Session(token, self._folder / secrets.token_hex(8))
            session.folder.mkdir(mode=0o700)
            self._open[token] = session
            return session

    def get(self, token: str) -> Session:
        """Raises GoneError."""
        session = self._open.get(token)
        if session is None:
            raise GoneError
        session.seen = time.monotonic()
        return session

    def end(self, token: str) -> None:
        session = self._open.pop(token, None)
        if session is not None:
            session.end()

    def expire(self) -> None:
        """End those that nobody has come back to."""
        for token, session in list(self._open.items()):
            if time.monotonic() - session.seen > IDLE:
                self.end(token)

    def close(self) -> None:
        for token in list(self._open):
            self.end(token)
