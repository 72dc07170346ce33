"""The machine that measured: without it a latency says nothing."""

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import edge_scs
from edge_scs.side_by_side import cores

_PACKAGES = ("torch", "executorch", "torchao", "coremltools")


def environment() -> dict[str, Any]:
    """{"date" (UTC), "system", "processor", "cores", "load", "python", "edge_scs", "cuda", package: version or None}.

    ``load`` is the machine's load average of the last minute before measuring, None where the system keeps none: much
    above 0 means that others were at work and medians are pessimistic.
    """
    import torch

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": ".".join(map(str, sys.version_info[:3])),
        "edge_scs": edge_scs.__version__,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
