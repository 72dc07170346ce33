"""Latency of networks and artifacts, measured so that ratios hold on a busy machine.

Every subject lives in a process of its own (``latency_worker``), and the subjects take turns, A B C A B C: what slows
the machine down for a second slows all of them. Ratios are medians over turns, not ratios of medians.

Eager PyTorch's idle threads sleep instead of spinning (OMP_WAIT_POLICY=passive, unless the environment says otherwise):
spinning ones would eat the time of whichever subject comes next, and of the other threads on a machine that is shared.
"""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from edge_scs.errors import InputError
from edge_scs.measure.modes import LOWERED, MODES, Unavailable
from edge_scs.measure.programs import arena_bytes, lower_for_timing
from edge_scs.measure.worker import Worker
from edge_scs.side_by_side import cores

DEVICES = ("cpu", "cuda")
RESULT = (  # what every result says
    "subject", "mode", "runtime", "device", "threads", "measured", "lr", "hr", "reference", "warmup", "runs",
    "median_ms", "p90_ms", "min_ms", "spread", "noisy", "cpu_ms", "rss_growth_mb", "peak_growth_mb", "cuda_peak_mb",
    "arena_mb",
)  # fmt: skip
NOISY = 0.25  # spread of a quiet machine's runs: 0.02 to 0.1
SAY_EVERY = 10.0  # seconds between remarks on how far a measurement is
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
    modes: Sequence[str] = (),
    paired: bool = False,
    reference: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Time subjects side by side on one image: ``lr`` = (h, w) pixels, enlarged by ``scale``.

    A subject is a model's name (untrained where no weights are shipped, which costs the same), a checkpoint, or a .pte
    artifact (ExecuTorch, at the size it was exported for, or at this one if it takes any: then from bytes to bytes,
    as its driver does it). Networks run in each of ``modes`` (``modes.MODES``), eager if none is named, or in one of
    their own: "edge_scs_m:int8". With ``reference`` each of them runs reference-guided as well, beside the automatic
    run, if it takes a reference; a .pte for one size only runs as it was exported. For each thread count there are
    ``runs`` turns, more until ``min_seconds`` are over, and fewer, but at least two, once ``max_seconds`` are over.
    Warm-up is ``warmup`` runs; one of over five seconds ends it and is itself the first turn, unless it may have
    compiled something.

    Returns {"results": [...], "ratios": [...], "left_out": [...]}, in the order given, modes within subjects, thread
    counts within modes:
    results have RESULT. "runtime" is "eager", "compiled" or "executorch", "measured" the time of day; "spread" and
    "noisy": see ``summary``. "cpu_ms" is the median of the processor time that a run took on all threads, which other
    work on the machine lengthens little; "rss_growth_mb" and "peak_growth_mb" resident memory after warm-up and at its
    highest, over what the process had before it loaded the subject (at a second thread count: since the first load);
    "reference" is the reference's (h, w); "cuda_peak_mb" what PyTorch had allocated on the GPU at its highest;
    "arena_mb" what a .pte plans for itself, its delegate's memory not counted. None where it means nothing.
    ratios have {"subject", "mode", "reference", "to", "to_mode", "to_reference", "threads", "median", "min", "max"}:
    the subject's time over that of ``to``, turn by turn. ``to`` is the first subject, and the first of the same runtime
    where that is another; left out where the two make images of different sizes.
    left_out has {"subject", "mode", "reason"}: what cannot be had here, such as compiling without a compiler.

    Raises InputError for an unknown device, mode or subject, CUDA where there is none, a subject that fails, or when
    everything was left out.
    """
    _check(subjects, device, lr, threads, warmup, runs, modes)
    wanted = [way for subject in subjects for way in _ways(subject, device, modes, reference)]
    workers: list[Worker] = []
    loaded: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="edge-scs-bench-") as folder, ExitStack() as running:

        def leave_out(subject: str, mode: str, reason: Unavailable) -> None:
            left_out.append({"subject": subject, "mode": mode, "reason": str(reason)})
            say(f"{subject}: left out {mode}: {reason}")

        loading: list[tuple[Worker, str]] = []
        for subject, mode, guided in wanted:
            try:
                path = _lowered(subject, mode, lr, scale, guided, Path(folder), say)
            except Unavailable as reason:
                leave_out(subject, mode, reason)
                continue
            worker = Worker(subject, mode, guided)
            running.callback(worker.close)
            # What was lowered with a reference has it among its inputs.
            what = {"subject": path, "reference": guided and path == subject, "mode": mode, "device": device}
            worker.send({"do": "load", "lr": list(lr), "scale": scale} | what)
            loading.append((worker, path))
        for worker, path in loading:
            try:
                answer = worker.receive()
            except Unavailable as reason:
                worker.close()
                leave_out(worker.subject, worker.mode, reason)
                continue
            arena = arena_bytes(Path(path)) if worker.mode in LOWERED else None
            workers.append(worker)
            loaded.append(answer | {"arena_mb": None if arena is None else round(arena / 1e6, 1)})
        if not workers:
            raise InputError(f"{left_out[0]['subject']}: {left_out[0]['reason']}")
        measured = _measure(workers, loaded, device, threads, warmup, runs, min_seconds, max_seconds, paired, say)
    return measured | {"left_out": left_out}


def _lowered(subject: str, mode: str, lr: tuple[int, int], scale: float, guided: bool, folder: Path, say: Say) -> str:
    """What a process is to load: the subject, or its program in ``folder``. Raises Unavailable."""
    if mode not in LOWERED or _is_pte(subject):
        return subject
    say(f"{subject}: lowering for {mode}{', with a reference' if guided else ''}")
    return str(lower_for_timing(subject, mode, lr, scale, folder, guided))


def _measure(
    workers: list[Worker],
    loaded: list[dict[str, Any]],
    device: str,
    threads: Sequence[int],
    warmup: int,
    runs: int,
    min_seconds: float,
    max_seconds: float,
    paired: bool,
    say: Say,
) -> dict[str, list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = [[] for _ in workers]
    ratios: list[list[dict[str, Any]]] = [[] for _ in workers]
    for count in threads:
        ready = [worker.ask({"do": "threads", "count": count, "warmup": warmup}) for worker in workers]
        say(f"timing {len(workers)} subjects in turn, {count} thread{'' if count == 1 else 's'}")
        answers = _take_turns(workers, runs, min_seconds, max_seconds, paired, say)
        turns = [[answer["ms"] for answer in mine] for mine in answers]
        for index, worker in enumerate(workers):
            row = {"subject": worker.subject, "mode": worker.mode, "device": device, "threads": count}
            row["measured"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            row |= loaded[index] | ready[index] | summary(turns[index])
            row["cpu_ms"] = round(median(answer["cpu_ms"] for answer in answers[index]), 3) if device == "cpu" else None
            rows[index].append(row)
            for base in _bases(index, loaded):
                pair = {"subject": worker.subject, "mode": worker.mode, "reference": loaded[index]["reference"]}
                to = {"to": workers[base].subject, "to_mode": workers[base].mode}
                pair |= to | {"to_reference": loaded[base]["reference"], "threads": count}
                ratios[index].append(pair | pairwise(turns[index], turns[base]))
            if rows[index][-1]["noisy"]:
                say(f"{worker.subject} ({worker.mode}): noisy, {rows[index][-1]['spread']:.0%} between minimum and p90")
    return {"results": [row for group in rows for row in group], "ratios": [row for group in ratios for row in group]}


def all_threads(device: str = "cpu") -> tuple[int, ...]:
    """One thread, and as many as this process may use; on a GPU the count means nothing."""
    return (1,) if device == "cuda" or cores() == 1 else (1, cores())


def _ways(subject: str, device: str, modes: Sequence[str], reference: bool) -> list[tuple[str, str, bool]]:
    """What is timed of a subject: (name or path, mode, whether reference-guided)."""
    name, _, mode = subject.rpartition(":")
    if name and mode in MODES[device]:
        subject, modes = name, (mode,)
    chosen = ("executorch",) if _is_pte(subject) else modes or ("eager",)
    return [(subject, mode, guided) for mode in chosen for guided in ((False, True) if reference else (False,))]


def _is_pte(subject: str) -> bool:
    return Path(subject).suffix == ".pte"


def _bases(index: int, loaded: Sequence[dict[str, Any]]) -> list[int]:
    """Earlier subjects that this one is compared with: the first of all, and the first of its runtime."""
    same_runtime = next(i for i, other in enumerate(loaded) if other["runtime"] == loaded[index]["runtime"])
    return [i for i in sorted({0, same_runtime}) if i < index and loaded[i]["hr"] == loaded[index]["hr"]]


def summary(times: Sequence[float]) -> dict[str, float | int | bool]:
    """Milliseconds -> {"runs", "median_ms", "p90_ms", "min_ms", "spread", "noisy"}.

    p90 is the nearest-rank percentile. ``spread`` = (p90 - min) / median; above NOISY the times are ``noisy``:
    something else ran meanwhile, and only ratios within the call mean anything.
    """
    ordered = sorted(times)
    p90 = ordered[math.ceil(0.9 * len(ordered)) - 1]
    spread = (p90 - ordered[0]) / median(ordered)
    return {
        "runs": len(ordered),
        "median_ms": round(median(ordered), 3),
        "p90_ms": round(p90, 3),
        "min_ms": round(ordered[0], 3),
        "spread": round(spread, 3),
        "noisy": spread > NOISY,
    }


def pairwise(times: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """times[i] / base[i] -> {"median", "min", "max"}."""
    ratios = [a / b for a, b in zip(times, base, strict=True)]
    return {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def _check(
    subjects: Sequence[str],
    device: str,
    lr: tuple[int, int],
    threads: Sequence[int],
    warmup: int,
    runs: int,
    modes: Sequence[str],
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
        raise InputError("sizes, threads and runs must be at least 1, and warm-up at least 0; change the options")
    for mode in modes:
        if mode not in MODES[device]:
            raise InputError(f"--mode {mode}: unknown on {device}; use {', '.join(MODES[device])}, or all")
    for subject in subjects:
        if Path(subject).suffix in (".mlpackage", ".mlmodelc"):
            raise InputError(f"{subject}: Core ML runs on Apple devices only; time it in the iOS sample app")


def _take_turns(
    workers: list[Worker], runs: int, min_seconds: float, max_seconds: float, paired: bool, say: Say
) -> list[list[dict[str, float]]]:
    """What every worker answered in every turn."""
    turns: list[list[dict[str, float]]] = [[] for _ in workers]
    start, elapsed, spent, said = time.monotonic(), 0.0, 0.0, 0.0
    while (len(turns[0]) < runs or elapsed < min_seconds) and (len(turns[0]) < 2 or spent < max_seconds):
        for worker, answers in zip(workers, turns, strict=True):
            answers.append(worker.ask({"do": "run"}))
        elapsed = time.monotonic() - start
        spent = _pair_seconds(turns) if paired else elapsed
        if elapsed - said > SAY_EVERY:
            say(f"turn {len(turns[0])}, {elapsed:.0f} s")
            said = elapsed
    return turns


def _pair_seconds(turns: Sequence[Sequence[dict[str, float]]]) -> float:
    """What the first subject and the quickest other one have run, in seconds."""
    first, *others = (sum(answer["ms"] for answer in mine) / 1000 for mine in turns)
    return first + min(others, default=0.0)
