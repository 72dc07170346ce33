"""Tasks in processes of their own: each is kept, one that fails takes nobody along, and no process outlives them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge_scs import side_by_side
from edge_scs.errors import InputError
from edge_scs.side_by_side import Task, _interrupts_held, run_side_by_side

ROOT = Path(__file__).parents[2]


def double(number: int, say: Callable[[str], None]) -> int:
    say(f"doubling {number}")
    if number == 13:
        raise InputError("13: brings bad luck; take another")
    if number == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def doubles(numbers: list[int], count: int | None, said: list[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    tasks = [Task(f"task {n}", partial(double, n), partial(found.__setitem__, n)) for n in numbers]
    try:
        run_side_by_side(tasks, said.append, count)
    finally:
        said.append(str(found))
        assert not multiprocessing.active_children()
    return found


def test_the_same_on_one_process_as_on_several():
    said: list[str] = []
    assert doubles([1, 2, 3], 1, said) == doubles([1, 2, 3], 2, []) == {1: 2, 2: 4, 3: 6}
    assert said[0] == "[task 1] doubling 1"
    assert [line for line in said if line.endswith("done")] == [f"[task {n}] {n} of 3 done" for n in (1, 2, 3)]
    assert doubles([], None, []) == {}


def test_a_task_that_fails_takes_nobody_along():
    said: list[str] = []
    with pytest.raises(InputError, match=r"^13: brings bad luck"):
        doubles([1, 13, 2, 3], 2, said)
    assert "[task 13] failed: 13: brings bad luck; take another" in said
    assert all(part in said[-1] for part in ("1: 2", "2: 4", "3: 6"))


def test_what_cannot_be_kept_is_an_error_too():
    def keep(result: int) -> None:
        raise InputError("cache: cannot be written")

    with pytest.raises(InputError, match="cache: cannot be written"):
        run_side_by_side([Task("a", partial(double, 1), keep)], lambda line: None)


def test_a_process_that_is_killed_is_one_clear_line():
    said: list[str] = []
    with pytest.raises(InputError, match=r"^task 14, task 2: a process was killed") as caught:
        doubles([1, 14, 2], 1, said)
    assert "\n" not in str(caught.value)
    assert said[-1] == "{1: 2}"


def surroundings(say: Callable[[str], None]) -> tuple[str | None, str]:
    """The threads of a child, and what a program that it starts makes of SIGINT."""
    code = "from signal import *; print(getsignal(SIGINT) is default_int_handler, pthread_sigmask(SIG_BLOCK, []))"
    heard = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return os.environ.get("OMP_NUM_THREADS"), heard.strip()


@pytest.mark.parametrize(("tasks", "threads"), [(1, "4"), (2, "2"), (3, "1"), (9, "1")])
def test_cores_are_shared(monkeypatch, tasks, threads):
    monkeypatch.setattr(side_by_side, "cores", lambda: 4)
    monkeypatch.setattr(side_by_side, "MOST", 3)
    found: list[tuple[str | None, str]] = []
    run_side_by_side([Task(str(i), surroundings, found.append) for i in range(tasks)], lambda line: None)
    assert found == [(threads, "True set()")] * tasks


SCRIPT = """
import multiprocessing, sys, time
from functools import partial
from pathlib import Path
from edge_scs.side_by_side import Task, run_side_by_side

def work(path, say):
    leaked_if_not_cleaned_up = multiprocessing.Lock()
    path.touch()
    try:
        time.sleep(60)
    finally:
        time.sleep(0.5)
        path.unlink()

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tasks = [Task(name, partial(work, folder / name), print) for name in "abcd"]
    try:
        run_side_by_side(tasks, print, 2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
"""


@pytest.fixture
def working(tmp_path: Path):
    """A program whose two processes are at work, in a process group of its own as a shell would start it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "out").mkdir()
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: len(list((tmp_path / "out").iterdir())) == 2)
        yield program, tmp_path / "out"
    finally:
        program.kill()
        program.communicate()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 45
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize("everybody", [True, False])
def test_an_interrupt_ends_all_in_one_line(working, everybody):
    program, folder = working
    if everybody:  # as a terminal does it
        os.killpg(program.pid, signal.SIGINT)
    else:
        program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=45)
    assert (program.returncode, said) == (130, "interrupted\n")  # nothing of leaked semaphores either
    assert not list(folder.iterdir())


def test_an_interrupt_while_processes_start_waits():
    code = "from signal import *; print(SIGINT in pthread_sigmask(SIG_BLOCK, []))"
    started = []

    def interrupted() -> None:
        with _interrupts_held():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # a process may have threads that hold nothing
            started.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [child.stdout.strip() for child in started] == ["True"]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_killed_parent_takes_its_processes_along(working):
    program, folder = working
    program.kill()
    until(lambda: not list(folder.iterdir()))
