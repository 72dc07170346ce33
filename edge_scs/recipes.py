"""Recipes: TOML in, dataclasses out. A key that is not known is an error that names the nearest one that is."""

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edge_scs import presets
from edge_scs.errors import InputError, did_you_mean

# What a recipe file may measure, and any number in its [config].
MAX_BYTES, MAX_WIDTH = 1 << 20, 1024
# The least that a number may be, whichever table of a recipe it stands in.
LEAST = {
    "accumulate": 1, "batch": 1, "cache_mb": 0, "calibration": 1, "channels": 1, "checkpoint_every": 1,
    "colour_side": 32, "device_mb": 0, "ema": 0, "every": 0, "flat_weight": 0, "halve_every": 0,
    "hr_side": 32, "keep_checkpoints": 0, "learning_rate": 0, "lr_patch": 4, "min_colourfulness": 0, "min_kb": 0,
    "min_side": 1, "points": 0, "profile": 0, "reference_every": 0, "retain": 0, "seed": 0, "sharpen": 0, "steps": 0,
    "store_mb": 0, "validate_every": 1, "validate_images": 1, "validate_side": 32, "views": 1, "warmup": 0,
    "workers": 0,
}  # fmt: skip


@dataclass(frozen=True)
class DataSection:
    """What a batch is made of (``data.pairs``)."""

    batch: int = 8
    # "patch": windows at full resolution; "image": whole scenes, about hr_side^2 pixels; "square": scenes of lr_patch
    crop: Literal["patch", "image", "square"] = "patch"
    lr_patch: int = 48  # LR pixels, crop = "patch" or "square"
    hr_side: int = 240  # HR pixels, crop = "image"
    scales: list[float] = field(default_factory=list)  # every step draws one of these; empty: by whole_scales
    zoom: float = 0.7  # least share of an image's extent that a scene shows, crop = "image" or "square"
    fade: float = 0.0  # share of images whose grey input has an old print's tones (``data.wear.fade``)
    whole_scales: float = 0.75  # share of steps at x2, x3 or x4; the others draw from U(1, 4)
    reference_every: int = 0  # every n-th step brings references; 0: none
    foreign_references: float = 0.25  # share of references that show another image
    points: int = 0  # HR pixels drawn from every image, for task = "points"
    own_scales: bool = False  # every image of a batch has a magnification of its own, for task = "points"
    degradation: Literal["clean", "worn", "old", "copied", "bsrgan"] = "clean"  # how LR is made (``data.degradation``)
    views: int = 1  # 2: every image comes twice, the second time mirrored, shifted and with a degradation of its own
    hints: float = 0.0  # share of images that come with hints of their colours, task = "colour"
    on_device: bool = False  # windows are reduced, and cut out where they fit, on the device (``data.on_device``)
    spoiled_references: float = 0.0  # share of references without true colour: grey, sepia, tinted or badly exposed


@dataclass(frozen=True)
class Perceptual:
    """A loss on ImageNet features (``training.perceptual``); weight 0: none."""

    weight: float = 0.0
    features: str = "vgg16"  # a key of training.perceptual.FEATURES, or "lpips"
    file: str = ""  # its weights; empty: looked up by name


@dataclass(frozen=True)
class Adversary:
    """Discriminators that learn beside the network (``training.adversarial``); weight 0: none."""

    weight: float = 0.0
    discriminator: str = "multi_scale"  # a key of training.discriminators.DISCRIMINATORS
    loss: str = "standard"  # a key of training.adversarial.LOSSES
    channels: int = 64  # of the discriminators' first layer
    share: float = 1.0  # their learning rate relative to the network's


@dataclass(frozen=True)
class Stage:
    """One stage of training: which parts learn what, and how long."""

    task: str  # a key of training.tasks.TASKS
    parts: list[str]  # names of submodules that learn, or "all"; everything else stays frozen
    steps: int
    learning_rate: float
    data: DataSection = field(default_factory=DataSection)
    final_rate: float = 0.01  # share of learning_rate left at the end of the cosine
    halve_every: int = 0  # steps after which the learning rate halves; 0: a cosine
    warmup: int = 100
    # "adam": weight decay as a part of the gradient; "muon": AdamW but for the convolutions in ``muon``
    optimizer: Literal["adamw", "adam", "muon"] = "adamw"
    muon: dict[str, float] = field(default_factory=dict)  # submodules it trains, at this multiple of learning_rate
    weight_decay: float = 0.0
    accumulate: int = 1
    clip: float = 1.0  # gradient norm; inf: not clipped
    ema: float = 0.999  # share of the average that a step keeps; 0: no averaging
    pixel_weight: float = 1.0  # L1, in the tasks of training.image_tasks and task = "realistic_texture"
    perceptual: Perceptual = field(default_factory=Perceptual)
    adversary: Adversary = field(default_factory=Adversary)
    consistency: float = 0.0  # weight of the difference in colour between two views (data.views = 2), task = "colour"
    chroma_weight: float = 0.5  # of the loss on chroma against that on luma (texture), or on the mean chroma (colour)
    # What counts as an error, task = "texture": L1, its square, or the square's logarithm, image by image
    error: Literal["l1", "l2", "log_l2"] = "l1"
    sharpen: float = 0.0  # amount of unsharp masking of the luma that is learned (``training.tasks.sharpened``)
    retain: float = 0.0  # share of the degradation that the luma which is learned keeps (``training.tasks.retained``)
    flat_weight: float = 0.0  # of the error on small flat images (``training.flats.flat_loss``), task = "texture"
    rebalance: float = 0.5  # Zhang et al. 2016: how uniform the class weights' prior is; 1: no rebalancing
    slow: dict[str, float] = field(default_factory=dict)  # learning rate of a submodule relative to the others
    init_from: dict[str, str] = field(default_factory=dict)  # submodules initialised as copies of others
    encoder_init: str = ""  # "squeezenet1_1", or a file in torchvision's key names
    colour_side: int = 240  # grid of the colour branch in this stage


@dataclass(frozen=True)
class Benchmarks:
    """Folders that are evaluated during training, by the protocol of ``edge-scs evaluate``; every 0: none."""

    every: int = 0  # steps of a stage, and after its last one
    folders: list[str] = field(default_factory=list)
    scales: list[float] = field(default_factory=lambda: [4.0])


@dataclass(frozen=True)
class Recipe:
    """A whole training. Every stage named in ``stages`` has a table of its own."""

    model: str
    stages: list[str]
    stage: dict[str, Stage]
    seed: int = 1
    initial: str = ""  # training.initial: another initialisation than PyTorch's, without --init
    initial_scale: float = 1.0  # what its weights are multiplied by
    precision: Literal["no", "bf16"] = "no"  # autocast
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False  # on a GPU: algorithms that give the same bits again, slower ones (docs/gpu.md)
    workers: int = 0
    cache_mb: int = 4096  # of decoded photographs, in memory, where one process trains and all of them fit
    store_mb: int = 32768  # else: in a file for all processes of a machine (``data.store``); 0: none
    device_mb: int = 16384  # of photographs that stay on the GPU, in stages with data.on_device, where all fit
    mix: dict[str, float] = field(default_factory=dict)  # share of draws of each --data folder; empty: by their counts
    verify: bool = True  # decode every photograph once before the first step; false: believe the files' headers
    min_side: int = 64  # photographs with a shorter side are left out
    min_kb: int = 0  # and files that are smaller
    min_colourfulness: float = 0.0  # and photographs with less (metrics.colourfulness)
    validate_every: int = 2000
    validate_images: int = 24
    validate_side: int = 256  # HR pixels of their centre crops, at least 32; networks that are slow on a CPU want less
    checkpoint_every: int = 500
    keep_checkpoints: int = 0  # how many of the last also stay, under names of their own
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    trackers: list[Literal["tensorboard", "wandb"]] = field(default_factory=list)  # metrics go there too
    profile: int = 0  # steps of each stage that torch.profiler records, after the first ones; 0: none
    config: dict[str, Any] = field(default_factory=dict)  # overrides of the registered network's fields


def load_recipe(recipe: Path | str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe: a TOML file, or the name of a shipped one ("edge_scs_m").

    ``overrides`` are ``--set`` texts like ``stage.texture.steps=100``. Raises InputError: no such recipe, no TOML, an
    unknown or missing key, a value of the wrong type.
    """
    path = presets.find("recipes", recipe)
    plan: Recipe = build(Recipe, read_table(path, overrides), str(path))
    _check_widths(plan.config, f"{path}: config")
    for name in plan.stages:
        if name not in plan.stage:
            raise InputError(f"{path}: stages names {name!r}, but there is no table [stage.{name}]")
    if not plan.stages:
        raise InputError(f"{path}: stages is empty; name at least one of {', '.join(plan.stage)}")
    return plan


def _check_widths(value: Any, where: str) -> None:
    """Refuse huge numbers, however deep, before anything is allocated."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_widths(item, f"{where}.{key}")
    elif isinstance(value, list):
        for item in value:
            _check_widths(item, where)
    elif isinstance(value, int) and value > MAX_WIDTH:
        raise InputError(f"{where} is {value}, more than {MAX_WIDTH}; choose less")


def read_table(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """A TOML file with ``--set`` texts applied. Raises InputError."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES >> 10} KB, not a recipe; give one such as edge_scs_m")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    for text in overrides or []:
        _override(table, text)
    return table


def build(cls: type, table: dict[str, Any], where: str) -> Any:
    """A dataclass from a TOML table, strictly. Raises InputError naming the key and the fix."""
    hints, known = get_type_hints(cls), {f.name: f for f in fields(cls)}
    for key in table:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {did_you_mean(key, known)}")
    required = [f.name for f in fields(cls) if _required(f)]
    for key in required:
        if key not in table:
            raise InputError(f"{where}: lacks the key {key!r}")
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    for key, value in values.items():
        if key in LEAST and isinstance(value, int | float) and not value >= LEAST[key]:
            raise InputError(f"{where}: {key} is {value}; choose {LEAST[key]} or more")
        if key == "clip" and not value > 0:
            raise InputError(f"{where}: {key} is {value}, which stops all learning; choose more than 0")
        if key == "ema" and not value < 1:
            raise InputError(f"{where}: {key} is {value}; choose less than 1")
    return cls(**values)


def _required(f: Any) -> bool:
    from dataclasses import MISSING

    return f.default is MISSING and f.default_factory is MISSING


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table, not {value!r}")
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise InputError(f"{where} must be {' or '.join(map(repr, get_args(hint)))}, not {value!r}")
        return value
    if get_origin(hint) is list:
        if not isinstance(value, list):
            raise InputError(f"{where} must be a list, not {value!r}")
        return [_value(get_args(hint)[0], item, where) for item in value]
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table, not {value!r}")
        inner = get_args(hint)[1]
        return {k: v if inner is Any else _value(inner, v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is not Any and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise InputError(f"{where} must be a {hint.__name__}, not {value!r}")
    return value


def _override(table: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set {text}: write it as key=value, for example stage.texture.steps=100")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # a bare word is a string
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {text}: {parent} is not a table")
    table[last] = parsed
