"""One row of the report: a network in one deployment, what it costs and what was measured of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError
from edge_scs.measure.measurement import Latency
from edge_scs.measure.mult_adds import mult_adds_at, parameters
from edge_scs.weights.loading import Loaded, load

SCALE = 4
LR, HR = (180, 320), (720, 1280)


@dataclass
class Row:
    """One network in one deployment. ``latency`` has results of ``latency.bench``.

    ``faster`` is by thread count how many times faster than the baseline network it is in the same runtime: {} for the
    baseline itself and where that was not measured. ``bytes`` is the size of the artifact or weights file, None for an
    untrained eager network. ``psnr_grey`` (dB) is what ``evaluate`` measured with these weights, None where nobody did.
    ``parity_db``: the artifact against the eager network. ``sha256``: of the artifact, None for an eager network.
    """

    model: str
    deployment: str
    runtime: str
    weights: str
    params: int
    bytes: int | None
    mult_adds_720p: int
    attention_720p: int
    latency: list[Latency] = field(default_factory=list)
    faster: dict[str, float] = field(default_factory=dict)
    rss_growth_mb: float | None = None
    peak_growth_mb: float | None = None
    psnr_grey: float | None = None
    parity_db: float | None = None
    precision: str = "fp32"
    sha256: str | None = None

    def latency_at(self, threads: int, device: str = "cpu") -> Latency | None:
        """The result at this thread count, if it was measured."""
        return next((r for r in self.latency if r.threads == threads and r.device == device), None)

    @property
    def kind(self) -> str:
        """What plots and tables distinguish by colour: "eager", "executorch", "executorch int8"."""
        return self.runtime if self.precision == "fp32" else f"{self.runtime} {self.precision}"


def eager_row(loaded: Loaded) -> Row:
    """The row of a network in PyTorch, not measured yet. Raises InputError when it has no x4."""
    cost = mult_adds_at(loaded.model, loaded.description, SCALE)
    if cost is None:
        raise InputError(f"{loaded.name}: has no x{SCALE}, which the report compares; leave it out")
    file = Path(loaded.source)
    return Row(
        model=loaded.name,
        deployment="PyTorch eager",
        runtime="eager",
        weights=loaded.origin,
        params=parameters(loaded.model),
        bytes=file.stat().st_size if file.is_file() else None,
        mult_adds_720p=cost.total,
        attention_720p=cost.attention,
    )


def artifact_row(path: Path, manifest: dict[str, Any]) -> Row:
    """The row of a .pte, not measured yet. Raises InputError when it was not made for the report's sizes."""
    given = tuple(manifest["inputs"][0]["shape"][-2:]), tuple(manifest["outputs"][0]["shape"][-2:])
    if given != (LR, HR):
        raise InputError(f"{path}: was made for another size than {LR[1]}x{LR[0]} to {HR[1]}x{HR[0]}; export that one")
    try:
        network = load(manifest["model"], allow_untrained=True)
    except InputError as error:
        name = manifest["model"]
        raise InputError(f"{path}: its manifest names an unknown network, {name}; export it again") from error
    cost = mult_adds_at(network.model, network.description, SCALE)
    return Row(
        model=manifest["model"],
        deployment=f"ExecuTorch {manifest['preset']}".strip(),
        runtime="executorch",
        weights=manifest["weights"],
        params=manifest["params"],
        bytes=manifest["bytes"],
        mult_adds_720p=manifest["mult_adds"],
        attention_720p=cost.attention if cost else 0,
        parity_db=(manifest["parity"] or {}).get("psnr_db"),
        precision=manifest["precision"],
        sha256=manifest["sha256"],
    )


def timed_row(path: Path, manifest: dict[str, Any]) -> Row | None:
    """``artifact_row`` of what can be timed on this machine; None for what is for Core ML or Vulkan."""
    timed = path.suffix == ".pte" and manifest["backend"] in ("", "xnnpack")
    return artifact_row(path, manifest) if timed else None
