"""Quantisation-aware fine-tuning: ranges measured once and frozen, weights taught by the float network.

Steps take the variants (``family``) in turn. A step is a function of its number and of what the checkpoint holds, so an
interrupted run resumes exactly.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from edge_scs.artifacts.manifest import weights_sha256
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.files import sweep
from edge_scs.interrupts import stop_on_signals
from edge_scs.quantization.family import Family
from edge_scs.quantization.quantised_model import save
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.training.checkpoints import holds_run, load_checkpoint, save_checkpoint
from edge_scs.training.checks import check_same_photographs
from edge_scs.training.log import MetricsLog, Progress
from edge_scs.training.loop import Outcome
from edge_scs.weights import restoration
from edge_scs.weights.loading import Loaded


def finetune(
    recipe: QATRecipe,
    loaded: Loaded,
    photographs: Photographs,
    out: Path,
    resume: bool = False,
    say: Callable[[str], None] = print,
    device: torch.device | None = None,
) -> Outcome:
    """Make ``out``/int8.safetensors (``quantization.quantised_model``) of a float network; metrics.csv lies beside it.

    ``device``: where the network learns; None: a GPU if there is one. A run may resume on another device.

    Raises InputError when ``out`` holds another run, or one of other weights, when the network cannot be prepared, or
    when the recipe asks for a variant that it does not have.
    """
    if recipe.model != loaded.name:
        raise InputError(f"{loaded.source}: holds {loaded.name}, the recipe is for {recipe.model}")
    state = load_checkpoint(out, say) if resume else None
    if not resume and holds_run(out):
        raise InputError(f"{out}: holds a run already; add --resume to continue it, or choose another --out")
    if state is not None and state["recipe"] != asdict(recipe):
        raise InputError(f"{out}: was started with another recipe or other --set values; use those, or another --out")
    teacher = weights_sha256(loaded.model)
    if state is not None and state.get("weights", teacher) != teacher:
        raise InputError(f"{out}: was started from other --weights than {loaded.source}; use those, or another --out")
    if state is not None:
        check_same_photographs(state, photographs, out, say)
    torch.manual_seed(recipe.seed)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training, validation = photographs.split()
    family = Family(recipe, loaded, device)
    sweep(out)
    log = MetricsLog(out)  # before minutes of calibrating: the folder may not be one
    if state is None:
        for name in family.names:
            say(f"calibrating {name} on {min(recipe.calibration, len(training))} photographs")
            family.calibrate(name, training)
    else:
        family.set_ranges(state["ranges"])
    optimizer = torch.optim.Adam(family.parameters, lr=recipe.learning_rate)
    average = [parameter.detach().clone() for parameter in family.parameters]
    start = 0
    if state is not None:
        start = int(state["step"])
        family.put(state["parameters"])
        optimizer.load_state_dict(state["optimizer"])
        average = [value.to(device) for value in state["average"]]
    log.truncate(0, start)

    def validate(step: int) -> None:
        figures = family.validate(validation)
        log.write(0, "qat", step - 1, figures)  # belongs to the step before it
        say(f"step {step}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))

    if start == 0:
        validate(0)
    with stop_on_signals() as stopping, Progress("qat", start, recipe.steps, say) as progress:
        for step in range(start, recipe.steps):
            rate = learning_rate(recipe, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            begun = time.perf_counter()
            losses = family.losses(step, training)
            if not bool(losses["loss"].isfinite()):
                fix = "lower learning_rate, or name a part in keep_float, with another --out"
                raise InputError(f"step {step}: the loss is not finite; {fix}")
            losses["loss"].backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                torch._foreach_lerp_(average, family.parameters, 1 - min(recipe.ema, (1 + step) / (10 + step)))
            log.write(0, "qat", step, {key: float(value.detach()) for key, value in losses.items()})
            progress.advance(float(losses["loss"].detach()), recipe.batch, time.perf_counter() - begun)
            last = step + 1 == recipe.steps
            if last or (step + 1) % recipe.validate_every == 0:
                with family.replaced(average):
                    validate(step + 1)
            if last or stopping() or (step + 1) % recipe.checkpoint_every == 0:
                save_checkpoint(
                    out,
                    {
                        "recipe": asdict(recipe),
                        "step": step + 1,
                        "weights": teacher,
                        "photographs": photographs.digest(),
                        "ranges": family.ranges(),
                        "parameters": family.parameters,
                        "average": average,
                        "optimizer": optimizer.state_dict(),
                    },
                )
            if stopping():
                say(f"interrupted; resume with --resume --out {out}")
                return Outcome(None, interrupted=True)
    path = out / "int8.safetensors"
    family.put(average)
    made = {"steps": str(recipe.steps), "seed": str(recipe.seed)}
    if loaded.restoration:
        made[restoration.SPEC] = f"{loaded.restoration:g}"
    save(path, recipe.model, family.quantised(), made)
    return Outcome(path, interrupted=False)


def learning_rate(recipe: QATRecipe, step: int) -> float:
    """A cosine from ``learning_rate`` down to its ``final_rate``."""
    share = (1 + math.cos(math.pi * step / max(1, recipe.steps))) / 2
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * share)
