"""The choice of an engine: eager torch, or an exported program of one size or of any."""

import multiprocessing
from pathlib import Path

import torch

from edge_scs import launch
from edge_scs.errors import InputError
from edge_scs.inference.engine import Engine


def make_predictor(
    model: str,
    weights: Path | None = None,
    runtime: str = "torch",
    artifact: Path | None = None,
    tile: int | None = 256,
    device: str = "cpu",
    threads: int | None = None,
    restoration: float | None = None,
) -> Engine:
    """The engine that the command line requests.

    ``runtime`` "torch" takes ``model`` (a name or a checkpoint), ``weights``, ``tile`` and ``device`` ("auto": a GPU
    if there is one); "executorch" takes ``artifact``, an exported .pte that fixes all of them. ``threads`` limits the
    process. ``restoration``, 0 to 1, is that of ``weights.loading.load``; a program has its own. Raises InputError
    for anything that does not fit.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if runtime == "executorch":
        from edge_scs.artifacts.manifest import check_scales, read_manifest
        from edge_scs.inference.continuous_program import ContinuousPredictor
        from edge_scs.inference.fixed_program import FixedPredictor

        if artifact is None or weights is not None:
            raise InputError(
                "runtime executorch: give --artifact FILE.pte, made by `edge-scs export`, and no --weights"
            )
        if restoration is not None:
            raise InputError(f"{artifact}: was exported with a restoration of its own; leave --restoration out")
        manifest = read_manifest(artifact)
        check_scales(manifest)
        if manifest.parity is not None and not manifest.parity.passed:
            raise InputError(
                f"{artifact}: its manifest's verdict is {manifest.parity.verdict!r}: it does not answer as its network "
                "does; export it again"
            )
        if manifest.continuous is not None:
            return ContinuousPredictor(artifact, manifest, threads)
        return FixedPredictor(artifact, threads)
    if runtime != "torch":
        raise InputError(f"runtime {runtime}: must be torch or executorch")
    if artifact is not None:
        raise InputError(f"{artifact}: an artifact needs --runtime executorch")
    from edge_scs.inference.predictor import Predictor
    from edge_scs.weights.loading import load

    return Predictor(load(model, weights, amount=restoration), tile, choose_device(device))


def choose_device(device: str) -> str:
    """ "auto" as the GPU of this process, else the CPU.

    torchrun and accelerate number processes by LOCAL_RANK; without, ``--jobs`` workers take GPUs in turn.
    """
    if device == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{launch.number('LOCAL_RANK', _worker()) % count}" if count else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device}: not usable here; choose cpu, or leave it out") from error
    return device


def _worker() -> int:
    """Which of its parent's processes this is, from 0; 0 for one that nobody here has started."""
    if multiprocessing.parent_process() is None:
        return 0
    number = multiprocessing.current_process().name.rpartition("-")[2]  # "SpawnProcess-3"
    return int(number) - 1 if number.isdecimal() else 0
