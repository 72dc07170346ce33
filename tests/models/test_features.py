"""Classifiers by torchvision's layer numbers, and LPIPS against its equation."""

import pytest
import torch

from edge_scs.models.features import LPIPS, LPIPS_LAYERS, Features


@pytest.mark.parametrize(
    ("name", "tap", "keys", "parameters"),
    [
        ("vgg16", 29, 26, 14_714_688),
        ("vgg19", 35, 32, 20_024_384),
        ("squeezenet1_1", 12, 50, 722_496),
        ("alexnet", 11, 10, 2_469_696),
    ],
)
def test_the_convolutions_are_torchvisions(name, tap, keys, parameters):
    with torch.device("meta"):
        state = Features(name, (tap,)).state_dict()
    assert len(state) == keys
    assert sum(value.numel() for value in state.values()) == parameters
    assert "features.0.weight" in state


def test_taps_are_levels_of_the_image():
    network = Features("squeezenet1_1", (1, 4, 7, 12))
    assert [tuple(x.shape[1:]) for x in network(torch.rand(1, 3, 64, 96))] == [
        (64, 31, 47), (128, 15, 23), (256, 7, 11), (512, 3, 5),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="4x4 pixels are too few"):
        network(torch.rand(1, 3, 4, 4))


@pytest.mark.parametrize("name", LPIPS_LAYERS)
def test_lpips_is_equation_1(name):
    network = LPIPS(name)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    a, b = torch.rand(2, 1, 3, 64, 80)
    expected = 0.0
    for head, x, y in zip(network.heads, network.features(a), network.features(b), strict=True):
        total = 0.0
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                u, v = x[0, :, row, column].double(), y[0, :, row, column].double()
                u, v = u / u.norm().clamp(min=1e-12), v / v.norm().clamp(min=1e-12)
                total += float((head.weight.flatten() * (u - v) ** 2).sum())
        expected += total / (x.shape[2] * x.shape[3])
    assert network(a, b).item() == pytest.approx(expected, rel=1e-3)
    assert network(a, a).item() == 0
