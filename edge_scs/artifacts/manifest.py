"""The manifest beside every artifact: what it is, what it was made from, and what was verified about it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from edge_scs.artifacts.ports import VALUES
from edge_scs.errors import InputError
from edge_scs.files import write_atomically
from edge_scs.schemas import parse, violation

# Identical images have infinite PSNR, which JSON cannot say: 200 dB, far beyond float32, stands for it.
MAX_PSNR_DB = 200.0
MAX_BYTES = 1 << 20  # of a manifest
SCHEMA = Path(__file__).with_name("manifest.schema.json")
# Raised when a key changes its meaning or goes, not when one is added. 1 had no number, no ``values``, no meanings.
VERSION = 2


@dataclass(frozen=True)
class Parity:
    """An artifact against the eager network on photographs. PSNR over RGB in [0, 1], peak 1, in dB.

    ``psnr_db`` is the worst photograph's (at most MAX_PSNR_DB; None when the artifact gave NaN or infinity),
    ``max_abs`` the largest difference anywhere, ``images`` their number. ``verdict`` is "pass", "fail", or "not run
    here" for a delegate that this machine lacks; ``execution`` says what was run or evaluated. ``methods``: each
    method's worst dB. ``flags`` names the faults that explain a failure (``artifacts.diagnosis``).
    """

    reference: str
    psnr_db: float | None
    max_abs: float | None
    images: int
    verdict: str
    min_psnr_db: float
    per_image: dict[str, float | None] = field(default_factory=dict)
    execution: str = ""
    methods: dict[str, float | None] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing speaks against the artifact; "not run here" has passed what can be verified here."""
        return self.verdict in ("pass", "not run here")

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """One line: verdict, dB, number of photographs."""
        measured = "NaN or infinity" if self.psnr_db is None else f"{self.psnr_db:.1f} dB"
        text = f"parity {self.verdict}: {measured} on {self.images} photographs, {self.min_psnr_db:g} dB needed"
        return text + (f" ({'; '.join(self.flags)})" if self.flags else "")


@dataclass(frozen=True)
class Port:
    """One input or output: shape (n, c, h, w), of a matrix (rows, columns). "image" is a pixel buffer.

    ``least``: where the shape is chosen at run time, the smallest one; ``shape`` is the largest then. None for an
    output: it follows from the inputs. ``meaning`` and ``range``, the least and the largest value (None: unbounded),
    are those of ``artifacts.ports``.
    """

    name: str
    shape: list[int]
    dtype: str
    least: list[int] | None = None
    meaning: str = ""
    range: list[float] | None = None


@dataclass(frozen=True)
class MethodPorts:
    """One entry point of the artifact: a method of a .pte, a function of a package. ``scale``: None if any."""

    name: str
    inputs: list[Port]
    outputs: list[Port]
    scale: float | None = None
    delegated_share: float | None = None


# The option ``vividness`` of ``enhance``, which any caller can offer.
VIVIDNESS = {
    "least": 0.0, "default": 1.0, "most": 1.5,
    "formula": "luma + vividness * (rgb - luma), clamped; luma = 0.299 r + 0.587 g + 0.114 b",
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """``bytes``: of the file, or of all files of a package. ``delegated_share``: 0 to 1, None where nothing delegates.

    ``mult_adds``: of the eager network on one input of this size. ``params``: numbers stored once however often called,
    only those that this artifact needs. ``weights``: "shipped", "untrained" or the file; ``weights_sha256``: of the
    network's tensors, so that verification never compares with another network unnoticed. ``inputs`` and ``outputs``
    are those of the first of ``methods``. ``continuous``: what a caller of encode and decode has to know.
    ``float32_ops``: operations kept in float32. ``golden``: the folder of golden pairs beside the artifact. ``halo``:
    the receptive field's radius in LR pixels, by which tiles have to overlap (None: not recorded). ``path``: where
    the artifact lies now, which the file does not record. ``restoration``: 0 is the clean, 1 the restoring end of the
    weights. ``vividness``: how a caller makes colours quieter or stronger. ``values``: what holds for the values of all
    ports (``artifacts.ports``). ``manifest_version``: of the file's format, VERSION. ``manifest.schema.json``
    describes the file.
    """

    artifact: str
    target: str
    model: str
    scale: float
    inputs: list[Port]
    outputs: list[Port]
    bytes: int
    sha256: str
    delegated_share: float | None
    parity: Parity | None
    versions: dict[str, str]
    mult_adds: int
    params: int
    preset: str
    precision: str
    weights: str
    weights_sha256: str
    min_psnr_db: float
    non_delegated: list[str] = field(default_factory=list)
    arena_bytes: int | None = None
    backend: str = ""
    methods: list[MethodPorts] = field(default_factory=list)
    continuous: dict[str, Any] | None = None
    compression: str = "none"
    float32_ops: list[str] = field(default_factory=list)
    minimum_target: str | None = None
    golden: str | None = None
    halo: int | None = None
    restoration: float = 0.0
    vividness: dict[str, Any] = field(default_factory=lambda: dict(VIVIDNESS))
    licence: str = "Apache-2.0"
    values: dict[str, str] = field(default_factory=lambda: dict(VALUES))
    manifest_version: int = VERSION
    path: Path | None = field(default=None, compare=False)

    def summary(self) -> str:
        """One line: size, sizes in and out, delegated share, parity."""
        sizes = " -> ".join(f"{port.shape[3]}x{port.shape[2]}" for port in (self.inputs[0], self.outputs[0]))
        if self.continuous is not None:
            sizes = "any size, x1 to x8"
        elif len(self.methods) > 1:
            sizes = f"{sizes} and {len(self.methods) - 1} more sizes"
        delegated = "" if self.delegated_share is None else f", {self.delegated_share:.0%} delegated"
        parity = "not verified" if self.parity is None else self.parity.summary()
        return f"{self.bytes / 1e6:.2f} MB, {sizes}{delegated}, {parity}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe, spec order; a whole scale is an integer."""
        table = dataclasses.asdict(self)
        del table["path"]
        table = {"manifest_version": table.pop("manifest_version"), **table}
        table["scale"] = int(self.scale) if self.scale == int(self.scale) else self.scale
        return table

    def write(self, artifact: Path) -> Path:
        """Write ``<artifact>.json`` beside the artifact, whole or not at all; returns its path."""
        path = manifest_path(artifact)
        write_atomically(path, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        return path


def manifest_path(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".json")


def read_manifest(artifact: Path) -> Manifest:
    """The manifest beside an artifact. Raises InputError when it is missing, damaged or lacks a key."""
    path = manifest_path(artifact)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES >> 10} KB, no manifest of ours; export again")
        table = parse(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); keep the manifest beside its artifact") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); export again") from error
    version = table.get("manifest_version", 1) if isinstance(table, dict) else 1
    if type(version) is not int or version > VERSION:
        raise InputError(
            f"{path}: has manifest_version {version!r:.20}, this edge_scs reads up to {VERSION}; update it"
        )
    table = _renamed(table)
    if (wrong := violation(table, SCHEMA)) is not None:
        raise InputError(f"{path}: not a manifest of ours ({wrong}); export again")
    known = {f.name for f in dataclasses.fields(Manifest)} - {"path"}
    table = {"manifest_version": version, "values": {}} | table
    table = {key: value for key, value in table.items() if key in known}
    ports = {key: [Port(**port) for port in table[key]] for key in ("inputs", "outputs")}
    methods = [
        MethodPorts(**method | {key: [Port(**port) for port in method[key]] for key in ("inputs", "outputs")})
        for method in table["methods"]
    ]
    return Manifest(**table | ports | {"methods": methods, "parity": Parity(**table["parity"])}, path=artifact)


def takes_hints(manifest: Manifest) -> bool:
    """Whether the artifact has a port for colour hints."""
    return any(port.name == "hints" for method in manifest.methods for port in method.inputs)


def check_scales(manifest: Manifest) -> None:
    """Raise InputError where a magnification is not the one between its method's ports: the manifest was edited."""
    if manifest.continuous is not None:
        return
    methods = manifest.methods or [MethodPorts("forward", manifest.inputs, manifest.outputs)]
    for number, method in enumerate(methods):
        scale = method.scale if number else manifest.scale
        small, large = method.inputs[0].shape[2:], method.outputs[0].shape[2:]
        for named in {scale, method.scale} - {None}:
            if [round(side * float(named)) for side in small] != list(large):  # type: ignore[arg-type]
                ports = f"{small[1]}x{small[0]} to {large[1]}x{large[0]}"
                raise InputError(
                    f"{manifest.path or manifest.artifact}: its manifest says scale {named:g} of {method.name}, whose "
                    f"sizes are {ports}; it was edited: export again"
                )


def _renamed(table: Any) -> Any:
    """A manifest of version 0.2 or earlier with today's keys."""
    if not isinstance(table, dict):
        return table
    table = {"float32_ops" if key == "fp32_islands" else key: value for key, value in table.items()}
    if isinstance(table.get("parity"), dict):
        renamed = {"execution" if key == "proof" else key: value for key, value in table["parity"].items()}
        table["parity"] = renamed
    return table


def _files(artifact: Path) -> Iterator[tuple[str, Path]]:
    if artifact.is_dir():
        for path in sorted(p for p in artifact.rglob("*") if p.is_file()):
            yield path.relative_to(artifact).as_posix(), path
    else:
        yield "", artifact


def artifact_bytes(artifact: Path) -> int:
    """Size of a file, or of all files of a folder."""
    return sum(path.stat().st_size for _, path in _files(artifact))


def artifact_sha256(artifact: Path) -> str:
    """Of a file's content (what ``sha256sum`` prints); of a folder's relative paths and contents, sorted by path."""
    if not artifact.exists():
        raise InputError(f"{artifact}: no such artifact; name a .pte file or an .mlpackage folder")
    digest = hashlib.sha256()
    for name, path in _files(artifact):
        content = path.read_bytes()
        if name:
            digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def weights_sha256(model: nn.Module) -> str:
    """Of a network's tensors, by name, shape and content: the same wherever the weights were loaded from."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{tuple(value.shape)}\0{value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def capped_psnr(mse: float) -> float | None:
    """PSNR in dB for peak 1, at most MAX_PSNR_DB; None for a mean squared error that is no number."""
    if not math.isfinite(mse):
        return None
    return min(MAX_PSNR_DB, -10 * math.log10(mse)) if mse > 0 else MAX_PSNR_DB
