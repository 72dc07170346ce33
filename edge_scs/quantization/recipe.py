"""The recipe of a quantisation-aware fine-tuning."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_scs import presets
from edge_scs.errors import InputError, did_you_mean
from edge_scs.models import registry
from edge_scs.quantization.quantised_model import parse_variant
from edge_scs.recipes import build, read_table


@dataclass(frozen=True)
class QATRecipe:
    """What is quantised, on what it is calibrated, and how long it learns. ``steps = 0``: no learning (PTQ)."""

    model: str
    variants: list[str] = field(default_factory=lambda: ["x4"])  # "x4", "x3_ref", ...; each step trains one, in turn
    keep_float: list[str] = field(default_factory=list)  # parts of the deployed network that stay float
    keep_float_with_hints: list[str] = field(default_factory=list)  # further ones, in variants that take hints
    calibration: int = 64  # photographs that the activation ranges are measured on
    steps: int = 400
    learning_rate: float = 1e-5
    final_rate: float = 0.1  # share of learning_rate left at the end of the cosine
    batch: int = 4
    hr: list[int] = field(default_factory=lambda: [264, 336])  # rows, columns of the large image
    crop: Literal["image", "patch"] = (
        "image"  # "image": most of a photograph, made smaller; "patch": a window at its own resolution
    )
    teacher_weight: float = 1.0  # L1 to what the float network answers
    restoration: float = 0.0  # which end of the float weights: 0 clean, 1 restoring
    degradation: Literal["clean", "worn", "old", "copied", "bsrgan"] = "clean"  # of the inputs (``data.degradation``)
    truth_weight: float = 0.5  # L1 to the photograph: its luma if the network invents the colours
    flat_weight: float = 0.0  # of the luma error on flat images (``training.flats.power_mean``)
    ema: float = 0.0  # of the weights; 0: the last ones are taken
    seed: int = 1
    validate_every: int = 100
    checkpoint_every: int = 50


def load_qat_recipe(recipe: Path | str, overrides: list[str] | None = None) -> QATRecipe:
    """Read a recipe: a TOML file, or the name of a shipped one ("edge_scs_m_qat"); ``overrides`` are ``--set`` texts.

    Raises InputError naming the key and the fix.
    """
    path = presets.find("recipes", recipe)
    plan: QATRecipe = build(QATRecipe, read_table(path, overrides), str(path))
    if plan.model not in registry.MODELS:
        raise InputError(f"{path}: model: no network {plan.model!r}; {did_you_mean(plan.model, registry.names())}")
    if not plan.variants:
        raise InputError(f"{path}: variants is empty; name at least one, such as x4")
    if len(plan.hr) != 2:
        raise InputError(f"{path}: hr must be rows and columns, such as [264, 336]")
    for name in plan.variants:
        scale = parse_variant(name).scale
        if scale < 1 or any(side % scale or side <= 0 for side in plan.hr):
            raise InputError(f"{path}: hr {plan.hr} cannot be divided by {scale}, as variant {name} needs it")
    return plan
