"""One subject of a latency measurement, alone in its process: ``python -m edge_scs.report.latency_worker``.

A process of its own gives honest memory figures, keeps one runtime's threads from another's, and lets a subject that
crashes take nobody along. Requests arrive on stdin and answers leave on stdout, one JSON object a line:

    {"do": "load", "subject", "device", "lr": [h, w], "scale"}   -> {"runtime", "lr", "hr"}
    {"do": "threads", "count", "warmup"}                         -> {"rss_growth_mb", "peak_growth_mb"}
    {"do": "run"}                                                -> {"ms"}

or {"error": one line for the user}. Whatever libraries print to stdout goes to stderr instead.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError

# Runs one picture and returns when the result is there.
Run = Callable[[], object]


class Subject:
    """What is measured: ``load`` prepares it, ``threads`` sets it up, ``run`` times it."""

    def __init__(self) -> None:
        self.run_once: Run = lambda: None
        self.set_threads: Callable[[int], None] = lambda count: None
        self.rss_before = 0.0

    def load(self, subject: str, device: str, lr: list[int], scale: float) -> dict[str, Any]:
        if Path(subject).suffix == ".pte":
            return self._load_executorch(Path(subject), device)
        return self._load_eager(subject, device, lr, scale)

    def threads(self, count: int, warmup: int) -> dict[str, float]:
        self.set_threads(count)
        for _ in range(warmup):
            self.run_once()
        now, peak = memory_mb()
        return {"rss_growth_mb": round(now - self.rss_before, 1), "peak_growth_mb": round(peak - self.rss_before, 1)}

    def run(self) -> dict[str, float]:
        start = time.perf_counter()
        self.run_once()
        return {"ms": (time.perf_counter() - start) * 1000}

    def _load_eager(self, subject: str, device: str, lr: list[int], scale: float) -> dict[str, Any]:
        import torch

        from edge_scs.weights.loading import load

        self.rss_before = memory_mb()[0]
        loaded = load(subject, allow_untrained=True)
        if not loaded.description.enlarges(scale):
            raise InputError(f"scale {scale:g}: {subject} does {loaded.description.magnifications}; choose one it does")
        model = loaded.model.to(device).eval()
        hr = (round(lr[0] * scale), round(lr[1] * scale))
        x = torch.rand(1, 3 if loaded.description.input == "rgb" else 1, *lr).to(device)

        def run_once() -> None:
            with torch.inference_mode():
                model(x, hr)
            if device == "cuda":
                torch.cuda.synchronize()

        self.run_once, self.set_threads = run_once, torch.set_num_threads
        return {"runtime": "eager", "lr": lr, "hr": list(hr)}

    def _load_executorch(self, path: Path, device: str) -> dict[str, Any]:
        if device != "cpu":
            raise InputError(f"{path}: ExecuTorch artifacts are timed on the CPU; use --device cpu")
        if not path.is_file():
            raise InputError(f"{path}: no such artifact; export it first")
        with open(path, "rb") as file:
            if file.read(8)[4:6] != b"ET":
                raise InputError(f"{path}: not an ExecuTorch program; export it again")
        import torch

        bindings = _executorch(path)
        self.rss_before = memory_mb()[0]
        bindings._unsafe_reset_threadpool(1)
        try:
            program = bindings._load_for_executorch(str(path))
            method = "forward"
            if method not in program.method_names():
                raise InputError(f"{path}: has no fixed size to time; bench an artifact of one, such as xnnpack-fp32")
            meta = program.method_meta(method)
        except RuntimeError as error:
            raise InputError(f"{path}: ExecuTorch cannot load it ({_line(error)}); export it again") from error
        sizes = [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())]
        inputs = [torch.rand(size) for size in sizes]

        def set_threads(count: int) -> None:
            # XNNPACK keeps the pool that it finds when a method is loaded: a new count needs a new program.
            bindings._unsafe_reset_threadpool(count)
            fresh = bindings._load_for_executorch(str(path))
            self.run_once = lambda: fresh.run_method(method, inputs)

        set_threads(1)
        self.set_threads = set_threads
        hr = tuple(meta.output_tensor_meta(0).sizes())
        return {"runtime": "executorch", "lr": list(sizes[0][-2:]), "hr": list(hr[-2:])}


def _executorch(path: Path) -> Any:
    """The runtime alone. Its public face imports the whole exporter first, which takes seconds and 100 MB."""
    for name in ("_portable_lib", "portable_lib"):
        try:
            return importlib.import_module(f"executorch.extension.pybindings.{name}")
        except ImportError as error:
            reason = error
    raise InputError(f"{path}: needs ExecuTorch ({_line(reason)}); pip install 'edge-scs[export]'")


def memory_mb() -> tuple[float, float]:
    """Resident memory of this process now, and at its highest so far, in MB (10^6 bytes).

    Where /proc is missing both are the highest.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        now, peak = (int(fields[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
    except (OSError, KeyError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        now = peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return now, peak


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def serve() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    subject = Subject()
    for line in sys.stdin:
        request = json.loads(line)
        action = getattr(subject, request.pop("do"))
        try:
            answer = action(**request)
        except InputError as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    serve()
