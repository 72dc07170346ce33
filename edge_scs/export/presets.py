"""Export presets: one TOML a deployment target, strict, user-editable."""

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError
from edge_scs.recipes import build

# A clone's export/ folder, beside the package: the package is installed from a clone (editable).
FOLDER = Path(__file__).parents[2] / "export"
DEFAULTS = {"executorch": "xnnpack-fp32", "coreml": "coreml-fp16"}
BACKENDS = {"executorch": ("xnnpack",), "coreml": ("mlprogram",)}
PRECISIONS = {"executorch": ("fp32", "int8"), "coreml": ("fp16", "fp32", "int8")}
MAX_SIDE = 4096


@dataclass(frozen=True)
class Preset:
    """How to make an artifact, and what it must prove. Raises InputError when the values do not go together.

    ``min_psnr_db`` is the least PSNR of the artifact against the eager network, over every photograph, and
    ``min_delegated_share`` the least share of operators that the delegate takes (ExecuTorch). ``int8`` needs a network
    that has been quantised.
    """

    name: str
    target: str  # "executorch" or "coreml"
    backend: str  # "xnnpack" or "mlprogram"
    precision: str  # "fp32", "fp16", "int8"
    min_psnr_db: float
    lr: list[int] = field(default_factory=lambda: [180, 320])  # rows, columns of the small picture
    scale: float = 4.0
    reference: bool = False  # a second input: the RGB picture whose colours to use
    reference_side: int = 128  # its rows and columns
    min_delegated_share: float = 0.95
    minimum_target: str = "iOS17"  # oldest system that a Core ML package shall run on

    def __post_init__(self) -> None:
        where = f"preset {self.name}"
        _choose(where, "target", self.target, tuple(DEFAULTS))
        _choose(where, "backend", self.backend, BACKENDS[self.target])
        _choose(where, "precision", self.precision, PRECISIONS[self.target])
        if len(self.lr) != 2 or not all(1 <= side <= MAX_SIDE for side in self.lr):
            raise InputError(f"{where}: lr must be [rows, columns], each 1 to {MAX_SIDE}, not {self.lr}")
        if not 1 <= self.scale <= 16:
            raise InputError(f"{where}: scale must be between 1 and 16, not {self.scale:g}")
        if not 16 <= self.reference_side <= 1024:
            raise InputError(f"{where}: reference_side must be between 16 and 1024, not {self.reference_side}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the large picture: ``lr`` times ``scale``, rounded."""
        return round(self.lr[0] * self.scale), round(self.lr[1] * self.scale)

    def replace(self, **changes: Any) -> "Preset":
        """A copy with some values changed, checked again: ``preset.replace(lr=[90, 160], scale=2.0)``."""
        return dataclasses.replace(self, **changes)


def _choose(where: str, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use {' or '.join(map(repr, known))}"
        raise InputError(f"{where}: {key} cannot be {value!r}; {hint}")


def known() -> list[str]:
    """Names of the presets in the clone's export/ folder."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_preset(target: str | Path) -> Preset:
    """A preset by target ("executorch", "coreml"), by name, or from a TOML file.

    Raises InputError: no such preset (naming the nearest), unreadable file, unknown key, missing key, wrong value.
    """
    name = DEFAULTS.get(str(target), str(target))
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        if name.endswith(".toml"):
            raise InputError(f"{name}: no such preset file; known presets: {', '.join(known()) or 'none'}")
        names = [*DEFAULTS, *known()]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}, or a TOML file"
        raise InputError(f"{target}: no such export target or preset; {hint}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    return build(Preset, table, str(path))
