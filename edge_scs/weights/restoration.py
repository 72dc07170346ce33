"""One control between clean and degraded inputs: two ends of one network, and every blend between them.

``X.safetensors`` is the clean end, trained on exact bicubic reductions. ``X_restoring.safetensors`` beside it holds the
tensors that were fine-tuned from it on degraded inputs (``data.wear``). Weights between the two ends are interpolated
linearly (Wang et al. 2019, deep network interpolation): the same architecture, the same cost.
"""

from pathlib import Path

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
