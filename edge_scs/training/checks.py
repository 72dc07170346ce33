"""What a recipe asks for that a run could not do, found before its first step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.recipes import Benchmarks, Recipe, Stage, build
from edge_scs.training.adversarial import LOSSES
from edge_scs.training.discriminators import DISCRIMINATORS, LEAST_SIDE
from edge_scs.training.image_tasks import ImageTask, PointsTask
from edge_scs.training.perceptual import check_features
from edge_scs.training.tasks import TASKS
from edge_scs.weights import loading

COLOUR_SAMPLES = 64  # photographs that are looked at for colour
GREY_LEVELS = 6  # a difference between channels up to which a JPEG of a grey image may stray


def check_stages(recipe: Recipe, model: nn.Module) -> None:
    """Refuse what would only come to light after the stages before it. Raises InputError naming the key."""
    known = {name for name, _ in model.named_modules()} - {""}
    described = registry.describe(recipe.model, model)
    for name in recipe.stages:
        stage, where = recipe.stage[name], f"stage.{name}"
        if stage.task not in TASKS:
            raise InputError(f"{where}.task: no task {stage.task!r}; known: {', '.join(TASKS)}")
        taken, needed = TASKS[stage.task].needs
        if taken not in (None, described.input) or not all(hasattr(model, part) for part in needed):
            raise InputError(f"{where}.task: {recipe.model} cannot learn {stage.task!r}; see its own recipe")
        for key, parts in (
            ("parts", stage.parts),
            ("slow", list(stage.slow)),
            ("muon", list(stage.muon)),
            ("init_from", [*stage.init_from, *stage.init_from.values()]),
        ):
            for part in parts:
                if part not in known and (key, part) != ("parts", "all"):
                    has = ", ".join(child for child, _ in model.named_children())
                    raise InputError(f"{where}.{key}: {recipe.model} has no part {part!r}; it has {has}")
        if (stage.optimizer == "muon") != bool(stage.muon):
            raise InputError(f'{where}.muon: goes with optimizer = "muon"; name submodules, as {{ "texture" = 12.0 }}')
        for part, source in stage.init_from.items():
            one, other = (_shapes(model.get_submodule(name)) for name in (part, source))
            if one != other:
                raise InputError(f"{where}.init_from: {part} cannot be initialised from {source}: their shapes differ")
        if stage.data.views > 2 or stage.data.batch % stage.data.views:
            raise InputError(f"{where}.data.views: is {stage.data.views}; choose 1, or 2 and an even data.batch")
        if stage.consistency and (stage.task != "colour" or stage.data.views != 2):
            raise InputError(f'{where}.consistency: goes with task = "colour" and data.views = 2')
        for key in ("flat_weight", "retain", "sharpen"):
            if getattr(stage, key) and stage.task != "texture":
                raise InputError(f'{where}.{key}: goes with task = "texture"; set it to 0')
        if stage.data.reference_every and not described.reference:
            raise InputError(f"{where}.data.reference_every: {recipe.model} has no reference branch; set it to 0")
        if stage.encoder_init:
            loading.find_encoder(stage.encoder_init)
        _check_scales(stage, where, described)
        _check_on_device(stage, where)
        _check_losses(stage, where)


def _shapes(part: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in part.state_dict().items()}


def warn_of_emulation(recipe: Recipe, device: torch.device, say: Callable[[str], None]) -> None:
    """Say so where a processor computes bf16 by float32: steps took ten times as long (docs/train.md)."""
    if recipe.precision != "bf16" or device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        say("this processor has no bf16 and emulates it very slowly; float32 is faster: --set precision=no")


def _check_scales(stage: Stage, where: str, described: Description) -> None:
    if not stage.data.scales and described.continuous is None and stage.data.whole_scales < 1:
        wanted = f"{where}.data.scales: {described.name} does {described.magnifications} only; name them here"
        raise InputError(f"{wanted}, as {list(described.scales)}")
    for scale in stage.data.scales:
        if not described.enlarges(scale):
            raise InputError(f"{where}.data.scales: {described.name} does {described.magnifications}, not x{scale:g}")
    if stage.data.own_scales and not issubclass(TASKS[stage.task], PointsTask):
        raise InputError(f"{where}.data.own_scales: task {stage.task!r} needs images of one size; set it to false")
    if issubclass(TASKS[stage.task], PointsTask) and stage.data.points < 1:
        raise InputError(f"{where}.data.points: task {stage.task!r} needs a number of points, as 2304")


def _check_on_device(stage: Stage, where: str) -> None:
    data = stage.data
    for key, wrong, fix in (
        ("degradation", data.degradation != "clean", '"clean"'),
        ("fade", data.fade > 0, "0"),
        ("own_scales", data.own_scales, "false"),
    ):
        if data.on_device and wrong:
            raise InputError(f"{where}.data.on_device: {key} is made by the CPU; choose {fix}, or on_device = false")


def _check_losses(stage: Stage, where: str) -> None:
    wanted, adversary = stage.perceptual, stage.adversary
    task = TASKS[stage.task]
    for key, part in (("perceptual", wanted), ("adversary", adversary)):
        if part.weight and not (issubclass(task, ImageTask) and task.whole):
            raise InputError(f"{where}.{key}: task {stage.task!r} has no whole images to compare; set its weight to 0")
    if wanted.weight or adversary.weight:
        data = stage.data
        least = min(data.scales) if data.scales else 1.0 if data.whole_scales < 1 else 2.0
        key, side = "lr_patch", round(data.lr_patch * least)
        if data.crop == "image":
            key, side = "hr_side", int(0.75 * data.hr_side)  # the short side of a scene of 16 to 9
        # Discriminators halve it five times, VGG four times.
        need = LEAST_SIDE if adversary.weight else 16
        if side < need:
            raise InputError(f"{where}.data.{key}: gives HR images of {side} pixels; its losses need {need} or more")
    if wanted.weight:
        check_features(wanted.features, wanted.file, f"{where}.perceptual")
    for key, value, table in (
        ("discriminator", adversary.discriminator, list(DISCRIMINATORS)),
        ("loss", adversary.loss, list(LOSSES)),
    ):
        if value not in table:
            raise InputError(f"{where}.adversary.{key}: no {value!r}; known: {', '.join(table)}")


def check_same_run(
    state: dict[str, Any], recipe: Recipe, processes: int, out: Path, say: Callable[[str], None]
) -> None:
    """Refuse to resume a run of another recipe.

    The same recipe may resume with more or fewer processes, which changes the batch of a step. Or ``batch`` may be
    changed with them so that the whole batch stays: that run is then the same run. What a diverged run is advised to
    lower, ``learning_rate`` and ``clip``, may change in stages that are not finished. Raises InputError.
    """
    saved, before = build(Recipe, _renamed(state["recipe"]), str(out)), state.get("processes", 1)
    changes: list[str] = []
    for name in saved.stages[state["position"]["stage"] :]:
        old, new = saved.stage[name], recipe.stage.get(name)
        if new is not None and (old.learning_rate, old.clip) != (new.learning_rate, new.clip):
            changes.append(f"learning_rate {new.learning_rate:g} and clip {new.clip:g} in stage {name}")
            eased = replace(old, learning_rate=new.learning_rate, clip=new.clip)
            saved = replace(saved, stage=saved.stage | {name: eased})
    if _whole_batches(saved, before) != _whole_batches(recipe, processes):
        if _whole_batches(saved, 1) != _whole_batches(recipe, 1):
            raise InputError(
                f"{out}: was started with another recipe or other --set values; use those, or another --out"
            )
        changes.append(f"{processes} processes instead of {before}, so a step sees another number of images")
    for change in changes:
        say(f"{out}: resumes with {change}")


def _renamed(table: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's recipe with today's keys: ``init_from`` was ``begin_as`` before version 0.2."""
    stages = {
        name: {"init_from" if key == "begin_as" else key: value for key, value in stage.items()}
        for name, stage in table["stage"].items()
    }
    return table | {"stage": stages}


def check_same_photographs(
    state: dict[str, Any], photographs: Photographs, out: Path, say: Callable[[str], None]
) -> None:
    """Say so where a run resumes with other photographs: not as it would have, as every batch is drawn from them."""
    if state.get("photographs", photographs.digest()) != photographs.digest():
        say(f"{out}: resumes with other photographs than before, so every further batch is another one")


def check_colours(recipe: Recipe, photographs: Photographs) -> None:
    """Raise InputError where a stage is to learn colours from photographs that have none."""
    learners = [name for name in recipe.stages if recipe.stage[name].task == "colour"]
    if not learners:
        return
    for index in range(0, len(photographs), max(1, len(photographs) // COLOUR_SAMPLES)):
        image = photographs[index][:, ::4, ::4].int()
        if bool(((image[0] - image[1]).abs() + (image[2] - image[1]).abs() > GREY_LEVELS).any()):
            return
    raise InputError(f"stage.{learners[0]}: the photographs are all grey and teach no colours; give others with --data")


def _whole_batches(recipe: Recipe, processes: int) -> Recipe:
    stages = {
        name: replace(stage, data=replace(stage.data, batch=stage.data.batch * processes))
        for name, stage in recipe.stage.items()
        if name in recipe.stages  # the others are not run
    }
    # Where batches come from and what is written beside the weights may change: the steps stay what they were.
    return replace(
        recipe, stage=stages, workers=0, cache_mb=0, store_mb=0, device_mb=0, verify=True, keep_checkpoints=0,
        benchmarks=Benchmarks(), trackers=[], profile=0,
    )  # fmt: skip
