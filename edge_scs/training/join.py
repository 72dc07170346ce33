"""Put together a network whose parts were trained apart, at the same time:

python -m edge_scs.training.join texture/weights.safetensors colour/weights.safetensors=colour -o m.safetensors

The first file gives the network; every further one the parts that stand behind its ``=``.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_scs.errors import InputError
from edge_scs.weights import loading


def join(base: Path, others: list[tuple[Path, list[str]]], out: Path) -> None:
    """Write ``base`` with the named parts of the other checkpoints, as ``out``.

    Raises InputError when a file cannot be loaded, or a part is not in it or has another shape there.
    """
    loaded = loading.load(str(base))
    state = loaded.model.state_dict()
    for path, parts in others:
        donor, _ = loading.read_safetensors(path)
        for part in parts:
            taken = {key: value for key, value in donor.items() if key.startswith(f"{part}.")}
            if not taken:
                raise InputError(f"{path}: has no part {part!r}")
            state.update(taken)
    loading.load_state(loaded.model, state, out)
    made = {key: loaded.spec[key] for key in ("stages", "seed") if key in loaded.spec}
    sources = {"joined": " ".join(f"{path.name}={','.join(parts)}" for path, parts in others)}
    loading.save(out, loaded.name, loaded.model, made | sources)


def main(
    base: Path,
    others: Annotated[list[str], typer.Argument(metavar="FILE=PART[,PART]...")],
    out: Annotated[Path, typer.Option("--out", "-o")],
) -> None:
    """Join checkpoints by parts."""
    try:
        pairs = [other.partition("=") for other in others]
        join(base, [(Path(path), parts.split(",")) for path, _, parts in pairs], out)
    except InputError as error:
        print(f"join: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
