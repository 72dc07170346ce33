"""Images on several processes. An image that kills its process costs that image and nothing else."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError

Work = Callable[[Path, Path], Any]


@dataclass
class Died:
    """What came back instead of a result: how the process ended."""

    reason: str


def run_all(
    jobs: Sequence[tuple[Path, Path]], make: Callable[[], Work], count: int
) -> Generator[tuple[int, Any], None, None]:
    """Call ``make()(source, target)`` for every job on ``count`` processes; yields (index, result) as they come.

    ``make`` is pickled and called once in each process. The result of a job whose process died is a ``Died``; another
    process takes its place. Leaving the iterator ends the processes, which clean up after themselves.
    Raises InputError when processes do not even start.
    """
    context = multiprocessing.get_context("spawn")
    todo = deque(range(len(jobs)))
    busy: dict[Connection, tuple[Any, int | None]] = {}

    def start() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        process.start()
        theirs.close()
        busy[ours] = (process, None)

    try:
        for _ in range(min(count, len(jobs))):
            start()
        while busy:
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                process, index = busy[pipe]
                try:
                    kind, result = pipe.recv()
                except (EOFError, OSError):
                    process.join()
                    del busy[pipe]
                    if index is None:
                        raise InputError(f"a worker could not start ({_end(process.exitcode)}); try --jobs 1") from None
                    yield index, Died(f"its process died ({_end(process.exitcode)})")
                    if todo:
                        start()
                    continue
                if kind == "error":
                    raise InputError(str(result))
                if index is not None:
                    yield index, result
                following = todo.popleft() if todo else None
                busy[pipe] = (process, following)
                if following is None:
                    del busy[pipe]
                    pipe.close()
                    process.join()
                else:
                    pipe.send(jobs[following])
    finally:
        for process, _ in busy.values():
            process.terminate()
        for process, _ in busy.values():
            process.join(20)
            if process.is_alive():
                process.kill()


def threads_each(count: int) -> int | None:
    """Threads for each of several processes, so that together they use the machine once; None leaves one alone."""
    return None if count == 1 else max(1, (os.cpu_count() or 1) // count)


def _end(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection, make: Callable[[], Work]) -> None:
    """A process's life: ready, then one job after another until the other side hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, _leave)
    try:
        work = make()
    except InputError as error:
        pipe.send(("error", error))
        return
    pipe.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):
        while True:
            source, target = pipe.recv()
            pipe.send(("done", work(source, target)))


def _leave(*_: object) -> None:
    raise SystemExit(0)  # through the finally clauses, which remove temporary files
