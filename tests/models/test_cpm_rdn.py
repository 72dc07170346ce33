"""RDN with CPM and with Meta-SR's upscaling: sizes as SCSNet's Table 7 prints them, literal kernels, bands."""

import math

import pytest
import torch
from torch.nn import functional as F

from edge_scs.models import cpm_rdn, registry
from edge_scs.models.cpm_rdn import MetaUpscale

OPTIONS = {"encoder_options": {"channels": 4, "blocks": 1, "layers": 1, "growth": 2}, "hidden": 8}


def test_published_sizes():
    heads = {}
    for head in ("cpm", "meta"):
        with torch.device("meta"):
            model = registry.create("cpm_rdn", {"head": head})
        heads[head] = sum(p.numel() for p in model.head.parameters())
    assert heads == {"cpm": 346_371, "meta": 445_120}


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (12, 9)])
def test_meta_upscaling_literally(lively, size):
    head = lively(MetaUpscale(2, 8), noise=0.3).double()
    features = torch.randn(2, 2, 4, 3, dtype=torch.double)
    got = head(features, size)
    padded = F.pad(features, [1] * 4)
    for i in range(size[0]):
        for j in range(size[1]):
            row, col = i * 4 / size[0], j * 3 / size[1]
            top, left = math.floor(row + 1e-9), math.floor(col + 1e-9)
            asked = torch.tensor([row - top, col - left, 4 / size[0]], dtype=torch.double).clamp(min=0)
            kernel = head.weights(asked).reshape(3, 2, 3, 3)
            expected = F.conv2d(padded[..., top : top + 3, left : left + 3], kernel)[..., 0, 0]
            torch.testing.assert_close(got[..., i, j], expected)


@pytest.mark.parametrize("head", ["cpm", "meta"])
def test_bands_are_the_whole_and_any_size_goes(lively, monkeypatch, head):
    model = lively(registry.create("cpm_rdn", OPTIONS | {"head": head}), noise=0.2)
    rgb = torch.rand(1, 3, 6, 5)
    whole = model(rgb, (14, 17))
    assert whole.shape == (1, 3, 14, 17)
    monkeypatch.setattr(cpm_rdn, "CHUNK_PIXELS", 40)
    torch.testing.assert_close(model(rgb, (14, 17)), whole)
    assert model.train()(rgb * 9, (14, 17)).max() > 1 >= model.eval()(rgb * 9, (14, 17)).max()
    with pytest.raises(ValueError, match="cpm or meta"):
        registry.create("cpm_rdn", {"head": "liif"})
