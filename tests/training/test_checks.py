"""What is refused before a run's first step, and what a run may be gone on with."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from edge_scs.data.photographs import Photographs
from edge_scs.errors import InputError
from edge_scs.recipes import DataSection, Recipe, Stage
from edge_scs.training.checks import check_colours, check_same_photographs, check_same_run


def stage(task: str = "texture", **more: object) -> Stage:
    return Stage(task, ["all"], 4, 1e-3, **{"data": DataSection(batch=4), **more})


def recipe(**stages: Stage) -> Recipe:
    return Recipe("edge_scs_s", list(stages), stages)


def photographs(*images: torch.Tensor) -> Photographs:
    return Photographs([Path(f"{i}.png") for i in range(len(images))], list(images))


GREY = torch.arange(64 * 64).remainder(256).to(torch.uint8).reshape(1, 64, 64).expand(3, -1, -1)


def test_colours_are_not_learned_from_grey() -> None:
    noisy = GREY.clone()
    noisy[0, ::8, ::8] = (noisy[0, ::8, ::8].int() + 3).clamp(max=255).to(torch.uint8)  # what JPEG does to grey
    coloured = GREY.clone()
    coloured[2, 32:36, 32:36] = 255 - coloured[1, 32:36, 32:36]
    plan = recipe(detail=stage(), paint=stage("colour"))
    for images in ([GREY], [GREY, noisy, GREY]):
        with pytest.raises(InputError, match=r"stage\.paint: the photographs are all grey"):
            check_colours(plan, photographs(*images))
        check_colours(recipe(detail=stage()), photographs(*images))
    check_colours(plan, photographs(GREY, coloured))


def judged(now: Recipe, processes: int = 1, saved: Recipe | None = None, before: int = 1, at: int = 0) -> list[str]:
    said: list[str] = []
    state = {"recipe": asdict(saved or now), "processes": before, "position": {"stage": at, "step": 0}}
    check_same_run(state, now, processes, Path("run"), said.append)
    return said


def test_the_same_recipe_may_go_on() -> None:
    plan = recipe(a=stage(), b=stage())
    assert judged(plan) == []
    assert "2 processes instead of 1" in judged(plan, processes=2)[0]
    halved = recipe(a=stage(data=DataSection(batch=2)), b=stage(data=DataSection(batch=2)))
    assert judged(halved, processes=2, saved=plan) == [], "as many images a step as before"
    with pytest.raises(InputError, match="another recipe"):
        judged(halved, saved=plan)


@pytest.mark.parametrize(
    "change", [{"steps": 5}, {"task": "colour"}, {"ema": 0.5}, {"data": DataSection(batch=4, lr_patch=24)}]
)
def test_another_recipe_may_not(change: dict) -> None:
    plan = recipe(a=stage(), b=stage())
    other = replace(plan, stage=plan.stage | {"b": replace(plan.stage["b"], **change)})
    with pytest.raises(InputError, match=r"run: was started with another recipe"):
        judged(other, saved=plan)
    unused = replace(plan, stages=["a"])
    assert judged(replace(unused, stage=other.stage), saved=unused) == [], "a stage that is not run does not matter"


def test_rates_may_change_in_stages_that_are_not_over() -> None:
    plan = recipe(a=stage(), b=stage())
    for name, at, fine in (("a", 0, True), ("a", 1, False), ("b", 0, True), ("b", 1, True)):
        eased = replace(plan, stage=plan.stage | {name: replace(plan.stage[name], learning_rate=1e-5, clip=0.1)})
        if fine:
            assert f"learning_rate 1e-05 and clip 0.1 in stage {name}" in judged(eased, saved=plan, at=at)[0]
        else:
            with pytest.raises(InputError):
                judged(eased, saved=plan, at=at)


def test_other_photographs_are_told() -> None:
    given, said = photographs(GREY, GREY), []
    check_same_photographs({"photographs": given.digest()}, given, Path("run"), said.append)
    check_same_photographs({}, given, Path("run"), said.append)
    assert said == []
    check_same_photographs({"photographs": given.digest()}, photographs(GREY), Path("run"), said.append)
    assert "other photographs" in said[0]
