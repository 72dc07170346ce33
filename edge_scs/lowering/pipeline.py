"""The whole export: fold, lower, verify, and only then give the artifact its name."""

import copy
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge_scs import __version__
from edge_scs.artifacts.golden import golden_path, write_golden
from edge_scs.artifacts.manifest import (
    Manifest,
    MethodPorts,
    Port,
    artifact_bytes,
    artifact_sha256,
    takes_hints,
    weights_sha256,
)
from edge_scs.artifacts.ports import words
from edge_scs.artifacts.presets import Preset
from edge_scs.artifacts.runnable import open_artifact
from edge_scs.artifacts.verify import CONTINUOUS_LR, check_parity, eager, embedded_photographs, prepare
from edge_scs.errors import InputError
from edge_scs.lowering import continuous
from edge_scs.lowering.building import Built, build
from edge_scs.lowering.methods import Method, check, example_inputs, fixed_methods, float_network
from edge_scs.lowering.publishing import publish
from edge_scs.models.colour import COLOUR_SIDE, answer_size
from edge_scs.models.edge_scs import SHUFFLE_SCALES, EdgeSCS
from edge_scs.weights.loading import Loaded

SUFFIXES = {"executorch": ".pte", "coreml": ".mlpackage", "onnx": ".onnx", "litert": ".tflite"}
# Photographs at export for what cannot be run here: evaluating takes seconds for each. ``verify`` takes all.
EVALUATED = 3
EXECUTED = ("xnnpack", "onnxruntime", "litert")  # backends that run here
PACKAGES = {
    "executorch": ("torch", "executorch", "torchao"),
    "coreml": ("torch", "coremltools"),
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "litert": ("torch", "litert-torch", "ai-edge-litert"),
}


def export_model(
    loaded: Loaded,
    preset: Preset,
    out_dir: Path,
    progress: Callable[[str], None] | None = None,
) -> Manifest:
    """Write ``<out_dir>/<artifact_name>``, its manifest and its golden pairs; returns the manifest.

    The artifact is made and verified in a temporary folder inside ``out_dir`` and renamed only when its parity passes,
    so its final name never shows anything else; an older artifact of that name is replaced then. Precision "int8" takes
    a quantised network (``quantization.quantised_model.load``), and its parity is measured against that, in torch.

    Raises InputError: a size, scale or reference the network does not do, an unwritable folder, a converter that is
    missing or refuses, a failed verdict. Nothing is left behind then.
    """
    say = progress or (lambda message: None)
    check(loaded, preset)
    if preset.continuous:
        assert isinstance(loaded.model, EdgeSCS)
        methods = continuous.continuous_methods(loaded.model, preset.reference, preset.hints)
    else:
        methods = fixed_methods(loaded, preset)
    final = Path(out_dir) / artifact_name(loaded.name, preset)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{final.stem}-", suffix=".partial", dir=final.parent))
    except OSError as error:
        raise InputError(f"{out_dir}: cannot be written ({error.strerror}); choose another output folder") from error
    try:
        artifact = workshop / final.name
        say(f"lowering {loaded.name} for {preset.name}")
        built = build(methods, artifact, loaded, preset)
        say(f"verifying {final.name}")
        manifest = _manifest(artifact, methods, built, loaded, preset)
        opened = open_artifact(artifact, manifest)
        photographs = embedded_photographs()[: None if preset.backend in EXECUTED else EVALUATED]
        parity = check_parity(opened, manifest, loaded, photographs, progress=say)
        if not parity.passed:
            got = "NaN or infinity" if parity.psnr_db is None else f"{parity.psnr_db} dB"
            why = f" ({'; '.join(parity.flags)})" if parity.flags else ""
            raise InputError(
                f"{final.name}: parity failed: {got} against the network, {preset.min_psnr_db:g} dB needed by preset "
                f"{preset.name}{why}; nothing was written"
            )
        manifest = replace(manifest, parity=parity, golden=golden_path(final).name)
        _write_golden(golden_path(artifact), manifest, loaded)
        manifest.write(artifact)
        publish(artifact, final)
        return replace(manifest, path=final)
    except OSError as error:
        raise InputError(f"{final}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _manifest(artifact: Path, methods: Mapping[str, Method], built: Built, loaded: Loaded, preset: Preset) -> Manifest:
    """Everything but the parity and the golden pairs, which are made with its help."""
    dtype = "float16" if preset.target == "coreml" and preset.precision != "fp32" else "float32"
    tensors = dtype
    dtype = "image" if preset.images else tensors
    ports = []
    sizes = {shape.method: shape for shape in preset.shapes}
    for name, method in methods.items():
        inputs = [
            Port(
                key,
                method.limit(key),
                tensors if key == "hints" else dtype,
                method.limit(key, least=True) if key in method.varying else None,
                **words(name, key, preset.images and key != "hints"),
            )
            for key in method.inputs
        ]
        shapes = {"rgb": [1, 3, *sizes[name].size]} if not preset.continuous else continuous.output_shapes(name, method)
        outputs = [Port(key, shape, dtype, **words(name, key, preset.images)) for key, shape in shapes.items()]
        scale = sizes[name].scale if name in sizes and not preset.continuous else None
        ports.append(MethodPorts(name, inputs, outputs, scale, built.shares.get(name)))
    example = example_inputs(loaded.description, preset)
    network = float_network(loaded)
    return Manifest(
        artifact=artifact.name,
        target=preset.target,
        model=loaded.name,
        scale=preset.shapes[0].scale,
        inputs=ports[0].inputs,
        outputs=ports[0].outputs,
        bytes=artifact_bytes(artifact),
        sha256=artifact_sha256(artifact),
        delegated_share=built.delegated_share,
        parity=None,
        versions=versions(preset.target),
        mult_adds=mult_adds(network.model, example, preset.size),
        params=_unique(methods if network is loaded else fixed_methods(network, preset)),
        preset=preset.name,
        precision=preset.precision,
        weights=loaded.origin,
        weights_sha256=weights_sha256(loaded.model),
        min_psnr_db=preset.min_psnr_db,
        non_delegated=built.non_delegated,
        arena_bytes=built.arena_bytes,
        backend=preset.backend,
        methods=ports,
        continuous=_continuous_facts(loaded) if preset.continuous else None,
        compression=preset.compression,
        float32_ops=built.float32_ops,
        minimum_target=preset.minimum_target if "coreml" in (preset.target, preset.backend) else None,
        halo=loaded.description.halo,
        restoration=loaded.restoration,
    )


def _unique(methods: Mapping[str, Method]) -> int:
    """Numbers in the methods' parameters, equal tensors once: each method was deployed from a copy of its own."""
    if len(methods) == 1:
        return sum(p.numel() for method in methods.values() for p in method.module.parameters())
    seen = {
        (p.shape, hashlib.sha256(p.detach().contiguous().numpy().tobytes()).digest())
        for method in methods.values()
        for p in method.module.parameters()
    }
    return sum(shape.numel() for shape, _ in seen)


def _continuous_facts(loaded: Loaded) -> dict[str, Any]:
    return {
        "halo": loaded.description.halo,
        "tile": continuous.TILE,
        "chunk": continuous.CHUNK,
        "colour_side": COLOUR_SIDE,
        "colour_grid_sides": list(continuous.GRID_SIDES),
        "scales": list(loaded.description.continuous or ()),
        "shuffle_scales": list(SHUFFLE_SCALES),
    }


def _write_golden(folder: Path, manifest: Manifest, loaded: Loaded) -> None:
    """A pair for every method of a fixed size; of a continuous program one at x2.7 through all its methods."""
    photograph = embedded_photographs()[0]
    cases: dict[str, tuple[dict[str, tuple[int, ...]], tuple[int, int]]]
    if manifest.continuous is not None:
        h, w = CONTINUOUS_LR
        shapes: dict[str, tuple[int, ...]] = {"gray": (1, 1, h, w)}
        if takes_hints(manifest):
            shapes["hints"] = (1, 3, *answer_size((h, w)))
        cases = {"x2.7": (shapes, (round(2.7 * h), round(2.7 * w)))}
    else:
        cases = {
            method.name: (
                {port.name: tuple(port.shape) for port in method.inputs},
                (method.outputs[0].shape[2], method.outputs[0].shape[3]),
            )
            for method in manifest.methods
        }
    for name, (shapes, size) in cases.items():
        inputs = prepare(photograph, shapes)
        with torch.no_grad():
            write_golden(folder / name, inputs, eager(loaded, inputs, size))


def artifact_name(model: str, preset: Preset) -> str:
    """For example ``edge_scs_m_x4_180x320_xnnpack-fp32.pte``; one with a reference says ``_ref`` after the size,
    one with hints ``_hints``, one of several sizes or of any says none.
    """
    mode = ("_ref" if preset.reference else "") + ("_hints" if preset.hints else "")
    if preset.sizes or preset.continuous:
        return f"{model}{mode}_{preset.name}{SUFFIXES[preset.target]}"
    lr = f"{preset.lr[0]}x{preset.lr[1]}"
    return f"{model}_x{preset.scale:g}_{lr}{mode}_{preset.name}{SUFFIXES[preset.target]}"


def mult_adds(model: nn.Module, example: dict[str, Tensor], size: tuple[int, int]) -> int:
    """Multiply-accumulates of convolutions and matrix products in one eager forward (interpolation counts as none)."""
    (_, small), *others = example.items()
    model = copy.deepcopy(model).to("meta")  # shapes only: no arithmetic is done
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(small.to("meta"), size, **{name: x.to("meta") for name, x in others})
    return counter.get_total_flops() // 2


def versions(target: str) -> dict[str, str]:
    found = {"edge_scs": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES[target]:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
