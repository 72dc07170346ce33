"""A batch is a function of (seed, step, rank), and its parts belong together."""

import numpy as np
import pytest
import torch

from edge_scs.data.degradation import grey, to_lr
from edge_scs.data.pairs import StepBatches, draw_references, draw_scale
from edge_scs.data.photographs import Photographs
from edge_scs.recipes import DataSection


@pytest.fixture
def photographs(photograph):
    pictures = [torch.from_numpy(photograph.copy()).permute(2, 0, 1).contiguous()]
    pictures.append(pictures[0][:, 100:260, 40:240].contiguous())
    return Photographs([None] * 2, pictures)


def equal(a, b):
    same = torch.equal(a.gray, b.gray) and torch.equal(a.hr, b.hr) and a.chroma_ratio == b.chroma_ratio
    if a.reference is None or b.reference is None:
        return same and a.reference is b.reference
    return same and torch.equal(a.reference, b.reference)


def test_a_step_can_be_made_again_and_differs_from_others(photographs):
    data = DataSection(batch=2, lr_patch=16, reference_every=1)
    batches = StepBatches(photographs, data, seed=3)
    first, again = batches[7], StepBatches(photographs, data, seed=3)[7]
    assert equal(first, again)
    assert not equal(first, batches[8])
    assert not equal(first, StepBatches(photographs, data, seed=4)[7])
    assert not equal(first, StepBatches(photographs, data, seed=3, rank=1)[7])


@pytest.mark.parametrize("crop", ["patch", "picture"])
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
    own = draw_references(hr, foreign=0.0, rng=np.random.default_rng(0))
    plain = torch.nn.functional.interpolate(hr.float() / 255, (128, 128), mode="bilinear", antialias=True)
    assert own.shape == (6, 3, 128, 128)
    assert (own.mean((2, 3)) - plain.mean((2, 3))).abs().max() < 0.06
    moved = torch.minimum((own - plain).abs().mean((1, 2, 3)), (own - plain.flip(3)).abs().mean((1, 2, 3)))
    assert moved.min() > 0.005
    mirrored = (own - plain).abs().mean((1, 2, 3)) > (own - plain.flip(3)).abs().mean((1, 2, 3))
    assert 0 < mirrored.sum() < 6


def test_foreign_references_show_another_picture(photographs):
    hr = torch.stack([torch.full((3, 64, 64), 10), torch.full((3, 64, 64), 200)]).to(torch.uint8)
    foreign = draw_references(hr, foreign=1.0, rng=np.random.default_rng(0))
    assert (foreign.mean((1, 2, 3)) * 255 - torch.tensor([200.0, 10.0])).abs().max() < 2
