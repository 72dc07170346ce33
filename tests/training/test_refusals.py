"""Trainings that cannot be are refused in one line, before their first step or as soon as it shows."""

import re

import pytest
import torch

from edge_scs.data.photographs import load_photographs
from edge_scs.errors import InputError
from edge_scs.recipes import load_recipe
from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.checks import warn_of_emulation
from edge_scs.training.loop import train
from tests.training.conftest import losses
from tests.training.test_loop import recipe_file


def test_a_run_is_neither_overwritten_nor_mixed(tmp_path, folder):
    photographs = load_photographs([folder])
    plan = load_recipe(recipe_file(tmp_path, texture=4, colour=2))
    train(plan, photographs, tmp_path / "run", say=lambda text: None)
    with pytest.raises(InputError, match="holds a run already"):
        train(plan, photographs, tmp_path / "run")
    other = load_recipe(recipe_file(tmp_path, texture=5, colour=2))
    with pytest.raises(InputError, match="another recipe"):
        train(other, photographs, tmp_path / "run", resume=True)


def test_a_diverged_run_may_go_on_more_gently(tmp_path, folder):
    photographs, said = load_photographs([folder]), []
    path = recipe_file(tmp_path, texture=4, colour=2)
    plan = load_recipe(path)
    train(plan, photographs, tmp_path / "run", say=lambda text: None)
    state = load_checkpoint(tmp_path / "run")
    gentle = "stage.colour.learning_rate=1e-5"
    save_checkpoint(tmp_path / "run", state | {"position": {"stage": 1, "step": 0}})
    train(load_recipe(path, [gentle]), photographs, tmp_path / "run", resume=True, say=said.append)
    assert any("resumes with learning_rate 1e-05 and clip 1 in stage colour" in line for line in said)
    save_checkpoint(tmp_path / "run", state | {"position": {"stage": 1, "step": 0}})
    finished = "stage.texture.learning_rate=1e-5"
    with pytest.raises(InputError, match="another recipe"):
        train(load_recipe(path, [finished]), photographs, tmp_path / "run", resume=True)


def test_other_photographs_are_told(tmp_path, folder):
    plan, said = load_recipe(recipe_file(tmp_path, texture=4, colour=2)), []
    photographs = load_photographs([folder])
    train(plan, photographs, tmp_path / "run", say=lambda text: None)
    train(plan, photographs, tmp_path / "run", resume=True, say=said.append)
    assert not any("other photographs" in line for line in said)
    fewer = load_photographs([sorted(folder.iterdir())[0]])
    train(plan, fewer, tmp_path / "run", resume=True, say=said.append)
    assert any("other photographs" in line for line in said)


def test_an_output_that_cannot_be_is_one_line(tmp_path, folder):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match=r"run/metrics\.csv: cannot be written"):
        train(load_recipe(recipe_file(tmp_path)), load_photographs([folder]), tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stage.texture.task=paint", "known: texture, realistic_texture, colour"),
        ("stage.texture.task=super_resolution", "cannot learn 'super_resolution'"),
        ("stage.texture.perceptual.weight=1.0", "no whole images to compare"),
        ("stage.colour.adversary.loss=wasserstein", "known: standard, relativistic"),
        ('stage.texture.parts=["textur"]', "has no part 'textur'"),
        ('stage.colour.slow={"colour.decoder" = 0.1}', "has no part 'colour.decoder'"),
        ('stage.colour.slow={"all" = 0.1}', "has no part 'all'"),
        ("stage.colour.optimizer=muon", "stage.colour.muon: goes with optimizer"),
        ("stage.colour.flat_weight=1.0", "stage.colour.flat_weight: goes with task"),
        ("stage.colour.retain=0.3", "stage.colour.retain: goes with task"),
        ("stage.colour.sharpen=0.5", "stage.colour.sharpen: goes with task"),
        ('stage.colour.init_from={"colour" = "nowhere"}', "has no part 'nowhere'"),
        ('stage.colour.init_from={"heads.2" = "heads.4"}', "heads.2 cannot be initialised from heads.4"),
        ("stage.colour.encoder_init=/none.pth", "no such feature weights"),
    ],
)
def test_stages_that_cannot_be(tmp_path, folder, override, says):
    plan = load_recipe(recipe_file(tmp_path), [override])
    with pytest.raises(InputError, match=says):
        train(plan, load_photographs([folder]), tmp_path / "run")
    assert not losses(tmp_path / "run"), "refused before the first step of the first stage"


@pytest.mark.parametrize(
    ("precision", "device", "native", "warned"),
    [
        ("bf16", "cpu", False, True),
        ("bf16", "cpu", True, False),
        ("no", "cpu", False, False),
        ("bf16", "cuda", False, False),
    ],
)
def test_emulated_bf16_is_told(tmp_path, monkeypatch, precision, device, native, warned):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    said = []
    plan = load_recipe(recipe_file(tmp_path), [f"precision={precision}"])
    warn_of_emulation(plan, torch.device(device), said.append)
    assert [text.endswith("--set precision=no") for text in said] == [True] * warned


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stage.gan.data.scales=[2, 5]", "pcarn does x2, x3 or x4, not x5"),
        ("stage.gan.data.scales=[]", "name them here, as [2, 3, 4]"),
        ("stage.gan.data.reference_every=2", "stage.gan.data.reference_every: pcarn has no reference branch"),
        ("stage.gan.data={scales=[2], lr_patch=8}", "stage.gan.data.lr_patch: gives HR images of 16 pixels"),
        (
            "stage.gan.data.own_scales=true",
            "stage.gan.data.own_scales: task 'super_resolution' needs images of one size",
        ),
        ("stage.gan.task=points", "pcarn cannot learn 'points'"),
        ("stage.gan.task=texture", "pcarn cannot learn 'texture'"),
        ("stage.gan.adversary.discriminator=patch", "known: multi_scale, single_scale, spectral"),
        ('stage.gan.perceptual={weight=1.0, features="resnet"}', "known: vgg16, vgg19, squeezenet1_1"),
        ('stage.gan.perceptual={weight=1.0, file="/none.pth"}', "stage.gan.perceptual.file: /none.pth"),
    ],
)
def test_gan_stages_that_cannot_be(tmp_path, folder, pcarn_recipe, override, says):
    with pytest.raises(InputError, match=re.escape(says)):
        train(load_recipe(pcarn_recipe(), [override]), load_photographs([folder]), tmp_path / "run")
    assert not losses(tmp_path / "run")


def test_missing_vgg_weights_are_one_line_that_says_where_to_put_them(tmp_path, folder, pcarn_recipe, monkeypatch):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    plan = load_recipe(pcarn_recipe(), ['stage.gan.perceptual={weight=1.0, features="vgg19"}'])
    with pytest.raises(InputError) as caught:
        train(plan, load_photographs([folder]), tmp_path / "run")
    said = str(caught.value)
    for part in ("vgg19", "peers/features", "hub/checkpoints", "stage.gan.perceptual.file", "squeezenet1_1"):
        assert part in said
    assert "\n" not in said


def test_losses_that_stay_infinite_stop_the_run(tmp_path, folder, pcarn_recipe):
    plan = load_recipe(pcarn_recipe(l1=40), ["stage.l1.learning_rate=1e30", "stage.l1.clip=1e30"])
    with pytest.raises(InputError, match="stage l1: no finite loss or gradient in 10 steps in a row"):
        train(plan, load_photographs([folder]), tmp_path / "run", say=lambda text: None)
