"""What a report knows, whatever it is written as."""

from dataclasses import asdict, dataclass, field
from typing import Any

from edge_scs.report.rows import HR, LR, SCALE, Row

NO_DEVICE = "no device measured yet"


@dataclass
class Report:
    """``rows`` in the order measured. ``device_results`` (``devices.with_manifest``) is empty until one was measured.

    ``quality`` has results of ``evaluate`` with their "precision"; ``stages`` and ``machine_peak`` what
    ``stage_times.measure_stages`` and ``roofline.machine_peak`` say. ``command`` made all of it.
    ``networks``: ``mult_adds.models_table``, what every network costs on paper. ``artifacts``: manifests of what was
    exported, timed here or not.
    """

    rows: list[Row]
    environment: dict[str, Any]
    baseline: str
    device_results: list[dict[str, Any]] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    machine_peak: dict[str, Any] | None = None
    command: str = ""
    networks: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """{"rows", "environment", "baseline", "device_results", "quality", "stages", "machine_peak", "command",
        "networks", "artifacts"}."""
        table = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return table | {"rows": [asdict(row) for row in self.rows]}

    @property
    def threads(self) -> list[int]:
        """CPU thread counts that were measured."""
        return sorted({r.threads for row in self.rows for r in row.latency if r.device == "cpu" and r.threads})

    @property
    def fewest(self) -> int:
        """The thread count that numbers are for where only one is shown."""
        return self.threads[0] if self.threads else 1

    def notes(self) -> list[str]:
        """What a reader must know to trust the table."""
        e = self.environment
        runs = sorted({r.runs for row in self.rows for r in row.latency})
        dates = sorted({r.measured for row in self.rows for r in row.latency if r.measured}) or [e["date"]]
        date = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        said = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}" if runs else "no"
        notes = [
            f"{LR[1]}x{LR[0]} to {HR[1]}x{HR[0]}, x{SCALE}; float32 unless the deployment says otherwise; medians of "
            f"{said} runs, each in turn with {self.baseline} in its runtime.",
            f"Measured {date} on {e['processor']}, {e['cores']} cores, load {e['load']}, torch {e['torch']}, "
            f"executorch {e['executorch'] or 'not installed'}.",
            f"'against {self.baseline}': how many times faster than it in the same runtime, median over turns, "
            "fewest threads.",
            "MultAdds count convolutions, linear layers and attention products; tied blocks once per execution. "
            "RSS growth: the process's resident memory after warm-up, and at its highest, over that before loading.",
        ]
        if once := [row.model for row in self.rows if any(r.runs == 1 for r in row.latency)]:
            notes.append(f"Timed by a single run, which takes so long, at the fewest threads: {', '.join(once)}.")
        if any(r.noisy for row in self.rows for r in row.latency):
            notes.append("Noisy: other work slowed some runs down, so trust the ratios and the smaller medians only.")
        if self.quality:
            notes.append(f"PSNR grey: {quality_words(self.quality)}.")
        if not self.device_results:
            notes.append(f"Phones: {NO_DEVICE}. GPU: {e['cuda'] or 'none on this machine'}.")
        return notes


def quality_words(quality: list[dict[str, Any]]) -> str:
    """On what the quality was measured: "grey in, luma of the answer, x4, mean of 100 images of B100"."""
    first = quality[0]
    folder = str(first["data"]).rstrip("/").rpartition("/")[2]
    return f"grey in, luma of the answer, x{first['scale']}, mean of {first['images']} images of {folder}"
