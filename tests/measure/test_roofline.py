"""The roof: two measured numbers and the line between them."""

import torch

from edge_scs.measure import roofline
from edge_scs.measure.roofline import attainable, machine_peak
from edge_scs.measure.tables import stage_table, table

PEAK = {"gmac_s_peak": 40.0, "copy_gb_s": 20.0, "threads": 1}


def test_the_roof_by_hand():
    assert [attainable(i, PEAK) for i in (0.5, 2, 100)] == [10, 40, 40]


def test_a_machine_is_measured_and_left_as_it_was(monkeypatch):
    monkeypatch.setattr(roofline, "_SIDE", 128)
    monkeypatch.setattr(roofline, "_COPIED", 1 << 20)
    before = torch.get_num_threads()
    peak = machine_peak(before + 1, seconds=0.01)
    assert torch.get_num_threads() == before
    assert peak["threads"] == before + 1
    assert 0.01 < peak["gmac_s_peak"] < 1e5
    assert 0.01 < peak["copy_gb_s"] < 1e4


def test_both_ways_compute_the_same_product(monkeypatch):
    monkeypatch.setattr(roofline, "_SIDE", 64)
    assert roofline._product()().shape == (64, 64)
    assert roofline._convolution()().shape == (1, 64, 32, 2)  # 64 pixels of 64 channels


def test_a_stage_is_told_how_far_below_the_roof_it_is():
    row = {
        "model": "m",
        "runtime": "eager",
        "threads": 1,
        "stage": "s",
        "mult_adds": 8_000_000,
        "bytes_moved": 8_000_000,
    }
    row |= {"ms": 0.8, "share": 0.5, "gmac_s": 10.0, "intensity": 1.0, "reason": None}
    assert "| 50% |" in stage_table([row], PEAK)
    assert "| - |" in stage_table([row | {"threads": 2}], PEAK)


def test_tables_keep_their_columns():
    assert table(["a", "b"], [[1, None]]) == "| a | b |\n| --- | --- |\n| 1 | - |"
