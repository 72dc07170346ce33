"""The training loop: stages, one step after another, on whatever accelerate finds.

Everything that influences a step is either in the checkpoint (weights, EMA, optimizers, discriminators, position) or a
function of the step itself (batch, learning rate), so a killed run resumes as if nothing had happened.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_scs.data.agreement import all_or_none, check_same, of_first, unless_others_end
from edge_scs.data.on_device import Resident
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.files import sweep
from edge_scs.interrupts import stop_on_signals
from edge_scs.models import registry
from edge_scs.recipes import Recipe
from edge_scs.training.checkpoints import check_first_is_ahead, holds_run, load_checkpoint, save_checkpoint
from edge_scs.training.checks import (
    check_colours,
    check_same_photographs,
    check_same_run,
    check_stages,
    warn_of_emulation,
)
from edge_scs.training.initial import initialise
from edge_scs.training.log import MetricsLog, contact_sheet
from edge_scs.training.processes import without_accelerator
from edge_scs.training.stage import StageRun
from edge_scs.training.validation import validate
from edge_scs.training.watching import Evaluate, benchmarked, check_benchmarks, check_trackers, start_trackers
from edge_scs.weights import loading


@dataclass
class Outcome:
    """``weights`` is the averaged network's file; None if the run was interrupted before the end.

    ``first``: this is the first of the run's processes, the one that writes and speaks.
    """

    weights: Path | None
    interrupted: bool
    first: bool = True


def train(
    recipe: Recipe,
    photographs: Photographs,
    out: Path,
    resume: bool = False,
    init: Path | None = None,
    say: Callable[[str], None] = print,
    evaluate: Evaluate | None = None,
) -> Outcome:
    """Run a recipe's stages and write ``out``/weights.safetensors (EMA), metrics.csv, validation sheets, checkpoints.

    ``init`` starts from a weights file of the same network; a resumed run has no use for it. ``evaluate`` computes what
    the recipe's [benchmarks] ask for. Raises InputError
    when ``out`` holds a run and ``resume`` is False, when the run there followed another recipe, when a stage names
    what does not exist, or when a loss is not finite any more.
    """
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        torch.use_deterministic_algorithms(True, warn_only=True)  # some have none, and say so
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, set_seed

    # Without a reference in the batch some parts of the colour branch get no gradient: DDP has to expect that.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    check_trackers(recipe)
    accelerator = Accelerator(
        cpu=without_accelerator(), mixed_precision=recipe.precision, kwargs_handlers=[ddp],
        log_with=[*recipe.trackers] or None, project_dir=str(out / "trackers") if recipe.trackers else None,
    )  # fmt: skip
    first, processes = accelerator.is_main_process, accelerator.num_processes
    say = say if first else _silent
    check_same(lambda: recipe_lines(asdict(recipe)), "the recipes", "give every process the same file and --set values")
    if first:
        for folder in (out, out / "sheets"):
            sweep(folder)  # what a killed run left unfinished
    if resume:
        check_first_is_ahead(out)

    def beginning() -> dict[str, Any] | None:
        if not resume and holds_run(out):
            raise InputError(f"{out}: holds a run already; add --resume to continue it, or choose another --out")
        state = load_checkpoint(out, say) if resume else None
        if state is not None:
            check_same_run(state, recipe, processes, out, say)
            check_same_photographs(state, photographs, out, say)
        return state

    state = of_first(beginning)  # the others may see another disk

    def prepared() -> tuple[nn.Module, Photographs, Photographs]:
        set_seed(recipe.seed)
        model = loading.create(recipe.model, recipe.config, "recipe")
        initialise(model, recipe)
        if state is not None:
            model.load_state_dict(state["ema"])
        elif init is not None:
            loading.load_state(model, loading.read_safetensors(init)[0], init)
        check_stages(recipe, model)
        check_benchmarks(recipe, registry.describe(recipe.model, model), evaluate)
        warn_of_emulation(recipe, accelerator.device, say)
        training, validation = photographs.split()
        check_colours(recipe, training)
        return model, training, validation

    model, training, validation = all_or_none(prepared)
    resident = Resident(training, recipe.device_mb << 20, say)
    log = MetricsLog(out, first, start_trackers(accelerator, recipe, recipe_lines(asdict(recipe)), out))
    position = {"stage": 0, "step": 0} if state is None else state["position"]
    # Also without a checkpoint: a run killed before its first one has left rows too.
    log.truncate(position["stage"], position["step"])

    lost = f"Once that is put right, resume with --resume --out {out}"
    with stop_on_signals() as stop_requested, unless_others_end(lost):
        for number in range(position["stage"], len(recipe.stages)):
            name = recipe.stages[number]
            start = position["step"] if state is not None and number == position["stage"] else 0
            run = StageRun(accelerator, recipe, name, number, model, training, resident)
            if state is not None and start:
                run.restore(state)
            for step in run.steps(start, say, log, stop_requested, out):
                whole = step == run.stage.steps
                if first and (whole or step % recipe.validate_every == 0):
                    with run.averaged():
                        side, held = recipe.validate_side, recipe.validate_images
                        figures = validate(run.model, validation, run.colour, side, held)
                        figures["validation_loss"] = run.validation_loss(validation)
                        sheet = out / "sheets" / f"{name}-{step:07d}.png"
                        contact_sheet(run.model, validation, sheet, run.colour, min(6, held), side)
                    log.write(number, name, step - 1, figures)
                    say(f"{name} {step}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
                if first and evaluate is not None and is_due(recipe, step, whole):
                    with run.averaged():
                        described = registry.describe(recipe.model, run.model)
                        figures = benchmarked(recipe, run.model, described, accelerator.device, evaluate)
                    log.write(number, name, step - 1, figures)
                    say(f"{name} {step}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
                if first and (whole or run.stopped or step % recipe.checkpoint_every == 0):
                    # A finished stage is at step 0 of the next one, which starts from the average.
                    position = {"stage": number + whole, "step": 0 if whole else step}
                    save_checkpoint(
                        out,
                        {
                            "recipe": asdict(recipe),
                            "processes": processes,
                            "photographs": photographs.digest(),
                            "position": position,
                        }
                        | run.state(),
                        recipe.keep_checkpoints,
                    )
            if run.stopped:
                say(f"interrupted in stage {name}; resume with --resume --out {out}")
                return Outcome(None, interrupted=True, first=first)
            run.finish()
    if recipe.trackers:
        accelerator.end_training()
    path = out / "weights.safetensors"
    if first:
        loading.save(path, recipe.model, model, {"stages": ",".join(recipe.stages), "seed": str(recipe.seed)})
    return Outcome(path, interrupted=False, first=first)


def is_due(recipe: Recipe, step: int, whole: bool) -> bool:
    """Whether benchmarks are evaluated after so many steps of a stage."""
    every = recipe.benchmarks.every
    return every > 0 and (whole or step % every == 0)


def recipe_lines(table: dict[str, Any], before: str = "") -> list[str]:
    """A recipe's keys and values, "stage.l1.steps = 100"."""
    lines = []
    for key, value in table.items():
        inner = isinstance(value, dict)
        lines += recipe_lines(value, f"{before}{key}.") if inner else [f"{before}{key} = {value}"]
    return lines


def _silent(text: str) -> None:
    pass
