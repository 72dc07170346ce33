"""Latency measured on phones: the JSON of the sample apps, read as what a stranger may have written.

``apps/schema/latency.schema.json`` describes the file; the tests hold this reader and that schema to each other. Beyond
the schema, the statistics must follow from the samples, the model must be one whose manifest is at hand (the report
needs its MultAdds, and a figure without its artifact means nothing), and an emulator's times are not a phone's.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from edge_scs.errors import InputError, did_you_mean
from edge_scs.files import printable

SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20
TOLERANCE_MS = 0.002  # between a figure and what its samples say: apps may round to microseconds
THERMAL = (
    "none", "light", "moderate", "severe", "critical", "emergency", "shutdown",  # Android
    "nominal", "fair", "serious",  # iOS, which shares "critical"
    "unknown",
)  # fmt: skip
HOT = ("moderate", "severe", "critical", "emergency", "shutdown", "serious")  # where systems throttle
COMPUTE_UNITS = ("all", "cpu_only", "cpu_and_gpu", "cpu_and_neural_engine")


@dataclass(frozen=True)
class _Kind:
    """What a value must be: in words for the message, and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 3_600_000  # false for NaN


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z", value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_whole(side, 1, 65_536) for side in value)


def _is_list(value: Any, item: Callable[[Any], bool], least: int, most: int) -> bool:
    return isinstance(value, list) and least <= len(value) <= most and all(map(item, value))


def _one_of(*values: object) -> _Kind:
    return _Kind("one of " + ", ".join(json.dumps(v) for v in values), lambda value: value in values)


def _count(least: int, most: int) -> _Kind:
    return _Kind(f"a whole number, {least} to {most}", lambda value: _whole(value, least, most))


def _or_null(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.words}, or null", lambda value: value is None or kind.holds(value))


_TEXT = _Kind("a text of 1 to 200 characters", _is_text)
_TIME = _Kind("milliseconds above 0", _is_time)
_SIZE = _Kind("[h, w] in pixels", _is_size)
_FIELDS: dict[str, Any] = {
    "schema_version": _Kind(str(SCHEMA_VERSION), lambda value: value == SCHEMA_VERSION),
    "created": _Kind("a date and time like 2026-11-21T03:00:00Z", _is_date),
    "emulated": _Kind("true or false", lambda value: isinstance(value, bool)),
    "app": {"name": _TEXT, "version": _TEXT, "platform": _one_of("android", "ios")},
    "device": _TEXT,
    "os": _TEXT,
    "soc": _or_null(_TEXT),
    "model": {
        "name": _TEXT,
        "file": _TEXT,
        "sha256": _Kind(
            "64 small hexadecimal digits", lambda v: isinstance(v, str) and bool(re.fullmatch("[0-9a-f]{64}", v))
        ),
        "lr": _SIZE,
        "hr": _SIZE,
    },
    "runtime": _one_of("executorch", "coreml"),
    "runtime_version": _or_null(_TEXT),
    "backends": _Kind("a list of at most 32 names", lambda value: _is_list(value, _is_text, 0, 32)),
    "compute_units": _one_of(*COMPUTE_UNITS, None),
    "threads": _or_null(_count(1, 1024)),
    "thermal_before": _one_of(*THERMAL),
    "thermal_after": _one_of(*THERMAL),
    "warmup": _count(0, 10_000),
    "runs": _count(1, 10_000),
    "samples_ms": _Kind("1 to 10000 times in milliseconds above 0", lambda v: _is_list(v, _is_time, 1, 10_000)),
    **dict.fromkeys(("median_ms", "p90_ms", "min_ms", "trimmed_mean_ms", "load_ms", "first_ms", "pipeline_ms"), _TIME),
}


def statistics(samples: Sequence[float]) -> dict[str, float]:
    """{"median_ms", "p90_ms", "min_ms", "trimmed_mean_ms"} of times in milliseconds.

    p90 is the nearest rank, sorted[ceil(0.9 n) - 1]; the trimmed mean leaves out the floor(0.1 n) smallest and as many
    of the largest.
    """
    ordered = sorted(samples)
    n = len(ordered)
    cut = n // 10
    return {
        "median_ms": median(ordered),
        "p90_ms": ordered[math.ceil(0.9 * n) - 1],
        "min_ms": ordered[0],
        "trimmed_mean_ms": fmean(ordered[cut : n - cut]),
    }


def read_device_result(path: Path, source: str | None = None) -> dict[str, Any]:
    """A phone's latency.json, checked against the schema and against itself; ``source`` names it in messages.

    Raises InputError, one line that names the file and the key: unreadable, larger than 1 MB, not JSON, a key given
    twice, NaN or infinity, an unknown schema version, ``emulated``, a missing, unknown or wrong value, samples that are
    not ``runs``, statistics more than 0.002 ms from what the samples say.
    """
    where = source or printable(path)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InputError(f"{where}: larger than {MAX_BYTES >> 20} MB, no latency JSON of the apps")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); name the JSON that the app shared") from error
    return parse_device_result(content, where)


def parse_device_result(content: bytes, where: str) -> dict[str, Any]:
    """``read_device_result`` of the file's content; ``where`` names it in messages."""
    try:
        table = json.loads(
            content.decode("utf-8"), object_pairs_hook=lambda pairs: _once(pairs, where), parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({printable(str(error))[:100]}); share it again") from error
    if not isinstance(table, dict) or "schema_version" not in table:
        raise InputError(f"{where}: lacks 'schema_version'; share the latency JSON of the app again")
    if type(version := table["schema_version"]) is not int or version != SCHEMA_VERSION:
        said = printable(json.dumps(version))[:40]
        raise InputError(f"{where}: schema_version is {said}, known is {SCHEMA_VERSION}; update the older of both")
    if table.get("emulated") is True:
        raise InputError(f"{where}: emulated is true; an emulator's time is no device's, measure on a phone")
    _check(table, _FIELDS, where, "")
    _check_against_itself(table, where)
    return table


def with_manifest(result: dict[str, Any], manifests: Mapping[str, dict[str, Any]], where: str) -> dict[str, Any]:
    """A result of ``read_device_result`` with what the manifest of its artifact says beside it, under "artifact".

    ``manifests``: by sha256. "mult_adds" is None for another method than the first one. Raises InputError when no
    manifest has the result's sha256, or when name or sizes are not the manifest's.
    """
    model = result["model"]
    manifest = manifests.get(model["sha256"])
    if manifest is None:
        raise InputError(
            f"{where}: model.sha256 {model['sha256'][:12]}... is no artifact of this report, which takes its MultAdds "
            "from there; name the artifact that ran with --artifact"
        )
    if model["name"] != manifest["model"]:
        said = printable(model["name"])[:60]
        raise InputError(f"{where}: model.name is {said!r}, the manifest of its artifact says {manifest['model']!r}")
    methods = [manifest, *manifest.get("methods", [])]
    sizes = [[list(m[port][0]["shape"][-2:]) for port in ("inputs", "outputs")] for m in methods]
    if [model["lr"], model["hr"]] not in sizes:
        raise InputError(f"{where}: model.lr {model['lr']} to hr {model['hr']} is no size that its artifact has")
    first = [model["lr"], model["hr"]] == sizes[0]
    return result | {
        "artifact": {key: manifest.get(key) for key in ("preset", "precision", "params", "bytes")}
        | {"mult_adds": manifest["mult_adds"] if first else None}
    }


def _once(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise InputError(f"{where}: {printable(key)[:60]!r} is given twice; share it again")
        table[key] = value
    return table


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _check(table: dict[str, Any], fields: dict[str, Any], where: str, prefix: str) -> None:
    for key in table:
        if key not in fields:
            hint = did_you_mean(key, fields, "leave it out")
            raise InputError(f"{where}: unknown key {printable(prefix + key)[:60]!r}; {hint}")
    for key, kind in fields.items():
        name = prefix + key
        if key not in table:
            raise InputError(f"{where}: lacks {name!r}; share the latency JSON of the app again")
        value = table[key]
        if isinstance(kind, dict):
            if not isinstance(value, dict):
                raise InputError(f"{where}: {name} must be an object with {', '.join(kind)}")
            _check(value, kind, where, f"{name}.")
        elif not kind.holds(value):
            raise InputError(f"{where}: {name} is {printable(json.dumps(value))[:60]}, must be {kind.words}")


def _check_against_itself(table: dict[str, Any], where: str) -> None:
    if (table["runtime"] == "coreml") != (table["compute_units"] is not None):
        raise InputError(f"{where}: compute_units must be named for coreml, and null for executorch")
    if table["runtime"] == "coreml" and table["app"]["platform"] != "ios":
        raise InputError(f"{where}: runtime is coreml, so app.platform must be 'ios'")
    if len(table["samples_ms"]) != table["runs"]:
        raise InputError(f"{where}: samples_ms has {len(table['samples_ms'])} times, runs says {table['runs']}")
    for key, value in statistics(table["samples_ms"]).items():
        if not math.isclose(table[key], value, rel_tol=0, abs_tol=TOLERANCE_MS):
            raise InputError(f"{where}: {key} is {table[key]:g}, its samples say {value:.3f}; share it again")
    if table["pipeline_ms"] < table["median_ms"] - TOLERANCE_MS:
        raise InputError(f"{where}: pipeline_ms is below median_ms, but contains the inference")
