"""PCARN and PCARN-M against the paper: sizes, costs, tying, topology, receptive field."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.models import registry
from edge_scs.models.pcarn import DIV2K_MEAN, PCARN, Cascade, PCARNConfig


@pytest.fixture(scope="module")
def small() -> PCARN:
    torch.manual_seed(0)
    return PCARN(PCARNConfig(channels=8, groups=4, tied=True)).eval()


@pytest.mark.parametrize(("name", "params", "giga"), [("pcarn", 1_591_939, 90.87), ("pcarn_m", 414_787, 32.48)])
def test_paper_costs(name, params, giga):
    """Table 4 prints 1.6 M and 90.9 G, 0.4 M and 32.5 G."""
    network = registry.create(name).to("meta").eval()
    assert sum(p.numel() for p in network.parameters()) == params
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, 180, 320, device="meta"), (720, 1280))
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.01)
    published = registry.describe(name, network).published
    assert params == pytest.approx(published["params"], rel=0.05)
    assert giga * 1e9 == pytest.approx(published["mult_adds_720p"]["4"], rel=0.01)


@pytest.mark.parametrize("config", [PCARNConfig(), PCARNConfig(groups=4, tied=True)])
def test_a_fresh_network_starts_as_section_4_2_wants(config):
    """Table 3's best row: U(-sqrt(1/F), sqrt(1/F)), F the fan-in of each convolution."""
    for layer in PCARN(config).modules():
        if isinstance(layer, torch.nn.Conv2d):
            weight = layer.weight.detach()
            bound = (1 / weight[0].numel()) ** 0.5
            assert weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shapes_and_range(small, scale):
    with torch.no_grad():
        y = small(torch.rand(2, 3, 7, 5), (7 * scale, 5 * scale))
    assert y.shape == (2, 3, 7 * scale, 5 * scale)
    assert 0 <= y.min() <= y.max() <= 1


@pytest.mark.parametrize("size", [(7, 5), (14, 15), (15, 11), (35, 25)])
def test_other_sizes_are_refused(small, size):
    with pytest.raises(ValueError, match="by 2, 3 or 4"):
        small(torch.rand(1, 3, 7, 5), size)


def test_clamped_in_eval_only(small):
    x = torch.full((1, 3, 6, 6), 4.0)
    with torch.no_grad():
        assert small(x, (12, 12)).max() <= 1
        small.train()
        loose = small(x, (12, 12))
        small.eval()
    assert loose.max() > 1 or loose.min() < 0


def test_tied_units_are_one_module_called_three_times():
    network = registry.create("pcarn_m")
    for local in network.body.units:
        assert len(local.units) == 1
        assert len(local.gathers) == 3
    calls = []
    network.body.units[0].units[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        network.eval()(torch.rand(1, 3, 4, 4), (8, 8))
    assert len(calls) == 3
    assert [len(local.units) for local in registry.create("pcarn").body.units] == [3, 3, 3]


def test_cascade_gathers_the_units_outputs():
    """After call u the 1x1 convolution sees [input, R1, ..., Ru], and R(u+1) sees what it gives."""
    torch.manual_seed(1)
    unit = torch.nn.Conv2d(2, 2, 1)
    cascade = Cascade([unit], calls=2, channels=2)
    x = torch.rand(1, 2, 3, 3)
    first = unit(x)
    after_first = cascade.gathers[0](torch.cat([x, first], 1))
    expected = cascade.gathers[1](torch.cat([x, first, unit(after_first)], 1))
    torch.testing.assert_close(cascade(x), expected)


def test_global_residual_and_mean_shift(small):
    """With the body silenced, what is left is exit(upsample(entry(x - mean) * 1)) + mean."""
    network = PCARN(small.config)
    with torch.no_grad():
        for p in network.body.parameters():
            p.zero_()
        mean = torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1)
        x = torch.rand(1, 3, 5, 5)
        expected = network.exit(network.upsamplers["3"](network.entry(x - mean))) + mean
        torch.testing.assert_close(network.train()(x, (15, 15)), expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_halo_is_the_receptive_field(scale):
    """The gradient of one output pixel reaches ``halo`` LR pixels at most, and all but the last rounding up."""
    network = PCARN(PCARNConfig(channels=4, groups=1, tied=True)).double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.rand_like(p) * 0.1)  # all positive: no ReLU closes, no terms cancel
    side = 2 * network.halo + 5
    centre = side // 2
    x = torch.rand(1, 3, side, side, dtype=torch.double).requires_grad_()
    network.train()(x, (side * scale, side * scale))[0, :, centre * scale, centre * scale].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    reach = max(centre - rows.min().item(), rows.max().item() - centre)
    assert network.halo - 1 <= reach <= network.halo


def test_description():
    description = registry.describe("pcarn_m", registry.create("pcarn_m"))
    assert (description.input, description.scales, description.continuous) == ("rgb", (2, 3, 4), None)
    assert (description.variant, description.halo, description.reference) == ("m", 21, False)
    assert description.enlarges(3)
    assert not description.enlarges(2.5)
    assert description.magnifications == "x2, x3 or x4"


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ({"local_cascade": False, "global_cascade": False, "residual": False, "scales": (4,)}, 963_651),
        ({"global_cascade": False, "residual": False, "scales": (4,)}, 1_074_819),
        ({"local_cascade": False, "residual": False, "scales": (4,)}, 1_000_707),
        ({"residual": False, "scales": (4,)}, 1_111_875),
        ({"scales": (4,)}, 1_111_875),
        ({"tied": True, "pointwise": True}, 1_161_283),
        ({"tied": True, "groups": 2}, 663_619),
        ({"tied": True, "groups": 64}, 181_507),
    ],
)
def test_ablations(options, params):
    """Table 1 prints 963K, 1,074K, 1,000K, 1,111K and 1,111K; the last rows are Figure 8's G1R, G2R and G64R."""
    model = registry.create("pcarn", options)
    assert sum(p.numel() for p in model.parameters()) == params
    rgb = torch.rand(1, 3, 6, 5)
    out = model(rgb, (24, 20))
    assert out.shape == (1, 3, 24, 20)
    if options.get("residual") is False:
        with_residual = registry.create("pcarn", options | {"residual": True})
        with_residual.load_state_dict(model.state_dict())
        assert not torch.equal(with_residual(rgb, (24, 20)), out)
    assert registry.describe("pcarn", model).scales == options.get("scales", (2, 3, 4))


def test_without_cascades_blocks_follow_each_other(lively):
    """Table 1's baseline, literally."""
    options = {"channels": 4, "local_cascade": False, "global_cascade": False, "residual": False, "scales": (2,)}
    model = lively(registry.create("pcarn", options)).train()
    rgb = torch.rand(1, 3, 6, 5)
    x = model.entry(rgb - model.mean)
    for cascade in model.body.units:
        for unit in cascade.units:
            x = unit(x)
    torch.testing.assert_close(model(rgb, (12, 10)), model.exit(model.upsamplers["2"](x)) + model.mean)
    with pytest.raises(ValueError, match="by 2, not to 24x20"):
        model(rgb, (20, 24))
    with pytest.raises(ValueError, match="some of 2, 3 and 4"):
        registry.create("pcarn", {"scales": (5,)})


def test_carn_has_no_residual_and_relu_after_gathers(lively):
    model = lively(registry.create("carn", {"channels": 4, "blocks": 2, "repeats": 2})).train()
    rgb = torch.rand(1, 3, 6, 5)

    def cascade(body, x, unit):
        gathered = [x]
        for one, gather in zip(body.units, body.gathers, strict=True):
            gathered.append(unit(one, x))
            x = torch.relu(gather(torch.cat(gathered, dim=1)))
        return x

    x = model.entry(rgb - model.mean)
    x = cascade(model.body, x, lambda local, y: cascade(local, y, lambda block, z: block(z)))
    torch.testing.assert_close(model(rgb, (18, 15)), model.exit(model.upsamplers["3"](x)) + model.mean)
