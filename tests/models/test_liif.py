"""LIIF against its equations, point by point; what it shares with CiaoSR is tested there."""

import math

import pytest
import torch
from torch.nn import functional as F

from edge_scs.models import registry
from edge_scs.models.liif import LIIF, LIIFConfig


def test_points_literally(lively):
    """Eq. 4: the sum over the four neighbours of S_t / S times f([3x3 features, cell], x - v_t), in LIIF's units."""
    model = lively(LIIF(LIIFConfig(encoder_options={"channels": 4, "blocks": 1}, hidden=8)), noise=0.3).double().train()
    h, w, size = 4, 5, (11, 9)
    rgb = torch.rand(1, 3, h, w, dtype=torch.double)
    coordinates = torch.rand(1, 12, 2, dtype=torch.double) * 2 - 1
    coordinates[0, :2] = torch.tensor([[-0.99, 0.98], [0.97, -0.2]])
    unfolded = F.unfold(model.encoder(2 * rgb - 1), 3, padding=1).reshape(-1, h, w)
    for (x, y), got in zip(coordinates[0].tolist(), model.points(rgb, coordinates, size)[0], strict=True):
        row, col = (x + 1) * h / 2 - 0.5, (y + 1) * w / 2 - 0.5
        top, left = math.floor(row), math.floor(col)
        expected = torch.zeros(3, dtype=torch.double)
        for i, opposite_row in ((top, top + 1), (top + 1, top)):
            for j, opposite_col in ((left, left + 1), (left + 1, left)):
                area = abs(row - opposite_row) * abs(col - opposite_col)
                k, m = min(max(i, 0), h - 1), min(max(j, 0), w - 1)
                place = [h * (x - ((2 * k + 1) / h - 1)), w * (y - ((2 * m + 1) / w - 1)), 2 * h / 11, 2 * w / 9]
                seen = torch.cat([unfolded[:, k, m], torch.tensor(place, dtype=torch.double)])
                expected += area * model.perceptron(seen)
        torch.testing.assert_close(got, (expected + 1) / 2)


@pytest.mark.parametrize("size", [(9, 7), (20, 10), (31, 23)])
def test_any_size(size):
    model = LIIF(LIIFConfig(encoder_options={"channels": 4, "blocks": 1}, hidden=8)).eval()
    with torch.no_grad():
        out = model(torch.rand(2, 3, 9, 7), size)
    assert out.shape == (2, 3, *size)
    assert 0 <= out.min() <= out.max() <= 1


def test_published_size():
    """CiaoSR's Table 7 prints 1.6 M; the head alone is the 0.35 M of LIIF's perceptron."""
    model = registry.create("liif_edsr")
    params = sum(p.numel() for p in model.parameters())
    assert params - sum(p.numel() for p in model.encoder.parameters()) == 346_883
    assert params == pytest.approx(registry.describe("liif_edsr", model).published["params"], rel=0.03)
