"""One stage of training under way: its task, optimizers and weight average, and in GAN stages its discriminators."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.data.on_device import Planned, PlannedBatches, Resident
from edge_scs.data.pairs import StepBatches, few_shapes
from edge_scs.data.photographs import Photographs
from edge_scs.data.points import PointBatches
from edge_scs.models import registry
from edge_scs.recipes import Recipe, Stage
from edge_scs.training.adversarial import LOSSES
from edge_scs.training.discriminators import DISCRIMINATORS
from edge_scs.training.divergence import Guard, next_batch
from edge_scs.training.log import MetricsLog, Progress
from edge_scs.training.optimizers import from_groups, load, optimizer, set_rate
from edge_scs.training.speed import Speed, device_peak
from edge_scs.training.tasks import TASKS
from edge_scs.training.validation import held_out_loss
from edge_scs.training.watching import profiled


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine down to ``final_rate`` of the peak, or steps that halve it. Of the step alone."""
    if step < stage.warmup:
        return stage.learning_rate * (step + 1) / stage.warmup
    if stage.halve_every:
        return stage.learning_rate * 0.5 ** (step // stage.halve_every)
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.learning_rate * (stage.final_rate + (1 - stage.final_rate) * (1 + math.cos(math.pi * done)) / 2)


def kept(stage: Stage, step: int) -> float:
    """The share of the average of weights that a step keeps. Of the step alone."""
    # A young average follows closely, else it would remember the initialisation for thousands of steps.
    return min(stage.ema, (1 + step) / (10 + step))


class StageRun:
    """A stage from its first step, or from where a checkpoint left it (``restore``; then not ``fresh``), to its last.

    Each step the network is trained first, against the discriminators as they are; then they are, on the same images.
    """

    def __init__(
        self,
        accelerator: Any,
        recipe: Recipe,
        name: str,
        number: int,
        model: Any,
        photographs: Photographs,
        resident: Resident | None = None,
    ):
        self.accelerator, self.recipe, self.name, self.number = accelerator, recipe, name, number
        self.stage = stage = recipe.stage[name]
        about = registry.describe(recipe.model, model)
        self.colour, self.heads = about.input == "rgb", about.scales
        self.model = model.to(accelerator.device)
        self.seed = recipe.seed + 1000 * number
        rank, processes = accelerator.process_index, accelerator.num_processes
        kind = PointBatches if stage.data.own_scales else PlannedBatches if stage.data.on_device else StepBatches
        self.batches = kind(photographs, stage.data, self.seed, rank, processes, self.colour, self.heads, True)
        self.resident: Tensor | None = None  # photographs on the device
        if isinstance(self.batches, PlannedBatches) and resident is not None:
            self.resident = resident.pixels(accelerator.device)
            self.batches.resident = self.resident is not None
        self.on_gpu = accelerator.device.type == "cuda"
        # The first call of every shape tries all algorithms: that pays where the shapes of a stage are few.
        torch.backends.cudnn.benchmark = few_shapes(stage.data) and not recipe.deterministic
        for part, source in stage.init_from.items():  # resumed in the middle, what it has become is restored
            self.model.get_submodule(part).load_state_dict(self.model.get_submodule(source).state_dict())
        self.plain = TASKS[stage.task](self.model, stage, photographs).to(accelerator.device)
        if recipe.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.model.train().requires_grad_(False)
        for part in stage.parts:
            self.model.get_submodule("" if part == "all" else part).requires_grad_(True)
        self.parameters: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.adversary: _Adversary | None = None
        if stage.adversary.weight:
            self.adversary = _Adversary(accelerator, recipe, stage, self.seed)
            self.plain.discriminators = (self.adversary.discriminator,)
        self.task, self.optimizer = accelerator.prepare(
            _maybe_compiled(self.plain, recipe), optimizer(self.model, stage)
        )
        # Not torch.optim.swa_utils.AveragedModel: it copies the whole network, where only what learns needs an average.
        self.ema = [p.detach().clone() for p in self.parameters]
        self.guard = Guard(name)
        self.stopped = False
        self.waited = 0.0  # seconds for batches

    def steps(
        self, start: int, say: Any, log: MetricsLog, requested: Callable[[], bool], out: Path = Path()
    ) -> Iterator[int]:
        """Take the steps, yielding how many are done after each; when a stop is ``requested`` it sets ``stopped``.

        A profile goes to ``out``/profile.
        """
        workers = self.recipe.workers
        loader = iter(
            torch.utils.data.DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(start * self.stage.accumulate, self.stage.steps * self.stage.accumulate),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                pin_memory=self.on_gpu,
            )
        )
        speed = Speed(device_peak(self.accelerator.device, self.recipe.precision, self.recipe.compile))
        recorded = self.recipe.profile if self.accelerator.is_main_process else 0
        trace = out / "profile" / f"{self.name}-{start:07d}.json"
        with (
            Progress(self.name, start, self.stage.steps, say) as progress,
            profiled(recorded, trace, self.on_gpu, say) as step_recorded,
        ):
            for step in range(start, self.stage.steps):
                begun = time.perf_counter()
                with speed.counting():
                    losses, images = self.step(loader, step)
                losses, self.stopped = self._agree(losses, requested())
                losses |= speed.advance(images, time.perf_counter() - begun, self.waited)
                if "skipped" in losses:
                    say(f"{self.name} {step}: no finite gradient, step skipped, {self.guard.skipped} so far")
                log.write(self.number, self.name, step, losses | {"learning_rate": learning_rate(self.stage, step)})
                progress.advance(losses["loss"], images, time.perf_counter() - begun)
                step_recorded()
                yield step + 1
                if self.stopped:
                    return

    def step(self, loader: Iterator[Any], step: int) -> tuple[dict[str, float], int]:
        """One step of both sides: the losses' means over its batches, and how many images it saw."""
        set_rate(self.optimizer, learning_rate(self.stage, step))
        # What a network draws in training (SwinIR's drop path) is a function of the step, as batches are.
        torch.manual_seed((1_000_003 * self.seed + step) * 4096 + self.accelerator.process_index)
        images, pairs, found = 0, [], list[dict[str, Tensor]]()
        if self.adversary is not None:
            self.adversary.discriminator.requires_grad_(False)
        for turn in range(self.stage.accumulate):
            begun = time.perf_counter()
            batch = next_batch(loader)
            self.waited += time.perf_counter() - begun
            device = self.accelerator.device
            batch = batch.made(device, self.resident) if isinstance(batch, Planned) else batch.to(device)
            last = turn + 1 == self.stage.accumulate  # the only one after which processes exchange gradients
            with nullcontext() if last else self.accelerator.no_sync(self.task):
                with self.accelerator.autocast():
                    losses = self.task(batch)
                if self.adversary is not None:
                    pairs.append((losses.pop("real"), losses.pop("fake")))
                self.accelerator.backward(losses["loss"] / self.stage.accumulate)
            found.append({key: value.detach() for key, value in losses.items()})
            images += len(batch.gray) * self.accelerator.num_processes
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.stage.clip)
        means, length = _read(found, norm)
        good = self.guard.passes(length)
        if good:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not good:  # nor is the discriminator shown what came of it
            return means | {"skipped": float(self.guard.skipped)}, images
        means["gradient_norm"] = length
        if self.adversary is not None:
            means["discriminator"] = self.adversary.step(pairs, learning_rate(self.stage, step))
        torch._foreach_lerp_(self.ema, self.parameters, 1 - kept(self.stage, step))
        return means, images

    def _agree(self, losses: dict[str, float], requested: bool) -> tuple[dict[str, float], bool]:
        """The losses' means over the processes, and whether one of them was to stop: all stop at the same step."""
        if self.accelerator.num_processes == 1:
            return losses, requested
        values = torch.tensor([*losses.values(), float(requested)], device=self.accelerator.device)
        *means, stop = self.accelerator.reduce(values, "mean").tolist()
        return dict(zip(losses, means, strict=True)), stop > 0

    def validation_loss(self, photographs: Photographs) -> float:
        """The task's loss on held-out photographs, in one process, with the weights as they are."""
        data = replace(self.stage.data, batch=self.stage.data.views)
        batches = StepBatches(photographs, data, self.seed, colour=self.colour, heads=self.heads)
        with self.accelerator.autocast():
            return held_out_loss(
                self.plain,
                batches,
                self.accelerator.device,
                self.recipe.validate_images,
                self.stage.adversary.weight,
            )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with its averaged weights, all in eval mode, and back."""
        current = [p.detach().clone() for p in self.parameters]
        self._put(self.ema)
        self._train(False)
        yield
        self._put(current)
        self._train(True)

    def finish(self) -> None:
        """The stage's result is the average."""
        self._put(self.ema)
        self.model.eval()
        self.accelerator.free_memory()  # it remembers every optimizer that it has prepared

    def _train(self, mode: bool) -> None:
        self.model.train(mode)
        if self.adversary is not None:
            self.adversary.discriminator.train(mode)

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to resume in the middle of this stage, or after it."""
        with self.averaged():
            ema = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        return {
            "model": dict(self.model.state_dict()),
            "ema": ema,
            "ema_list": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "adversary": None if self.adversary is None else self.adversary.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume in the middle of this stage."""
        self.model.load_state_dict(state["model"])
        load(self.optimizer, state["optimizer"])
        for own, saved in zip(self.ema, state["ema_list"], strict=True):
            own.copy_(saved)
        if self.adversary is not None:
            self.adversary.restore(state["adversary"])


class _Adversary:
    """The discriminators of a GAN stage, with an optimizer of their own."""

    def __init__(self, accelerator: Any, recipe: Recipe, stage: Stage, seed: int):
        self.accelerator, self.stage = accelerator, stage
        with torch.random.fork_rng(devices=[]):  # the same ones, whatever was drawn before this stage
            torch.manual_seed(seed)
            self.discriminator: nn.Module = DISCRIMINATORS[stage.adversary.discriminator](stage.adversary.channels)
        layout = torch.channels_last if recipe.channels_last else torch.preserve_format
        self.discriminator.to(accelerator.device, memory_format=layout).train()  # type: ignore[call-overload]
        group = {"params": list(self.discriminator.parameters()), "share": stage.adversary.share}
        task = _maybe_compiled(_DiscriminatorTask(self.discriminator, stage.adversary.loss), recipe)
        self.task, self.optimizer = accelerator.prepare(task, from_groups([group], stage))

    def step(self, pairs: list[tuple[Tensor, Tensor]], rate: float) -> float:
        """One step on (real, fake) images; returns the mean loss before it."""
        set_rate(self.optimizer, rate)
        self.discriminator.requires_grad_(True)
        losses: list[Tensor] = []
        for turn, (real, fake) in enumerate(pairs, 1):
            with nullcontext() if turn == len(pairs) else self.accelerator.no_sync(self.task):
                with self.accelerator.autocast():
                    loss = self.task(real, fake)
                self.accelerator.backward(loss / len(pairs))
            losses.append(loss.detach())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return sum(value / len(pairs) for value in torch.stack(losses).cpu().tolist())

    def state(self) -> dict[str, Any]:
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        self.discriminator.load_state_dict(state["discriminator"])
        load(self.optimizer, state["optimizer"])


class _DiscriminatorTask(nn.Module):
    def __init__(self, discriminator: nn.Module, loss: str):
        super().__init__()
        self.discriminator, self.loss = discriminator, LOSSES[loss]

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.loss.discriminator(self.discriminator(real), self.discriminator(fake))


def _read(found: list[dict[str, Tensor]], norm: Tensor) -> tuple[dict[str, float], float]:
    """The means of a step's losses over its batches, and its gradient's norm, by one transfer from the device."""
    values = [value for losses in found for value in losses.values()]
    *numbers, length = torch.stack([value.float() for value in (*values, norm)]).cpu().tolist()
    means: dict[str, float] = {}
    for (key, _), number in zip([item for losses in found for item in losses.items()], numbers, strict=True):
        means[key] = means.get(key, 0.0) + number / len(found)
    return means, length


def _maybe_compiled(task: nn.Module, recipe: Recipe) -> Any:
    return torch.compile(task) if recipe.compile else task
