"""Work that is not timed, on as many processes as there are cores. All of them have ended before anything is timed.

The processes stay for all tasks, so that heavy imports are paid once in each. What they say arrives here, line by line
and with the task's name in front.

Signals: the parent decides. Ctrl-C reaches every process of a terminal, so children let it pass; the parent sends them
SIGTERM, which ends a task through its finally clauses, waits where files are moved (``lowering.publishing``) and leaves
the tasks behind it undone. A parent that is killed takes its children along.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_scs.errors import InputError

MOST = 8  # processes, whatever the cores: each may need 2 GB
LISTEN = 0.2  # seconds between looks at what the processes say
GRACE = 20.0  # seconds for a process to clean up, before it is killed

Say = Callable[[str], None]
# In a child: where it says something, whether it is at a task, and whether it shall do no more.
_lines: Any = None
_working = False
_leaving = False


@dataclass(frozen=True)
class Task:
    """``work`` is pickled and called in another process with a ``say``; ``keep`` is given its result here, at once."""

    name: str
    work: Callable[[Say], Any]
    keep: Callable[[Any], object]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_side_by_side(tasks: Sequence[Task], say: Say, count: int | None = None) -> None:
    """Do all tasks, begun in their order, on ``count`` processes: by default one for each core, at most MOST.

    The cores' threads are shared among them. A script that calls this must be importable (``if __name__ ==
    "__main__"``), since processes are spawned. No process runs any more when it returns or raises.

    A task that fails ends no other: all are done and kept first, then the error of the first of them is raised. Raises
    InputError when a process dies; what it and the others had not finished is lost.
    """
    if not tasks:
        return
    count = min(count or min(cores(), MOST), len(tasks))
    context = multiprocessing.get_context("spawn")
    lines = context.SimpleQueue()
    pool = ProcessPoolExecutor(count, context, _begin, (lines, max(1, cores() // count)))
    others = set(multiprocessing.active_children())
    running: dict[Future[Any], Task] = {}
    open_tasks = list(tasks)
    failed: dict[Task, Exception] = {}
    try:
        with _interrupts_held():
            for task in tasks:
                running[pool.submit(_do, task.name, task.work)] = task
        while running:
            done, _ = wait(running, LISTEN, FIRST_COMPLETED)
            while not lines.empty():
                say(lines.get())
            for future in [future for future in running if future in done]:
                task = running.pop(future)
                try:
                    task.keep(future.result())
                except BrokenProcessPool:
                    raise
                except Exception as error:
                    failed[task] = error
                    say(f"[{task.name}] failed: {error}")
                open_tasks.remove(task)
                say(f"[{task.name}] {len(tasks) - len(open_tasks)} of {len(tasks)} done")
    except BrokenProcessPool as error:
        names = ", ".join(task.name for task in open_tasks)
        why = "a process was killed, perhaps for want of memory; what was done is kept, so give the command again"
        raise InputError(f"{names}: {why}") from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _end(set(multiprocessing.active_children()) - others)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        lines.close()
    for task in tasks:
        if task in failed:
            raise failed[task]


def _end(processes: "set[Any]") -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + GRACE
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits, and processes that are started inherit that: none shows a traceback before it can decide."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(lines: Any, threads: int) -> None:
    """A child's first step. Nothing heavy: an exception here would be printed."""
    global _lines
    _lines = lines
    signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which the programs that converters start would inherit
    signal.signal(signal.SIGTERM, _leave)
    watch = threading.Thread(target=_leave_with_parent, daemon=True)
    if hasattr(signal, "pthread_sigmask"):
        # The thread inherits the mask: a signal that reached it would not wake the one that works.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        watch.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    else:
        watch.start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported, with the first task
    if "torch" in sys.modules:  # or by the script that was started
        sys.modules["torch"].set_num_threads(threads)


def _do(name: str, work: Callable[[Say], Any]) -> Any:
    global _working
    try:
        _working = True
        return None if _leaving else work(lambda line: _lines.put(f"[{name}] {line}"))
    except SystemExit:  # by _leave: nobody waits for the result, and the executor ends this process in good order
        return None
    finally:
        _working = False


def _leave(*_: object) -> None:
    global _leaving
    again, _leaving = _leaving, True
    if _working and not again:  # twice would cut off the finally clauses
        raise SystemExit


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    end = time.monotonic() + GRACE
    while _working and time.monotonic() < end:
        time.sleep(LISTEN)
    os._exit(1)  # nobody is left to end it in good order
