"""Every way to run a network gives the network's answer, or says in one line why it cannot be had."""

import os
import subprocess
import sys

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.measure.latency_worker import Subject
from edge_scs.measure.modes import Unavailable, prepare, time_on_cuda
from edge_scs.measure.programs import lower_for_timing
from edge_scs.weights.loading import load


@pytest.mark.parametrize(("mode", "tolerance"), [("eager", 0), ("channels_last", 1e-5), ("bf16", 0.05)])
def test_modes_answer_alike(mode, tolerance):
    model, x = load("edge_scs_s").model, torch.rand(1, 1, 16, 24)
    with torch.inference_mode():
        expected = model(x, (64, 96))
    answer = prepare(mode, load("edge_scs_s").model, x, (64, 96))()
    assert (answer - expected).abs().max() <= tolerance
    assert mode != "bf16" or (answer - expected).abs().max() > 0


@pytest.mark.slow
def test_without_a_compiler_compiling_is_left_out(tmp_path):
    code = """
import torch
from edge_scs.measure.modes import Unavailable, prepare
class Network(torch.nn.Module):
    def forward(self, x, hr):
        return x.sin() + 1
try:
    prepare("compile", Network(), torch.rand(1, 1, 4, 4), None)
except Unavailable as reason:
    print(reason)
"""
    environment = os.environ | {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "no C++ compiler here" in done.stdout, done.stderr[-500:]
    assert done.stdout.count("\n") == 1


class FakeEvent:
    """A CUDA event whose clock is a list of what happened."""

    happened: list[str] = []  # noqa: RUF012

    def __init__(self, enable_timing: bool):
        assert enable_timing

    def record(self) -> None:
        self.happened.append("record")

    def synchronize(self) -> None:
        self.happened.append("synchronize")

    def elapsed_time(self, end: "FakeEvent") -> float:
        assert end is not self
        return 12.5


def test_a_gpu_is_timed_between_events_and_waited_for():
    FakeEvent.happened.clear()
    cuda = type("cuda", (), {"Event": FakeEvent})
    assert time_on_cuda(lambda: FakeEvent.happened.append("run"), cuda) == 12.5
    assert FakeEvent.happened == ["record", "run", "record", "synchronize"]


@pytest.mark.slow
@pytest.mark.parametrize("reference", [None, [128, 128]])
def test_networks_are_lowered_for_timing(tmp_path, reference):
    pytest.importorskip("executorch.exir")
    path = lower_for_timing("edge_scs_s", "executorch", (16, 24), 2, tmp_path, reference=reference is not None)
    loaded = Subject().load(str(path), "executorch", "cpu", [0, 0], 0)
    assert (loaded["hr"], loaded["reference"]) == ([32, 48], reference)


def test_what_cannot_be_lowered_for_timing(tmp_path):
    with pytest.raises(Unavailable, match="cannot be exported"):
        lower_for_timing("scsnet", "executorch", (16, 24), 2, tmp_path)
    with pytest.raises(Unavailable, match="no int8 weights"):
        lower_for_timing("pcarn", "int8", (16, 24), 2, tmp_path)
    with pytest.raises(InputError, match="did you mean"):
        lower_for_timing("edge_scs_x", "executorch", (16, 24), 2, tmp_path)
