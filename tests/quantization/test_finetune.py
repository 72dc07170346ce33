"""Fine-tuning: shared parameters, exact resuming, and a network that takes back what its deployed copies learned."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_scs.color import luma
from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.lowering.deploy import absorb, deploy
from edge_scs.quantization.family import Family
from edge_scs.quantization.finetune import finetune, learning_rate
from edge_scs.quantization.quantised_model import load
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.weights.loading import Loaded, load_state, read_safetensors

RECIPE = QATRecipe(
    "edge_scs_s", variants=["x4", "x2"], keep_float=["colour.mean"], calibration=2, steps=4, batch=1, hr=[48, 64],
    learning_rate=1e-4, ema=0.5, validate_every=2, checkpoint_every=1,
)  # fmt: skip

TINY_RECIPE = replace(RECIPE, model="pcarn_m", keep_float=[], learning_rate=1e-3, crop="patch")


def silent(line: str) -> None:
    pass


@pytest.mark.slow
def test_variants_share_everything_but_their_heads(small: Loaded) -> None:
    family = Family(RECIPE, small, torch.device("cpu"))
    one, two = (dict(family.graphs[name].named_parameters()) for name in ("x4", "x2"))
    shared = {key for key in one if one[key] is two.get(key)}
    assert "texture.blocks.0.units.0.conv1.weight" in shared
    assert "colour.branch.classify.bias" in shared
    assert {key.rpartition(".")[0] for key in one if key not in shared} == {"head.conv", "head.base"}
    assert not any(parameter is one["head.base.weight"] for parameter in family.parameters)


@pytest.mark.parametrize("scale", [2, 3])
def test_the_network_takes_over_what_was_learned(small: Loaded, scale: int) -> None:
    """After deploying, learning and absorbing, deploying again gives what was learned."""
    lr, gray = (12, 16), torch.rand(1, 1, 12, 16)
    size = (12 * scale, 16 * scale)
    deployed = deploy(small.model, lr, size)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in deployed.named_parameters():
            if not name.startswith("head.base"):
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        learned = deployed(gray)
        model = type(small.model)(small.model.config).eval()  # type: ignore[operator]
        load_state(model, small.model.state_dict(), "")
        assert (model(gray, size) - learned).abs().max() > 0.01
        absorb(model, deployed)
        torch.testing.assert_close(model(gray, size), learned, rtol=0, atol=2e-6)


def test_an_interrupted_run_ends_like_an_undisturbed_one(
    tiny: Loaded, photographs: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = finetune(TINY_RECIPE, fresh(tiny), photographs, tmp_path / "straight", say=silent).weights
    real, calls = Family.losses, []

    def broken(family: Family, step: int, photos: Photographs) -> dict[str, torch.Tensor]:
        calls.append(step)
        if len(calls) == 3:
            raise RuntimeError("the power went")
        return real(family, step, photos)

    monkeypatch.setattr(Family, "losses", broken)
    with pytest.raises(RuntimeError):
        finetune(TINY_RECIPE, fresh(tiny), photographs, tmp_path / "twice", say=silent)
    assert not (tmp_path / "twice" / "int8.safetensors").exists()
    with pytest.raises(InputError, match="--resume"):
        finetune(TINY_RECIPE, fresh(tiny), photographs, tmp_path / "twice", say=silent)
    with pytest.raises(InputError, match="another recipe"):
        finetune(replace(TINY_RECIPE, seed=2), fresh(tiny), photographs, tmp_path / "twice", resume=True, say=silent)
    other = fresh(tiny)
    with torch.no_grad():
        next(other.model.parameters()).add_(1e-3)
    with pytest.raises(InputError, match="other --weights"):
        finetune(TINY_RECIPE, other, photographs, tmp_path / "twice", resume=True, say=silent)
    again = finetune(TINY_RECIPE, fresh(tiny), photographs, tmp_path / "twice", resume=True, say=silent).weights
    assert straight is not None
    assert again is not None
    one, two = read_safetensors(straight), read_safetensors(again)
    assert one[1] == two[1]
    assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
    untrained = {key: value.half() for key, value in tiny.model.state_dict().items()}
    assert any(not torch.equal(one[0][key], untrained[key]) for key in untrained)
    rows = [(tmp_path / name / "metrics.csv").read_text() for name in ("straight", "twice")]
    assert rows[0] == rows[1]
    assert set(load(str(straight)).model.variants) == {"x4", "x2"}


def fresh(loaded: Loaded) -> Loaded:
    """Fine-tuning ends by changing the network that it was given."""
    model = type(loaded.model)(loaded.model.config).eval()  # type: ignore[operator]
    load_state(model, loaded.model.state_dict(), "")
    return replace(loaded, model=model)


def test_learning_brings_it_nearer_to_its_teacher(tiny: Loaded, photographs: Photographs) -> None:
    """From disturbed weights: int8 alone costs so small a network no more than its rounded output does."""
    recipe = replace(TINY_RECIPE, variants=["x4"], batch=2, truth_weight=0.0)
    family = Family(recipe, tiny, torch.device("cpu"))
    family.calibrate("x4", photographs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in family.parameters:
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    optimizer = torch.optim.Adam(family.parameters, lr=1e-3)
    before = float(family.losses(0, photographs)["teacher"].detach())
    for _ in range(12):
        loss = family.losses(0, photographs)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(family.losses(0, photographs)["teacher"].detach()) < 0.7 * before


def test_flat_images_are_learned_beside_photographs(tiny: Loaded, photographs: Photographs) -> None:
    recipe = replace(TINY_RECIPE, variants=["x4"], batch=3, flat_weight=2.0, degradation="old")
    family = Family(recipe, tiny, torch.device("cpu"))
    seen: list[torch.Tensor] = []
    family.graphs["x4"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    losses = family.losses(0, photographs)
    flats = seen[-1]
    assert (flats == flats[..., :1, :1]).all()
    assert flats[:2, 0, 0, 0].tolist() == [1, 0]
    assert 0 < flats[2].mean() < 1
    photographs_alone = recipe.teacher_weight * losses["teacher"] + recipe.truth_weight * losses["truth"]
    assert losses["loss"].item() == pytest.approx(photographs_alone.item() + 2 * losses["flat"].item(), rel=1e-5)
    with torch.no_grad():
        off = (luma(family.graphs["x4"](flats)) - flats[:, :1, :1, :1]).abs().amax((1, 2, 3))
    assert 0 < losses["flat"].item() <= off.mean().item() + 1e-4


def test_a_loss_that_is_no_number_stops(
    tiny: Loaded, photographs: Photographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Family, "losses", lambda *_: {"loss": torch.tensor(float("nan"), requires_grad=True)})
    monkeypatch.setattr(Family, "validate", lambda *_: {})
    with pytest.raises(InputError, match="step 0: the loss is not finite"):
        finetune(replace(TINY_RECIPE, variants=["x4"]), fresh(tiny), photographs, tmp_path, say=silent)


def test_learning_rate_falls_along_a_cosine() -> None:
    recipe = QATRecipe("edge_scs_s", steps=100, learning_rate=2.0, final_rate=0.1)
    assert learning_rate(recipe, 0) == 2.0
    assert learning_rate(recipe, 50) == pytest.approx(1.1)
    assert learning_rate(recipe, 100) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "edge_scs_m"}, "holds edge_scs_s"),
        ({"variants": ["x5"], "hr": [50, 50]}, "x5: edge_scs_s has heads for"),
        ({"keep_float": ["colour.branch.clasify"]}, "^keep_float: .*did you mean colour.branch.classify"),
        ({"keep_float_with_hints": ["colur"]}, "^keep_float_with_hints: .*did you mean colour"),
    ],
)
def test_recipes_that_do_not_fit_the_network(
    small: Loaded, photographs: Photographs, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        finetune(replace(RECIPE, **change), fresh(small), photographs, tmp_path / "run", say=silent)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize("name", ["scsnet", "liif_edsr"])
def test_networks_that_are_not_exported_are_not_quantised(name: str, photographs: Photographs, tmp_path: Path) -> None:
    from edge_scs.weights.loading import load as load_float

    with pytest.raises(InputError, match=f"{name}: "):
        finetune(QATRecipe(name), load_float(name, allow_untrained=True), photographs, tmp_path, say=silent)


def test_a_network_without_reference_has_no_such_variant(photographs: Photographs, tmp_path: Path) -> None:
    from edge_scs.weights.loading import load as load_float

    loaded = load_float("pcarn_m", allow_untrained=True)
    with pytest.raises(InputError, match="takes no reference"):
        finetune(QATRecipe("pcarn_m", variants=["x4_ref"]), loaded, photographs, tmp_path, say=silent)


def test_calibration_takes_whole_batches_and_is_deterministic(tiny: Loaded, photographs: Photographs) -> None:
    recipe = replace(TINY_RECIPE, variants=["x4"], batch=4, calibration=5)
    family = Family(recipe, tiny, torch.device("cpu"))
    seen: list[torch.Tensor] = []
    family.graphs["x4"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    family.calibrate("x4", photographs)
    first = family.ranges()
    flat = torch.tensor([255, 170, 85, 0])[:, None, None, None] / 255  # one batch for every four of photographs
    # extremes first, then what to cut off, then the extremes of flat images, which are not
    assert [bool((x == flat).all()) for x in seen] == [False, False, True] * 2 + [True]
    assert all(len(x) == 4 for x in seen)
    family.calibrate("x4", photographs)
    assert family.ranges() == first
