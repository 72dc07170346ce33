"""Latency of networks and artifacts, measured so that ratios hold on a busy machine.

Every subject lives in a process of its own (``latency_worker``), and the subjects take turns, A B C A B C: what slows
the machine down for a second slows all of them. Ratios are medians over turns, not ratios of medians.

Eager PyTorch's idle threads sleep instead of spinning (OMP_WAIT_POLICY=passive, unless the environment says otherwise):
spinning ones would eat the time of whichever subject comes next, and of the other threads on a machine that is shared.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import IO, Any

import edge_scs
from edge_scs.errors import InputError

DEVICES = ("cpu", "cuda")
Say = Callable[[str], None]


def bench(
    subjects: Sequence[str],
    device: str = "cpu",
    lr: tuple[int, int] = (180, 320),
    scale: float = 4,
    threads: Sequence[int] = (1,),
    warmup: int = 2,
    runs: int = 20,
    min_seconds: float = 0.0,
    max_seconds: float = math.inf,
    say: Say = lambda line: None,
) -> dict[str, list[dict[str, Any]]]:
    """Time subjects side by side on one picture: ``lr`` = (h, w) pixels, enlarged by ``scale``.

    A subject is a model's name (eager; untrained where no weights are shipped, which costs the same), a checkpoint, or
    a .pte artifact (ExecuTorch, at the size it was exported for). For each thread count there are ``runs``
    turns, more until ``min_seconds`` are over, and fewer, but at least two, once ``max_seconds`` are over.

    Returns {"results": [...], "ratios": [...]}, in the order given, thread counts within subjects:
    results have {"subject", "runtime", "device", "threads", "lr": [h, w], "hr": [H, W], "warmup", "runs", "median_ms",
    "p90_ms", "min_ms", "rss_growth_mb", "peak_growth_mb"}: resident memory after warm-up, and at its highest, over what
    the process had before it loaded the subject (at a second thread count: since the first load).
    ratios have {"subject", "to", "threads", "median", "min", "max"}: the subject's time over that of ``to``, turn by
    turn. ``to`` is the first subject, and the first of the same runtime where that is another; left out where the two
    make pictures of different sizes.

    Raises InputError for an unknown device or subject, CUDA where there is none, or a subject that fails.
    """
    _check(subjects, device, lr, threads, warmup, runs)
    workers: list[_Worker] = []
    try:
        for subject in subjects:
            workers.append(_Worker(subject))
            workers[-1].send({"do": "load", "subject": subject, "device": device, "lr": list(lr), "scale": scale})
        loaded = [worker.receive() for worker in workers]
        rows: list[list[dict[str, Any]]] = [[] for _ in subjects]
        ratios: list[list[dict[str, Any]]] = [[] for _ in subjects]
        for count in threads:
            memory = [worker.ask({"do": "threads", "count": count, "warmup": warmup}) for worker in workers]
            say(f"timing {len(workers)} subjects in turn, {count} thread{'' if count == 1 else 's'}")
            turns = _take_turns(workers, runs, min_seconds, max_seconds)
            for index, subject in enumerate(subjects):
                row = {"subject": subject, "device": device, "threads": count, "warmup": warmup}
                rows[index].append(row | loaded[index] | summary(turns[index]) | memory[index])
                for base in _bases(index, loaded):
                    pair = {"subject": subject, "to": subjects[base], "threads": count}
                    ratios[index].append(pair | pairwise(turns[index], turns[base]))
    finally:
        for worker in workers:
            worker.close()
    return {"results": [row for group in rows for row in group], "ratios": [row for group in ratios for row in group]}


def _bases(index: int, loaded: Sequence[dict[str, Any]]) -> list[int]:
    """Earlier subjects that this one is compared with: the first of all, and the first of its runtime."""
    same_runtime = next(i for i, other in enumerate(loaded) if other["runtime"] == loaded[index]["runtime"])
    return [i for i in sorted({0, same_runtime}) if i < index and loaded[i]["hr"] == loaded[index]["hr"]]


def summary(times: Sequence[float]) -> dict[str, float | int]:
    """Milliseconds -> {"runs", "median_ms", "p90_ms", "min_ms"}; p90 is the nearest-rank percentile."""
    ordered = sorted(times)
    p90 = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return {
        "runs": len(ordered),
        "median_ms": round(median(ordered), 3),
        "p90_ms": round(p90, 3),
        "min_ms": round(ordered[0], 3),
    }


def pairwise(times: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """times[i] / base[i] -> {"median", "min", "max"}."""
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    return {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def _check(
    subjects: Sequence[str], device: str, lr: tuple[int, int], threads: Sequence[int], warmup: int, runs: int
) -> None:
    if not subjects:
        raise InputError("nothing to time; name a model, a checkpoint or a .pte artifact")
    if device not in DEVICES:
        raise InputError(f"--device {device}: unknown here; use {' or '.join(DEVICES)}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise InputError("--device cuda: no CUDA device on this machine; use --device cpu")
    if min(lr) < 1 or min(threads, default=0) < 1 or warmup < 0 or runs < 1:
        raise InputError("sizes, threads and runs must be at least 1, and warm-up at least 0; mend the options")
    for subject in subjects:
        if Path(subject).suffix in (".mlpackage", ".mlmodelc"):
            raise InputError(f"{subject}: Core ML runs on Apple devices only; time it in the iOS sample app")


def _take_turns(workers: "list[_Worker]", runs: int, min_seconds: float, max_seconds: float) -> list[list[float]]:
    """Milliseconds per worker and turn."""
    turns: list[list[float]] = [[] for _ in workers]
    start, elapsed = time.monotonic(), 0.0
    while (len(turns[0]) < runs or elapsed < min_seconds) and (len(turns[0]) < 2 or elapsed < max_seconds):
        for worker, times in zip(workers, turns, strict=True):
            times.append(worker.ask({"do": "run"})["ms"])
        elapsed = time.monotonic() - start
    return turns


class _Worker:
    """A subject's process. Every answer with an "error", and a process that ends early, becomes an InputError."""

    def __init__(self, subject: str):
        self.subject = subject
        self.log: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by close()
        package = str(Path(edge_scs.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_scs.report.latency_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={"OMP_WAIT_POLICY": "passive"} | os.environ | {"PYTHONPATH": path},
        )

    def send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # receive() says why the process has ended

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or ["no message"]
            code = self.process.wait()
            raise InputError(f"{self.subject}: stopped while it was timed (exit {code}: {lines[-1][:200]})")
        answer = json.loads(line)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()
