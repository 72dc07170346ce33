"""Records of measurements with the numbers that a test is about."""

from typing import Any

from edge_scs.measure.measurement import Latency, Ratio


def latency(subject: str, ms: float, **more: Any) -> Latency:
    """A result of ``latency.bench``: every statistic is ``ms``."""
    facts: dict[str, Any] = {"mode": "eager", "runtime": "eager", "device": "cpu", "threads": 1, "warmup": 1, "runs": 3}
    facts |= {"lr": (180, 320), "hr": (720, 1280), "rss_growth_mb": 5.0, "peak_growth_mb": 6.0} | more
    return Latency(subject=subject, median_ms=ms, p90_ms=ms, min_ms=ms, **facts)


def ratio(subject: str, to: str, median: float, threads: int = 1) -> Ratio:
    """The subject takes ``median`` times as long as ``to``, turn by turn."""
    of = {"subject": subject, "mode": "eager", "reference": None, "to": to, "to_mode": "eager", "to_reference": None}
    return Ratio(threads=threads, median=median, min=median, max=median, **of)
