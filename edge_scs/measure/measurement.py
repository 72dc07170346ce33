"""What a latency measurement is to do and what it found: frozen records that go to JSON and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_scs.errors import InputError

DEVICES = ("cpu", "cuda")
Size = tuple[int, int]  # rows, columns


@dataclass(frozen=True)
class Conditions:
    """What every subject of one call of ``latency.bench`` is timed under.

    ``lr`` (h, w) pixels are enlarged by ``scale``. For each of ``threads`` there are ``runs`` turns, more until
    ``min_seconds`` are over, and fewer, but at least two, once ``max_seconds`` are over; with ``paired`` the seconds of
    the first subject and the quickest other one count. ``warmup`` runs come first: one of over five seconds ends the
    warm-up and is itself the first turn, unless it may have compiled something. Networks run in each of ``modes``
    (``modes.MODES``), eager if none is named; with ``reference`` reference-guided as well, if they take one.
    """

    device: str = "cpu"
    lr: Size = (180, 320)
    scale: float = 4
    threads: Sequence[int] = (1,)
    warmup: int = 2
    runs: int = 20
    min_seconds: float = 0.0
    max_seconds: float = math.inf
    modes: Sequence[str] = ()
    paired: bool = False
    reference: bool = False

    def check(self) -> None:
        """Raise InputError for a device that is unknown or missing, and for numbers that make no measurement."""
        if self.device not in DEVICES:
            raise InputError(f"--device {self.device}: unknown here; use {' or '.join(DEVICES)}")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise InputError("--device cuda: no CUDA device on this machine; use --device cpu")
        if min(self.lr) < 1 or min(self.threads, default=0) < 1 or self.warmup < 0 or self.runs < 1:
            raise InputError("sizes, threads and runs must be at least 1, and warm-up at least 0; change the options")


DEFAULT = Conditions()


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One subject in one mode at one thread count. None where a number means nothing or was not measured.

    ``measured`` is the time of day. ``spread`` and ``noisy``: see ``latency.summary``. ``cpu_ms``: the median of the
    processor time of a run on all threads, which other work on the machine lengthens little. ``rss_growth_mb`` and
    ``peak_growth_mb``: resident memory after warm-up and at its highest, over that before the subject was loaded (at a
    second thread count: since the first load). ``cuda_peak_mb``: what PyTorch had allocated on the GPU at its highest.
    ``arena_mb``: what a .pte plans for itself, its delegate's memory not counted. ``reference``: the reference's size.
    """

    subject: str
    mode: str | None = None
    runtime: str
    device: str
    threads: int | None
    measured: str | None = None
    lr: Size
    hr: Size
    reference: Size | None = None
    warmup: int
    runs: int
    median_ms: float
    p90_ms: float
    min_ms: float
    spread: float | None = None
    noisy: bool | None = None
    cpu_ms: float | None = None
    rss_growth_mb: float | None = None
    peak_growth_mb: float | None = None
    cuda_peak_mb: float | None = None
    arena_mb: float | None = None

    @property
    def way(self) -> tuple[str, str | None, bool]:
        """What was timed, whatever the thread count: subject, mode, whether reference-guided."""
        return self.subject, self.mode, self.reference is not None


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A subject's time over that of ``to``, turn by turn: median, least and greatest."""

    subject: str
    mode: str
    reference: Size | None
    to: str
    to_mode: str
    to_reference: Size | None
    threads: int
    median: float
    min: float
    max: float


@dataclass(frozen=True)
class LeftOut:
    """What cannot be had on this machine, such as compiling without a compiler."""

    subject: str
    mode: str
    reason: str


@dataclass(frozen=True)
class Measurement:
    """What one call found, in the order given: modes within subjects, thread counts within modes.

    ``ratios`` are to the first subject, and to the first of the same runtime where that is another; there is none
    between subjects that make images of different sizes.
    """

    results: tuple[Latency, ...]
    ratios: tuple[Ratio, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: {"results", "ratios", "left_out"}, each a list of the records' fields."""
        return {name: [asdict(record) for record in getattr(self, name)] for name in ("results", "ratios", "left_out")}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Measurement":
        """What ``to_dict`` gave. Raises TypeError or KeyError for anything else."""
        return cls(
            tuple(Latency(**_with_sizes(record)) for record in table["results"]),
            tuple(Ratio(**_with_sizes(record)) for record in table["ratios"]),
            tuple(LeftOut(**record) for record in table["left_out"]),
        )

    def of(self, subject: str) -> tuple[Latency, ...]:
        """The results of one subject."""
        return tuple(result for result in self.results if result.subject == subject)


def _with_sizes(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples: its lists are sizes."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
