"""One subject of a latency measurement, alone in its process: ``python -m edge_scs.measure.latency_worker``.

A process of its own gives honest memory numbers, keeps one runtime's threads from another's, and lets a subject that
crashes take nobody along. Requests arrive on stdin and answers leave on stdout, one JSON object a line:

    {"do": "load", "subject", "mode", "device", "lr": [h, w], "scale", "reference": whether guided by one}
                                               -> {"runtime", "lr", "hr", "reference": its (h, w), or None}
    {"do": "threads", "count", "warmup"}       -> {"warmup", "rss_growth_mb", "peak_growth_mb", "cuda_peak_mb"}
    {"do": "run", "method"}                    -> {"ms", "cpu_ms": processor time of all threads, not of CUDA}

A warm-up run that takes over five seconds is no warm-up: it is the answer to the first "run". What a first run spends
on allocating and filling caches is a small part of it, and a minute saved. Where a first run may compile or load a
GPU's libraries, the warm-up is only cut short.

or {"error": one line for the user}, or {"unavailable": why this mode cannot be had here}. Whatever libraries print to
stdout goes to stderr instead.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edge_scs.artifacts.manifest import manifest_path, read_manifest, takes_hints
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import REFERENCE_SIDE
from edge_scs.measure.modes import Unavailable, prepare, runtime_of, time_on_cuda

LONG_SECONDS = 5.0
REFERENCE = [REFERENCE_SIDE, REFERENCE_SIDE]  # every reference is shrunk to this, rows and columns


def reference_size(artifact: Path, shapes: list[list[int]]) -> list[int] | None:
    """The (h, w) of a program's reference among those of its inputs: the second, if it is not the port for hints."""
    hinted = manifest_path(artifact).is_file() and takes_hints(read_manifest(artifact))
    return shapes[1] if len(shapes) > 1 + hinted else None


class Subject:
    """What is measured: ``load`` prepares it, ``threads`` sets it up, ``run`` times it."""

    def __init__(self) -> None:
        self.run_method: Callable[[str], object] = lambda method: None
        self.set_threads: Callable[[int], None] = lambda count: None
        self.device = "cpu"
        self.rss_before = 0.0
        self.first_counts = True  # whether a first run is like any other
        self.long_run: dict[str, float] | None = None  # what a "run" answers before it runs again

    def load(
        self, subject: str, mode: str, device: str, lr: list[int], scale: float, reference: bool = False
    ) -> dict[str, Any]:
        self.device, self.first_counts = device, device == "cpu" and mode != "compile"
        if Path(subject).suffix == ".pte":
            return self._load_executorch(Path(subject), device, lr, scale, reference)
        return self._load_network(subject, mode, device, lr, scale, reference)

    def threads(self, count: int, warmup: int) -> dict[str, Any]:
        self.set_threads(count)
        self.long_run, done, long = None, 0, False
        while done < warmup and not long:
            answer = self.timed("forward")
            long, done = answer["ms"] > LONG_SECONDS * 1000, done + 1
        if long and self.first_counts:
            self.long_run, done = answer, done - 1
        now, peak = memory_mb()
        return {
            "warmup": done,
            "rss_growth_mb": round(now - self.rss_before, 1),
            "peak_growth_mb": round(peak - self.rss_before, 1),
            "cuda_peak_mb": self._cuda_peak_mb(),
        }

    def run(self, method: str = "forward") -> dict[str, float]:
        if method != "forward" or self.long_run is None:
            return self.timed(method)
        answer, self.long_run = self.long_run, None
        return answer

    def timed(self, method: str) -> dict[str, float]:
        if self.device == "cuda":
            return {"ms": time_on_cuda(lambda: self.run_method(method))}
        start, cpu_start = time.perf_counter(), time.process_time()
        self.run_method(method)
        cpu, wall = time.process_time() - cpu_start, time.perf_counter() - start
        return {"ms": wall * 1000, "cpu_ms": cpu * 1000}

    def _cuda_peak_mb(self) -> float | None:
        if self.device != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)

    def _load_network(
        self, subject: str, mode: str, device: str, lr: list[int], scale: float, reference: bool
    ) -> dict[str, Any]:
        from edge_scs.weights.loading import load

        self.rss_before = memory_mb()[0]
        loaded = load(subject, allow_untrained=True)
        if not loaded.description.enlarges(scale):
            raise InputError(f"scale {scale:g}: {subject} does {loaded.description.magnifications}; choose one it does")
        if reference and not loaded.description.reference:
            raise Unavailable("reference-guided: it has no reference branch")
        hr = (round(lr[0] * scale), round(lr[1] * scale))
        x = torch.rand(1, 3 if loaded.description.input == "rgb" else 1, *lr).to(device)
        guide = torch.rand(1, 3, *REFERENCE).to(device) if reference else None
        run = prepare(mode, loaded.model.to(device).eval(), x, hr, guide)
        self.run_method, self.set_threads = lambda method: run(), torch.set_num_threads
        return {"runtime": runtime_of(mode), "lr": lr, "hr": list(hr), "reference": REFERENCE if reference else None}

    def _load_executorch(self, path: Path, device: str, lr: list[int], scale: float, reference: bool) -> dict[str, Any]:
        if device != "cpu":
            raise InputError(f"{path}: ExecuTorch artifacts are timed on the CPU; use --device cpu")
        if not path.is_file():
            raise InputError(f"{path}: no such artifact; export it first")
        with open(path, "rb") as file:
            if file.read(8)[4:6] != b"ET":
                raise InputError(f"{path}: not an ExecuTorch program; export it again")
        bindings = _executorch(path)
        self.rss_before = memory_mb()[0]
        bindings._unsafe_reset_threadpool(1)
        try:
            program = bindings._load_for_executorch(str(path))
            names = program.method_names()
            if "forward" not in names:
                return self._load_continuous(path, lr, scale, reference)
            if reference:
                raise Unavailable("reference-guided: a program for one size is timed as it was exported")
            metas = {name: program.method_meta(name) for name in names}
        except RuntimeError as error:
            raise InputError(f"{path}: ExecuTorch cannot load it ({_line(error)}); export it again") from error
        inputs = {
            name: [torch.rand(tuple(meta.input_tensor_meta(i).sizes())) for i in range(meta.num_inputs())]
            for name, meta in metas.items()
        }

        def set_threads(count: int) -> None:
            # XNNPACK keeps the pool that it finds when a method is loaded: a new count needs a new program.
            bindings._unsafe_reset_threadpool(count)
            fresh = bindings._load_for_executorch(str(path))

            def run(method: str) -> None:
                try:
                    fresh.run_method(method, inputs[method])
                except RuntimeError as error:
                    raise InputError(
                        f"{path}: ExecuTorch cannot run it here ({_line(error)}); programs for Core ML and Vulkan are"
                        " timed in the sample apps"
                    ) from error

            self.run_method = run

        set_threads(1)
        self.set_threads = set_threads
        hr = tuple(metas["forward"].output_tensor_meta(0).sizes())
        shapes = [list(x.shape[-2:]) for x in inputs["forward"]]
        guide = reference_size(path, shapes)
        return {"runtime": "executorch", "lr": shapes[0], "hr": list(hr[-2:]), "reference": guide}

    def _load_continuous(self, path: Path, lr: list[int], scale: float, reference: bool) -> dict[str, Any]:
        """A program for any size, in the hands of its driver: one grey image from bytes to bytes."""
        import numpy as np

        from edge_scs.artifacts.manifest import read_manifest
        from edge_scs.artifacts.optional_imports import require
        from edge_scs.inference.continuous_program import ContinuousPredictor

        manifest, hr = read_manifest(path), (round(lr[0] * scale), round(lr[1] * scale))
        random = np.random.default_rng(0)
        image, guide = random.integers(0, 256, lr, np.uint8), random.integers(0, 256, (*REFERENCE, 3), np.uint8)
        require("executorch.runtime")  # before memory is measured
        self.rss_before = memory_mb()[0]

        def set_threads(count: int) -> None:
            predictor = ContinuousPredictor(path, manifest, count)
            if reference and not predictor.takes_reference:
                raise Unavailable("reference-guided: it was exported without its reference branch")
            self.run_method = lambda method: predictor.enhance(image, hr, guide if reference else None)

        set_threads(1)
        self.set_threads = set_threads
        return {"runtime": "executorch", "lr": lr, "hr": list(hr), "reference": REFERENCE if reference else None}


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
        except Unavailable as error:
            answer = {"unavailable": str(error)}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    serve()
