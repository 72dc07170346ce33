"""Every stage of every recipe takes its steps on a GPU that is not there (tests/device/fake.py): see docs/gpu.md."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch.utils._pytree import tree_map

from edge_scs.data.on_device import PlannedBatches, Resident
from edge_scs.data.photographs import Photographs, load_photographs
from edge_scs.models import registry
from edge_scs.models.features import LPIPS, Features
from edge_scs.recipes import Recipe, Stage, load_recipe
from edge_scs.training import optimizers, perceptual, tasks, validation
from edge_scs.training import stage as stage_module
from edge_scs.training.discriminators import MultiScaleDiscriminator
from edge_scs.training.log import contact_sheet
from edge_scs.training.losses import ERRORS
from edge_scs.training.stage import StageRun
from edge_scs.training.validation import validate
from tests.device.fake import DEVICE, fake_gpu, real
from tests.test_models_end_to_end import SMALL as END_TO_END

RECIPES = Path(__file__).parents[2] / "recipes"
# Networks of the same kind, and small: their layers are followed one by one.
SMALL: dict[str, dict[str, Any]] = {
    "edge_scs_m": {"channels": 16, "blocks": 1, "repeats": 1, "tied": False, "hints": True},
    "edge_scs_s": {"channels": 16, "blocks": 1, "repeats": 1},
    "pcarn": {"channels": 8, "blocks": 1, "repeats": 1},
    "pcarn_m": {"channels": 8, "blocks": 1, "repeats": 1},
    "scsnet": {"channels": 4, "blocks": 1},
    "ciaosr_edsr": END_TO_END["ciaosr_edsr"],
}


@pytest.fixture
def photographs(folder: Path) -> Photographs:
    return load_photographs([folder], warn=lambda line: None)


@pytest.fixture(autouse=True)
def no_feature_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG's layers and LPIPS without their weights, which are not shipped."""
    monkeypatch.setattr(perceptual, "find_features", lambda name, *_: Path(name))
    monkeypatch.setattr(perceptual, "load_features", lambda name, taps, path: Features(name, taps))
    monkeypatch.setattr(perceptual, "load_lpips", lambda: (LPIPS("squeezenet1_1"), "random"))


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def small_recipe(name: str) -> Recipe:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    stages = {
        key: replace(
            each, steps=6, encoder_init="", colour_side=48, adversary=replace(each.adversary, channels=4),
            # discriminators take 32 pixels
            data=replace(
                each.data, batch=2, lr_patch=32 if 1.0 in each.data.scales and each.adversary.weight else 16,
                hr_side=64, points=min(each.data.points, 16),
            ),
        )
        for key, each in recipe.stage.items()
    }  # fmt: skip
    return replace(recipe, stage=stages, validate_images=1, validate_side=48, config=SMALL[recipe.model])


def begun(
    accelerator: Accelerator, recipe: Recipe, name: str, photographs: Photographs, resident: Resident | None = None
) -> StageRun:
    for state in (PartialState, AcceleratorState):
        state._shared_state["device"] = torch.device(DEVICE)
    with real():
        model = registry.create(recipe.model, recipe.config)
    return StageRun(accelerator, recipe, name, recipe.stages.index(name), model, photographs, resident)


def take_step(run: StageRun, step: int) -> None:
    with real():
        batch = run.batches[step]
    run.step(iter([batch] * run.stage.accumulate), step)


def kind_of(recipe: Recipe, stage: Stage) -> tuple[Any, ...]:
    """What decides which code a step runs, of all that a stage says."""
    data, adversary, features = stage.data, stage.adversary, stage.perceptual
    judged = adversary.weight > 0 and (adversary.discriminator, adversary.loss)
    return (
        recipe.model.removesuffix("_m").removesuffix("_s"), stage.task, stage.optimizer, stage.consistency > 0,
        features.weight > 0 and features.features, judged, data.views, data.own_scales, data.points > 0,
        data.reference_every > 0, data.whole_scales == 0, data.hints > 0, stage.flat_weight > 0, stage.sharpen > 0,
        stage.retain > 0,
    )  # fmt: skip


def kinds() -> dict[str, tuple[str, str]]:
    """One stage of every kind that the recipes have."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(RECIPES.glob("*.toml")):
        if not path.stem.endswith("_qat"):
            recipe = load_recipe(path)
            for name in recipe.stages:
                found.setdefault(repr(kind_of(recipe, recipe.stage[name])), (path.stem, name))
    return found


# Stages whose every line on the device another one runs.
ALIKE = (("edge_scs_m", "colour"), ("edge_scs_m", "continuous_fine"))


@pytest.mark.parametrize(
    ("name", "stage_name"),
    [pytest.param(*pair, id="-".join(pair), marks=[pytest.mark.slow] * (pair in ALIKE)) for pair in kinds().values()],
)
def test_a_stage_stays_on_its_device(
    name: str, stage_name: str, accelerator: Accelerator, photographs: Photographs, tmp_path: Path
) -> None:
    recipe = small_recipe(name)
    with fake_gpu() as gpu:
        run = begun(accelerator, recipe, stage_name, photographs)
        take_step(run, max(0, run.stage.data.reference_every - 1))  # with references, where there are any
        run.restore(tree_map(lambda x: x.cpu() if torch.is_tensor(x) else x, run.state()))
        gpu.reads = 0
        take_step(run, 0)
        # The gradient's norm decides on the step; the discriminators' loss is there after their own step only. With
        # hints, which images have none is asked for before their second views are compared.
        others = (run.adversary is not None) + (run.stage.data.hints > 0 and run.stage.consistency > 0)
        assert gpu.reads == 1 + others, "a step waits for its device once"
        with run.averaged():
            run.validation_loss(photographs)
            if stage_name == recipe.stages[0]:  # the whole network, whatever a stage trains
                validate(run.model, photographs, run.colour, 48, 1)
                contact_sheet(run.model, photographs, tmp_path / "sheet.png", run.colour, 1, 48)
        run.finish()
        assert {str(p.device) for p in run.model.parameters()} == {DEVICE}


def test_batches_are_made_on_the_device(accelerator: Accelerator, photographs: Photographs) -> None:
    """With photographs that lie there and with windows that are sent, with references and without."""
    recipe = small_recipe("scsnet")
    stage = recipe.stage["scs"]
    plain = replace(stage.perceptual, weight=0.0), replace(stage.adversary, weight=0.0)
    stage = replace(stage, data=replace(stage.data, on_device=True), perceptual=plain[0], adversary=plain[1])
    recipe = replace(recipe, stage={"scs": stage})
    with fake_gpu() as gpu:
        run = begun(accelerator, recipe, "scs", photographs, Resident(photographs, 1 << 30))
        assert isinstance(run.batches, PlannedBatches)
        assert run.resident is not None
        assert str(run.resident.device) == DEVICE
        gpu.reads = 0
        take_step(run, stage.data.reference_every - 1)
        assert gpu.reads == 1, "a step waits for its device once"
        run.resident, run.batches.resident = None, False
        take_step(run, stage.data.reference_every)


def test_every_error_stays_on_its_device() -> None:
    with fake_gpu():
        x = torch.rand(2, 3, 8, 8, device=DEVICE)
        assert {str(error(x, x).device) for error in ERRORS.values()} == {DEVICE}


def with_zeros(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a mistake in it: zeros without a device are added to the first tensor that it takes."""

    def mistaken(*args: Any, **kwargs: Any) -> Any:
        place = next(i for i, x in enumerate(args) if torch.is_tensor(x))
        spoilt = args[place] + torch.zeros(args[place].shape)
        return function(*args[:place], spoilt, *args[place + 1 :], **kwargs)

    return mistaken


@pytest.mark.parametrize(
    ("owner", "function"),
    [
        (tasks, "enlarge_chroma"), (optimizers, "orthogonalised"), (stage_module, "kept"), (validation, "rgb_to_ycc"),
        (stage_module.StageRun, "restore"),
    ],
    ids=["loss", "optimizer", "average", "validation", "resuming"],
)  # fmt: skip
def test_a_planted_mistake_is_found(
    owner: Any, function: str, accelerator: Accelerator, photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    if function == "kept":  # the average, left where it was made
        monkeypatch.setattr(
            torch, "_foreach_lerp_", lambda a, b, w: [x.cpu().lerp_(y, w) for x, y in zip(a, b, strict=True)]
        )
    elif function == "restore":  # a checkpoint's tensors, used as they were read
        restore = owner.restore

        def careless(run: StageRun, state: dict[str, Any]) -> None:
            restore(run, state)
            run.ema = state["ema_list"]

        monkeypatch.setattr(owner, function, careless)
    else:
        monkeypatch.setattr(owner, function, with_zeros(getattr(owner, function)))

    def turn() -> None:
        run = begun(accelerator, small_recipe("edge_scs_s"), "texture", photographs)
        run.restore(tree_map(lambda x: x.cpu() if torch.is_tensor(x) else x, run.state()))
        take_step(run, 0)
        validate(run.model, photographs, run.colour, 48, 1)

    with fake_gpu(), pytest.raises(RuntimeError, match="two devices"):
        turn()


def test_a_mistake_in_a_discriminator_is_found(
    accelerator: Accelerator, photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MultiScaleDiscriminator, "forward", lambda self, x: [x.mean() - torch.zeros(2, 1)])
    with fake_gpu(), pytest.raises(RuntimeError, match="two devices"):
        take_step(begun(accelerator, small_recipe("pcarn"), "gan", photographs), 0)


def test_the_device_is_gone_afterwards() -> None:
    with fake_gpu():
        assert torch.ones(2, device=DEVICE).device.type == "fakegpu"
        assert torch.accelerator.is_available()
    assert not torch.accelerator.is_available()
    assert float(torch.ones(2).sum()) == 2
