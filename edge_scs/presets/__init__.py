"""Export presets and training recipes by name, wherever the package came from.

They are edited at the top of a clone, in ``export/`` and ``recipes/``. The build maps these folders into the package
(``setup.py``), so an installed package has them beside this module; an editable one reads the clone's.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Literal

from edge_scs.errors import InputError, did_you_mean

Kind = Literal["export", "recipes"]
_SINGULAR = {"export": "export preset", "recipes": "recipe"}


def folder(kind: Kind) -> Path:
    """The folder of the shipped TOML files. Raises InputError when the installation lacks it."""
    installed = Path(str(files(__package__))) / kind
    clone = Path(__file__).parents[2] / kind
    for path in (installed, clone):
        if any(path.glob("*.toml")):
            return path
    raise InputError(f"{installed}: this installation has no {_SINGULAR[kind]}s; install edge-scs again")


def names(kind: Kind) -> list[str]:
    """Names of the shipped presets or recipes: file names without the suffix, sorted."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find(kind: Kind, name: str | Path, also: Iterable[str] = ()) -> Path:
    """The file that ``name`` means: a TOML file anywhere, else a shipped one's name.

    Raises InputError that names the nearest known name, or all of them; ``also`` are names that the caller knows.
    """
    path = Path(name)
    known = [*also, *names(kind)]
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise InputError(f"{name}: no such file; check the path, or give a name: {', '.join(known)}")
    shipped = folder(kind) / f"{name}.toml"
    if path.name == str(name) and shipped.is_file():
        return shipped
    if path.is_file():  # TOML under another suffix, or something that the reader will refuse
        return path
    hint = did_you_mean(str(name), known)
    raise InputError(f"{name}: no such {_SINGULAR[kind]}; {hint} (or give a TOML file)")
