"""Tasks of whole images and of points: what they compare, and that a few steps on two photographs help."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edge_scs.data.pairs import StepBatches
from edge_scs.data.photographs import Photographs
from edge_scs.models import scsnet
from edge_scs.models.features import Features
from edge_scs.models.pcarn import PCARN, PCARNConfig
from edge_scs.recipes import Adversary, DataSection, Perceptual, Stage
from edge_scs.training.discriminators import MultiScaleDiscriminator
from edge_scs.training.image_tasks import PointsTask, SCSTask, SuperResolutionTask
from edge_scs.training.perceptual import FEATURES
from edge_scs.training.validation import held_out_loss

RGB = DataSection(batch=2, lr_patch=16, scales=[2.0])


class Points(nn.Module):
    """The least that can be asked for points: nearest LR pixels through a matrix."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def points(self, rgb, coordinates, size):
        assert coordinates.shape[2] == 2
        grid = coordinates.flip(-1)[:, :, None]  # grid_sample takes (x, y)
        return self.mix(F.grid_sample(rgb, grid, mode="nearest", align_corners=False)[..., 0].transpose(1, 2))


@pytest.fixture
def photographs(photograph):
    image = torch.from_numpy(photograph.copy()).permute(2, 0, 1)
    return Photographs([None] * 2, [image[:, :200, :200].contiguous(), image[:, 200:400, 100:380].contiguous()])


def stage(data, **more):
    return Stage("task", ["all"], steps=1, learning_rate=1e-3, data=data, **more)


def improves(task, batches, steps, rate=2e-3):
    """Whether Adam on the task's own loss lowers it on batches that come later."""
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], rate)
    seen = []
    for step in range(steps):
        loss = task(batches[step])["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    third = steps // 3
    return sum(seen[-third:]) < 0.8 * sum(seen[:third])


def test_super_resolution_lowers_its_loss(photographs):
    model = PCARN(PCARNConfig(channels=8, blocks=1, repeats=1)).train()
    task = SuperResolutionTask(model, stage(RGB), photographs)
    batches = StepBatches(photographs, replace(RGB, scales=[2, 3, 4]), seed=1, colour=True)
    assert improves(task, batches, 45)


def test_the_held_out_loss_knows_no_adversary(photographs):
    task = SuperResolutionTask(PCARN(PCARNConfig(channels=8, blocks=1, repeats=1)), stage(RGB), photographs)
    batches = StepBatches(photographs, RGB, seed=1, colour=True)
    alone = held_out_loss(task, batches, torch.device("cpu"), count=2, adversary=0.0)
    task.stage = replace(task.stage, adversary=Adversary(weight=3.0))
    task.discriminators = (MultiScaleDiscriminator(4),)
    assert task(batches[0])["adversarial"] > 0.1
    assert held_out_loss(task, batches, torch.device("cpu"), count=2, adversary=3.0) == pytest.approx(alone, rel=1e-5)


def test_super_resolution_is_weighted_l1_and_perceptual(photographs, tmp_path):
    name = "squeezenet1_1"
    torch.save(Features(name, FEATURES[name][0]).state_dict(), tmp_path / "features.pth")
    perceptual = Perceptual(weight=0.5, features=name, file=str(tmp_path / "features.pth"))
    model = PCARN(PCARNConfig(channels=8, blocks=1, repeats=1)).train()
    task = SuperResolutionTask(model, stage(RGB, pixel_weight=3.0, perceptual=perceptual), photographs)
    batch = StepBatches(photographs, replace(RGB, lr_patch=32), seed=1, colour=True)[0]
    losses = task(batch)
    out = model(batch.rgb, (64, 64))
    assert losses["pixel"].item() == pytest.approx((out - batch.hr).abs().mean().item(), rel=1e-5)
    assert losses["perceptual"].item() == pytest.approx(task.perceptual(out, batch.hr).item(), rel=1e-5)
    assert losses["loss"].item() == pytest.approx(
        3 * losses["pixel"].item() + 0.5 * losses["perceptual"].item(), rel=1e-5
    )
    losses["loss"].backward()
    assert all(p.grad is None for p in task.perceptual.parameters())


def test_points_are_compared_with_the_pixels_they_name(photographs):
    """A network that looks up the nearest pixel of a full-size input knows every answer."""
    data = DataSection(batch=2, lr_patch=24, scales=[1.0], points=50)
    model = Points()
    with torch.no_grad():
        model.mix.weight.copy_(torch.eye(3))
        model.mix.bias.zero_()
    task = PointsTask(model, stage(data), photographs)
    batch = StepBatches(photographs, data, seed=1, colour=True)[0]
    assert task(batch)["loss"].item() < 1e-6
    batch.hr[0, :, batch.points[0, 0] // 24, batch.points[0, 0] % 24] += 30
    assert task(batch)["loss"].item() == pytest.approx(30 / 100, rel=1e-4)


def test_points_lower_their_loss(photographs):
    data = DataSection(batch=2, lr_patch=12, whole_scales=0.0, points=100)
    assert improves(PointsTask(Points(), stage(data), photographs), StepBatches(photographs, data, 1, colour=True), 60)


@pytest.mark.slow
def test_scs_compares_lab_and_alternates_modes(photographs):
    data = DataSection(batch=2, crop="square", lr_patch=16, scales=[2.0], reference_every=2)
    model = scsnet.SCSNet(scsnet.SCSNetConfig(channels=4, blocks=1)).train()
    task = SCSTask(model, stage(data), photographs)
    batches = StepBatches(photographs, data, seed=1)
    for step, with_reference in ((0, False), (1, True)):
        model.zero_grad()
        losses = task(batches[step])
        out = model.lab(batches[step].gray, (32, 32), batches[step].reference)
        target = scsnet.to_lab(batches[step].hr)
        assert losses["pixel"].item() == pytest.approx((out - target).abs().mean().item(), rel=1e-4)
        losses["loss"].backward()
        assert any(p.grad is not None for p in model.reference_encoder.parameters()) == with_reference
    assert improves(task, batches, 45)


def test_scs_gives_the_perceptual_loss_rgb_with_finite_gradients(photographs):
    task = SCSTask(scsnet.SCSNet(scsnet.SCSNetConfig(channels=4, blocks=1)), stage(RGB), photographs)
    rgb = torch.rand(1, 3, 8, 8)
    assert torch.allclose(task.to_rgb(scsnet.to_lab(rgb)), rgb, atol=1e-3)
    wild = (torch.randn(1, 3, 32, 32) * 2).requires_grad_()
    task.to_rgb(wild).sum().backward()
    assert wild.grad.isfinite().all()
