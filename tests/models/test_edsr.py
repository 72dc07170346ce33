"""EDSR-baseline against its paper: sizes, topology, receptive field."""

import pytest
import torch
from torch.nn import functional as F

from edge_scs.models import registry
from edge_scs.models.edsr import EDSR, EDSRConfig
from edge_scs.models.pcarn import DIV2K_MEAN


@pytest.mark.parametrize(("scale", "params"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571)])
def test_published_sizes(scale, params):
    """1.37 M, 1.55 M and 1.52 M for x2, x3 and x4; the paper prints 1.5 M."""
    with torch.device("meta"):
        model = registry.create("edsr", {"scale": scale})
    assert sum(p.numel() for p in model.parameters()) == params


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_literally(lively, scale):
    model = lively(EDSR(EDSRConfig(scale=scale, channels=4, blocks=1)))
    rgb = torch.rand(2, 3, 6, 5)
    mean = torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1)
    x = model.encoder(rgb - mean)
    for conv in model.upsamplers:
        x = F.pixel_shuffle(conv(x), 3 if scale == 3 else 2)
    got = model.train()(rgb, (6 * scale, 5 * scale))
    torch.testing.assert_close(got, model.exit(x) + mean)
    torch.testing.assert_close(model.eval()(rgb, (6 * scale, 5 * scale)), got.clamp(0, 1))


def test_swinirs_tail_sees_the_padding_as_its_authors_do(lively):
    """The output is cropped, not the features: rows beside the lower and right border have padded neighbours."""
    options = {"channels": 4, "width": 12, "groups": 1, "layers": 2, "heads": 3, "window": 4}
    model = lively(registry.create("swinir", {"scale": 2, "encoder_options": options}))
    rgb = torch.rand(1, 3, 6, 7)
    whole = torch.cat([rgb, rgb[:, :, [4, 3]]], 2)
    whole = torch.cat([whole, whole[..., [5]]], 3)
    torch.testing.assert_close(model(rgb, (12, 14)), model(whole, (16, 16))[..., :12, :14])


def test_halo_covers_the_receptive_field():
    """The gradient of an HR pixel reaches ``halo`` LR pixels at most, and all but the last rounding up."""
    model = EDSR(EDSRConfig(channels=4, blocks=1)).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1)
    side = 2 * model.halo + 5
    centre = side // 2
    rgb = torch.rand(1, 3, side, side, dtype=torch.double).requires_grad_()
    model(rgb, (4 * side, 4 * side))[0, :, 4 * centre, 4 * centre].sum().backward()
    rows = rgb.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert model.halo - 1 <= max(centre - int(rows.min()), int(rows.max()) - centre) <= model.halo


def test_description_and_errors():
    model = registry.create("edsr", {"scale": 3, "channels": 4, "blocks": 1})
    about = registry.describe("edsr", model)
    assert (about.scales, about.continuous, about.magnifications) == ((3,), None, "x3")
    with pytest.raises(ValueError, match="by 3, not to 12x12"):
        model(torch.rand(1, 3, 6, 6), (12, 12))
    with pytest.raises(ValueError, match="2, 3 or 4"):
        EDSRConfig(scale=5)
