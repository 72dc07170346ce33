"""Processes that share the work: every job answered once, the dead replaced, refusals passed on."""

import os
import signal
import time
from pathlib import Path

import pytest

from edge_scs.archive.workers import Died, run_all, threads_each
from edge_scs.errors import InputError


class Echo:
    """Answers with the names; what is called "die" kills the process, "slow" takes its time."""

    def __call__(self, source: Path, target: Path) -> tuple[str, str, int]:
        if source.name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if source.name == "leave":
            os._exit(7)
        if source.name == "slow":
            time.sleep(60)
        return source.name, target.name, os.getpid()


def refuse() -> Echo:
    raise InputError("no such model")


def jobs(*names: str) -> list[tuple[Path, Path]]:
    return [(Path(name), Path(f"{name}.png")) for name in names]


def test_every_job_is_answered_once_and_the_dead_are_replaced() -> None:
    given = jobs("a", "die", "b", "leave", "c")
    answers = dict(run_all(given, Echo, 1))
    assert sorted(answers) == list(range(5))
    assert answers[1] == Died("its process died (signal 9)")
    assert answers[3] == Died("its process died (exit code 7)")
    assert [answers[i][:2] for i in (0, 2, 4)] == [("a", "a.png"), ("b", "b.png"), ("c", "c.png")]
    assert len({answers[i][2] for i in (0, 2, 4)}) == 3
    assert os.getpid() not in {answers[i][2] for i in (0, 2, 4)}


def test_what_cannot_start_is_said() -> None:
    with pytest.raises(InputError, match="no such model"):
        list(run_all(jobs("a"), refuse, 1))


def test_leaving_ends_the_processes() -> None:
    results = run_all(jobs("a", "slow"), Echo, 2)
    index, (name, _, _) = next(results)
    assert (index, name) == (0, "a")
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 15


def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [threads_each(count) for count in (1, 2, 3, 99)] == [None, 4, 2, 1]
