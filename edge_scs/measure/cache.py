"""Measurements that are kept: an interrupted report resumes where it was, and a repeated one measures nothing.

A ratio is only worth something within one interleaved call of ``latency.bench``, so the unit that is kept is a row of
the report with what it was timed beside: a subject and its baseline, the first subject of its runtime
(``bench_by_row``). Adding a network measures one unit more and leaves the others. Units that are missing are timed in
one call, up to ``TOGETHER`` of them beside their baseline, which is most of the time of each: it runs once a turn for
all of them. Its own row shows the first unit.

A unit is found again under the sha256 of everything that could change it: the subjects (names, and the bytes of their
weights or artifacts), the code of edge_scs, the settings, and the machine: processor, cores, system, versions. A unit
that cannot be read is measured anew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import edge_scs
from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.measure.latency import Say, bench
from edge_scs.measure.machine import environment
from edge_scs.measure.measurement import DEFAULT, Conditions, Measurement
from edge_scs.weights.loading import shipped_file

# Of ``machine.environment``: what says when, not where.
_MOMENTS = ("date", "load")
TOGETHER = 4  # rows of a call: what an interrupt loses, and how many networks are in memory at once


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
        known = self.find(what)
        return self.keep(what, measure()) if known is None else known

    def find(self, what: dict[str, Any]) -> Any | None:
        """What was kept under ``what``, here and with this code, or None."""
        key, path = self._place(what)
        if self.fresh or not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return kept["result"] if kept["key"] == json.loads(json.dumps(key)) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # half-written by another program, or edited: as good as not there

    def keep(self, what: dict[str, Any], result: Any) -> Any:
        """Write down ``result``, JSON-safe and not None, and return it."""
        key, path = self._place(what)
        write_atomically(path, json.dumps({"key": key, "result": result}, indent=2) + "\n")
        return result

    def _place(self, what: dict[str, Any]) -> tuple[dict[str, Any], Path]:
        key = {"what": what, "where": self._where}
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return key, self.folder / f"{name[:32]}.json"


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
    cache: Cache, subjects: Sequence[str], conditions: Conditions = DEFAULT, say: Say = lambda line: None
) -> Measurement:
    """``latency.bench`` in its units: every subject beside the first of its runtime, each looked up before it is timed.

    Ratios are only to the first of the same runtime. ``conditions.max_seconds`` counts as in a call of a single pair
    (``Conditions.paired``), so that timing several together gives none of them fewer turns. Raises InputError like
    ``bench``.
    """
    conditions = replace(conditions, paired=True)
    settings = asdict(conditions)
    kinds: dict[bool, list[str]] = {}
    for subject in subjects:
        kinds.setdefault(Path(subject).suffix == ".pte", []).append(subject)
    units: list[Measurement] = []
    for first, *others in kinds.values():
        pairs: list[tuple[str, ...]] = [(first, other) for other in others] or [(first,)]
        rows = {row: {"bench": [[subject, subject_digest(subject)] for subject in row], **settings} for row in pairs}
        known = {row: found for row, what in rows.items() if (found := _found(cache, what)) is not None}
        missing = [row for row in rows if row not in known]
        for start in range(0, len(missing), TOGETHER):
            group = missing[start : start + TOGETHER]
            names = list(dict.fromkeys(subject for row in group for subject in row))
            say(f"rows {len(known) + 1} to {len(known) + len(group)} of {len(rows)}: {_listed(names)}")
            measured = bench(names, conditions, say)
            for row in group:
                known[row] = _unit(measured, row)
                cache.keep(rows[row], known[row].to_dict())
        units += [known[row] for row in rows]
    shown = {result.subject: unit for unit in reversed(units) for result in unit.results}  # the first unit's
    return Measurement(
        tuple(result for subject in subjects if subject in shown for result in shown[subject].of(subject)),
        tuple(ratio for unit in units for ratio in unit.ratios),
        tuple(left for unit in units for left in unit.left_out),
    )


def _found(cache: Cache, what: dict[str, Any]) -> Measurement | None:
    known = cache.find(what)
    try:
        return None if known is None else Measurement.from_dict(known)
    except (TypeError, KeyError, AttributeError):
        return None  # edited: measured anew


def _listed(subjects: Sequence[str]) -> str:
    baseline, *others = (Path(subject).name for subject in subjects)
    return f"{', '.join(others)} beside {baseline}" if others else baseline


def _unit(measured: Measurement, row: Sequence[str]) -> Measurement:
    """What a call of ``bench`` says of one row and its baseline."""
    return Measurement(
        tuple(result for result in measured.results if result.subject in row),
        tuple(ratio for ratio in measured.ratios if ratio.subject == row[-1]),
        tuple(left for left in measured.left_out if left.subject in row),
    )
