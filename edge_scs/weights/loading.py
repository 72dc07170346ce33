"""Weights in safetensors, with the spec that rebuilds their network in the metadata. No pickle is opened blindly."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_scs.errors import InputError, did_you_mean
from edge_scs.files import write_atomically
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.weights import restoration

SHIPPED = Path(__file__).parent
REGISTRY = "SHA256SUMS"  # of what is shipped, beside it: `sha256sum -c SHA256SUMS` reads it too
MAX_BYTES = 2 << 30
MAX_WIDTH = 1024
# Far above every network here; what a hostile spec may have allocated before it is refused.
MAX_PARAMETERS, MAX_LAYERS = 50_000_000, 20_000
# What a network raises when it cannot be built as configured.
_MISFITS = (TypeError, ValueError, RuntimeError, ArithmeticError, AttributeError, AssertionError)


@dataclass
class Loaded:
    """A network in eval mode with its weights; ``source`` is a file, or "untrained"; ``spec`` its metadata."""

    name: str
    model: nn.Module
    description: Description
    source: str
    spec: dict[str, str] = field(default_factory=dict)
    restoration: float = 0.0  # how far towards the restoring end (``weights.restoration``)

    @property
    def origin(self) -> str:
        """What reports and manifests say of the weights: "shipped", "untrained" or the file."""
        return "shipped" if Path(self.source).parent == SHIPPED else self.source


def shipped_file(name: str, quantised: bool = False, restoring: bool = False) -> Path | None:
    """The shipped weights of a registered model, or None. ``restoring``: the other end (``weights.restoration``)."""
    path = SHIPPED / f"{name}{restoration.SUFFIX if restoring else ''}{'_int8' if quantised else ''}.safetensors"
    return path if path.exists() else None


def registered_sums(folder: Path) -> dict[str, str]:
    """{file name: SHA-256 in hexadecimal} of a folder's registry; empty where it has none."""
    path = folder / REGISTRY
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def _check_shipped(path: Path) -> None:
    """Raise InputError when a shipped file is not the one that was registered: half fetched, or overwritten."""
    expected = registered_sums(path.parent).get(path.name)
    with path.open("rb") as file:
        if expected is not None and hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise InputError(f"{path}: not the file that was shipped (another SHA-256); fetch or install it again")


def load(
    model: str,
    weights: Path | str | None = None,
    allow_untrained: bool = False,
    quantised: bool = False,
    amount: float | None = 0.0,
) -> Loaded:
    """Load a network by name (its shipped weights), by name with a weights file, or by checkpoint path.

    ``amount`` of restoration, 0 to 1: 0 is the clean end, which benchmarks are measured with; None is the default for
    images of unknown origin, where the weights have a restoring end.
    ``quantised`` is for ``quantization.quantised_model.load``, which knows what to do with such float weights.
    Raises InputError for an unknown name, a model without shipped weights (unless ``allow_untrained``: seeded random
    weights, enough to count and time), a file that is no safetensors checkpoint of ours, one of another network, or a
    shipped one whose SHA-256 is not the registered one.
    """
    if model in registry.MODELS:
        path = Path(weights) if weights else _shipped_end(model, quantised, amount)
        if path is None and allow_untrained:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = registry.create(model).eval()
            return Loaded(model, network, registry.describe(model, network), "untrained")
        if path is None:
            kind = "int8 weights" if quantised else "weights"
            raise InputError(f"{model}: no {kind} are shipped; give --weights FILE, or train it first")
        if not weights:
            _check_shipped(path)
        return _load_file(path, model, quantised, amount)
    path = Path(model)
    if path.suffix == ".safetensors" or path.exists():
        if weights:
            raise InputError(f"{model}: is a file already; --weights goes with a model's name")
        return _load_file(path, None, quantised, amount)
    raise InputError(f"{model}: no such model or checkpoint; {did_you_mean(model, registry.names())}")


def _shipped_end(model: str, quantised: bool, amount: float | None) -> Path | None:
    """The shipped file to start from. int8 weights cannot be blended, so there is one file for either end."""
    if not quantised:
        return shipped_file(model)
    other = shipped_file(model, quantised, restoring=True)
    amount = (restoration.DEFAULT if other else 0.0) if amount is None else amount
    restoration.check_amount(amount)
    if amount not in (0, 1):
        raise InputError(f"restoration {amount:g}: int8 weights cannot be blended; choose 0 or 1, or float weights")
    if amount and other is None:
        raise InputError(f"{model}: no int8 weights of its restoring end are shipped; choose --restoration 0")
    return other if amount else shipped_file(model, quantised)


def create(name: str, config: dict[str, object], where: str) -> nn.Module:
    """A freshly initialised network, as ``registry.create`` makes it. Raises InputError that names ``where``."""
    if name not in registry.MODELS:
        raise InputError(f"{where}: model {name!r}: {did_you_mean(name, registry.names())}")
    try:
        return registry.create(name, config)
    except _MISFITS as error:
        raise InputError(f"{where}: config does not fit {name} ({error})") from error


def save(
    path: Path,
    name: str,
    model: nn.Module,
    extra: dict[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a network's weights with its spec: {"model", "config"} and any ``extra`` strings, atomically.

    ``dtype`` is what is stored (default: as it is); loading turns it into float32 again.
    """
    import safetensors.torch

    spec = {"format": "edge-scs", "model": name, "config": json.dumps(vars(model.config))} | (extra or {})
    state = {key: value.detach().to("cpu", dtype).contiguous() for key, value in model.state_dict().items()}
    write_atomically(path, safetensors.torch.save(state, spec))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises InputError when it is missing, too big or not one."""
    import safetensors

    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES >> 30} GiB, not a checkpoint of these networks")
    with path.open("rb") as head:
        if foreign := not_weights(head.read(64)):
            raise InputError(f"{path}: is {foreign}, not weights; fetch the file itself")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, RuntimeError) as error:
        fix = "convert it with import-weights" if path.suffix in (".pth", ".pt") else "fetch or train it again"
        raise InputError(f"{path}: not a readable safetensors file ({error}); {fix}") from error


def not_weights(head: bytes) -> str:
    """What a file is that begins with these bytes and holds no weights, for a message; "" if it may hold some."""
    if head.lstrip()[:1] == b"<":
        return "an HTML page"
    return "a pointer of Git LFS" if head.startswith(b"version https://git-lfs") else ""


def is_quantised(path: Path) -> bool:
    """Whether a file is a quantised checkpoint (``quantization.quantised_model``). False for anything else."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return "quantised" in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError, RuntimeError):
        return False


def _load_file(path: Path, expected: str | None, quantised: bool, amount: float | None = 0.0) -> Loaded:
    state, spec = read_safetensors(path)
    if restoration.SPEC in spec and "quantised" not in spec:
        raise InputError(f"{path}: holds a restoring end alone; name the clean weights beside it, and --restoration")
    if "quantised" in spec and not quantised:
        raise InputError(f"{path}: a quantised checkpoint; export it (--target xnnpack-int8) or evaluate it --int8")
    if quantised and "quantised" not in spec:
        raise InputError(f"{path}: holds a float network; make an int8 one of it with `edge-scs qat`")
    name = spec.get("model", "")
    if name not in registry.MODELS:
        raise InputError(f"{path}: its metadata names no network of ours; convert it with import-weights")
    if expected is not None and name != expected:
        raise InputError(f"{path}: holds weights of {name}, not of {expected}; load it as {name}")
    try:
        model = _create_bounded(name, _config(spec))
    except _MISFITS as error:
        why = str(error)[:200]  # it may quote the spec
        raise InputError(f"{path}: its spec does not fit {name} ({why}); convert or train it again") from error
    if quantised:
        amount = float(spec.get(restoration.SPEC, 0))
    else:
        state, amount = _restored(state, path, amount)
    load_state(model, state, path)
    return Loaded(name, model.eval(), registry.describe(name, model), str(path), spec, amount)


def _restored(state: dict[str, Tensor], path: Path, amount: float | None) -> tuple[dict[str, Tensor], float]:
    """The state, blended with the restoring end beside its file, and the amount that ``None`` stands for."""
    other = restoration.restoring_file(path)
    amount = (restoration.DEFAULT if other else 0.0) if amount is None else amount
    restoration.check_amount(amount)
    if not amount:
        return state, 0.0
    if other is None:
        wanted = path.with_name(f"{path.stem}{restoration.SUFFIX}.safetensors").name
        raise InputError(f"{path}: has no restoring end ({wanted} beside it); choose --restoration 0")
    if other.parent == SHIPPED:
        _check_shipped(other)
    return restoration.blended(state, read_safetensors(other)[0], amount, other), amount


def _config(spec: dict[str, str]) -> dict[str, object]:
    """A spec's config. Raises ValueError before anything is allocated: it must not ask for a network of terabytes."""
    config = json.loads(spec.get("config", "{}"))
    if not isinstance(config, dict) or any(number > MAX_WIDTH for number in _integers(config)):
        raise ValueError(f"a field is over {MAX_WIDTH}, or it is no table")
    return config


def _create_bounded(name: str, config: dict[str, object]) -> nn.Module:
    """``registry.create``, stopped by a ValueError as soon as the network grows beyond MAX_PARAMETERS or MAX_LAYERS."""
    numbers = layers = 0

    def count(module: nn.Module, key: str, parameter: nn.Parameter | None) -> None:
        nonlocal numbers, layers
        numbers, layers = numbers + (0 if parameter is None else parameter.numel()), layers + 1
        if numbers > MAX_PARAMETERS or layers > MAX_LAYERS:
            raise ValueError("it asks for far more parameters than any network here")

    hook = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        return registry.create(name, config)
    finally:
        hook.remove()


def _integers(config: object) -> Iterator[int]:
    """Every integer in a JSON value, however deep."""
    if isinstance(config, int):
        yield config
    elif isinstance(config, (dict, list)):
        for item in config.values() if isinstance(config, dict) else config:
            yield from _integers(item)


# Of convolutions that checkpoints of version 0.2 lack: zeros answer as they did.
SINCE_0_3 = (".score.weight",)


def load_state(model: nn.Module, state: dict[str, Tensor], path: Path | str) -> None:
    """Fill a network, all or nothing. Raises InputError that names the first tensor which does not fit."""
    own = model.state_dict()
    state = {key: torch.zeros_like(own[key]) for key in own if key.endswith(SINCE_0_3)} | state
    for key in own:
        if key not in state:
            raise InputError(f"{path}: lacks {key}; it was made by another version or network")
        if own[key].shape != state[key].shape:
            shapes = f"{tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
            raise InputError(f"{path}: {key} has shape {shapes}; it belongs to another network")
        if not state[key].is_floating_point() or not bool(state[key].isfinite().all()):
            raise InputError(f"{path}: {key} holds no finite floats; the file is damaged, or its training diverged")
    for key in state:
        if key not in own:
            raise InputError(f"{path}: has {key}, which the network lacks; it belongs to another network")
    model.load_state_dict(state)


def squeezenet_state(path: Path) -> dict[str, Tensor]:
    """ImageNet SqueezeNet 1.1 in torchvision's key names -> the state of a ``SqueezeEncoder``.

    Luma goes to all three ImageNet-normalised channels, which is linear, so it folds into the first convolution:
    W = sum_c W_c / std_c, b -= sum W_c mean_c / std_c. Exact but for the zero-padded border.
    Raises InputError when the file is missing or no such checkpoint (read with ``weights_only=True``).
    """
    if not path.is_file():
        raise InputError(f"{path}: no such feature weights; drop `encoder_init` from the recipe, or give the file")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        first = raw["features.0.weight"].float() / std.reshape(1, 3, 1, 1)
        state = {
            "conv1.weight": first.sum(1, keepdim=True),
            "conv1.bias": raw["features.0.bias"].float() - (first * mean.reshape(1, 3, 1, 1)).sum((1, 2, 3)),
        }
        layers = {3: "fire2", 4: "fire3", 6: "fire4", 7: "fire5", 9: "fire6", 10: "fire7", 11: "fire8", 12: "fire9"}
        for index, name in layers.items():
            for part in ("squeeze1x1", "expand1x1", "expand3x3"):
                for kind in ("weight", "bias"):
                    state[f"{name}.{part}.{kind}"] = raw[f"features.{index}.{part}.{kind}"].float()
    except Exception as error:
        why = type(error).__name__
        raise InputError(f"{path}: not SqueezeNet 1.1 weights in torchvision's key names ({why})") from error
    return state


def load_encoder(encoder: nn.Module, init: str) -> None:
    """Start a ``SqueezeEncoder`` from ImageNet: ``init`` as in ``find_encoder``."""
    path = find_encoder(init)
    load_state(encoder, squeezenet_state(path), path)


def find_encoder(init: str) -> Path:
    """The file that ``init`` means: a path, or "squeezenet1_1".

    The name is looked up in $EDGE_SCS_ASSETS/peers/features and in the torch hub cache (torchvision's file there).
    Raises InputError that says where it was looked for.
    """
    if init != "squeezenet1_1":
        if not Path(init).is_file():
            raise InputError(f"encoder_init: {init}: no such feature weights; give a file, or squeezenet1_1")
        return Path(init)
    places = feature_folders()
    found = [file for place in places for file in sorted(place.glob("squeezenet1_1*.pth"))]
    if not found:
        raise InputError(
            f"encoder_init: no squeezenet1_1*.pth in {' or '.join(map(str, places))};"
            " give a file, or an empty string to start from random weights"
        )
    return found[0]


def feature_folders() -> list[Path]:
    """Where ImageNet weights in torchvision's key names may lie: $EDGE_SCS_ASSETS/peers/features, the hub cache."""
    folders = [Path(torch.hub.get_dir()) / "checkpoints"]
    if assets := os.environ.get("EDGE_SCS_ASSETS"):
        folders.insert(0, Path(assets) / "peers" / "features")
    return folders
