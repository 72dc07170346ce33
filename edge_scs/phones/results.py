"""Latency measured on phones: the JSON of the sample apps, which anybody may have written.

``latency.schema.json`` beside this file decides what such a file may hold, ``latency-1.schema.json`` what one of the
first version may. Beyond the schema, the statistics must follow from the samples, the model must be one whose manifest
is at hand (the report needs its MultAdds, and a time without its artifact means nothing), and an emulator's times are
not a phone's.
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
SCHEMA_VERSION = 2
SCHEMAS = {1: SCHEMA.with_name("latency-1.schema.json"), SCHEMA_VERSION: SCHEMA}
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
    if type(version := table["schema_version"]) is not int or version not in SCHEMAS:
        said = printable(json.dumps(version))[:40]
        raise InputError(
            f"{where}: schema_version is {said}, known are 1 and {SCHEMA_VERSION}; update the older of app and package"
        )
    if table.get("emulated") is True:
        raise InputError(f"{where}: emulated is true; an emulator's time is no device's, measure on a phone")
    if (wrong := violation(table, SCHEMAS[version])) is not None:
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
    if table["schema_version"] == 1:
        return
    if (wrong := _contradiction(table)) is not None:
        raise InputError(f"{where}: {wrong}; share it again")


def _contradiction(table: dict[str, Any]) -> str | None:
    """What version 2 added and cannot be so; None if all of it can."""
    compiled, memory, placement = table["compile_ms"], table["memory"], table["placement"] or []
    if compiled is not None and compiled > table["load_ms"] + TOLERANCE_MS:
        return f"compile_ms is {compiled:g}, more than load_ms, which contains it"
    if memory is not None and memory["peak_mb"] < memory["before_mb"]:
        return f"memory.peak_mb is {memory['peak_mb']:g}, less than before_mb"
    if len({part["device"] for part in placement}) < len(placement):
        return "placement names a device twice"
    for part in placement:
        if sum(part["types"].values()) != part["operations"]:
            return f"placement of {part['device']}: types must add up to operations, {part['operations']}"
    if (total := sum(part["cost_share"] for part in placement)) > 1.001:
        return f"placement: the shares of the cost add up to {total:.3f}"
    return None if table["sustained"] is None else _contradiction_of_minutes(table["sustained"])


def _contradiction_of_minutes(sustained: dict[str, Any]) -> str | None:
    minutes = sustained["minutes"]
    if sum(minute["runs"] for minute in minutes) != sustained["runs"]:
        return f"sustained.minutes must have {sustained['runs']} runs, as sustained.runs says"
    if sustained["seconds"] < 60 * (len(minutes) - 1):
        return f"sustained has {len(minutes)} minutes in {sustained['seconds']:g} seconds"
    for number, minute in enumerate(minutes):
        times = [minute[key] for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")]
        if minute["runs"] == 0:
            if any(time is not None for time in times):
                return f"sustained.minutes[{number}] has times, but no runs"
        elif None in times or times != sorted(times):
            return f"sustained.minutes[{number}]: p50_ms, p90_ms, p99_ms and max_ms must be times that do not fall"
    return None
