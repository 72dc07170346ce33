"""Manifests for tests: as the schema demands, with what a test does not care about filled in."""

from pathlib import Path
from typing import Any

from edge_scs.artifacts.manifest import Manifest, MethodPorts, Parity, Port


def manifest(path: Path | None = None, **facts: Any) -> Manifest:
    """Of a .pte that takes 24x32 grey pixels to x4. With ``path`` it lies beside that artifact as well."""
    given: dict[str, Any] = {
        "artifact": path.name if path else "a.pte", "target": "executorch", "backend": "xnnpack", "model": "edge_scs_m",
        "scale": 4.0, "inputs": [Port("gray", [1, 1, 24, 32], "float32")],
        "outputs": [Port("rgb", [1, 3, 96, 128], "float32")], "bytes": 7, "sha256": "0" * 64, "delegated_share": 1.0,
        "parity": Parity("eager", 99.0, 1e-6, 6, "pass", 60.0), "mult_adds": 1, "params": 1, "preset": "mine",
        "versions": {"edge_scs": "0.2.0", "python": "3.11", "torch": "2.13.0"}, "precision": "fp32",
        "weights": "shipped", "weights_sha256": "1" * 64, "min_psnr_db": 60.0, "golden": "a.pte.golden",
    } | facts  # fmt: skip
    given.setdefault("methods", [MethodPorts("forward", given["inputs"], given["outputs"], float(given["scale"]))])
    made = Manifest(**given)
    if path is not None:
        made.write(path)
    return made
