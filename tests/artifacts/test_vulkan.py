"""The evaluators of delegates against PyTorch, on what lowering really writes into a .pte."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("executorch")

from edge_scs.artifacts import vulkan
from edge_scs.artifacts.delegates import extract_coreml, read_delegate
from edge_scs.artifacts.mil import MilProgram
from edge_scs.artifacts.vulkan import VulkanProgram
from edge_scs.errors import InputError
from edge_scs.lowering.executorch import lower_methods
from edge_scs.lowering.methods import Method
from edge_scs.models.heads import pixel_shuffle
from tests.exported import Exported

SHAPE = (1, 8, 6, 10)


class Everything(nn.Module):
    """One network with all that ours use."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(8, 12, 3, 2, 1)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.mix = nn.Conv2d(20, 8, 1, bias=False)
        self.linear, self.key = nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.stem(x))
        y = self.grouped(y) + 0.5 * y
        power = (y * y).mean((2, 3), keepdim=True)
        y = y * torch.rsqrt(power + 0.1) + power / (power + 1)
        n, c, h, w = y.shape
        flat = y.reshape(n, c, h * w).transpose(1, 2)
        scores = torch.softmax(torch.bmm(flat, self.key(flat).transpose(1, 2)) * 0.3, dim=-1)
        y = self.linear(torch.bmm(scores, flat)).transpose(1, 2).reshape(n, c, h, w)
        y = F.max_pool2d(F.interpolate(y, (6, 10), mode="bilinear", align_corners=False), 3, 1, 1)
        z = self.mix(torch.cat([x - 0.1, y], dim=1))
        return pixel_shuffle(torch.sigmoid(z), 2).clamp(0.2, 0.8)


def lowered(tmp_path: Path, module: nn.Module, backend: str, precision: str) -> Path:
    method = Method(module.eval(), {"x": torch.rand(SHAPE)})
    path = tmp_path / "a.pte"
    path.write_bytes(lower_methods({"forward": method}, backend, precision=precision).content)
    return path


@pytest.mark.parametrize(("precision", "atol"), [pytest.param("fp32", 1e-5, marks=pytest.mark.slow), ("fp16", 3e-3)])
def test_vulkans_graph_equals_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, atol: float
) -> None:
    """And an operation that the evaluator does not know is named."""
    model, x = Everything(), torch.rand(SHAPE)
    program = VulkanProgram(lowered(tmp_path, model, "vulkan", precision))
    with torch.no_grad():
        expected = model(x)
    torch.testing.assert_close(program.run([x], half=precision == "fp16"), expected, rtol=0, atol=atol)
    assert {"aten.bmm.default", "aten.cat.default", "aten._softmax.default"} <= set(program.operations)
    monkeypatch.delitem(vulkan.OPERATIONS, "aten.bmm.default")
    with pytest.raises(InputError, match=r"operation 'aten\.bmm"):
        program.run([x])


def test_coremls_program_equals_torch(tmp_path: Path) -> None:
    model, x = Everything(), torch.rand(SHAPE)
    path = lowered(tmp_path, model, "coreml", "fp16")
    program = MilProgram(extract_coreml(path, tmp_path))
    with torch.no_grad():
        expected = model(x)
    (answer,) = program.run({"x": x}).values()
    torch.testing.assert_close(answer, expected, rtol=0, atol=3e-3)
    assert (answer - expected).abs().max() > 1e-5  # it is float16


def test_other_programs_are_refused(tmp_path: Path, pte: Exported) -> None:
    with pytest.raises(InputError, match="not one VulkanBackend"):
        VulkanProgram(pte.path)
    (tmp_path / "a.pte").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable program"):
        read_delegate(tmp_path / "a.pte", "VulkanBackend")


def pooled_and_enlarged(x: Tensor) -> Tensor:
    pooled = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    return F.interpolate(pooled, (13, 17), mode="bilinear", align_corners=True)


def product_of_views(x: Tensor) -> Tensor:
    product = (x - 0.3 * x * x) * x
    return product.unsqueeze(1).squeeze(1).permute(0, 2, 3, 1).reshape(1, 60, 8) * 2


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.slow
@pytest.mark.parametrize("function", [pooled_and_enlarged, product_of_views])
def test_vulkans_operations_equal_torch(tmp_path: Path, function: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(SHAPE)
    program = VulkanProgram(lowered(tmp_path, Function(function), "vulkan", "fp32"))
    torch.testing.assert_close(program.run([x], half=False), function(x), rtol=0, atol=1e-6)
