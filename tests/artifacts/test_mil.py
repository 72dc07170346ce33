"""The MIL evaluator against PyTorch, operation by operation, on small converted graphs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.errors import InputError

pytest.importorskip("coremltools")

from edge_scs.artifacts import mil
from edge_scs.artifacts.mil import MilProgram
from edge_scs.lowering import coreml
from edge_scs.models.heads import pixel_shuffle

SHAPE = (1, 8, 6, 10)


class Graph(nn.Module):
    def __init__(self, function: Callable[..., Tensor], layer: nn.Module | None = None):
        super().__init__()
        self.function, self.layer = function, layer

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) if self.layer is None else self.function(x, self.layer)


def _normed() -> nn.Module:
    norm = nn.BatchNorm2d(8)
    norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return norm.eval()


def layered(layer: nn.Module) -> Graph:
    return Graph(lambda x, layer: layer(x), layer)


# Name, network, and the MIL operation that conversion must have produced (else the test would prove something else).
CASES: list[tuple[str, Callable[[], nn.Module], str]] = [
    ("conv dense", lambda: layered(nn.Conv2d(8, 5, 3, padding=1)), "conv"),
    ("conv grouped strided", lambda: layered(nn.Conv2d(8, 12, (3, 5), (2, 1), (1, 0), groups=4)), "conv"),
    ("conv dilated no bias", lambda: layered(nn.Conv2d(8, 4, 3, dilation=2, bias=False)), "conv"),
    ("conv same padding", lambda: layered(nn.Conv2d(8, 4, (4, 3), padding="same")), "conv"),
    (
        "transposed conv",
        lambda: layered(nn.ConvTranspose2d(8, 6, 4, 2, 1, output_padding=1, groups=2)),
        "conv_transpose",
    ),
    ("linear", lambda: layered(nn.Linear(10, 7)), "linear"),
    ("matmul", lambda: Graph(lambda x: torch.bmm(x[0], x[0].transpose(1, 2))[None]), "matmul"),
    (
        "bilinear half-pixel",
        lambda: Graph(lambda x: F.interpolate(x, (15, 23), mode="bilinear", align_corners=False)),
        "upsample_bilinear",
    ),
    (
        "bilinear corners",
        lambda: Graph(lambda x: F.interpolate(x, (15, 20), mode="bilinear", align_corners=True)),
        "upsample_bilinear",
    ),
    (
        "bilinear smaller",
        lambda: Graph(lambda x: F.interpolate(x, (4, 7), mode="bilinear", align_corners=False)),
        "upsample_bilinear",
    ),
    ("nearest", lambda: Graph(lambda x: F.interpolate(x, scale_factor=3, mode="nearest")), "upsample_nearest_neighbor"),
    ("max pool", lambda: Graph(lambda x: F.max_pool2d(x - 5, 3, 2, 1)), "max_pool"),
    ("max pool ceil", lambda: Graph(lambda x: F.max_pool2d(x - 5, (4, 3), (4, 3), ceil_mode=True)), "max_pool"),
    ("avg pool", lambda: Graph(lambda x: F.avg_pool2d(x, 3, 2, 1)), "avg_pool"),
    (
        "avg pool ceil",
        lambda: Graph(lambda x: F.avg_pool2d(x, (4, 3), ceil_mode=True, count_include_pad=False)),
        "avg_pool",
    ),
    ("softmax", lambda: Graph(lambda x: torch.softmax(3 * x, dim=1)), "softmax"),
    ("concat", lambda: Graph(lambda x: torch.cat([x, x * 2, -x], dim=1)), "concat"),
    ("split", lambda: Graph(lambda x: torch.cat(x.split([3, 5], 1)[::-1], 1)), "split"),
    ("chunk", lambda: Graph(lambda x: x.chunk(2, 1)[1] * 2), ""),
    ("slice", lambda: Graph(lambda x: x[:, 1:7:2, ..., 2:-1] + 1), "slice_by_index"),
    ("shuffle by views", lambda: Graph(lambda x: pixel_shuffle(x, 2)), "pixel_shuffle"),
    ("pixel shuffle", lambda: Graph(lambda x: F.pixel_shuffle(x, 2)), "pixel_shuffle"),
    ("pixel unshuffle", lambda: Graph(lambda x: F.pixel_unshuffle(x, 2)), ""),
    ("repeat", lambda: Graph(lambda x: x.repeat(1, 2, 1, 3)), "tile"),
    ("pads", lambda: Graph(lambda x: F.pad(F.pad(x, (1, 2, 0, 3)), (2, 1, 1, 2), mode="reflect")), "pad"),
    ("instance norm", lambda: layered(nn.InstanceNorm2d(8, affine=True)), "instance_norm"),
    ("batch norm", lambda: layered(_normed()), "batch_norm"),
    ("layer norm", lambda: layered(nn.LayerNorm(10)), "layer_norm"),
    ("relu, clip", lambda: Graph(lambda x: (F.relu(x) * 2).clamp(0.1, 0.9)), "clip"),
    ("sigmoid, tanh, silu", lambda: Graph(lambda x: torch.sigmoid(x) + torch.tanh(x) * F.silu(x)), "sigmoid"),
    ("leaky, prelu", lambda: Graph(lambda x, p: p(F.leaky_relu(x, 0.3)), nn.PReLU(8, 0.2)), "leaky_relu"),
    ("gelu", lambda: Graph(lambda x: F.gelu(x) * 2), "gelu"),
    ("hard swish", lambda: Graph(lambda x: F.hardswish(x) + F.relu6(x * 4)), ""),
    ("arithmetic", lambda: Graph(lambda x: (x - 0.3) * x / (x.abs() + 2) + x**2), "real_div"),
    ("roots", lambda: Graph(lambda x: torch.sqrt(x.abs()) + torch.rsqrt(x.abs() + 1) + torch.exp(x)), "sqrt"),
    ("pow, where", lambda: Graph(lambda x: torch.where(x > 0.1, (x.abs() + 0.1) ** 2.4, 12 * x)), "select"),
    ("reduce", lambda: Graph(lambda x: x.mean((2, 3), keepdim=True) + x.amax(1, keepdim=True) - x.sum(2, True)), ""),
    ("maximum", lambda: Graph(lambda x: torch.maximum(x, -x) + torch.minimum(x, x * 0.5)), "maximum"),
    ("stack", lambda: Graph(lambda x: torch.stack([x[:, 0], x[:, 1]], dim=1)), ""),
]


def convert(model: nn.Module, path: Path, precision: str = "fp32", shape: tuple[int, ...] = SHAPE) -> MilProgram:
    coreml.convert(model.eval(), {"x": torch.zeros(shape)}, path, "test", precision)
    return MilProgram(path)


class Together(nn.Module):
    """Several networks on one image, and all their answers in one row: converting one program takes a second."""

    def __init__(self, networks: list[nn.Module]):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([network(x).reshape(1, -1) for network in self.networks], dim=1)


@pytest.mark.parametrize("first", range(0, len(CASES), 12))
def test_operations_equal_torch(tmp_path: Path, first: int) -> None:
    cases = CASES[first : first + 12]
    networks = [build().eval() for _, build, _ in cases]
    program = convert(Together(networks), tmp_path / "a.mlpackage")
    x = torch.randn(SHAPE)
    with torch.no_grad():
        expected = [network(x).flatten() for network in networks]
    answers = program.run({"x": x})["rgb"].flatten().split([len(answer) for answer in expected])
    for (name, _, operation), answer, right in zip(cases, answers, expected, strict=True):
        assert not operation or operation in program.operations, name
        torch.testing.assert_close(answer, right, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_float16_is_rounded_after_every_operation(tmp_path: Path) -> None:
    """(x + 2048) - 2048 keeps whole numbers only in float16."""
    program = convert(Graph(lambda x: torch.relu(torch.relu(x + 2048) - 2047)), tmp_path / "a.mlpackage", "fp16")
    x = torch.rand(SHAPE)
    answer = program.run({"x": x})["rgb"]
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, (x.half() + 2048).float() - 2047, rtol=0, atol=0)
    assert (answer - x - 1).abs().max() > 0.3


def test_an_unknown_operation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = convert(Graph(lambda x: torch.relu(x)), tmp_path / "a.mlpackage")
    monkeypatch.setattr(mil, "OPERATIONS", {})
    with pytest.raises(InputError, match="operation 'relu'") as caught:
        program.run({"x": torch.rand(SHAPE)})
    assert "\n" not in str(caught.value)


def test_metadata_and_ports(tmp_path: Path) -> None:
    path = tmp_path / "a.mlpackage"
    program = convert(Graph(lambda x: x * 2), path, "fp16")
    meta, (port,) = program.spec.description.metadata, program.spec.description.output
    assert (meta.license, meta.shortDescription) == ("Apache-2.0", "test")
    assert meta.author
    assert meta.versionString
    assert port.name == "rgb"
    assert "RGB" in port.shortDescription
    assert program.inputs == {"x": SHAPE}
    assert sorted(p.name for p in path.iterdir()) == ["Data", "Manifest.json"]
    for wrong in ({"x": torch.rand(1, 8, 10, 6)}, {"y": torch.rand(SHAPE)}, {}):
        with pytest.raises(InputError, match="takes inputs"):
            program.run(wrong)


def test_int8_weights_are_expanded(tmp_path: Path) -> None:
    import coremltools as ct
    from coremltools.optimize import coreml as optimize

    path, model = tmp_path / "a.mlpackage", layered(nn.Conv2d(8, 16, 3, padding=1))
    convert(model, path)
    config = optimize.OptimizationConfig(optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0))
    package = ct.models.MLModel(str(path), skip_model_load=True)
    optimize.linear_quantize_weights(package, config).save(str(tmp_path / "b.mlpackage"))
    program, x = MilProgram(tmp_path / "b.mlpackage"), torch.randn(SHAPE)
    assert any(name.startswith("constexpr_") for name in program.operations)
    with torch.no_grad():
        difference = (program.run({"x": x})["rgb"] - model(x)).abs().max()
    assert 1e-5 < difference < 0.05


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such \.mlpackage"):
        MilProgram(tmp_path / "none.mlpackage")
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(InputError, match="not a readable ML program"):
        MilProgram(tmp_path / "empty.mlpackage")
