"""Activation ranges: measured as the least and the greatest, frozen, and the same list for every image size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from edge_scs.errors import InputError
from edge_scs.lowering.deploy import deploy
from edge_scs.quantization.prepare import convert, prepare
from edge_scs.quantization.ranges import CLIPS, PIXELS, Ranges, _int8, observe_weights, without_quantisation
from edge_scs.weights.loading import Loaded


def test_ranges_are_the_extremes_or_less_where_outliers_would_cost_more(tied: nn.Module) -> None:
    images = [torch.rand(1, 1, 8, 8) * scale for scale in (1.0, 0.3)]
    graph = prepare(tied, [images[0]])
    ranges = Ranges(graph).calibrate(graph, [[x] for x in images])
    assert ranges[0] == (0.0, max(float(x.max()) for x in images))  # evenly spread: nothing to cut off
    seen: list[Tensor] = []
    tied.block.register_forward_hook(lambda module, args, out: seen.append(out.detach().relu()))
    for x in images:
        tied(x)
    for call in range(3):
        values = torch.cat([seen[call].flatten(), seen[call + 3].flatten()])
        errors = {clip: squared_error(values, float(values.max()) * clip) for clip in CLIPS}
        best = float(values.max()) * min(errors, key=errors.__getitem__)
        assert any(low == 0.0 and abs(high - best) < 1e-5 for low, high in ranges)


def squared_error(values: Tensor, high: float) -> float:
    """Of 256 even steps from 0 to ``high``, literally."""
    steps = torch.linspace(0, high, 256, dtype=torch.float64)
    nearest = (values.double()[:, None] - steps).abs().amin(1)
    return float(nearest.square().sum())


@pytest.mark.parametrize(("low", "high"), [(-3.0, 1.0), (-1.0, 3.0), (0.0, 1.0), (-2.0, 0.0)])
def test_signed_activations_keep_their_range(low: float, high: float) -> None:
    x = torch.linspace(low, high, 1001)
    seen = _int8(x, low, high)
    step = (high - low) / 255
    assert (seen - x).abs().max() <= step * 0.51 + step / 2, (
        "half a step, and half a step that zero may move the ends by"
    )
    assert float(_int8(torch.zeros(1), low, high)) == 0
    assert float(_int8(torch.tensor([9.0]), low, high)) == pytest.approx(high, abs=step)
    assert float(_int8(torch.tensor([-9.0]), low, high)) == pytest.approx(low, abs=step)


def test_outliers_are_cut_off() -> None:
    class Pass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    images = [torch.randn(1, 1, 140, 140).clamp(-4, 4) for _ in range(8)]
    images[3][0, 0, 0, 0] = 9.0  # one among 160,000
    graph = prepare(Pass(), [images[0]])
    _, high = Ranges(graph).calibrate(graph, [[x] for x in images])[0]
    assert high < 9


def test_some_inputs_are_not_cut_off_but_in_a_part() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.colour, self.texture = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
            nn.init.constant_(self.colour.weight, 0.5)
            nn.init.constant_(self.texture.weight, 4.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.texture(self.colour(x))

    images = [[torch.rand(1, 1, 140, 140)] for _ in range(8)]
    bright = [torch.full((1, 1, 140, 140), 3.0)]
    graph = prepare(Two(), images[0])
    ranges = Ranges(graph)
    plain = ranges.calibrate(graph, images)
    held = ranges.calibrate(graph, images, whole=[bright])
    assert [high for _, high in plain] == pytest.approx([1.0, 0.5, 2.0], abs=1e-3)
    assert [high for _, high in held] == pytest.approx([3.0, 0.5, 6.0], abs=1e-3), "input, colour, texture"
    image = ranges.calibrate(graph, images, whole=[bright], pixels_in="texture")
    assert image == [*held[:2], PIXELS], "steps of one level, whatever goes beyond"


def test_frozen_ranges_do_not_follow_what_passes(tied: nn.Module) -> None:
    x = torch.rand(1, 1, 8, 8)
    graph = prepare(tied, [x])
    ranges = Ranges(graph)
    before = ranges.calibrate(graph, [[x]])
    observe_weights(graph)
    graph(x * 50)
    assert ranges.get() == before


def test_weights_are_observed_as_they_are(tied: nn.Module, calibrated: Callable[..., fx.GraphModule]) -> None:
    x = torch.rand(1, 1, 8, 8)
    graph = calibrated(tied, x)
    with torch.no_grad():
        tied.block.weight.mul_(2.0)
        graph(x)
    scales = [
        graph.get_submodule(str(node.target)).scale
        for node in graph.graph.nodes
        if node.op == "call_module" and str(node.args[0].target) == "block.weight"
    ]
    expected = tied.block.weight.detach().abs().amax((1, 2, 3)) / 127.5  # the fused kernel's steps
    assert len(scales) == 3
    for scale in scales:
        torch.testing.assert_close(scale, expected, rtol=0.01, atol=0)


def test_without_quantisation_is_the_float_network(tied: nn.Module, calibrated: Callable[..., fx.GraphModule]) -> None:
    x = torch.rand(1, 1, 8, 8)
    graph = calibrated(tied, x)
    with torch.no_grad():
        assert not torch.equal(graph(x), tied(x))
        with without_quantisation(graph):
            torch.testing.assert_close(graph(x), tied(x), rtol=0, atol=1e-6)
        assert not torch.equal(graph(x), tied(x))


@pytest.mark.slow
@pytest.mark.parametrize("reference", [False, True])
def test_one_list_fits_every_image_size(small: Loaded, reference: bool) -> None:
    """The colour grid is an upsampling, a downsampling or nothing, as the size demands: those follow their input."""
    saved = None
    for lr in ((24, 32), (180, 320), (500, 480)):
        inputs = [torch.rand(1, 1, *lr)] + ([torch.rand(1, 3, 128, 128)] if reference else [])
        graph = prepare(deploy(small.model, lr, (lr[0] * 2, lr[1] * 2), reference), inputs, ["colour.mean"])
        ranges = Ranges(graph)
        saved = saved or [(0.0, 1.0 + index) for index in range(len(ranges.own))]
        ranges.set(saved)
        for quantiser, source in ranges.followers:
            assert float(quantiser.scale) == float(source.scale)


def test_ranges_of_another_network_are_refused(tied: nn.Module) -> None:
    graph = prepare(tied, [torch.rand(1, 1, 8, 8)])
    with pytest.raises(InputError, match="another network"):
        Ranges(graph).set([(0.0, 1.0)])


def test_nothing_to_calibrate_on_is_refused(tied: nn.Module) -> None:
    graph = prepare(tied, [torch.rand(1, 1, 8, 8)])
    with pytest.raises(InputError, match="no photograph"):
        Ranges(graph).calibrate(graph, [])


class Clamped(nn.Module):
    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.conv, self.ends = nn.Conv2d(1, 3, 1), (low, high)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).clamp(*self.ends)


@pytest.mark.parametrize(("ends", "dropped"), [((0, 1), True), ((0, 0.5), False)])
def test_an_image_saturates_by_its_range_and_needs_no_clamp(ends: tuple[float, float], dropped: bool) -> None:
    x = torch.rand(1, 1, 8, 8) * 4 - 2
    graph = prepare(Clamped(*ends), [x])
    ranges = Ranges(graph)
    found = ranges.calibrate(graph, [[x]])
    assert (found[-1] == PIXELS) == dropped
    observe_weights(graph)
    graph(x)
    converted = convert(graph)
    names = [str(node.target) for node in converted.graph.nodes]
    assert ("aten.clamp.default" not in names) == dropped
    answer = converted(x)
    assert (answer.min(), answer.max()) == ends
    ranges.set([(-3.0, 3.0) for _ in found])  # as a checkpoint from before has it
    assert (ranges.get()[-1] == PIXELS) == dropped
