"""One converter or the other: deployed methods to a file, and what is known about it."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from edge_scs.artifacts.diagnosis import psnr
from edge_scs.artifacts.presets import Preset
from edge_scs.artifacts.verify import eager, embedded_photographs, prepare
from edge_scs.lowering.methods import Method, UnsupportedError
from edge_scs.weights.loading import Loaded


@dataclass(frozen=True)
class Built:
    """Fields as in ``executorch.Lowered`` and ``Manifest``; None where the device decides."""

    delegated_share: float | None
    non_delegated: list[str]
    arena_bytes: int | None
    shares: dict[str, float] = field(default_factory=dict)
    float32_ops: list[str] = field(default_factory=list)


def build(methods: Mapping[str, Method], artifact: Path, loaded: Loaded, preset: Preset) -> Built:
    """Write ``artifact`` by the preset's target and backend.

    Raises InputError when a converter is missing or refuses, or too little is delegated.
    """
    if preset.target == "coreml":
        return _build_coreml(methods, artifact, loaded, preset)
    if preset.target == "onnx":
        from edge_scs.lowering import onnx_file

        (method,) = methods.values()
        onnx_file.convert(method, artifact)
        return Built(None, [], None)
    if preset.target == "litert":
        from edge_scs.lowering import litert_file

        (method,) = methods.values()
        litert_file.convert(method, artifact)
        return Built(None, [], None)
    from edge_scs.lowering import executorch

    options = {} if preset.backend == "xnnpack" else {"precision": preset.precision}
    if preset.backend == "coreml":
        options["minimum_target"] = preset.minimum_target
    lowered = executorch.lower_methods(methods, preset.backend, **options)
    if lowered.delegated_share < preset.min_delegated_share:
        left = "; ".join(f"{name}: {executorch.reason(name)}" for name in lowered.non_delegated)
        raise UnsupportedError(
            f"{loaded.name}: {lowered.delegated_share:.0%} of its operators reach {preset.backend}, preset "
            f"{preset.name} needs {preset.min_delegated_share:.0%}; left over: {left}"
        )
    with open(artifact, "wb") as file:
        file.write(lowered.content)
        file.flush()
        os.fsync(file.fileno())
    return Built(lowered.delegated_share, lowered.non_delegated, lowered.arena_bytes, lowered.shares)


def _build_coreml(methods: Mapping[str, Method], artifact: Path, loaded: Loaded, preset: Preset) -> Built:
    from edge_scs.lowering import coreml

    sizes = ", ".join(f"{s.lr[1]}x{s.lr[0]} to {s.size[1]}x{s.size[0]}" for s in preset.shapes)
    given = "small grey" if loaded.description.input == "grey" else "small"
    description = f"{loaded.name}: {given} image to large RGB, {sizes}"
    options = coreml.Options(preset.precision, preset.minimum_target, preset.images, preset.compression)
    if len(methods) > 1:
        coreml.convert_functions(methods, artifact, description, options)
        return Built(None, [], None)
    (method,) = methods.values()
    coreml.convert(method.module, method.inputs, artifact, description, **vars(options))
    if preset.precision != "fp16":
        return Built(None, [], None)
    float32_ops = coreml.find_float32_ops(
        artifact, _fp16_cost(artifact, method, loaded, preset), preset.max_fp16_cost_db
    )
    if float32_ops:
        shutil.rmtree(artifact)
        coreml.convert(
            method.module,
            method.inputs,
            artifact,
            description,
            **vars(replace(options, float32_ops=tuple(float32_ops))),
        )
    return Built(None, [], None, float32_ops=float32_ops)


def _fp16_cost(artifact: Path, method: Method, loaded: Loaded, preset: Preset) -> Callable[[Any], float]:
    """How much of the image quality float16 takes on one photograph: PSNR against it, in float32 less in float16.

    In float32 is the eager network; for compressed weights the program without rounding, since they cost too.
    """
    from edge_scs.artifacts.mil import MilProgram

    program = MilProgram(artifact)
    path = embedded_photographs()[0]
    levels = 255.0 if preset.images else 1.0
    example = prepare(path, {name: tuple(x.shape) for name, x in method.inputs.items()})
    inputs = {name: x if name == "hints" else x * levels for name, x in example.items()}
    truth = prepare(path, {"rgb": (1, 3, *preset.size)})["rgb"]

    def quality(exact: Any) -> float:
        answer = next(iter(program.run(inputs, exact=exact).values())) / levels
        value = psnr(answer, truth)
        return value if value == value else -1000.0  # NaN costs everything

    if preset.compression == "none":
        with torch.no_grad():
            best = psnr(eager(loaded, example, preset.size), truth)
    else:
        best = quality(True)
    return lambda exact: best - quality(exact or False)
