"""The ways to run a network that a latency is measured for.

On a CPU: ``eager``; ``channels_last`` (weights and image in NHWC order); ``bf16`` (autocast); ``compile``
(torch.compile, which needs a C++ compiler); ``executorch`` and ``int8`` (lowered by XNNPACK: the float network, the
quantised one). On a GPU the first four, and ``graph``: a CUDA graph, one launch for all kernels.

Precision is PyTorch's default: on GPUs that have it, float32 convolutions compute in TF32. What a machine or a network
cannot do is ``Unavailable``, with the reason in one line. The CUDA side of this module was never run, as no GPU was at
hand; that no network copies from the host or waits inside ``forward`` is tested without one (docs/gpu.md).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MODES = {
    "cpu": ("eager", "channels_last", "bf16", "compile", "executorch", "int8"),
    "cuda": ("eager", "channels_last", "bf16", "compile", "graph"),
}
LOWERED = ("executorch", "int8")

# Runs one image; on a GPU it may return before the result is there.
Run = Callable[[], object]


class Unavailable(Exception):  # noqa: N818 - an answer, not an error
    """This mode cannot be had of this network on this machine; the message says why, in one line."""


def runtime_of(mode: str) -> str:
    """What a mode runs in: "eager", "compiled" or "executorch"."""
    return "executorch" if mode in LOWERED else "compiled" if mode == "compile" else "eager"


def prepare(mode: str, model: nn.Module, x: Tensor, hr: tuple[int, int], reference: Tensor | None = None) -> Run:
    """What to time: one image ``x`` (1, c, h, w) through ``model``, guided by ``reference`` (1, 3, h', w') or not.

    All are on their device already. Raises Unavailable.
    """
    if mode == "channels_last":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    given = (x, hr) if reference is None else (x, hr, reference)
    if mode == "compile":
        return _compiled(model, given)
    if mode == "graph":
        return _graph(model, given)

    def run() -> object:
        with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16, enabled=mode == "bf16"):
            return model(*given)

    return run


def _compiled(model: nn.Module, given: tuple[Any, ...]) -> Run:
    compiled = torch.compile(model, dynamic=False)

    def run() -> object:
        with torch.inference_mode():
            return compiled(*given)

    try:
        run()
    except Exception as error:
        raise Unavailable(f"torch.compile: {_reason(error)}") from error
    return run


def _graph(model: nn.Module, given: tuple[Any, ...]) -> Run:
    """Captured after three runs on a stream of its own, as PyTorch's notes on CUDA graphs want it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.inference_mode():
            with torch.cuda.stream(stream):
                for _ in range(3):
                    model(*given)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph):
                model(*given)
    except RuntimeError as error:
        raise Unavailable(f"CUDA graph: {_reason(error)}") from error
    return graph.replay


def _reason(error: Exception) -> str:
    """The line that says it: that of a missing compiler stands above a page of advice."""
    name, lines = type(error).__name__, str(error).strip().splitlines()
    if "InvalidCxxCompiler" in f"{name} {error}":
        return "no C++ compiler here; install g++ or clang++"
    return (lines[0] if lines else name)[:200]


def time_on_cuda(run: Run, cuda: Any = torch.cuda) -> float:
    """Milliseconds of one run between two events on the device: what the GPU took, launching included."""
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))
