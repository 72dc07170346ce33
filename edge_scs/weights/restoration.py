"""One control between clean and degraded inputs: two ends of one network, and every blend between them.

``X.safetensors`` is the clean end, trained on exact bicubic reductions. ``X_restoring.safetensors`` beside it holds the
tensors that were fine-tuned from it on degraded inputs (``data.wear``). Weights between the two ends are interpolated
linearly (Wang et al. 2019, deep network interpolation): the same architecture, the same cost.

python -m edge_scs.weights.restoration CLEAN.safetensors TRAINED.safetensors

writes the restoring end of CLEAN beside it: what a network of the same shape, fine-tuned from it, has otherwise.
"""

import sys
from pathlib import Path

import torch
import typer
from torch import Tensor

from edge_scs.errors import InputError

DEFAULT = 1.0  # for images of unknown origin; docs/restore.md says why
SUFFIX = "_restoring"
SPEC = "restoration"  # in the metadata of a restoring end: the amount that its tensors are


def restoring_file(weights: Path) -> Path | None:
    """The restoring end beside a clean float checkpoint, or None."""
    path = weights.with_name(f"{weights.stem}{SUFFIX}.safetensors")
    return path if path.is_file() else None


def check_amount(amount: float) -> None:
    """Raise InputError unless 0 <= ``amount`` <= 1."""
    if not 0 <= amount <= 1:
        raise InputError(f"restoration {amount:g}: choose 0 (clean inputs) to 1 (degraded inputs)")


def blended(clean: dict[str, Tensor], restoring: dict[str, Tensor], amount: float, path: Path) -> dict[str, Tensor]:
    """(1 - amount) * clean + amount * restoring, for the tensors that ``restoring``, read from ``path``, has.

    Raises InputError that names the first tensor which is missing in the clean network, or has another shape there.
    """
    state = dict(clean)
    for key, end in restoring.items():
        start = clean.get(key)
        if start is None or start.shape != end.shape:
            what = "lacks" if start is None else f"has as {tuple(start.shape)}, not {tuple(end.shape)}"
            raise InputError(f"{path}: has {key}, which the clean weights {what}; blend two ends of one network")
        state[key] = end if amount == 1 else start.lerp(end.to(start.dtype), amount)
    return state


def write_end(clean: Path, trained: Path) -> Path:
    """Write the tensors of ``trained`` that differ from ``clean`` as its restoring end, and return that file.

    Raises InputError when either cannot be read, or they are not of one network.
    """
    import safetensors.torch

    from edge_scs.files import write_atomically
    from edge_scs.weights import loading

    start, end = loading.load(str(clean)), loading.load(str(trained))
    before, after = start.model.state_dict(), end.model.state_dict()
    blended(before, after, 1.0, trained)
    parts = {key.split(".")[0] for key, value in after.items() if not torch.equal(value, before[key])}
    if not parts:
        raise InputError(f"{trained}: holds the same weights as {clean}; train a restoring end first")
    state = {key: value.contiguous() for key, value in after.items() if key.split(".")[0] in parts}
    made = {key: end.spec[key] for key in ("stages", "seed") if key in end.spec}
    path = clean.with_name(f"{clean.stem}{SUFFIX}.safetensors")
    write_atomically(path, safetensors.torch.save(state, {"format": "edge-scs", "model": end.name, SPEC: "1"} | made))
    return path


def main(clean: Path, trained: Path) -> None:
    """Write the restoring end of CLEAN, from weights that were fine-tuned from it."""
    try:
        print(write_end(clean, trained))
    except InputError as error:
        print(f"restoration: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
