"""``bench --device adb`` and ``--device ios``: what is measured on a phone instead of on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_scs.cli.app import emit, say

DEVICES = ("adb", "ios")


def bench_on_phone(
    artifacts: Sequence[str], device: str, serial: str | None, threads: int | None, runs: int, json_: bool
) -> None:
    """Time each artifact on the connected phone; print the rows of ``bench``, with where each result was stored.

    What ``bench`` reports and an app does not is None.
    """
    from edge_scs.measure.latency import RESULT
    from edge_scs.measure.programs import artifact_manifest
    from edge_scs.phones import adb, iphone

    rows = []
    for artifact in artifacts:
        row: dict[str, Any] = dict.fromkeys(RESULT) | {"subject": artifact, "runtime": "coreml", "device": device}
        row |= {"threads": threads, "warmup": 1}
        if device == "adb":
            result, path = adb.measure(Path(artifact), serial, runs=runs, threads=threads, say=say)
            row |= {key: result["model"][key] for key in ("lr", "hr")} | {"stored": str(path)}
        else:
            result = iphone.measure(Path(artifact), runs=runs, say=say)
            ports = artifact_manifest(Path(artifact))
            row |= {"lr": ports["inputs"][0]["shape"][-2:], "hr": ports["outputs"][0]["shape"][-2:]}
        reported = (key for key in RESULT if key in result and key != "device")
        rows.append(row | {key: result[key] for key in reported} | {"phone": result["device"]})
        if not json_:
            times = f"median {result['median_ms']:8.2f} ms  p90 {result['p90_ms']:8.2f} ms"
            print(f"{artifact}  {result['device']}  {times}  {row.get('stored', 'not stored')}")
    if json_:
        emit({"results": rows, "ratios": [], "left_out": []})
