"""Measurements that are kept: an interrupted report goes on where it was, and a repeated one measures nothing.

What is kept together is what was measured together. A ratio is only worth something within one interleaved call of
``latency.bench``, so the unit is such a call: one subject beside its baseline, the first subject of its runtime
(``bench_by_row``). Each row of a report is such a unit: adding a network measures one unit more and leaves the others.
The baseline is timed again in every unit, which is the price; its own row shows the first of them.

A unit is found again under the sha256 of everything that could change it: the subjects (names, and the bytes of their
weights or artifacts), the code of edge_scs, the settings, and the machine: processor, cores, system, versions. A unit
that cannot be read is measured anew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import edge_scs
from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.report.latency import Say, bench
from edge_scs.report.machine import environment
from edge_scs.weights.loading import shipped_file

# Of ``machine.environment``: what says when, not where.
_MOMENTS = ("date", "load")


class Cache:
    """A folder with a JSON file for every measurement. ``fresh``: look nothing up, but keep what is measured."""

    def __init__(self, folder: Path, fresh: bool = False):
        self.folder, self.fresh = folder, fresh
        self._where = {key: value for key, value in environment().items() if key not in _MOMENTS}
        self._where["code"] = code_digest()

    def fetch(self, what: dict[str, Any], measure: Callable[[], Any]) -> Any:
        """What was measured before under ``what``, here and with this code, or else what ``measure`` returns now.

        Both must be JSON-safe. Nothing is kept when ``measure`` raises or is interrupted.
        """
        key = {"what": what, "where": self._where}
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{name[:32]}.json"
        if not self.fresh and path.is_file():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                if kept["key"] == json.loads(json.dumps(key)):
                    return kept["result"]
            except (OSError, ValueError, KeyError, TypeError):
                pass  # half-written by another program, or edited: as good as not there
        result = measure()
        write_atomically(path, json.dumps({"key": key, "result": result}, indent=2) + "\n")
        return result


def code_digest() -> str:
    """sha256 of all of our own modules: another line of code may be another speed."""
    digest = hashlib.sha256()
    package = Path(edge_scs.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def subject_digest(subject: str) -> str:
    """sha256 of what a subject of ``latency.bench`` is made of: its file, its shipped weights, or "untrained".

    Shipped int8 weights count as well, as mode int8 would use them. Raises InputError for a file that cannot be read.
    """
    try:
        if Path(subject).suffix in (".pte", ".safetensors"):
            return hashlib.sha256(Path(subject).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{subject}: cannot be read ({error.strerror}); export or train it first") from error
    files = [path for quantised in (False, True) if (path := shipped_file(subject, quantised))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else "untrained"


def bench_by_row(
    cache: Cache,
    subjects: Sequence[str],
    device: str = "cpu",
    lr: tuple[int, int] = (180, 320),
    scale: float = 4,
    threads: Sequence[int] = (1,),
    say: Say = lambda line: None,
    **effort: float,
) -> dict[str, list[dict[str, Any]]]:
    """``latency.bench`` in its units: every subject beside the first of its runtime, each looked up before it is timed.

    Returns what ``bench`` returns, but ratios only to the first of the same runtime. ``effort``: "warmup", "runs",
    "min_seconds", "max_seconds". Raises InputError like ``bench``.
    """
    kinds: dict[bool, list[str]] = {}
    for subject in subjects:
        kinds.setdefault(Path(subject).suffix == ".pte", []).append(subject)
    units = [[first, other] for first, *others in kinds.values() for other in others]
    units += [group for group in kinds.values() if len(group) == 1]
    found: dict[str, Any] = {}
    ratios: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for number, unit in enumerate(units, 1):
        say(f"row {number} of {len(units)}: {' beside '.join(Path(subject).name for subject in reversed(unit))}")
        settings = {"device": device, "lr": list(lr), "scale": scale, "threads": list(threads), **effort}
        what = {"bench": [[subject, subject_digest(subject)] for subject in unit], **settings}

        def measure(unit: list[str] = unit) -> Any:
            return bench(unit, device, lr, scale, threads, say=say, **effort)  # type: ignore[arg-type]

        measured = cache.fetch(what, measure)
        for subject in unit:
            found.setdefault(subject, [row for row in measured["results"] if row["subject"] == subject])
        ratios += measured["ratios"]
        left_out += measured["left_out"]
    return {"results": [row for s in subjects for row in found[s]], "ratios": ratios, "left_out": left_out}
