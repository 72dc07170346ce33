"""The mean of several trainings' weights, which is often better than any of them (Wortsman et al. 2022, "model soups"):

python -m edge_scs.training.mean a.safetensors=0.6 b.safetensors=0.4 -o m.safetensors

For trainings that began at the same weights. A file's share stands behind its ``=``; all without one share alike.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_scs.errors import InputError
from edge_scs.weights import loading


def mean(files: list[tuple[Path, float]], out: Path) -> None:
    """Write the mean of these checkpoints' tensors, weighted by shares above 0, as ``out``.

    Raises InputError when a file cannot be loaded or holds another network than the first.
    """
    total = sum(share for _, share in files)
    first = loading.load(str(files[0][0]))
    state = {key: value * (files[0][1] / total) for key, value in first.model.state_dict().items()}
    for path, share in files[1:]:
        other = loading.load(str(path))
        if other.name != first.name or other.spec.get("config") != first.spec.get("config"):
            raise InputError(f"{path}: holds another network than {files[0][0]}; name trainings of one network")
        for key, value in other.model.state_dict().items():
            state[key] += value * (share / total)
    loading.load_state(first.model, state, out)
    sources = {"mean": " ".join(f"{path.name}={share:g}" for path, share in files)}
    loading.save(out, first.name, first.model, sources)


def main(
    files: Annotated[list[str], typer.Argument(metavar="FILE[=SHARE]...")],
    out: Annotated[Path, typer.Option("--out", "-o")],
) -> None:
    """Average checkpoints."""
    try:
        mean([_parse(text) for text in files], out)
    except InputError as error:
        print(f"mean: {error}", file=sys.stderr)
        sys.exit(2)


def _parse(text: str) -> tuple[Path, float]:
    path, _, number = text.partition("=")
    try:
        share = float(number or 1)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise InputError(f"{text}: a share is a number above 0, as {path}=0.5")
    return Path(path), share


if __name__ == "__main__":
    typer.run(main)
