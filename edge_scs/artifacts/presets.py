"""Export presets: one TOML a deployment target, strict, user-editable."""

import dataclasses
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_scs import presets
from edge_scs.errors import InputError, did_you_mean
from edge_scs.recipes import build

DEFAULTS = {"executorch": "xnnpack-fp32", "coreml": "coreml-fp16", "onnx": "onnx-fp32", "litert": "litert-fp32"}
BACKENDS = {
    "executorch": ("xnnpack", "vulkan", "coreml"),
    "coreml": ("mlprogram",),
    "onnx": ("onnxruntime",),
    "litert": ("litert",),
}
PRECISIONS = {
    "xnnpack": ("fp32", "int8"),
    "vulkan": ("fp16", "fp32"),
    "coreml": ("fp16", "fp32"),
    "mlprogram": ("fp16", "fp32", "int8"),
    "onnxruntime": ("fp32",),
    "litert": ("fp32",),
}
COMPRESSIONS = ("none", "int8", "palette6")
MAX_SIDE = 4096
LEAST_PSNR_DB = 25.0  # below it an artifact is another network, whatever a preset says


@dataclass(frozen=True)
class Shape:
    """One size that an artifact answers: its method's name, LR (h, w), the magnification."""

    method: str
    lr: tuple[int, int]
    scale: float

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the large image: ``lr`` times ``scale``, rounded."""
        return round(self.lr[0] * self.scale), round(self.lr[1] * self.scale)


@dataclass(frozen=True)
class Preset:
    """How to make an artifact, and what it must reach. Raises InputError when the values do not go together.

    ``min_psnr_db`` is the least PSNR of the artifact against the eager network, over every photograph, and
    ``min_delegated_share`` the least share of operators that the delegate takes (ExecuTorch). ``int8`` needs a network
    that has been quantised.
    """

    name: str
    target: str  # a key of DEFAULTS
    backend: str  # a key of PRECISIONS
    precision: str  # "fp32", "fp16", "int8"
    min_psnr_db: float
    lr: list[int] = field(default_factory=lambda: [180, 320])  # rows, columns of the small image
    scale: float = 4.0
    sizes: list[str] = field(default_factory=list)  # several instead of lr and scale: "x4_320x180", scale_WIDTHxHEIGHT
    continuous: bool = False  # any size, any magnification: the methods of lowering.continuous (xnnpack)
    images: bool = False  # pixel buffers in and out instead of tensors (Core ML)
    compression: str = "none"  # of the weights: "int8", "palette6" (Core ML)
    max_fp16_cost_db: float = 0.2  # of image quality; above it, operations stay in float32 (Core ML, fp16)
    reference: bool = False  # a second input: the RGB image whose colours to use
    reference_side: int = 128  # its rows and columns
    hints: bool = False  # a further input: colour hints, as planes on the grid of the coarse chroma
    min_delegated_share: float = 0.95
    minimum_target: str = "iOS17"  # oldest system that a Core ML package shall run on

    def __post_init__(self) -> None:
        where = f"preset {self.name}"
        _choose(where, "target", self.target, tuple(DEFAULTS))
        _choose(where, "backend", self.backend, BACKENDS[self.target])
        _choose(where, "precision", self.precision, PRECISIONS[self.backend])
        _choose(where, "compression", self.compression, COMPRESSIONS)
        if len(self.lr) != 2 or not all(1 <= side <= MAX_SIDE for side in self.lr):
            raise InputError(f"{where}: lr must be [rows, columns], each 1 to {MAX_SIDE}, not {self.lr}")
        if not 1 <= self.scale <= 16:
            raise InputError(f"{where}: scale must be between 1 and 16, not {self.scale:g}")
        if not 16 <= self.reference_side <= 1024:
            raise InputError(f"{where}: reference_side must be between 16 and 1024, not {self.reference_side}")
        if not self.min_psnr_db >= LEAST_PSNR_DB:
            raise InputError(f"{where}: min_psnr_db must be at least {LEAST_PSNR_DB:g}, not {self.min_psnr_db:g}")
        if self.continuous and (self.backend != "xnnpack" or self.precision != "fp32" or self.sizes):
            raise InputError(f"{where}: continuous goes with xnnpack and fp32, without sizes")
        if (self.images or self.compression != "none") and self.target != "coreml":
            raise InputError(f"{where}: images and compression are Core ML's; use target = 'coreml'")
        if self.sizes and self.target == "coreml" and self.minimum_target == "iOS17":
            raise InputError(f"{where}: several sizes in one package need minimum_target = 'iOS18'")
        if self.sizes and self.target in ("onnx", "litert"):
            raise InputError(f"{where}: a file for {self.target} has one size; use lr and scale")
        if len({shape.method for shape in self.shapes}) < len(self.shapes):
            raise InputError(f"{where}: sizes names one size twice")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first large image."""
        return self.shapes[0].size

    @property
    def shapes(self) -> list[Shape]:
        """What ``lr`` and ``scale`` say, as the method "forward"; or ``sizes``, the first of which is "forward"."""
        if not self.sizes:
            return [Shape("forward", (self.lr[0], self.lr[1]), self.scale)]
        first, *others = (self._parse(text) for text in self.sizes)
        return [dataclasses.replace(first, method="forward"), *others]

    def _parse(self, text: str) -> Shape:
        match = re.fullmatch(r"x(\d+(?:\.\d+)?)_(\d{1,4})x(\d{1,4})", text)
        if not match:
            raise InputError(f"preset {self.name}: sizes: write {text!r} as x4_320x180, magnification_WIDTHxHEIGHT")
        scale, lr = float(match[1]), (int(match[3]), int(match[2]))
        if not (1 <= scale <= 16 and all(1 <= side <= MAX_SIDE for side in lr)):
            raise InputError(f"preset {self.name}: sizes: {text}: x1 to x16, sides 1 to {MAX_SIDE}")
        return Shape(text.replace(".", "_"), lr, scale)

    def replace(self, **changes: Any) -> "Preset":
        """A copy with some values changed, checked again: ``preset.replace(lr=[90, 160], scale=2.0)``."""
        return dataclasses.replace(self, **changes)


def _choose(where: str, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value, known, f"use {' or '.join(known)}")
        raise InputError(f"{where}: {key} cannot be {value!r}; {hint}")


def known() -> list[str]:
    """Names of the shipped presets, sorted; never empty. Raises InputError when the installation has none."""
    return presets.names("export")


def load_preset(target: str | Path) -> Preset:
    """A preset by target ("executorch", "coreml", "onnx", "litert"), by name, or from a TOML file.

    Raises InputError: no such preset (naming the nearest), unreadable file, unknown key, missing key, wrong value.
    """
    path = presets.find("export", DEFAULTS.get(str(target), target), also=DEFAULTS)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    return build(Preset, table, str(path))
