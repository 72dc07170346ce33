"""The training loop: stages, one step after another, on whatever accelerate finds.

Everything that influences a step is either in the checkpoint (weights, EMA, optimizer, position) or a function of the
step itself (batch, learning rate), so a killed run goes on as if nothing had happened.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_scs.data.pairs import StepBatches
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.files import sweep
from edge_scs.recipes import Recipe, Stage
from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.guard import Guard, next_batch
from edge_scs.training.log import MetricsLog, Progress, contact_sheet
from edge_scs.training.tasks import TASKS, validate
from edge_scs.weights import loading


@dataclass
class Outcome:
    """``weights`` is the averaged network's file; None if the run was interrupted before the end."""

    weights: Path | None
    interrupted: bool


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine down to ``final_rate`` of the peak. A function of the step alone."""
    if step < stage.warmup:
        return stage.learning_rate * (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.learning_rate * (stage.final_rate + (1 - stage.final_rate) * (1 + math.cos(math.pi * done)) / 2)


def train(
    recipe: Recipe,
    photographs: Photographs,
    out: Path,
    resume: bool = False,
    init: Path | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Run a recipe's stages and write ``out``/weights.safetensors (EMA), metrics.csv, validation sheets, checkpoints.

    ``init`` starts from a weights file of the same network. Raises InputError when ``out`` holds a run and ``resume``
    is False, when the run there followed another recipe, or when a stage names parts or a task that do not exist.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, set_seed

    # Without a reference in the batch some parts of the colour branch get no gradient: DDP has to expect that.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=recipe.precision, kwargs_handlers=[ddp])
    say = say if accelerator.is_main_process else _silent
    if accelerator.is_main_process:
        sweep(out)  # what a killed run left unfinished
    state = load_checkpoint(out, say) if resume else None
    if not resume and (out / "checkpoint.pt").exists():
        raise InputError(f"{out}: holds a run already; add --resume to go on with it, or choose another --out")
    if state is not None and state["recipe"] != asdict(recipe):
        raise InputError(f"{out}: was started with another recipe or other --set values; use those, or another --out")

    set_seed(recipe.seed)
    model = loading.create(recipe.model, recipe.config, "recipe")
    check_stages(recipe, model)
    if init is not None:
        loading.load_state(model, loading.read_safetensors(init)[0], init)
    training, validation = photographs.split()
    log = MetricsLog(out, enabled=accelerator.is_main_process)
    position = {"stage": 0, "step": 0} if state is None else state["position"]
    if state is not None:
        model.load_state_dict(state["ema"])
    # Also without a checkpoint: a run killed before its first one has left rows too.
    log.truncate(position["stage"], position["step"])

    with _stop_on_signals() as stopping:
        for number in range(position["stage"], len(recipe.stages)):
            name = recipe.stages[number]
            run = _StageRun(accelerator, recipe, name, number, model, training)
            start = 0
            if state is not None and number == position["stage"] and position["step"] > 0:
                run.restore(state)
                start = position["step"]
            for step in run.steps(start, say, log, stopping):
                whole = step == run.stage.steps
                if accelerator.is_main_process and (whole or step % recipe.validate_every == 0):
                    with run.averaged():
                        figures = validate(run.model, validation)
                        contact_sheet(run.model, validation, out / "sheets" / f"{name}-{step:07d}.png")
                    log.write(number, name, step - 1, figures)
                    say(f"{name} {step}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
                if accelerator.is_main_process and (whole or stopping() or step % recipe.checkpoint_every == 0):
                    save_checkpoint(out, run.state(number, step))
            if stopping():
                say(f"interrupted in stage {name}; go on with --resume --out {out}")
                return Outcome(None, interrupted=True)
            run.finish()
    path = out / "weights.safetensors"
    if accelerator.is_main_process:
        loading.save(path, recipe.model, model, {"stages": ",".join(recipe.stages), "seed": str(recipe.seed)})
    return Outcome(path, interrupted=False)


class _StageRun:
    """One stage under way: its task, optimizer and weight average."""

    def __init__(self, accelerator: Any, recipe: Recipe, name: str, number: int, model: Any, photographs: Photographs):
        self.accelerator, self.recipe, self.name, self.number = accelerator, recipe, name, number
        self.stage = stage = recipe.stage[name]
        self.model = model.to(accelerator.device)
        if recipe.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.model.train().requires_grad_(False)
        for part in stage.parts:
            self.model.get_submodule(part).requires_grad_(True)
        self.parameters: list[torch.Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        task = TASKS[stage.task](self.model, stage, photographs).to(accelerator.device)
        groups = _parameter_groups(self.model, stage)
        optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, weight_decay=stage.weight_decay)
        self.task, self.optimizer = accelerator.prepare(torch.compile(task) if recipe.compile else task, optimizer)
        self.ema = [p.detach().clone() for p in self.parameters]
        self.guard = Guard(name)
        self.batches = StepBatches(photographs, stage.data, recipe.seed + 1000 * number, accelerator.process_index)

    def steps(self, start: int, say: Any, log: MetricsLog, stopping: Callable[[], bool]) -> Iterator[int]:
        """Take the steps, yielding how many are done after each."""
        workers = self.recipe.workers
        loader = iter(
            torch.utils.data.DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(start * self.stage.accumulate, self.stage.steps * self.stage.accumulate),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
            )
        )
        with Progress(self.name, start, self.stage.steps, say) as progress:
            for step in range(start, self.stage.steps):
                begun = time.perf_counter()
                losses, pictures = self._step(loader, step)
                if "skipped" in losses:
                    say(f"{self.name} {step}: no finite gradient, step skipped, {self.guard.skipped} so far")
                log.write(self.number, self.name, step, losses | {"learning_rate": learning_rate(self.stage, step)})
                progress.advance(losses["loss"], pictures, time.perf_counter() - begun)
                yield step + 1
                if stopping():
                    return

    def _step(self, loader: Iterator[Any], step: int) -> tuple[dict[str, float], int]:
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(self.stage, step)
        pictures, means = 0, dict[str, float]()
        for _ in range(self.stage.accumulate):
            batch = next_batch(loader).to(self.accelerator.device)
            with self.accelerator.autocast():
                losses = self.task(batch)
            self.accelerator.backward(losses["loss"] / self.stage.accumulate)
            for key, value in losses.items():
                means[key] = means.get(key, 0.0) + float(value.detach()) / self.stage.accumulate
            pictures += len(batch.gray) * self.accelerator.num_processes
        good = self.guard.passes(self.accelerator.clip_grad_norm_(self.parameters, self.stage.clip))
        if good or self.accelerator.scaler is not None:  # a scaler skips bad steps itself, and learns from them
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not good:
            return means | {"skipped": float(self.guard.skipped)}, pictures
        # A young average follows closely, else it would remember the initialisation for thousands of steps.
        decay = min(self.stage.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.ema, self.parameters, 1 - decay)
        return means, pictures

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights, in eval mode, and back."""
        current = [p.detach().clone() for p in self.parameters]
        self._put(self.ema)
        self.model.eval()
        yield
        self._put(current)
        self.model.train()

    def finish(self) -> None:
        """The stage's result is the average."""
        self._put(self.ema)
        self.model.eval()

    def _put(self, values: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

    def state(self, number: int, step: int) -> dict[str, Any]:
        """Checkpoint contents. ``step`` of a finished stage is 0 of the next one, which starts from the average."""
        finished = step == self.stage.steps
        with self.averaged():
            ema = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        return {
            "recipe": asdict(self.recipe),
            "position": {"stage": number + finished, "step": 0 if finished else step},
            "model": dict(self.model.state_dict()),
            "ema": ema,
            "ema_list": self.ema,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on in the middle of this stage."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for own, saved in zip(self.ema, state["ema_list"], strict=True):
            own.copy_(saved)


def check_stages(recipe: Recipe, model: nn.Module) -> None:
    """Refuse what would only come to light after the stages before it. Raises InputError naming the key."""
    known = {name for name, _ in model.named_modules()}
    for name in recipe.stages:
        stage = recipe.stage[name]
        if stage.task not in TASKS:
            raise InputError(f"stage.{name}.task: no task {stage.task!r}; known: {', '.join(TASKS)}")
        for key, parts in (("parts", stage.parts), ("slow", list(stage.slow))):
            for part in parts:
                if part not in known:
                    has = ", ".join(child for child, _ in model.named_children())
                    raise InputError(f"stage.{name}.{key}: {recipe.model} has no part {part!r}; it has {has}")
        if stage.encoder_init:
            loading.find_encoder(stage.encoder_init)


def _parameter_groups(model: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """One optimizer group for each entry of ``stage.slow``, one for all other parameters that learn."""
    shares: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            share = next((share for prefix, share in stage.slow.items() if name.startswith(f"{prefix}.")), 1.0)
            shares.setdefault(share, []).append(parameter)
    return [{"params": parameters, "share": share} for share, parameters in shares.items() if parameters]


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM ask for a checkpoint at the end of the step; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _silent(text: str) -> None:
    pass
