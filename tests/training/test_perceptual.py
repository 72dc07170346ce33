"""Perceptual losses against a literal forward of the published configurations; missing weights are one line."""

import pytest
import torch
from torch.nn import functional as F

from edge_scs.errors import InputError
from edge_scs.models.features import Features
from edge_scs.training.perceptual import FEATURES, PerceptualLoss
from edge_scs.weights.features import find_features

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture
def weights(tmp_path):
    """A file of random weights in torchvision's key names, classifier included."""

    def write(name):
        state = Features(name, FEATURES[name][0]).state_dict() | {"classifier.6.bias": torch.zeros(1000)}
        torch.save(state, tmp_path / f"{name}.pth")
        return state, str(tmp_path / f"{name}.pth")

    return write


def literal_vgg(state, x, depths, normalised=True):
    """Blocks of 3x3 convolutions with ReLU, 2x2 max-pooling between them -> activations[block][layer]."""
    x = (x - MEAN[:, None, None]) / STD[:, None, None] if normalised else x
    index, found = 0, []
    for depth in depths:
        found.append([])
        for _ in range(depth):
            x = F.relu(F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1))
            found[-1].append(x)
            index += 2
        x = F.max_pool2d(x, 2)
        index += 1
    return found


def test_vgg16_is_l1_at_the_first_layer_of_each_block(weights):
    state, file = weights("vgg16")
    a, b = torch.rand(2, 1, 3, 32, 32)
    ours = PerceptualLoss("vgg16", file)(a, b)
    x, y = (literal_vgg(state, image, (2, 2, 3, 3, 1)) for image in (a, b))
    weight = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    theirs = sum(w * (p[0] - q[0]).abs().mean() for w, p, q in zip(weight, x, y, strict=True))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)


def test_vgg19_is_l2_at_relu5_4_of_images_as_they_are(weights):
    state, file = weights("vgg19")
    a, b = torch.rand(2, 1, 3, 32, 32)
    x, y = (literal_vgg(state, image, (2, 2, 4, 4, 4), False)[4][3] for image in (a, b))
    assert PerceptualLoss("vgg19", file)(a, b).item() == pytest.approx((x - y).square().mean().item(), rel=1e-4)


def test_squeezenet_takes_five_levels_and_leads_the_output_only(weights):
    _, file = weights("squeezenet1_1")
    loss = PerceptualLoss("squeezenet1_1", file)
    a, b = torch.rand(1, 3, 64, 64, requires_grad=True), torch.rand(1, 3, 64, 64, requires_grad=True)
    assert len(loss.network(a)) == 5
    loss(a, b).backward()
    assert a.grad.abs().sum() > 0
    assert b.grad is None
    assert all(not parameter.requires_grad for parameter in loss.parameters())
    assert loss(b, b).item() == 0


def test_missing_or_foreign_weights_are_one_line(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(InputError, match=r"no vgg16\*\.pth in .*peers/features or .*checkpoints; put") as caught:
        find_features("vgg16")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such feature weights"):
        find_features(str(tmp_path / "none.pth"))
    _, squeeze = weights("squeezenet1_1")
    with pytest.raises(InputError, match=r"lacks features|has shape"):
        PerceptualLoss("vgg16", squeeze)
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint of tensors"):
        PerceptualLoss("vgg16", str(tmp_path / "bad.pth"))


def test_weights_are_found_by_name_and_batch_norm_variants_are_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.delenv("EDGE_SCS_ASSETS", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for name in ("vgg16_bn-6c64b313.pth", "vgg16-397923af.pth", "vgg19-dcbb9e9d.pth"):
        (folder / name).touch()
    assert find_features("vgg16").name == "vgg16-397923af.pth"
