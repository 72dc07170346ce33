"""The variants of one network while it is quantised: their graphs, inputs, ranges, losses and validation.

Every variant (scale, with or without a reference, with or without hints) is a graph of its own, because its fake
quantisers are; the parameters are the same tensors in all of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.color import luma, rgb_to_ycc
from edge_scs.data.degradation import degrade, grey
from edge_scs.data.pairs import draw_hints, draw_references, draw_windows
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError, did_you_mean
from edge_scs.lowering.deploy import absorb, deploy
from edge_scs.models.colour import answer_size
from edge_scs.models.hints import true_hints
from edge_scs.models.registry import Description
from edge_scs.quantization.prepare import prepare
from edge_scs.quantization.quantised_model import KEEP_FLOAT, Quantised, parse_variant
from edge_scs.quantization.ranges import Range, Ranges, observe_weights
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.recipes import DataSection
from edge_scs.training.flats import power_mean
from edge_scs.weights.loading import Loaded

VALIDATION_IMAGES = 16
Inputs = list[Tensor]


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
        """Set a variant's ranges by photographs drawn from the collection, whole batches of them; deterministic.

        With every fourth batch comes one of flat images, white to black: at the borders of a white area activations
        go beyond what photographs show, and ranges that cut them off darkened its corners by up to 19 levels of 255.
        The colour branch needs no exact corners; there the photographs decide.
        """
        count = min(self.recipe.calibration, len(photographs))
        batches: list[Inputs] = []
        flats: list[Inputs] = []
        for number, start in enumerate(range(0, count, self.recipe.batch)):
            rng = np.random.default_rng([self.recipe.seed, 0, start])
            batches.append(self.inputs(name, self.draw(photographs, rng), rng))
            if number % 4 == 0:
                levels = np.linspace(255, 0, self.recipe.batch).round()
                flats.append(self.inputs(name, self.flats(levels), rng, "clean"))
        self.activations[name].calibrate(self.graphs[name], batches + flats, whole=flats)

    def ranges(self) -> dict[str, list[Range]]:
        return {name: self.activations[name].get() for name in self.names}

    def set_ranges(self, ranges: dict[str, list[Range]]) -> None:
        for name in self.names:
            self.activations[name].set(ranges[name])

    def losses(self, step: int, photographs: Photographs) -> dict[str, Tensor]:
        """L1 to the teacher's answer and to the photograph, for this step's variant and batch, and of flat images."""
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
        losses = {
            "loss": recipe.teacher_weight * teacher + recipe.truth_weight * real,
            "teacher": teacher,
            "truth": real,
        }
        if recipe.flat_weight:
            hr = self.flats([255, 0, *rng.integers(1, 255, recipe.batch)][: recipe.batch])
            given = luma(hr[..., :1, :1].to(self.device).float() / 255)
            losses["flat"] = power_mean(luma(self.graphs[name](*self.inputs(name, hr, rng, "clean"))) - given, 8)
            losses["loss"] = losses["loss"] + recipe.flat_weight * losses["flat"]
        return losses

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

    def inputs(self, name: str, hr: Tensor, rng: np.random.Generator | None, degradation: str | None = None) -> Inputs:
        """uint8 RGB (n, 3, H, W) -> the small images of a variant, its references and its hints.

        ``degradation`` instead of the recipe's.
        """
        degradation = degradation or self.recipe.degradation
        scale, reference, hints = parse_variant(name)
        lr = (self.size[0] // scale, self.size[1] // scale)
        if self.about.input == "grey":
            small = reduced(grey(hr), lr, degradation, rng)
        else:  # in colour or not: benchmarks feed both
            coloured = rng is None or rng.random() < 0.5
            small = reduced(hr if coloured else grey(hr).expand(-1, 3, -1, -1), lr, degradation, rng)
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

    def draw(self, photographs: Photographs, rng: np.random.Generator) -> Tensor:
        """A batch of uint8 RGB (n, 3, *size)."""
        windows = draw_windows(photographs, self.section, self.size, self.recipe.batch, rng)
        return torch.stack([window.cut(photographs[window.image], self.size) for window in windows])

    def flats(self, levels: Sequence[int] | np.ndarray) -> Tensor:
        """Flat grey uint8 images (n, 3, *size) of these levels of 255."""
        filled = torch.tensor([int(level) for level in levels], dtype=torch.uint8)
        return filled[:, None, None, None].expand(-1, 3, *self.size).contiguous()

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


def reduced(hr: Tensor, lr: tuple[int, int], degradation: str, rng: np.random.Generator | None) -> Tensor:
    """uint8 (n, c, H, W) -> LR in [0, 1], degraded."""
    rngs = (rng or np.random.default_rng(0)).spawn(len(hr))
    return degrade(hr, lr, degradation, rngs).float() / 255


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
