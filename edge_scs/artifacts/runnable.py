"""Artifacts made callable on this machine: run where that is possible, evaluated from the file where it is not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from edge_scs.artifacts.driver import ContinuousProgram
from edge_scs.artifacts.manifest import Manifest, takes_hints
from edge_scs.artifacts.optional_imports import quiet
from edge_scs.artifacts.presets import DEFAULTS
from edge_scs.errors import InputError

Inputs = Mapping[str, Tensor]


class Run:
    """One method: named float32 inputs -> RGB, float32. ``exact`` is the same without rounding to float16, or None."""

    def __init__(self, call: Callable[[Inputs, bool], Tensor], rounds: bool):
        self._call = call
        self.exact = (lambda inputs: call(inputs, True)) if rounds else None

    def __call__(self, inputs: Inputs) -> Tensor:
        return self._call(inputs, False)


@dataclass(frozen=True)
class Opened:
    """``of(method)`` runs it; ``execution`` says how; ``verdict`` is what a comparison that goes well is called.

    ``continuous`` is the driver of a continuous program, which has no single method to run.
    """

    of: Callable[[str], Run]
    execution: str
    verdict: str = "pass"
    continuous: ContinuousProgram | None = None


def open_artifact(artifact: Path, manifest: Manifest) -> Opened:
    """Raises InputError when it cannot be loaded, or nothing here can run or evaluate it."""
    if manifest.target == "coreml":
        return _coreml(artifact, manifest)
    if manifest.target == "onnx":
        return _onnx(artifact)
    if manifest.target == "litert":
        return _litert(artifact)
    if manifest.target == "executorch":
        backend = manifest.backend or "xnnpack"
        opener = {"xnnpack": _xnnpack, "vulkan": _vulkan, "coreml": _coreml_delegate}.get(backend)
        if opener is not None:
            return opener(artifact, manifest)
    raise InputError(f"{artifact}: its manifest names the target {manifest.target!r}; known: {', '.join(DEFAULTS)}")


def _xnnpack(artifact: Path, manifest: Manifest) -> Opened:
    from edge_scs.artifacts.pte import PteProgram

    program = PteProgram(artifact, torch.get_num_threads())  # as many as the network that it is compared with

    def of(method: str) -> Run:
        return Run(lambda inputs, exact: program.run(list(inputs.values()), method)[0], rounds=False)

    continuous = (
        None
        if manifest.continuous is None
        else ContinuousProgram(program, manifest.continuous["halo"], takes_hints(manifest))
    )
    return Opened(of, "executed by ExecuTorch on this machine's CPU", continuous=continuous)


def _onnx(artifact: Path) -> Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{artifact}: onnxruntime is not installed; run: pip install 'edge-scs[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(artifact.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common type but Exception
        why = str(error).strip().splitlines()[:1]
        raise InputError(f"{artifact}: onnxruntime cannot load it ({''.join(why)}); export it again") from error

    def call(inputs: Inputs, exact: bool) -> Tensor:
        return torch.from_numpy(session.run(None, {name: x.numpy() for name, x in inputs.items()})[0])

    proof = f"executed by onnxruntime {onnxruntime.__version__} on this machine's CPU"
    return Opened(lambda method: Run(call, rounds=False), proof)


def _litert(artifact: Path) -> Opened:
    try:
        with quiet():
            from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise InputError(f"{artifact}: ai_edge_litert is not installed; run: pip install 'edge-scs[litert]'") from error
    try:
        with quiet():
            interpreter = Interpreter(model_content=artifact.read_bytes(), num_threads=torch.get_num_threads())
            interpreter.allocate_tensors()  # says on stderr which delegate it takes
            runner = interpreter.get_signature_runner()
    except Exception as error:  # ValueError, RuntimeError and what else its native part raises
        why = str(error).strip().splitlines()[:1]
        raise InputError(f"{artifact}: LiteRT cannot load it ({''.join(why)}); export it again") from error

    def call(inputs: Inputs, exact: bool) -> Tensor:
        given = {f"args_{i}": x.numpy() for i, x in enumerate(inputs.values())}
        (rgb,) = runner(**given).values()
        return torch.from_numpy(rgb)

    proof = f"executed by LiteRT {version('ai-edge-litert')} on this machine's CPU"
    return Opened(lambda method: Run(call, rounds=False), proof)


def _coreml(artifact: Path, manifest: Manifest) -> Opened:
    from edge_scs.artifacts.mil import MilProgram

    several = len(manifest.methods) > 1
    programs: dict[str, MilProgram] = {}

    def of(method: str) -> Run:
        program = programs.setdefault(method, MilProgram(artifact, method if several else None))
        levels = 255.0 if manifest.inputs[0].dtype == "image" else 1.0

        def call(inputs: Inputs, exact: bool) -> Tensor:
            given = {name: x * levels if name != "hints" else x for name, x in inputs.items()}
            return next(iter(program.run(given, exact=exact).values())) / levels

        return Run(call, rounds=manifest.precision == "fp16")

    of("forward")  # so that a damaged package is refused here
    execution = (
        "every operation of the saved program evaluated with PyTorch at its declared precision; "
        "not run by Core ML, which needs macOS or iOS"
    )
    return Opened(of, execution)


def _coreml_delegate(artifact: Path, manifest: Manifest) -> Opened:
    from edge_scs.artifacts.delegates import extract_coreml
    from edge_scs.artifacts.mil import MilProgram

    with TemporaryDirectory() as folder:
        program = MilProgram(extract_coreml(artifact, Path(folder)))
    names = list(program.inputs)

    def call(inputs: Inputs, exact: bool) -> Tensor:
        given = dict(zip(names, inputs.values(), strict=True))
        return next(iter(program.run(given, exact=exact).values()))

    execution = (
        "not run: Core ML needs macOS or iOS. The ML program inside the .pte was taken out and every operation "
        "evaluated with PyTorch at its declared precision"
    )
    return Opened(lambda method: Run(call, rounds=True), execution, "not run here")


def _vulkan(artifact: Path, manifest: Manifest) -> Opened:
    from edge_scs.artifacts.vulkan import VulkanProgram

    program = VulkanProgram(artifact)

    def call(inputs: Inputs, exact: bool) -> Tensor:
        with torch.no_grad():
            return program.run(list(inputs.values()), half=not exact and manifest.precision == "fp16")

    execution = (
        "not run: no Vulkan device. The graph and the weights inside the .pte were read back and every "
        "operation evaluated with PyTorch, rounded to float16"
    )
    return Opened(lambda method: Run(call, rounds=True), execution, "not run here")
