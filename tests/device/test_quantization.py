"""Graphs with fake quantisation on a GPU that is not there, as far as they can be followed: see docs/gpu.md."""

import pytest
import torch
from torch import Tensor, nn

from edge_scs import cli
from edge_scs.errors import InputError
from edge_scs.quantization.prepare import prepare
from tests.device.fake import DEVICE, fake_gpu, real

pytest.importorskip("executorch")


class Scalars(nn.Module):
    """A convolution between scalars, as a reference brings them into a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x * 0.5) + 1.5


def test_the_scalars_of_a_graph_are_where_its_network_is() -> None:
    """ExecuTorch's quantiser makes tensors of them, on the CPU, and torchao refuses graphs on two devices."""
    with real():
        module = Scalars()
    with fake_gpu():
        x = torch.zeros(1, 1, 8, 8, device=DEVICE)
        graph = prepare(module.to(DEVICE), (x,))
        names = [name for name, _ in graph.named_buffers() if "_tensor_constant_" in name]
        assert len(names) == 2
        assert {str(value.device) for value in (*graph.parameters(), *graph.buffers())} == {DEVICE}
        graph(x)


def test_several_processes_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    command = ["qat", "edge_scs_s_qat", "--weights", "edge_scs_s", "--data", "."]
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="qat: runs in one process"):
        cli.app(command, standalone_mode=False)
    monkeypatch.setenv("RANK", "1")
    assert cli.app(command, standalone_mode=False) == 2, "the first one says why"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="device nowhere: not usable here"):
        cli.app(
            ["qat", "edge_scs_s_qat", "--weights", "edge_scs_s", "--data", ".", "--device", "nowhere"],
            standalone_mode=False,
        )
