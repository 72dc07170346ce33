"""What a delegate left inside a .pte: read back, so that it can be evaluated where the delegate does not run."""

from pathlib import Path
from typing import Any

from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError


def read_delegate(artifact: Path, backend: str) -> tuple[bytes, Any]:
    """The payload of the program's only delegate, and the file's named data (weights).

    Raises InputError: not a program, several delegates or another backend's, executorch missing.
    """
    (program,) = require("executorch.exir._serialize._program")
    try:
        with quiet():
            file = program.deserialize_pte_binary(artifact.read_bytes())
        delegates = [delegate for plan in file.program.execution_plan for delegate in plan.delegates]
        ids = [delegate.id for delegate in delegates]
        payloads = [bytes(data.data) for data in file.program.backend_delegate_data]
    except Exception as error:
        reason = str(error).strip().splitlines()[:1]
        raise InputError(f"{artifact}: not a readable program ({''.join(reason)}); export it again") from error
    if ids != [backend] or len(payloads) != 1:
        raise InputError(
            f"{artifact}: holds the delegates {ids or 'none'}, not one {backend}; it cannot be evaluated here"
        )
    return payloads[0], file.named_data


def extract_coreml(artifact: Path, folder: Path) -> Path:
    """Write the ML program that the Core ML delegate carries to ``folder``; returns the package's path."""
    payload, _ = read_delegate(artifact, "CoreMLBackend")
    (native,) = require("executorch.backends.apple.coreml")
    require("executorch.backends.apple.coreml.executorchcoreml")
    if not native.executorchcoreml.unflatten_directory_contents(payload, str(folder)):
        raise InputError(f"{artifact}: what Core ML's delegate carries cannot be unpacked; export it again")
    found = sorted(path.parent for path in folder.rglob("Manifest.json"))
    if not found:
        raise InputError(f"{artifact}: Core ML's delegate carries no package; export it again")
    return found[0]
