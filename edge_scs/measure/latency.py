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
from edge_scs.measure.measurement import DEFAULT, Conditions, Latency, LeftOut, Measurement, Ratio
from edge_scs.measure.modes import LOWERED, MODES, Unavailable
from edge_scs.measure.programs import arena_bytes, lower_for_timing
from edge_scs.measure.worker import Worker
from edge_scs.side_by_side import cores

NOISY = 0.25  # spread of a quiet machine's runs: 0.02 to 0.1
SAY_EVERY = 10.0  # seconds between remarks on how far a measurement is
Say = Callable[[str], None]


def bench(subjects: Sequence[str], conditions: Conditions = DEFAULT, say: Say = lambda line: None) -> Measurement:
    """Time subjects side by side on one image.

    A subject is a model's name (untrained where no weights are shipped, which costs the same), a checkpoint, or a .pte
    artifact (ExecuTorch, at the size it was exported for, or at ``conditions.lr`` if it takes any: then from bytes to
    bytes, as its driver does it). A network may name one mode of its own: "edge_scs_m:int8". A .pte for one size only
    runs as it was exported, reference-guided or not.

    Raises InputError for an unknown device, mode or subject, CUDA where there is none, a subject that fails, or when
    everything was left out.
    """
    _check(subjects, conditions)
    device, lr, scale = conditions.device, conditions.lr, conditions.scale
    wanted = [way for subject in subjects for way in _ways(subject, conditions)]
    workers: list[Worker] = []
    loaded: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    with tempfile.TemporaryDirectory(prefix="edge-scs-bench-") as folder, ExitStack() as running:

        def leave_out(subject: str, mode: str, reason: Unavailable) -> None:
            left_out.append(LeftOut(subject, mode, str(reason)))
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
            sizes = {key: tuple(value) for key, value in answer.items() if isinstance(value, list)}
            loaded.append(answer | sizes | {"arena_mb": None if arena is None else round(arena / 1e6, 1)})
        if not workers:
            raise InputError(f"{left_out[0].subject}: {left_out[0].reason}")
        results, ratios = _measure(workers, loaded, conditions, say)
    return Measurement(tuple(results), tuple(ratios), tuple(left_out))


def _lowered(subject: str, mode: str, lr: tuple[int, int], scale: float, guided: bool, folder: Path, say: Say) -> str:
    """What a process is to load: the subject, or its program in ``folder``. Raises Unavailable."""
    if mode not in LOWERED or _is_pte(subject):
        return subject
    say(f"{subject}: lowering for {mode}{', with a reference' if guided else ''}")
    return str(lower_for_timing(subject, mode, lr, scale, folder, guided))


def _measure(
    workers: list[Worker], loaded: list[dict[str, Any]], conditions: Conditions, say: Say
) -> tuple[list[Latency], list[Ratio]]:
    rows: list[list[Latency]] = [[] for _ in workers]
    ratios: list[list[Ratio]] = [[] for _ in workers]
    for count in conditions.threads:
        request = {"do": "threads", "count": count, "warmup": conditions.warmup}
        ready = [worker.ask(request) for worker in workers]
        say(f"timing {len(workers)} subjects in turn, {count} thread{'' if count == 1 else 's'}")
        answers = _take_turns(workers, conditions, say)
        turns = [[answer["ms"] for answer in mine] for mine in answers]
        for index, worker in enumerate(workers):
            cpu = median(answer["cpu_ms"] for answer in answers[index]) if conditions.device == "cpu" else None
            row = Latency(
                subject=worker.subject,
                mode=worker.mode,
                device=conditions.device,
                threads=count,
                measured=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                cpu_ms=None if cpu is None else round(cpu, 3),
                **loaded[index],
                **ready[index],
                **summary(turns[index]),
            )
            rows[index].append(row)
            for base in _bases(index, loaded):
                ratio = Ratio(
                    subject=worker.subject,
                    mode=worker.mode,
                    reference=loaded[index]["reference"],
                    to=workers[base].subject,
                    to_mode=workers[base].mode,
                    to_reference=loaded[base]["reference"],
                    threads=count,
                    **pairwise(turns[index], turns[base]),
                )
                ratios[index].append(ratio)
            if row.noisy:
                say(f"{worker.subject} ({worker.mode}): noisy, {row.spread:.0%} between minimum and p90")
    return [row for group in rows for row in group], [ratio for group in ratios for ratio in group]


def all_threads(device: str = "cpu") -> tuple[int, ...]:
    """One thread, and as many as this process may use; on a GPU the count means nothing."""
    return (1,) if device == "cuda" or cores() == 1 else (1, cores())


def _ways(subject: str, conditions: Conditions) -> list[tuple[str, str, bool]]:
    """What is timed of a subject: (name or path, mode, whether reference-guided)."""
    modes = conditions.modes
    name, _, mode = subject.rpartition(":")
    if name and mode in MODES[conditions.device]:
        subject, modes = name, (mode,)
    chosen = ("executorch",) if _is_pte(subject) else modes or ("eager",)
    return [
        (subject, mode, guided) for mode in chosen for guided in ((False, True) if conditions.reference else (False,))
    ]


def _is_pte(subject: str) -> bool:
    return Path(subject).suffix == ".pte"


def _bases(index: int, loaded: Sequence[dict[str, Any]]) -> list[int]:
    """Earlier subjects that this one is compared with: the first of all, and the first of its runtime."""
    same_runtime = next(i for i, other in enumerate(loaded) if other["runtime"] == loaded[index]["runtime"])
    return [i for i in sorted({0, same_runtime}) if i < index and loaded[i]["hr"] == loaded[index]["hr"]]


def summary(times: Sequence[float]) -> dict[str, Any]:
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


def _check(subjects: Sequence[str], conditions: Conditions) -> None:
    if not subjects:
        raise InputError("nothing to time; name a model, a checkpoint or a .pte artifact")
    conditions.check()
    known = MODES[conditions.device]
    for mode in conditions.modes:
        if mode not in known:
            raise InputError(f"--mode {mode}: unknown on {conditions.device}; use {', '.join(known)}, or all")
    for subject in subjects:
        if Path(subject).suffix in (".mlpackage", ".mlmodelc"):
            raise InputError(f"{subject}: Core ML runs on Apple devices only; time it in the iOS sample app")


def _take_turns(workers: list[Worker], conditions: Conditions, say: Say) -> list[list[dict[str, float]]]:
    """What every worker answered in every turn."""
    turns: list[list[dict[str, float]]] = [[] for _ in workers]
    start, elapsed, spent, said = time.monotonic(), 0.0, 0.0, 0.0
    runs, least, most = conditions.runs, conditions.min_seconds, conditions.max_seconds
    while (len(turns[0]) < runs or elapsed < least) and (len(turns[0]) < 2 or spent < most):
        for worker, answers in zip(workers, turns, strict=True):
            answers.append(worker.ask({"do": "run"}))
        elapsed = time.monotonic() - start
        spent = _pair_seconds(turns) if conditions.paired else elapsed
        if elapsed - said > SAY_EVERY:
            say(f"turn {len(turns[0])}, {elapsed:.0f} s")
            said = elapsed
    return turns


def _pair_seconds(turns: Sequence[Sequence[dict[str, float]]]) -> float:
    """What the first subject and the quickest other one have run, in seconds."""
    first, *others = (sum(answer["ms"] for answer in mine) / 1000 for mine in turns)
    return first + min(others, default=0.0)
