"""Golden pairs: an input and the network's answer to it beside every artifact: for a check on a phone or a Mac.

``<artifact>.golden/<method>/``: ``input.png`` (and ``reference.png``), ``expected.png``, and ``golden.npz`` with the
same as float32: the inputs by name, hint planes among them, and ``rgb`` (1, 3, H, W) in [0, 1], not rounded: an
artifact is as far from its golden pair as the manifest's parity says of that photograph.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.images import write_image


def golden_path(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".golden")


def write_golden(folder: Path, inputs: Mapping[str, Tensor], expected: Tensor) -> None:
    """Write one pair into ``folder``, which is made."""
    folder.mkdir(parents=True)
    for name, x in inputs.items():
        if x.shape[1] in (1, 3) and name != "hints":  # planes of chroma and presence are no image
            write_image(folder / ("reference.png" if name == "reference" else "input.png"), _pixels(x))
    write_image(folder / "expected.png", _pixels(expected))
    arrays = {name: x.numpy() for name, x in inputs.items()}
    np.savez_compressed(folder / "golden.npz", allow_pickle=False, **arrays, rgb=expected.numpy())


def read_golden(folder: Path) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs by name, and the expected RGB. Raises InputError when it is missing or damaged."""
    path = folder / "golden.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        return arrays, arrays.pop("rgb")
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: no golden pair of ours ({error}); export the artifact again") from error


def _pixels(x: Tensor) -> np.ndarray:
    levels = (x[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return levels[..., 0] if levels.shape[2] == 1 else levels
