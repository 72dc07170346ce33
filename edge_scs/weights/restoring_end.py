"""The restoring end of a network (``restoration``): what was fine-tuned, without what stayed as it was.

python -m edge_scs.weights.restoring_end CLEAN.safetensors TRAINED.safetensors

writes it beside CLEAN: what a network of the same shape, fine-tuned from it, has otherwise.
"""

import sys
from pathlib import Path

import safetensors.torch
import torch
import typer

from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.weights import loading
from edge_scs.weights.restoration import SPEC, SUFFIX, blended


def write_end(clean: Path, trained: Path) -> Path:
    """Write the tensors of ``trained`` that differ from ``clean`` as its restoring end, and return that file.

    Raises InputError when either cannot be read, or they are not of one network.
    """
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
