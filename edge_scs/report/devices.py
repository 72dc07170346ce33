"""A phone's result in words: the cells of its row, where its operations run, and what a reader must know of it."""

from typing import Any

from edge_scs.phones.results import HOT

# Heads of ``device_cells``, for a table of text.
HEADS = (
    "phone", "system", "model", "deployment", "size", "MultAdds", "ms (p90)", "pipeline ms", "thermal", "load ms",
    "memory", "sustained",
)  # fmt: skip
PROCESSORS = {"neural_engine": "Neural Engine", "gpu": "GPU", "cpu": "CPU", "unknown": "unknown"}
NOT_MEASURED = "-"


def device_cells(result: dict[str, Any]) -> list[str]:
    """A result of ``phones.results.with_manifest`` as text, in the columns of HEADS."""
    model, artifact = result["model"], result["artifact"]
    adds = artifact["mult_adds"]
    backends = ", ".join(result["backends"]) or "backend not reported"
    threads = "" if result["threads"] is None else f", {result['threads']} threads"
    units = "" if result["compute_units"] is None else f", {result['compute_units']}"
    return [
        f"{result['device']} ({result['soc']})" if result["soc"] else result["device"],
        result["os"],
        model["name"],
        f"{artifact['preset'] or model['file']} ({backends}{units}{threads})",
        f"{model['lr'][1]}x{model['lr'][0]} to {model['hr'][1]}x{model['hr'][0]}",
        "-" if adds is None else f"{adds / 1e9:.2f} G",
        f"{result['median_ms']:.2f} ({result['p90_ms']:.2f})",
        f"{result['pipeline_ms']:.2f}",
        f"{result['thermal_before']} to {result['thermal_after']}",
        _loading(result),
        _memory(result),
        _sustained(result),
    ]


def _loading(result: dict[str, Any]) -> str:
    parts = [("compile", result.get("compile_ms")), ("cached", result.get("cached_load_ms"))]
    detail = ", ".join(f"{name} {ms:.0f}" for name, ms in parts if ms is not None)
    return f"{result['load_ms']:.0f}" + (f" ({detail})" if detail else "")


def _memory(result: dict[str, Any]) -> str:
    memory = result.get("memory")
    return NOT_MEASURED if memory is None else f"{memory['before_mb']:.0f}, peak {memory['peak_mb']:.0f} MB"


def _sustained(result: dict[str, Any]) -> str:
    """The first and the last minute's median, and how far apart they are."""
    minutes = [m for m in (result.get("sustained") or {}).get("minutes", ()) if m["runs"]]
    if not minutes:
        return NOT_MEASURED
    first, last = minutes[0]["p50_ms"], minutes[-1]["p50_ms"]
    count = len(result["sustained"]["minutes"])
    return f"{count} min: {first:.2f} to {last:.2f} ms ({100 * (last / first - 1):+.0f} %)"


def placement(result: dict[str, Any]) -> str | None:
    """Where the runtime means to run the operations, in one sentence; None where it did not tell."""
    if not (parts := result.get("placement")):
        return None
    said = []
    for part in parts:
        types = sorted(part["types"].items(), key=lambda pair: (-pair[1], pair[0]))
        named = ", ".join(f"{name} x{count}" for name, count in types)
        count, share = part["operations"], 100 * part["cost_share"]
        said.append(f"{PROCESSORS[part['device']]} {count} operations, {share:.0f} % of the expected cost ({named})")
    return "; ".join(said)


def notes(result: dict[str, Any]) -> list[str]:
    """What makes a result slower than it had to be, a sentence each."""
    who, model = result["device"], result["model"]["name"]
    found = []
    if result.get("build_type") == "debug":
        found.append(f"{who} ran a debug build of the app: packing, unpacking and perhaps the runtime are slower.")
    if result.get("low_power_mode"):
        found.append(f"{who} was in low-power mode: its processors were slowed down.")
    if result["thermal_after"] in HOT:
        after = result["thermal_after"]
        found.append(f"{who}: the thermal state was {after} when {model} ended; later runs may have been throttled.")
    return found
