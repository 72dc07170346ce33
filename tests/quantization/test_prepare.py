"""Preparing and converting, and the two ways in which tied convolutions break PT2E: each shown without its fix."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import fx, nn

from edge_scs.artifacts.pte import PteProgram
from edge_scs.errors import InputError
from edge_scs.lowering.executorch import lower
from edge_scs.quantization import prepare as preparing
from edge_scs.quantization.prepare import convert, prepare
from tests.quantization.conftest import psnr

Calibrated = Callable[..., fx.GraphModule]


def weight_quantisers(graph: fx.GraphModule) -> list[str]:
    nodes = [n for n in graph.graph.nodes if n.op == "call_module" and n.args[0].op == "get_attr"]
    return [str(n.args[0].target) for n in nodes]


def run(graph: fx.GraphModule, x: torch.Tensor, path: Path) -> torch.Tensor:
    path.write_bytes(lower(graph, [x]).content)
    return PteProgram(path).run([x])[0]


def test_every_call_of_a_tied_convolution_is_quantised(tied: nn.Module, calibrated: Calibrated) -> None:
    graph = calibrated(tied, torch.rand(1, 1, 12, 16))
    assert weight_quantisers(graph).count("block.weight") == 3
    assert graph.block.weight is tied.block.weight  # and trains as one


@pytest.mark.slow
def test_without_the_first_fix_only_one_call_is_and_the_program_does_not_load(
    tied: nn.Module, calibrated: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "split_shared_parameters", lambda graph: None)
    x = torch.rand(1, 1, 12, 16)
    graph = calibrated(tied, x)
    assert weight_quantisers(graph).count("block.weight") == 1
    with pytest.raises(InputError):
        run(convert(graph), x, tmp_path / "a.pte")


def test_the_program_equals_the_converted_graph(tied: nn.Module, calibrated: Calibrated, tmp_path: Path) -> None:
    x = torch.rand(1, 1, 12, 16)
    converted = convert(calibrated(tied, x))
    with torch.no_grad():
        expected = converted(x)
    peak = expected.abs().max()
    assert psnr(run(converted, x, tmp_path / "a.pte") / peak, expected / peak) > 45  # ties are rounded differently
    with torch.no_grad():
        truth = tied(x)
    assert psnr(expected / truth.abs().max(), truth / truth.abs().max()) > 30  # int8, not float
    assert not torch.equal(expected, truth)


@pytest.mark.slow
def test_without_the_second_fix_biases_take_anothers_scale(
    tied: nn.Module, calibrated: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(1, 1, 12, 16)
    graph = calibrated(tied, x)
    right = convert(graph)
    monkeypatch.setattr(preparing, "privatise_biases", lambda graph: None)
    wrong = convert(graph)
    with torch.no_grad():
        expected = right(x)
        assert torch.equal(wrong(x), expected)  # torch does not show it
    peak = expected.abs().max()
    good, bad = run(right, x, tmp_path / "right.pte"), run(wrong, x, tmp_path / "wrong.pte")
    assert psnr(good / peak, expected / peak) > psnr(bad / peak, expected / peak) + 20


@pytest.mark.slow
def test_tied_weights_are_stored_once(tied: nn.Module, calibrated: Calibrated) -> None:
    x = torch.rand(1, 1, 12, 16)
    converted = convert(calibrated(tied, x))
    blobs = [
        value.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
        for value in converted.buffers()
        if value.dtype == torch.int8 and value.ndim == 4 and value.shape[1] == 64 and value.shape[2] == 3
    ]
    assert len(blobs) == 3
    assert len(set(blobs)) == 1
    content = lower(converted, [x]).content
    assert content.count(blobs[0]) == 1
    assert len(content) < 2 * len(blobs[0])


def test_parts_kept_float_have_no_quantisers(tied: nn.Module) -> None:
    graph = prepare(tied, [torch.rand(1, 1, 8, 8)], keep_float=["block", "nowhere"])
    assert set(weight_quantisers(graph)) == {"first.weight", "last.weight"}


def test_converting_leaves_the_prepared_graph_alone(tied: nn.Module, calibrated: Calibrated) -> None:
    x = torch.rand(1, 1, 8, 8)
    graph = calibrated(tied, x)
    with torch.no_grad():
        before = graph(x)
        convert(graph)
        assert torch.equal(graph(x), before)


def test_training_the_graph_trains_the_module(tied: nn.Module, calibrated: Calibrated) -> None:
    x = torch.rand(1, 1, 8, 8)
    graph = calibrated(tied, x)
    graph(x).square().mean().backward()
    assert tied.block.weight.grad is not None
    assert tied.block.weight.grad.abs().sum() > 0


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(InputError, match="Odd: cannot be prepared"):
        prepare(Odd(), [torch.rand(1, 1, 8, 8)])


def test_a_missing_quantiser_says_what_to_install(tied: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "executorch.backends.xnnpack.quantizer.xnnpack_quantizer", None)
    with pytest.raises(InputError, match="pip install"):
        prepare(tied, [torch.rand(1, 1, 8, 8)])


@pytest.mark.slow
def test_preparing_and_converting_need_nothing_compiled_of_executorch() -> None:
    """So its Python files alone do, on a machine whose torch its libraries do not fit (docs/quantise.md)."""
    code = (
        "import sys, torch\n"
        "from edge_scs.quantization.prepare import convert, prepare\n"
        "x = torch.rand(1, 3, 8, 8)\n"
        "graph = prepare(torch.nn.Conv2d(3, 4, 3), [x])\n"
        "graph(x)\n"
        "convert(graph)(x)\n"
        "ours = [m for name, m in sys.modules.items() if name.startswith('executorch')]\n"
        "assert ours\n"
        "print([m.__file__ for m in ours if str(getattr(m, '__file__', '')).endswith('.so')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
