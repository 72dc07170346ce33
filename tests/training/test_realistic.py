"""The photo-realistic stage: what is compared, that it resumes exactly, and that LPIPS as a loss is the metric."""

import pytest
import torch

from edge_scs.color import rgb_to_ycc
from edge_scs.data.pairs import Batch
from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.features import LPIPS
from edge_scs.recipes import Adversary, Perceptual, Stage, load_recipe
from edge_scs.training.discriminators import MultiScaleDiscriminator
from edge_scs.training.loop import train
from edge_scs.training.perceptual import LearnedDistance, check_features
from edge_scs.training.tasks import RealisticTextureTask, rendered
from tests.training.conftest import losses
from tests.training.test_every_recipe import assert_same, stopped_and_resumed

RECIPE = """
model = "edge_scs_s"
stages = ["realistic"]
checkpoint_every = 1
validate_images = 1
validate_side = 32
channels_last = false
[stage.realistic]
task = "realistic_texture"
parts = ["texture", "heads"]
steps = 2
learning_rate = 1e-3
warmup = 0
optimizer = "adam"
pixel_weight = 0.5
adversary = { weight = 0.01, channels = 4 }
[stage.realistic.data]
batch = 2
lr_patch = 24
scales = [2]
degradation = "worn"
"""


@pytest.fixture
def lpips_files(tmp_path, monkeypatch):
    """Random SqueezeNet features and LPIPS heads where they are looked up, as the published files name them."""
    torch.manual_seed(0)
    state = LPIPS("squeezenet1_1").state_dict()
    folders = [tmp_path / "peers" / "features", tmp_path / "peers" / "lpips_lin" / "v0.1"]
    for folder in folders:
        folder.mkdir(parents=True)
    features = {key.removeprefix("features."): x for key, x in state.items() if key.startswith("features.")}
    heads = {f"lin{key.split('.')[1]}.model.1.weight": x.abs() for key, x in state.items() if key.startswith("heads.")}
    torch.save(features, folders[0] / "squeezenet1_1.pth")
    torch.save(heads, folders[1] / "squeeze.pth")
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_lpips_as_a_loss_is_the_metric_and_smooth_without_activations(lpips_files):
    a, b = torch.rand(2, 2, 3, 64, 64)
    loss = LearnedDistance()
    assert loss(a, b).item() == pytest.approx(loss.network(a, b).mean().item(), rel=1e-3)
    with torch.no_grad():  # a first layer that lets nothing through
        first = loss.network.features.features[0]
        first.weight.zero_()
        first.bias.fill_(-1)
    a.requires_grad_()
    loss(a, b).backward()
    assert a.grad.isfinite().all()
    assert all(p.grad is None for p in loss.parameters())


def test_luma_is_judged_chroma_is_compared(lpips_files):
    """In eval mode the losses are those of the whole image; in training, of a window that starts a little further."""
    stage = Stage(
        "realistic_texture", ["texture"], 1, 1e-3, pixel_weight=2.0, chroma_weight=0.5,
        perceptual=Perceptual(weight=0.1, features="lpips"), adversary=Adversary(weight=0.01),
    )  # fmt: skip
    model = registry.create("edge_scs_s").eval()
    task = RealisticTextureTask(model, stage, None)
    task.discriminators = (MultiScaleDiscriminator(4).eval(),)
    batch = Batch(torch.rand(2, 1, 24, 24), torch.rand(2, 3, 48, 48), None, chroma_ratio=6.0)
    found, target = task(batch), rgb_to_ycc(batch.hr)
    out, _ = rendered(model, batch)
    assert torch.equal(found["real"], target[:, :1].expand(-1, 3, -1, -1))
    assert torch.equal(found["fake"], out[:, :1].expand(-1, 3, -1, -1))
    assert found["pixel"].item() == pytest.approx(task.pixel_error(out[:, :1], target[:, :1]).item(), rel=1e-5)
    assert found["chroma"].item() == pytest.approx((out - target)[:, 1:].abs().mean().item(), rel=1e-5)
    parts = {"pixel": 2.0, "chroma": 0.5, "perceptual": 0.1, "adversarial": 0.01}
    assert found["loss"].item() == pytest.approx(sum(w * found[key].item() for key, w in parts.items()), rel=1e-5)
    found["loss"].backward()
    assert all(head.conv.weight.grad is not None for head in [model.heads["2"]])
    model.train()
    torch.manual_seed(0)
    windows = {tuple(task(batch)["real"].shape[-2:]) for _ in range(8)}
    assert len(windows) > 1
    assert all(40 < side <= 48 for window in windows for side in window)
    small = Batch(torch.rand(1, 1, 16, 16), torch.rand(1, 3, 32, 32), None, chroma_ratio=6.0)
    assert task(small)["real"].shape[-2:] == (32, 32)


def test_the_pixel_error_is_that_of_flat_areas():
    """An error of 3 levels counts in full where the target is flat, by a fifth where it deviates by 10 levels."""
    task = RealisticTextureTask(registry.create("edge_scs_s"), Stage("realistic_texture", ["texture"], 1, 1e-3), None)
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert task.pixel_error(flat + 3 / 255, flat).item() == pytest.approx(3 / 255, rel=1e-4)
    rough = flat + 10 / 255 * (torch.arange(64) % 2 * 2 - 1)
    assert task.pixel_error(rough + 3 / 255, rough).item() == pytest.approx(3 / 255 / 5, rel=0.05)


def test_a_stopped_realistic_stage_resumes_exactly(tmp_path, folder, monkeypatch):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    plan, photographs = load_recipe(path), load_photographs([folder])
    train(plan, photographs, tmp_path / "whole", say=lambda line: None)
    _, stops = stopped_and_resumed(
        lambda resume: train(plan, photographs, tmp_path / "stopped", resume, say=lambda line: None), 1, monkeypatch
    )
    assert stops == 1
    assert_same(tmp_path / "stopped", tmp_path / "whole", "weights.safetensors")


def test_missing_lpips_is_one_line_before_the_first_step(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    plan = load_recipe(path, ['stage.realistic.perceptual={weight=0.1, features="lpips"}'])
    with pytest.raises(InputError, match=r"stage\.realistic\.perceptual\.features: no LPIPS at hand; put") as caught:
        train(plan, load_photographs([folder]), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not losses(tmp_path / "run")
    with pytest.raises(InputError, match=r'x\.file: "lpips" is looked up in .*; remove the key'):
        check_features("lpips", "lpips.pth", "x")
