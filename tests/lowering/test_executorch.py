"""Lowering to XNNPACK and running the program here."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_scs.errors import InputError

pytest.importorskip("executorch")

from edge_scs.artifacts.presets import load_preset
from edge_scs.artifacts.pte import PteProgram, run_pte
from edge_scs.artifacts.verify import embedded_photographs, prepare
from edge_scs.lowering.executorch import lower, lower_methods
from edge_scs.lowering.methods import Method, fixed_methods
from edge_scs.models.attention import ValveCrossAttention
from edge_scs.weights.loading import Loaded
from tests.exported import Exported


class Add(nn.Module):
    def __init__(self, amount: float):
        super().__init__()
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        return x + self.amount


class Orientation(nn.Module):
    """Distinguishes rows from columns: a 3x1 filter, twice with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.relu(self.conv(x)))


def test_the_whole_network_is_delegated_and_exact(pte: Exported) -> None:
    assert pte.manifest.delegated_share == 1.0
    assert pte.manifest.non_delegated == []
    assert pte.manifest.parity is not None
    assert pte.manifest.parity.psnr_db is not None
    assert pte.manifest.parity.psnr_db >= 100
    assert pte.manifest.arena_bytes is not None
    assert 0 < pte.manifest.arena_bytes < 10e6


def test_tied_weights_are_stored_once(pte: Exported) -> None:
    assert 4 * pte.manifest.params < pte.manifest.bytes < 1.05 * 4 * pte.manifest.params + 50_000


@pytest.mark.slow
def test_three_sizes_cost_at_most_a_tenth_more_than_one(tmp_path: Path, pte: Exported, small: Loaded) -> None:
    sizes = ["x4_32x24", "x2_40x32", "x3_24x30"]
    preset = load_preset("xnnpack-sizes").replace(sizes=sizes)
    lowered = lower_methods(fixed_methods(small, preset))
    assert len(lowered.content) < 1.1 * pte.manifest.bytes
    assert lowered.delegated_share == 1.0
    path = tmp_path / "sizes.pte"
    path.write_bytes(lowered.content)
    program = PteProgram(path)
    assert program.methods == {"forward", *sizes[1:]}
    for shape in preset.shapes:
        gray = prepare(embedded_photographs()[0], {"gray": (1, 1, *shape.lr)})["gray"]
        with torch.no_grad():
            expected = small.model(gray, shape.size)
        torch.testing.assert_close(program.run([gray], shape.method)[0], expected, rtol=0, atol=1e-4)
    with pytest.raises(InputError, match=r"sizes\.pte: has no method x9, only forward"):
        program.run([gray], "x9")


def test_cross_attention_is_delegated_and_exact(tmp_path: Path) -> None:
    """What a reference adds to a network: products of two inputs."""
    attention = ValveCrossAttention(16, 8, 8).eval().requires_grad_(False)
    inputs = [torch.rand(1, 16, 3, 4), torch.rand(1, 16, 4, 4), torch.rand(1, 2, 4, 4) - 0.5]
    lowered = lower(attention, inputs)
    assert lowered.delegated_share == 1.0
    path = tmp_path / "attention.pte"
    path.write_bytes(lowered.content)
    for answer, expected in zip(run_pte(path, inputs), attention(*inputs), strict=True):
        torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_referential_network_at_any_magnification(tmp_path: Path, small: Loaded) -> None:
    from edge_scs.lowering.deploy import deploy

    inputs = prepare(embedded_photographs()[0], {"gray": (1, 1, 22, 30), "reference": (1, 3, 64, 64)})
    lowered = lower(deploy(small.model, (22, 30), (55, 75), reference=True), list(inputs.values()))
    path = tmp_path / "ref.pte"
    path.write_bytes(lowered.content)
    with torch.no_grad():
        expected = small.model(inputs["gray"], (55, 75), inputs["reference"])
    (answer,) = run_pte(path, list(inputs.values()), threads=1)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-4)
    assert lowered.delegated_share == 1.0


def test_another_size_is_a_message(pte: Exported) -> None:
    program = PteProgram(pte.path)
    assert program.inputs == [(1, 1, 24, 32)]
    assert program.outputs == [(1, 3, 96, 128)]
    for wrong in ([torch.rand(1, 1, 32, 24)], [torch.rand(1, 1, 24, 32)] * 2, []):
        with pytest.raises(InputError, match="takes inputs of shape"):
            program.run(wrong)


@pytest.mark.slow
def test_one_path_may_be_written_and_run_again(tmp_path: Path) -> None:
    path, x = tmp_path / "same.pte", torch.rand(1, 1, 4, 5)
    for amount in (1.0, 2.0):
        path.write_bytes(lower(Add(amount), [x]).content)
        torch.testing.assert_close(run_pte(path, [x])[0], x + amount)


def test_strides_do_not_matter(tmp_path: Path) -> None:
    """An image turned from (h, w, 1) is contiguous by PyTorch's rule and channels-last by ExecuTorch's."""
    turned = torch.rand(6, 9, 1).permute(2, 0, 1)[None]
    assert turned.is_contiguous()
    model, path = Orientation().eval(), tmp_path / "a.pte"
    path.write_bytes(lower(model, [turned]).content)
    for x in (turned, turned.clone(memory_format=torch.channels_last), torch.rand(1, 1, 9, 6).transpose(2, 3)):
        torch.testing.assert_close(run_pte(path, [x])[0], model(x), rtol=0, atol=1e-5)


def test_what_portable_kernels_run_is_named() -> None:
    class Cumulative(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(torch.cumsum(x + 1, dim=1))

    lowered = lower(Cumulative(), [torch.rand(1, 3, 4, 4)])
    assert any("cumsum" in name for name in lowered.non_delegated)
    assert 0 < lowered.delegated_share < 1


def test_a_product_with_an_input_is_delegated_beside_a_convolution_with_a_bias(tmp_path: Path) -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x: Tensor, matrix: Tensor) -> Tensor:
            return torch.nn.functional.linear(self.conv(x), matrix)

    model = Product().requires_grad_(False)
    varying = {"x": {2: "h", 3: "w"}, "matrix": {0: "n", 1: "w"}}
    bounds = dict.fromkeys("hwn", (2, 20))
    examples = {"x": torch.rand(1, 2, 5, 6), "matrix": torch.rand(7, 6)}
    lowered = lower_methods({"forward": Method(model, examples, varying=varying, bounds=bounds)})
    assert lowered.delegated_share == 1
    path = tmp_path / "product.pte"
    path.write_bytes(lowered.content)
    x, matrix = torch.rand(1, 2, 9, 11), torch.rand(4, 11)
    torch.testing.assert_close(run_pte(path, [x, matrix])[0], model(x, matrix), rtol=0, atol=1e-5)


def test_what_cannot_be_exported_is_one_line() -> None:
    class Undecided(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(InputError, match="Undecided: ExecuTorch cannot lower it") as caught:
        lower(Undecided(), [torch.rand(1, 1, 2, 2)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no program", b"\0" * 4096])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pte"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pte"):
        PteProgram(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pte: cannot be read"):
        PteProgram(tmp_path / "none.pte")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    lower(Add(1.0), [torch.rand(1, 1, 4, 4)])
    assert capfd.readouterr().out == ""


def test_a_missing_converter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_scs.artifacts import optional_imports as quiet

    def refuse(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(quiet, "import_module", refuse)
    with pytest.raises(InputError, match=r"pip install 'edge-scs\[export\]'"):
        lower(Add(1.0), [torch.rand(1, 1, 4, 4)])
