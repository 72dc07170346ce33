"""Latency measured on phones: the JSON of the sample apps, which anybody may have written.

``latency.schema.json`` beside this file decides what such a file may hold. Beyond the schema, the statistics must
follow from the samples, the model must be one whose manifest is at hand (the report needs its MultAdds, and a time
without its artifact means nothing), and an emulator's times are not a phone's.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from edge_scs.errors import InputError
from edge_scs.files import printable
from edge_scs.schemas import parse, violation

SCHEMA = Path(__file__).with_name("latency.schema.json")
SCHEMA_VERSION = 1
MAX_BYTES = 1 << 20
TOLERANCE_MS = 0.002  # between a statistic and what its samples say: apps may round to microseconds
HOT = ("moderate", "severe", "critical", "emergency", "shutdown", "serious")  # where systems throttle


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
        table = parse(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({printable(str(error))[:100]}); share it again") from error
    if not isinstance(table, dict) or "schema_version" not in table:
        raise InputError(f"{where}: lacks 'schema_version'; share the latency JSON of the app again")
    if type(version := table["schema_version"]) is not int or version != SCHEMA_VERSION:
        said = printable(json.dumps(version))[:40]
        raise InputError(f"{where}: schema_version is {said}, known is {SCHEMA_VERSION}; update the older of both")
    if table.get("emulated") is True:
        raise InputError(f"{where}: emulated is true; an emulator's time is no device's, measure on a phone")
    if (wrong := violation(table, SCHEMA)) is not None:
        again = "; share the latency JSON of the app again" if wrong.startswith("lacks") else ""
        raise InputError(f"{where}: {wrong}{again}")
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


def _check_against_itself(table: dict[str, Any], where: str) -> None:
    try:
        datetime.fromisoformat(table["created"])
    except ValueError:
        created = printable(table["created"])
        raise InputError(f"{where}: created is {created!r}, which is no date and time; share it again") from None
    if len(table["samples_ms"]) != table["runs"]:
        raise InputError(f"{where}: samples_ms has {len(table['samples_ms'])} times, runs says {table['runs']}")
    for key, value in statistics(table["samples_ms"]).items():
        if not math.isclose(table[key], value, rel_tol=0, abs_tol=TOLERANCE_MS):
            raise InputError(f"{where}: {key} is {table[key]:g}, its samples say {value:.3f}; share it again")
    if table["pipeline_ms"] < table["median_ms"] - TOLERANCE_MS:
        raise InputError(f"{where}: pipeline_ms is below median_ms, but contains the inference")
