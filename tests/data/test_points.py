"""Every image of a batch at a magnification of its own, and the points that it is asked for."""

from dataclasses import replace

import pytest
import torch

from edge_scs.data.degradation import to_lr
from edge_scs.data.photographs import Photographs
from edge_scs.data.points import PointBatches
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig
from edge_scs.models.liif import LIIF, LIIFConfig
from edge_scs.recipes import DataSection

DATA = DataSection(batch=4, lr_patch=12, whole_scales=0.0, points=100, own_scales=True)


@pytest.fixture
def photographs(photograph):
    return Photographs([None], [torch.from_numpy(photograph.copy()).permute(2, 0, 1).contiguous()])


def batches(photographs, data=DATA, **options):
    return PointBatches(photographs, data, seed=3, colour=True, heads=(), **options)


def test_points_belong_to_their_pixels(photographs, monkeypatch):
    """Targets are HR pixels at their coordinates, and LR is that HR made small."""
    cut = []
    from edge_scs.data.pairs import Window

    made = Window.cut
    monkeypatch.setattr(Window, "cut", lambda *args: cut.append(made(*args)) or cut[-1])
    batch = batches(photographs)[5]
    assert (batch.rgb.shape, batch.hr.shape) == ((4, 3, 12, 12), (4, 3, 0, 0))
    assert len({tuple(size) for size in batch.sizes.tolist()}) > 1
    for n, hr in enumerate(cut):
        height, width = hr.shape[1:]
        assert batch.sizes[n].tolist() == [height, width]
        assert torch.equal(batch.rgb[n], to_lr(hr[None], (12, 12))[0])
        at = (batch.coordinates[n] + 1) * torch.tensor([height, width]) / 2 - 0.5
        rows, cols = at.round().long().T
        assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == 100
        torch.testing.assert_close(batch.targets[n], hr[:, rows, cols].T / 255)


def test_two_processes_make_one_batch(photographs):
    whole = batches(photographs, replace(DATA, batch=4))[7]
    parts = [batches(photographs, replace(DATA, batch=2), rank=rank, processes=2)[7] for rank in range(2)]
    for key in ("rgb", "gray", "sizes", "coordinates", "targets"):
        assert torch.equal(torch.cat([getattr(part, key) for part in parts]), getattr(whole, key))
    again = batches(photographs, replace(DATA, batch=4))[7]
    assert torch.equal(again.targets, whole.targets)
    assert batches(photographs, replace(DATA, points=10_000))[0].targets.shape[1] >= 12 * 12


@pytest.mark.parametrize("reading", ["released", "paper", "liif"])
def test_sizes_of_their_own_are_what_each_alone_has(photographs, lively, reading):
    options = {"encoder_options": {"channels": 4, "blocks": 1}, "hidden": 8}
    model = LIIF(LIIFConfig(**options)) if reading == "liif" else CiaoSR(CiaoSRConfig(**options, reading=reading))
    model = lively(model, noise=0.3).double()
    batch = batches(photographs)[1]
    rgb, coordinates = batch.rgb.double(), batch.coordinates.double()
    together = model.points(rgb, coordinates, batch.sizes)
    for n, size in enumerate(batch.sizes.int().tolist()):
        alone = model.points(rgb[n : n + 1], coordinates[n : n + 1], tuple(size))
        torch.testing.assert_close(together[n : n + 1], alone)
