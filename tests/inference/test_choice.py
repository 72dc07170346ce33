"""Which device a process takes: "auto" spreads processes over the GPUs."""

import multiprocessing
from types import SimpleNamespace

import pytest
import torch

from edge_scs.inference.choice import choose_device


@pytest.mark.parametrize(
    ("worker", "rank", "device"),
    [
        (None, None, "cuda:0"),
        ("SpawnProcess-1", None, "cuda:0"),
        ("SpawnProcess-3", None, "cuda:2"),
        ("SpawnProcess-5", None, "cuda:0"),
        ("SpawnProcess-2", "3", "cuda:3"),
        (None, "6", "cuda:2"),
    ],
)
def test_processes_take_gpus_in_turn(
    worker: str | None, rank: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: worker and object())
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(name=worker))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert choose_device("auto") == device


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
