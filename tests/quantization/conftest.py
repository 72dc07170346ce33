"""A small network that calls one convolution three times, and photographs to calibrate on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from edge_scs.artifacts.verify import embedded_photographs
from edge_scs.data.photographs import Photographs, load_photographs
from edge_scs.models import registry
from edge_scs.quantization.finetune import finetune
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded

pytest.importorskip("executorch")


class Tied(nn.Module):
    """One convolution called three times, on inputs of very different scales."""

    def __init__(self, channels: int = 64):
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.block = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for _ in range(3):
            x = F.relu(self.block(x))
        return self.last(x)


@pytest.fixture
def tied() -> nn.Module:
    torch.manual_seed(0)
    module = Tied()
    with torch.no_grad():
        module.first.weight.mul_(20)
        module.block.bias.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
    return module.eval()


@pytest.fixture(scope="session")
def calibrated() -> Callable[..., fx.GraphModule]:
    """A module prepared and calibrated on these inputs."""
    from edge_scs.quantization.prepare import prepare
    from edge_scs.quantization.ranges import Ranges, observe_weights

    def make(module: nn.Module, *inputs: Tensor, keep_float: tuple[str, ...] = ()) -> fx.GraphModule:
        graph = prepare(module, inputs, keep_float)
        Ranges(graph).calibrate(graph, [inputs])
        observe_weights(graph)
        with torch.no_grad():
            graph(*inputs)
        return graph

    return make


@pytest.fixture(scope="session")
def photographs() -> Photographs:
    """The photographs inside the wheels."""
    return load_photographs(embedded_photographs(), warn=lambda line: None)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, lively: Callable[..., nn.Module]) -> Loaded:
    """edge_scs_s with noise in every layer, from a file."""
    torch.manual_seed(0)
    model = lively(registry.create("edge_scs_s"), noise=0.02)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    loading.save(path, "edge_scs_s", model)
    return loading.load(str(path))


@pytest.fixture(scope="session")
def tiny_int8(tiny: Loaded, photographs: Photographs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x2 of it, calibrated and not trained. Not to be changed."""
    return _calibrated_file(
        QATRecipe("pcarn_m", variants=["x2"], calibration=2, steps=0, batch=1, hr=[48, 64]),
        tiny, photographs, tmp_path_factory.mktemp("int8"),
    )  # fmt: skip


def psnr(x: Tensor, y: Tensor) -> float:
    """Of peak 1, in dB."""
    return float(-10 * np.log10(max(1e-20, float((x.double() - y.double()).square().mean()))))


@pytest.fixture(scope="session")
def quantised_file(small: Loaded, photographs: Photographs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x4 and x4 with a reference, calibrated and not trained. Not to be changed."""
    recipe = QATRecipe(
        "edge_scs_s",
        variants=["x4", "x4_ref"],
        keep_float=[
            "colour.mean", "colour.branch.split", "colour.branch.votes",
            "colour.branch.cross16.unit", "colour.branch.cross8.unit",
        ],
        calibration=2, steps=0, batch=1, hr=[96, 128],
    )  # fmt: skip
    return _calibrated_file(recipe, small, photographs, tmp_path_factory.mktemp("int8"))


def _calibrated_file(recipe: QATRecipe, loaded: Loaded, photographs: Photographs, out: Path) -> Path:
    weights = finetune(recipe, loaded, photographs, out, say=lambda line: None).weights
    assert weights is not None
    return weights
