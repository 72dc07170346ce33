"""What this machine could do at best: the roofline under which every stage works.

Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore architectures" (CACM
2009): an operation that does I multiply-accumulates for every byte it moves reaches at most min(peak, I x bandwidth).
Both are measured, not read from a data sheet: a large float32 matrix product, by torch.mm and as a 1x1 convolution
(which use different libraries; the quicker one depends on the processor), and a copy too large for any cache.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F

_SIDE = 1024  # of the matrices: 1.07 G multiply-accumulates, short enough to fall between other work
_COPIED = 1 << 28  # bytes


def machine_peak(threads: int = 1, seconds: float = 2.0) -> dict[str, Any]:
    """{"gmac_s_peak" (10^9 multiply-accumulates a second), "copy_gb_s" (10^9 bytes read and written), "threads"}.

    The best of at least three repetitions, and of as many as fit into ``seconds``, for each: a peak is what can be
    reached, so what other work slowed down does not count. At one thread time is processor time, as it is of stages.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            matmul = _best([_product(), _convolution()], seconds, clock)
            source = torch.rand(_COPIED // 4)
            target = torch.zeros_like(source)
            copy = _best([lambda: target.copy_(source)], seconds, clock)
    finally:
        torch.set_num_threads(before)
    return {
        "gmac_s_peak": round(_SIDE**3 / matmul / 1e9, 2),
        "copy_gb_s": round(2 * _COPIED / copy / 1e9, 2),
        "threads": threads,
    }


def _product() -> Callable[[], object]:
    a, b, out = (torch.rand(_SIDE, _SIDE) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def _convolution() -> Callable[[], object]:
    """The same product: an image of _SIDE pixels with _SIDE channels."""
    weight, image = torch.rand(_SIDE, _SIDE, 1, 1), torch.rand(1, _SIDE, 32, _SIDE // 32)
    weight, image = (x.contiguous(memory_format=torch.channels_last) for x in (weight, image))
    return lambda: F.conv2d(image, weight)


def _best(ways: Sequence[Callable[[], object]], seconds: float, clock: Callable[[], float]) -> float:
    """Seconds of the quickest repetition of any of the ways, which take turns."""
    for run in ways:
        run()
    times: list[float] = []
    while len(times) < 3 * len(ways) or sum(times) < seconds:
        for run in ways:
            start = clock()
            run()
            times.append(clock() - start)
    return min(times)


def attainable(intensity: float, peak: dict[str, Any]) -> float:
    """10^9 multiply-accumulates a second under the roofline, for so many multiply-accumulates a byte."""
    return min(peak["gmac_s_peak"], intensity * peak["copy_gb_s"])
