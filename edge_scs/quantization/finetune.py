"""Quantisation-aware fine-tuning: ranges measured once and frozen, weights taught by the float network.

Every variant (scale, with or without a reference) is a graph of its own, because its fake quantisers are; the
parameters are the same tensors in all of them. Steps take the variants in turn. A step is a function of its number and
of what the checkpoint holds, so an interrupted run resumes exactly.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.artifacts.manifest import weights_sha256
from edge_scs.color import luma, rgb_to_ycc
from edge_scs.data.degradation import degrade, grey
from edge_scs.data.pairs import draw_hints, draw_references, draw_windows
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError, did_you_mean
from edge_scs.files import sweep
from edge_scs.interrupts import stop_on_signals
from edge_scs.lowering.deploy import absorb, deploy
from edge_scs.models.colour import answer_size
from edge_scs.models.hints import true_hints
from edge_scs.models.registry import Description
from edge_scs.quantization.prepare import prepare
from edge_scs.quantization.quantised_model import KEEP_FLOAT, Quantised, parse_variant, save
from edge_scs.quantization.ranges import Range, Ranges, observe_weights
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.recipes import DataSection
from edge_scs.training.checkpoints import holds_run, load_checkpoint, save_checkpoint
from edge_scs.training.checks import check_same_photographs
from edge_scs.training.log import MetricsLog, Progress
from edge_scs.training.loop import Outcome
from edge_scs.weights import restoration
from edge_scs.weights.loading import Loaded

VALIDATION_IMAGES = 16
Inputs = list[Tensor]


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


class Family:
    """The prepared graphs of a network's variants, sharing their parameters, and the float network that teaches."""

    def __init__(
        self,
        recipe: QATRecipe,
        loaded: Loaded,
        device: torch.device,
        variants: Sequence[str] | None = None,
        keep_float: Sequence[str] | None = None,
    ):
        """``variants`` replaces the recipe's, ``keep_float`` both of its lists."""
        self.recipe, self.device, self.about = recipe, device, loaded.description
        if self.about.no_export:
            raise InputError(f"{loaded.name}: cannot be quantised, as it cannot be exported: {self.about.no_export}")
        self.model = loaded.model.to(device)
        self.section = DataSection(batch=recipe.batch, crop=recipe.crop)
        self.names = list(recipe.variants if variants is None else variants)
        self.keep_float = list(recipe.keep_float if keep_float is None else keep_float)
        self.keep_float_with_hints = list(recipe.keep_float_with_hints if keep_float is None else ())
        self.teacher: dict[str, nn.Module] = {}
        self.deployed: dict[str, nn.Module] = {}
        self.graphs: dict[str, Any] = {}
        self.activations: dict[str, Ranges] = {}
        shared: dict[str, nn.Parameter] = {}
        for name in self.names:
            check_variant(self.about, name)
        first = parse_variant(self.names[0]).scale
        small = (recipe.hr[0] // first, recipe.hr[1] // first)
        whole = deploy(self.model, small, self.size, self.about.reference, self.about.hints)
        for key in KEEP_FLOAT:
            check_keep_float(key, getattr(self, key), whole)
        for name in self.names:
            scale, reference, hints = parse_variant(name)
            lr = (recipe.hr[0] // scale, recipe.hr[1] // scale)
            self.teacher[name] = deploy(self.model, lr, self.size, reference, hints)
            deployed = deploy(self.model, lr, self.size, reference, hints)
            for key, parameter in list(deployed.named_parameters()):
                # Heads have one name for every scale and are not the same.
                common = shared.setdefault(f"{scale}.{key}" if key.startswith("head.") else key, parameter)
                *path, last = key.split(".")
                deployed.get_submodule(".".join(path))._parameters[last] = common
                common.requires_grad_(not key.startswith("head.base."))  # a constant
            example = self.inputs(name, torch.zeros(recipe.batch, 3, *self.size, dtype=torch.uint8), None)
            keep_float = [*self.keep_float, *(self.keep_float_with_hints if hints else ())]
            graph = prepare(deployed, example, keep_float)
            observe_weights(graph)
            self.deployed[name], self.graphs[name], self.activations[name] = deployed, graph, Ranges(graph)
        self.parameters: list[Tensor] = [parameter for parameter in shared.values() if parameter.requires_grad]

    @property
    def size(self) -> tuple[int, int]:
        return self.recipe.hr[0], self.recipe.hr[1]

    def calibrate(self, name: str, photographs: Photographs) -> None:
        """Set a variant's ranges by photographs drawn from the collection, whole batches of them; deterministic."""
        count = min(self.recipe.calibration, len(photographs))
        batches: list[Inputs] = []
        for start in range(0, count, self.recipe.batch):
            rng = np.random.default_rng([self.recipe.seed, 0, start])
            batches.append(self.inputs(name, self.draw(photographs, rng), rng))
        self.activations[name].calibrate(self.graphs[name], batches)

    def ranges(self) -> dict[str, list[Range]]:
        return {name: self.activations[name].get() for name in self.names}

    def set_ranges(self, ranges: dict[str, list[Range]]) -> None:
        for name in self.names:
            self.activations[name].set(ranges[name])

    def losses(self, step: int, photographs: Photographs) -> dict[str, Tensor]:
        """L1 to the teacher's answer and to the photograph, for this step's variant and batch."""
        recipe, name = self.recipe, self.names[step % len(self.names)]
        rng = np.random.default_rng([recipe.seed, 1, step])
        hr = self.draw(photographs, rng)
        inputs = self.inputs(name, hr, rng)
        with torch.no_grad():
            lesson = self.teacher[name](*inputs)
        answer, truth = self.graphs[name](*inputs), hr.to(self.device).float() / 255
        teacher = F.l1_loss(answer, lesson)
        # A network that invents colours must not be pulled towards the true ones, which it cannot know.
        invents = self.about.input == "grey" or (inputs[0].ndim == 4 and bool((inputs[0][:, :1] == inputs[0]).all()))
        real = F.l1_loss(luma(answer), luma(truth)) if invents else F.l1_loss(answer, truth)
        return {
            "loss": recipe.teacher_weight * teacher + recipe.truth_weight * real,
            "teacher": teacher,
            "truth": real,
        }

    @torch.no_grad()
    def validate(self, photographs: Photographs) -> dict[str, float]:
        """PSNR (dB) of each variant's answer to the float network's, and of both lumas to the photographs'."""
        figures: dict[str, float] = {}
        batch = self.recipe.batch
        count = max(batch, min(VALIDATION_IMAGES, len(photographs)) // batch * batch)
        for name in self.names:
            sums = np.zeros(3)
            for start in range(0, count, batch):
                rng = np.random.default_rng([self.recipe.seed, 2, start])
                hr = self.draw(photographs, rng)
                inputs = self.inputs(name, hr, rng)
                answer, lesson = self.graphs[name](*inputs), self.teacher[name](*inputs)
                truth = luma(hr.to(self.device).float() / 255)
                pairs = ((answer, lesson), (luma(answer), truth), (luma(lesson), truth))
                sums += [sum(_psnr(x, y) for x, y in zip(*pair, strict=True)) for pair in pairs]
            to_float, own, teachers = sums / count
            figures[f"{name}_to_float"] = to_float
            figures[f"{name}_luma_loss"] = teachers - own
        return figures

    def inputs(self, name: str, hr: Tensor, rng: np.random.Generator | None) -> Inputs:
        """uint8 RGB (n, 3, H, W) -> the small images of a variant, its references and its hints."""
        scale, reference, hints = parse_variant(name)
        lr = (self.size[0] // scale, self.size[1] // scale)
        if self.about.input == "grey":
            small = self.reduced(grey(hr), lr, rng)
        else:  # in colour or not: benchmarks feed both
            coloured = rng is None or rng.random() < 0.5
            small = self.reduced(hr if coloured else grey(hr).expand(-1, 3, -1, -1), lr, rng)
        given = [small]
        if reference:
            plan = draw_references(len(hr), 0.25, rng or np.random.default_rng(0))
            given.append(plan.make(hr[plan.order], slice(None)))
        if hints:
            given.append(self.hints(hr, lr, rng or np.random.default_rng(0)))
        return [x.to(self.device).contiguous() for x in given]

    def hints(self, hr: Tensor, lr: tuple[int, int], rng: np.random.Generator) -> Tensor:
        """uint8 RGB (n, 3, H, W) -> planes of hints of its colours, some images without any."""
        chroma = rgb_to_ycc(hr.float() / 255)[:, 1:]
        coarse = F.interpolate(chroma, answer_size(lr), mode="bilinear", antialias=True, align_corners=False)
        data = replace(self.section, hints=0.8)
        return true_hints(coarse, draw_hints(len(hr), data, [int(rng.integers(1 << 30))]))

    def reduced(self, hr: Tensor, lr: tuple[int, int], rng: np.random.Generator | None) -> Tensor:
        """uint8 (n, c, H, W) -> LR in [0, 1], degraded as the recipe says."""
        rngs = (rng or np.random.default_rng(0)).spawn(len(hr))
        return degrade(hr, lr, self.recipe.degradation, rngs).float() / 255

    def draw(self, photographs: Photographs, rng: np.random.Generator) -> Tensor:
        """A batch of uint8 RGB (n, 3, *size)."""
        windows = draw_windows(photographs, self.section, self.size, self.recipe.batch, rng)
        return torch.stack([window.cut(photographs[window.image], self.size) for window in windows])

    def put(self, values: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

    def replaced(self, values: Sequence[Tensor]) -> "_Replaced":
        """The family with other parameters for a while."""
        return _Replaced(self, values)

    def quantised(self) -> Quantised:
        """The network as it is now, for saving."""
        for deployed in self.deployed.values():
            absorb(self.model, deployed)
        return Quantised(self.model, self.ranges(), self.keep_float, self.keep_float_with_hints)


class _Replaced:
    def __init__(self, family: Family, values: Sequence[Tensor]):
        self.family, self.values = family, values

    def __enter__(self) -> None:
        self.own = [parameter.detach().clone() for parameter in self.family.parameters]
        self.family.put(self.values)

    def __exit__(self, *error: object) -> None:
        self.family.put(self.own)


def check_variant(about: Description, name: str) -> None:
    """Raise InputError for a variant that the network does not have."""
    scale, reference, hints = parse_variant(name)
    if scale not in about.scales:
        raise InputError(f"variants: {name}: {about.name} has heads for {about.scales} only")
    if reference and not about.reference:
        raise InputError(f"variants: {name}: {about.name} takes no reference")
    if hints and not about.hints:
        raise InputError(f"variants: {name}: {about.name} takes no colour hints")


def check_keep_float(key: str, names: Sequence[str], deployed: nn.Module) -> None:
    """Raise InputError for a part that the deployed network does not have."""
    known = {name for name, _ in deployed.named_modules()}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, f"try {', '.join(sorted(n for n in known if n and '.' not in n))}")
            raise InputError(f"{key}: the deployed network has no part {name!r}; {hint}")


def _psnr(x: Tensor, y: Tensor) -> float:
    return float(-10 * torch.log10(F.mse_loss(x.clamp(0, 1), y).clamp(min=1e-12)))
