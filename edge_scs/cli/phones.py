"""``bench --device adb`` and ``--device ios``: what is measured on a phone instead of on this machine."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from edge_scs.cli.app import emit, say

DEVICES = ("adb", "ios")


def bench_on_phone(
    artifacts: Sequence[str],
    device: str,
    serial: str | None,
    threads: int | None,
    runs: int,
    json_: bool,
    sustained: int = 0,
) -> None:
    """Time each artifact on the connected phone; print the rows of ``bench``, with where each result was stored.

    What ``bench`` reports and an app does not is None.
    """
    from edge_scs.measure.measurement import Latency
    from edge_scs.measure.programs import artifact_manifest
    from edge_scs.phones import adb, iphone

    rows = []
    for artifact in artifacts:
        if device == "adb":
            result, path = adb.measure(Path(artifact), serial, runs=runs, threads=threads, sustained=sustained, say=say)
            where, lr, hr = {"stored": str(path)}, result["model"]["lr"], result["model"]["hr"]
        else:
            result, where = iphone.measure(Path(artifact), runs=runs, say=say), {}
            ports = artifact_manifest(Path(artifact))
            lr, hr = (ports[side][0]["shape"][-2:] for side in ("inputs", "outputs"))
        own = {field.name for field in fields(Latency)} - {"device"}
        reported = {key: value for key, value in result.items() if key in own}
        known = {"threads": threads, "warmup": 1, "runtime": "coreml"} | reported
        row = asdict(Latency(subject=artifact, device=device, lr=tuple(lr), hr=tuple(hr), **known))
        rows.append(row | where | {"phone": result["device"]})
        if not json_:
            times = f"median {result['median_ms']:8.2f} ms  p90 {result['p90_ms']:8.2f} ms"
            print(f"{artifact}  {result['device']}  {times}  {where.get('stored', 'not stored')}")
    if json_:
        emit({"results": rows, "ratios": [], "left_out": []})
