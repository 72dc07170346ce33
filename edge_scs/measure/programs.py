"""Programs to be timed: artifacts with their manifests, and ones lowered for a measurement and thrown away after it."""

from pathlib import Path
from typing import Any

from edge_scs.artifacts.manifest import artifact_sha256, manifest_path, read_manifest
from edge_scs.artifacts.optional_imports import require
from edge_scs.errors import InputError
from edge_scs.measure.modes import Unavailable

PRESETS = {"executorch": "xnnpack-fp32", "int8": "xnnpack-int8"}


def lower_for_timing(
    subject: str, mode: str, lr: tuple[int, int], scale: float, folder: Path, reference: bool = False
) -> Path:
    """A .pte of a network for one size, in ``folder``: the same program that ``edge-scs export`` verifies and ships.

    ``subject`` is a model's name or a checkpoint; ``int8`` takes the shipped quantised weights of that name.
    ``reference``: with an input for one. Raises Unavailable for a network that cannot be lowered, and InputError for a
    subject that cannot be loaded.
    """
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.lowering.executorch import lower_methods
    from edge_scs.lowering.methods import UnsupportedError, check, fixed_methods
    from edge_scs.quantization.quantised_model import load as load_int8
    from edge_scs.weights.loading import load

    preset = load_preset(PRESETS[mode]).replace(lr=list(lr), scale=float(scale), reference=reference)
    try:
        loaded = (load_int8 if mode == "int8" else load)(subject, allow_untrained=True)
        check(loaded, preset)
        lowered = lower_methods(fixed_methods(loaded, preset))
    except UnsupportedError as error:
        raise Unavailable(str(error)) from error
    except InputError as error:
        if mode == "int8":  # no int8 weights, or none for this scale
            raise Unavailable(str(error)) from error
        raise
    path = folder / f"{Path(subject).stem}_{mode}{'_reference' if reference else ''}.pte"
    path.write_bytes(lowered.content)
    return path


def artifact_manifest(artifact: Path) -> dict[str, Any]:
    """The manifest beside an artifact. Raises InputError for anything but an artifact with our manifest beside it."""
    if artifact.suffix not in (".pte", ".mlpackage") or not artifact.exists():
        raise InputError(f"{artifact}: no .pte or .mlpackage artifact; export it first")
    return read_manifest(artifact).to_dict()


def arena_bytes(path: Path) -> int | None:
    """The memory that a program plans for its method "forward": images and portable kernels, not the delegate's own.

    From its manifest if that is the program's, else from the program itself. None where neither can be read, and for a
    program without such a method.
    """
    if manifest_path(path).is_file():
        manifest = read_manifest(path)
        if manifest.arena_bytes is not None and manifest.sha256 == artifact_sha256(path):
            return manifest.arena_bytes
    try:
        (parser,) = require("executorch.exir._serialize._program")
        program = parser.deserialize_pte_binary(path.read_bytes())
    except Exception:  # a private module of a runtime that changes: whatever it raises, the figure is not to be had
        return None
    plans = getattr(program, "program", program).execution_plan
    return next((sum(plan.non_const_buffer_sizes) for plan in plans if plan.name == "forward"), None)
