"""A batch is a function of (seed, step, rank), and its parts belong together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_scs.data.degradation import grey, to_lr
from edge_scs.data.pairs import Batch, StepBatches, Window, draw_references, draw_scale, draw_sizes, draw_windows
from edge_scs.data.photographs import Photographs
from edge_scs.recipes import DataSection, load_recipe
from edge_scs.training.tasks import disagreement

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def photographs(photograph):
    images = [torch.from_numpy(photograph.copy()).permute(2, 0, 1).contiguous()]
    images.append(images[0][:, 100:260, 40:240].contiguous())
    return Photographs([None] * 2, images)


def equal(a, b):
    for one, other in zip(vars(a).values(), vars(b).values(), strict=True):
        if torch.is_tensor(one) and torch.is_tensor(other):
            if not torch.equal(one, other):
                return False
        elif one != other:
            return False
    return True


def joined(parts):
    """Batches of several processes as one."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Batch(*(torch.cat(values) if torch.is_tensor(values[0]) else values[0] for values in columns))


def test_a_step_can_be_made_again_and_differs_from_others(photographs):
    data = DataSection(batch=2, lr_patch=16, reference_every=1)
    batches = StepBatches(photographs, data, seed=3)
    first, again = batches[7], StepBatches(photographs, data, seed=3)[7]
    assert equal(first, again)
    assert not equal(first, batches[8])
    assert not equal(first, StepBatches(photographs, data, seed=4)[7])
    assert not equal(first, StepBatches(photographs, data, seed=3, rank=1, processes=2)[7])


@pytest.mark.parametrize(("crop", "degradation"), [("patch", "bsrgan"), ("image", "clean"), ("square", "clean")])
def test_the_parts_of_two_processes_are_the_doubled_batch_of_one(photographs, crop, degradation):
    data = DataSection(
        batch=2, crop=crop, lr_patch=16, hr_side=48, reference_every=1, foreign_references=0.5, points=9,
        degradation=degradation,
    )  # fmt: skip
    parts = [StepBatches(photographs, data, seed=3, rank=rank, processes=2, colour=True)[7] for rank in range(2)]
    whole = StepBatches(photographs, replace(data, batch=4), seed=3, colour=True)[7]
    assert equal(joined(parts), whole)


def test_scenes_may_be_square_and_scales_named(photographs):
    data = DataSection(batch=1, crop="square", lr_patch=32, scales=[4.0])
    assert all(StepBatches(photographs, data, seed=1)[step].hr.shape == (1, 3, 128, 128) for step in range(4))
    drawn = {draw_scale(DataSection(scales=[2.0, 3.0]), np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {2.0, 3.0}


def test_no_scene_of_scsnets_recipe_is_enlarged():
    """Its ``min_side`` is the side of its HR images: the smallest photographs that it admits give whole squares."""
    recipe = load_recipe(RECIPES / "scsnet.toml")
    data, side = recipe.stage["scs"].data, recipe.min_side
    lr, hr = draw_sizes(data, np.random.default_rng(0))
    assert (lr, hr) == ((128, 128), (side, side))
    photographs = Photographs([None] * 2, sizes=np.array([[side, side + 100], [2 * side, side]], np.int32))
    windows = draw_windows(photographs, data, hr, 100, np.random.default_rng(0))
    assert {(window.h, window.w) for window in windows} == {hr}


def test_networks_of_colour_get_the_small_image_in_colour(photographs):
    batch = StepBatches(photographs, DataSection(batch=2, lr_patch=20, scales=[3.0]), seed=1, colour=True)[0]
    hr = (batch.hr * 255).round().to(torch.uint8)
    assert torch.equal(batch.rgb, to_lr(hr, (20, 20)))
    assert StepBatches(photographs, DataSection(batch=2, lr_patch=20), seed=1)[0].rgb is None


def test_points_are_pixels_without_repetition(photographs):
    data = DataSection(batch=3, lr_patch=12, scales=[2.0], points=100)
    points = StepBatches(photographs, data, seed=1)[0].points
    assert points.shape == (3, 100)
    assert all(len(row.unique()) == 100 for row in points)
    assert 0 <= points.min() < points.max() < 24 * 24
    assert not torch.equal(points[0], points[1])
    few = StepBatches(photographs, replace(data, points=10_000), seed=1)[0].points
    assert torch.equal(few.sort(1).values, torch.arange(24 * 24).expand(3, -1))


@pytest.mark.parametrize("crop", ["patch", "image"])
def test_grey_lr_comes_from_the_colour_hr_at_a_scale_from_1_to_4(photographs, crop):
    batches = StepBatches(
        photographs, DataSection(batch=3, crop=crop, lr_patch=20, hr_side=96, whole_scales=0.3), seed=1
    )
    for step in range(12):
        batch = batches[step]
        scale = batch.hr.shape[-1] / batch.gray.shape[-1]
        assert 0.95 <= scale <= 4.05
        if crop == "patch":
            assert batch.gray.shape == (3, 1, 20, 20)
        hr = (batch.hr * 255).round().to(torch.uint8)
        assert torch.equal(batch.gray, to_lr(grey(hr), batch.gray.shape[-2:]))


def test_scales_are_uniform_or_whole():
    rng = np.random.default_rng(0)
    free = np.array([draw_scale(DataSection(whole_scales=0.0), rng) for _ in range(4000)])
    assert 1.0 <= free.min() < 1.01
    assert 3.99 < free.max() <= 4.0
    assert abs(free.mean() - 2.5) < 0.05
    assert {draw_scale(DataSection(whole_scales=1.0), rng) for _ in range(50)} == {2.0, 3.0, 4.0}


def test_modes_alternate(photographs):
    batches = StepBatches(photographs, DataSection(batch=1, lr_patch=16, reference_every=3), seed=1)
    assert [batches[step].reference is not None for step in range(6)] == [False, False, True] * 2


def test_own_references_keep_the_colours_and_move_the_pixels(photographs):
    hr = photographs[0][None, :, :256, :256].repeat(6, 1, 1, 1)
    hr[3:] = 255 - hr[3:]
    own = draw_references(6, foreign=0.0, rng=np.random.default_rng(0)).make(hr, slice(None))
    plain = torch.nn.functional.interpolate(hr.float() / 255, (128, 128), mode="bilinear", antialias=True)
    assert own.shape == (6, 3, 128, 128)
    assert (own.mean((2, 3)) - plain.mean((2, 3))).abs().max() < 0.06
    moved = torch.minimum((own - plain).abs().mean((1, 2, 3)), (own - plain.flip(3)).abs().mean((1, 2, 3)))
    assert moved.min() > 0.005
    mirrored = (own - plain).abs().mean((1, 2, 3)) > (own - plain.flip(3)).abs().mean((1, 2, 3))
    assert 0 < mirrored.sum() < 6


def test_foreign_references_show_another_image(photographs):
    hr = torch.stack([torch.full((3, 64, 64), 10), torch.full((3, 64, 64), 200)]).to(torch.uint8)
    plan = draw_references(2, foreign=1.0, rng=np.random.default_rng(0))
    foreign = plan.make(hr[plan.order], slice(None))
    assert (foreign.mean((1, 2, 3)) * 255 - torch.tensor([200.0, 10.0])).abs().max() < 2


def test_fading_changes_the_inputs_tones_alone_and_only_in_a_share_of_the_images(photographs):
    data = DataSection(batch=4, lr_patch=20, scales=[2.0])
    plain = StepBatches(photographs, data, seed=1)[0]
    faded = StepBatches(photographs, replace(data, fade=1.0), seed=1)[0]
    assert torch.equal(faded.hr, plain.hr)
    assert 0 <= faded.gray.min() < faded.gray.max() <= 1
    assert ((faded.gray - plain.gray).abs().amax((1, 2, 3)) > 0.01).all()
    half = StepBatches(photographs, replace(data, batch=40, fade=0.5), seed=1)[0].gray
    untouched = (half == StepBatches(photographs, replace(data, batch=40), seed=1)[0].gray).flatten(1).all(1)
    assert 10 <= untouched.sum() <= 30


def test_whole_scales_are_left_out_for_heads_of_their_own_only():
    data = DataSection(lr_patch=12, whole_scales=0.0)
    apart = {draw_sizes(data, np.random.default_rng(seed))[1] for seed in range(400)}
    assert not apart & {(24, 24), (36, 36), (48, 48)}
    assert {(25, 25), (37, 37)} <= apart
    every = {draw_sizes(data, np.random.default_rng(seed), heads=())[1] for seed in range(400)}
    assert every == {(side, side) for side in range(12, 49)}


@pytest.mark.parametrize(("crop", "square", "count"), [("patch", True, 8), ("patch", False, 4), ("image", True, 2)])
def test_every_orientation_of_a_patch_is_as_likely(crop, square, count):
    photographs = Photographs([None], [torch.zeros(3, 16, 16, dtype=torch.uint8)])
    size = (8, 8) if square else (8, 6)
    windows = draw_windows(photographs, DataSection(crop=crop, zoom=1.0), size, 1600, np.random.default_rng(0))
    pattern = torch.arange(48, dtype=torch.uint8).reshape(1, 8, 6)
    pattern = torch.cat([pattern, 100 + pattern[..., :2]], dim=2) if square else pattern
    seen: dict[bytes, int] = {}
    for window in windows:
        cut = Window(0, 0, 0, *size, window.mirror, window.turn, window.flip).cut(pattern, size)
        seen[cut.numpy().tobytes()] = seen.get(cut.numpy().tobytes(), 0) + 1
    assert len(seen) == count
    assert all(abs(number - 1600 / count) < 0.35 * 1600 / count for number in seen.values())


def test_the_second_view_is_the_same_image_mirrored_and_shifted(photographs):
    data = DataSection(batch=8, views=2, crop="image", hr_side=120, zoom=0.5, whole_scales=0.0, degradation="clean")
    batch = StepBatches(photographs, data, seed=1)[0]
    assert batch.shifts is not None
    assert batch.shifts.shape == (4, 2)
    assert 0 < batch.shifts.abs().max() <= 0.06
    first, second = batch.hr[::2], batch.hr[1::2]
    assert disagreement(first, second, batch.shifts) < 0.4 * disagreement(first, second, -batch.shifts)
    assert disagreement(first, second.flip(3), batch.shifts) > 4 * disagreement(first, second, batch.shifts)
    worn = StepBatches(photographs, replace(data, degradation="old"), seed=1)[0]
    assert torch.equal(worn.hr, batch.hr)
    assert not torch.equal(worn.gray, batch.gray)


def test_spoiled_references_lose_their_true_colour(photographs):
    hr = photographs[0][None, :, :128, :128].repeat(24, 1, 1, 1)
    kept = draw_references(24, 0.0, np.random.default_rng(0))
    plan = draw_references(24, 0.0, np.random.default_rng(0), spoiled=1.0)
    spoiled, true = (replace(p, mirrored=kept.mirrored, noise=kept.noise).make(hr, slice(None)) for p in (plan, kept))
    assert ((spoiled - true).abs().mean((1, 2, 3)) > 0.01).all()
    grey = (spoiled.amax(1) - spoiled.amin(1)).flatten(1).amax(1) < 1e-5
    assert 1 <= grey.sum() <= 12
