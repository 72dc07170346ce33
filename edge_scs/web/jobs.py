"""The queue of images to be restored whole: one at a time, from file to file, by the code of ``edge-scs enhance``."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any

from edge_scs.archive.folder import attempt
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import ImageArray
from edge_scs.web.engines import Engines
from edge_scs.web.settings import Settings

_PAUSE = 60.0
WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


class _Stop(BaseException):
    """Leaves a run between two tiles. No Exception: whoever handles those may not take it for a failure."""


@dataclass(eq=False)
class Job:
    """One image: ``source`` becomes ``target``. ``share`` is how far it is, 0 to 1; ``message`` why it failed."""

    source: Path
    target: Path
    settings: Settings
    guide: ImageArray | None
    given: dict[str, Any]  # the settings as the page gave them
    after: Callable[[], None] = lambda: None
    state: str = WAITING
    cancelled: bool = False
    share: float = 0.0
    message: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float | None = None  # how long it will take still, as far as one can say

    def cancel(self) -> None:
        """Before it begins, or after the tile that is being made."""
        self.cancelled = True
        if self.state == WAITING:
            self.state = CANCELLED

    @property
    def ended(self) -> bool:
        return self.state in (DONE, FAILED, CANCELLED)


class Queue:
    """Jobs in the order in which they came, in a thread of their own."""

    def __init__(self, engines: Engines, housekeeping: Callable[[], None] = lambda: None):
        self._engines, self._housekeeping = engines, housekeeping  # done now and then while nothing else is
        self._waiting: deque[Job] = deque()
        self._news = Condition()
        self._running: Job | None = None
        self._closed = False
        self._thread = Thread(target=self._work, name="restoring", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        with self._news:
            self._waiting.append(job)
            self._news.notify()

    def place(self, job: Job) -> int:
        """How many are before it; 0 for one that is running or has ended."""
        with self._news:
            return 0 if job not in self._waiting else self._waiting.index(job) + (self._running is not None)

    def close(self) -> None:
        """Cancel everything and wait until the running one has let go of its files."""
        with self._news:
            self._closed = True
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.cancel()
            self._news.notify()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        while True:
            with self._news:
                if not self._waiting and not self._closed:
                    self._news.wait(timeout=_PAUSE)
                if self._closed:
                    return
                job = self._running = self._waiting.popleft() if self._waiting else None
            if job is None:
                self._housekeeping()
                continue
            try:
                self._run(job)
            finally:
                with self._news:
                    self._running = None
                job.after()

    def _run(self, job: Job) -> None:
        begun = monotonic()

        def progress(done: int, total: int) -> None:
            if job.cancelled:
                raise _Stop
            job.share = done / total
            job.seconds = (monotonic() - begun) * (1 - job.share) / max(job.share, 1e-6)

        try:
            job.state = RUNNING
            if job.cancelled:
                raise _Stop
            engine = self._engines.at(job.settings.restoration)
            outcome = attempt(job.source, job.target, job.settings.wanted, job.guide, engine, progress)
            job.message, job.notes = outcome.reason or "", list(outcome.notes)
            job.state = DONE if outcome.reason is None else FAILED
        except _Stop:
            job.state = CANCELLED
        except Exception as error:  # the next one in the queue has its turn
            words = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            job.message, job.state = words, FAILED
