"""Throughput and waiting in the metrics, and checkpoints that stay."""

from pathlib import Path

import pytest
import torch

from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.training.speed import SPEED_EVERY, Speed, device_peak, peak_of


def test_throughput_and_waiting_are_means_over_steps() -> None:
    speed = Speed()
    for turn in (1, 2):
        for step in range(1, SPEED_EVERY):
            assert speed.advance(4, 0.5, turn * step * 0.1) == {}
        figures = speed.advance(4, 0.5, turn * 5.0)
        assert figures == pytest.approx({"images_per_second": 8.0, "data_wait": 0.2})


def test_utilisation_is_of_all_products_of_a_step() -> None:
    speed = Speed(peak=1e6)
    x, weight = torch.rand(4, 8), torch.rand(8, 16, requires_grad=True)
    for _ in range(SPEED_EVERY):
        with speed.counting():
            (x @ weight).sum().backward()
        figures = speed.advance(4, 0.5, 0.0)
    # One product forward, one backward as x learns nothing, each of 4 * 8 * 16 multiplications and additions.
    assert figures["model_flops_utilisation"] == pytest.approx(2 * 2 * 4 * 8 * 16 / 0.5 / 1e6)
    assert speed.counted == 1


def test_a_peak_is_known_by_the_devices_name() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3", "bf16") == 989e12
    assert peak_of("NVIDIA H100 PCIe", "no") == 378e12
    assert peak_of("NVIDIA A100-SXM4-80GB", "bf16") == 312e12
    assert peak_of("Tesla T4", "bf16") is None
    assert device_peak(torch.device("cpu"), "bf16", False) is None


def test_the_last_checkpoints_stay_on_request(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-mine.pt").touch()
    for stage, step in ((0, 900), (0, 1000), (1, 5), (1, 10)):
        save_checkpoint(tmp_path, {"position": {"stage": stage, "step": step}}, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-1-0000005.pt", "checkpoint-1-0000010.pt", "checkpoint-mine.pt", "checkpoint.previous.pt",
        "checkpoint.pt",
    ]  # fmt: skip
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["position"] == {"stage": 1, "step": 10}
    assert (tmp_path / "checkpoint.pt").stat().st_ino == (tmp_path / "checkpoint-1-0000010.pt").stat().st_ino
