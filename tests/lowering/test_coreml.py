"""Core ML's variants: pixel buffers, compressed weights, functions that share weights, operations kept in float32."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("coremltools")

from edge_scs.artifacts.manifest import artifact_bytes
from edge_scs.artifacts.mil import MilProgram
from edge_scs.errors import InputError
from edge_scs.lowering import coreml
from edge_scs.lowering.methods import Method
from edge_scs.models.heads import pixel_shuffle


class Widen(nn.Module):
    """gray (1, 1, h, w) -> RGB of that size, by enough weights that their storage shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 160, 3, padding=1), nn.Conv2d(160, 3, 3, padding=1)
        self.middle = nn.Conv2d(160, 160, 3, padding=1)

    def forward(self, gray: Tensor) -> Tensor:
        return torch.sigmoid(self.last(torch.relu(self.middle(torch.relu(self.first(gray))))))


class Overflow(nn.Module):
    """Squares of numbers around 400 exceed float16's 65504 before the mean makes them small again."""

    def forward(self, gray: Tensor) -> Tensor:
        x = gray * 400.0
        return (x * x * 6.25e-6).repeat(1, 3, 1, 1) if gray.shape[1] == 1 else x


@pytest.fixture(scope="module")
def widen() -> Widen:
    torch.manual_seed(0)
    return Widen().eval().requires_grad_(False)


GRAY = (torch.arange(12 * 16).reshape(1, 1, 12, 16) % 256).float() / 255


def test_pixel_buffers_in_and_out(tmp_path: Path, widen: Widen) -> None:
    path = tmp_path / "a.mlpackage"
    coreml.convert(widen, {"gray": GRAY}, path, "test", images=True)
    program = MilProgram(path)
    given, made = program.spec.description.input[0], program.spec.description.output[0]
    assert given.type.WhichOneof("Type") == made.type.WhichOneof("Type") == "imageType"
    assert (given.type.imageType.width, given.type.imageType.height) == (16, 12)
    assert (made.type.imageType.width, made.type.imageType.height) == (16, 12)
    assert "OneComponent8" in given.shortDescription
    answer = program.run({"gray": GRAY * 255})["rgb"]
    torch.testing.assert_close(answer / 255, widen(GRAY), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("compression", "bits", "atol"), [("int8", 8, 0.02), ("palette6", 6, 0.05)])
def test_compressed_weights(tmp_path: Path, widen: Widen, compression: str, bits: int, atol: float) -> None:
    plain, small = tmp_path / "a.mlpackage", tmp_path / "b.mlpackage"
    coreml.convert(widen, {"gray": GRAY}, plain, "test")
    coreml.convert(widen, {"gray": GRAY}, small, "test", compression=compression)
    assert artifact_bytes(small) < artifact_bytes(plain) * (bits / 16 + 0.1)
    difference = (MilProgram(small).run({"gray": GRAY})["rgb"] - widen(GRAY)).abs().max()
    assert 1e-4 < difference < atol
    assert MilProgram(small).spec.description.metadata.license == "Apache-2.0"


def test_functions_share_their_weights(tmp_path: Path, widen: Widen) -> None:
    sizes = {"forward": (12, 16), "x1_20x10": (10, 20), "x1_8x30": (30, 8)}
    methods = {name: Method(widen, {"gray": torch.rand(1, 1, *size)}) for name, size in sizes.items()}
    one, three = tmp_path / "one.mlpackage", tmp_path / "three.mlpackage"
    coreml.convert(widen, methods["forward"].inputs, one, "test", minimum_target="iOS18")
    coreml.convert_functions(methods, three, "test", coreml.Options(minimum_target="iOS18"))
    assert artifact_bytes(three) < 1.1 * artifact_bytes(one)
    for name, size in sizes.items():
        x = torch.rand(1, 1, *size)
        torch.testing.assert_close(MilProgram(three, name).run({"gray": x})["rgb"], widen(x), rtol=0, atol=2e-3)
    with pytest.raises(InputError, match="has no function x9"):
        MilProgram(three, "x9")


def test_what_float16_ruins_stays_in_float32(tmp_path: Path) -> None:
    path, model = tmp_path / "a.mlpackage", Overflow()
    coreml.convert(model, {"gray": GRAY}, path, "test")
    program = MilProgram(path)
    expected = model(GRAY)
    assert not torch.isfinite(program.run({"gray": GRAY})["rgb"]).all()

    def cost(exact: object) -> float:
        error = (program.run({"gray": GRAY}, exact=exact)["rgb"] - expected).abs().max()  # type: ignore[arg-type]
        return float(error) if torch.isfinite(error) else 1000.0

    float32_ops = coreml.find_float32_ops(path, cost, 0.01)
    assert "mul" in float32_ops
    fixed = tmp_path / "b.mlpackage"
    coreml.convert(model, {"gray": GRAY}, fixed, "test", float32_ops=float32_ops)
    answer = MilProgram(fixed).run({"gray": GRAY})["rgb"]
    torch.testing.assert_close(answer, expected, rtol=0, atol=0.01)
    assert coreml.find_float32_ops(fixed, lambda exact: 0.0, 0.01) == []
    with pytest.raises(InputError, match="use precision fp32"):
        coreml.find_float32_ops(path, lambda exact: 1.0, 0.01)


class Shuffled(nn.Module):
    """A convolution and a pixel shuffle in view form, as every head of ours ends."""

    def __init__(self, scale: int):
        super().__init__()
        self.conv, self.scale = nn.Conv2d(1, 3 * scale**2, 3, padding=1), scale

    def forward(self, gray: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(gray), self.scale).clamp(0, 1)


@pytest.mark.parametrize("scale", [2, 3])
def test_pixel_shuffle_is_one_operation(tmp_path: Path, scale: int) -> None:
    model, path = Shuffled(scale).eval().requires_grad_(False), tmp_path / "a.mlpackage"
    coreml.convert(model, {"gray": GRAY}, path, "test", precision="fp32")
    program = MilProgram(path)
    assert "pixel_shuffle" in program.operations
    assert not {"transpose", "reshape"} & set(program.operations)
    torch.testing.assert_close(program.run({"gray": GRAY})["rgb"], model(GRAY), rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", [(0, 1, 4, 2, 5, 3), (0, 1, 4, 3, 5, 2), (0, 2, 1, 3, 4, 5)])
def test_only_a_pixel_shuffle_is_taken_for_one(order: tuple[int, ...]) -> None:
    """The same shapes with another order of axes are other images."""

    class Moved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(1, 3, 2, 2, 4, 4).permute(order).reshape(1, 3, 8, 8) + 0.0

    x = torch.rand(1, 12, 4, 4)
    graph = torch.export.export(Moved(), (x,), strict=False).graph_module
    assert coreml.shuffle_pixels(graph) == (order == (0, 1, 4, 2, 5, 3))
    torch.testing.assert_close(graph(x)[0], Moved()(x))
