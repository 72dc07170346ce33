"""SCSNet: the paper's equations pixel by pixel, its counts, any size, and the switch between its modes."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from edge_scs.measure.mult_adds import count
from edge_scs.models import registry, scsnet
from edge_scs.models.scsnet import PixelMapping, SCSNet, SCSNetConfig, relative_positions, to_lab, to_rgb

SMALL = SCSNetConfig(channels=4, blocks=2)


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture(scope="module")
def small(lively) -> SCSNet:
    torch.manual_seed(0)
    return lively(SCSNet(SMALL), noise=0.1)


def test_parameters_beside_the_papers() -> None:
    """Reference encoder and PVCAttn are the whole difference of 15.358 M and 9.954 M; CPM has Table 7's 0.35 M."""
    with torch.device("meta"):
        network, automatic = SCSNet(), SCSNet(SCSNetConfig(reference=False))
        cpm = PixelMapping(64, 256)
    reference = parameters(network.reference_encoder, network.pvcattn)
    assert reference == parameters(network) - parameters(automatic) == 5_403_526
    assert round(reference / 1e6, 3) == 5.404 == round(15.358 - 9.954, 3)
    assert parameters(automatic) == 9_000_196  # the paper prints 9.954 M: see the module's docstring
    assert round(parameters(cpm) / 1e6, 2) == 0.35


def test_table_8_row_by_row() -> None:
    """Channels in and out, kernel, stride and padding of the convolutions, in the order of the table."""
    with torch.device("meta"):
        network = SCSNet()
    rows = [(64, 64, 1), (64, 64, 1), (64, 64, 2), (64, 128, 1), (128, 128, 1), (128, 128, 2), (128, 256, 1)]
    rows.append((256, 256, 1))

    def seen(*modules: nn.Module) -> list[tuple[int, int, int]]:
        convs = [m for part in modules for m in part.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert all(conv.padding == (1, 1) for conv in convs)
        return [(conv.in_channels, conv.out_channels, conv.stride[0]) for conv in convs]

    assert seen(network.initial, network.encoder) == [(1, 64, 1), *rows]
    assert seen(network.reference_encoder) == [(3, 64, 1), *rows]
    assert seen(network.extractor) == [(256, 256, 1)] * 3
    up = [(256, 1024, 1), (256, 256, 1), (256, 128, 1), (128, 512, 1), (128, 128, 1), (128, 64, 1)]
    assert seen(network.decoder) == up
    assert seen(network.texture) == [(64, 64, 1)] * 32
    assert seen(network.cpm) == [(128, 256, 1)]
    for part in (network.encoder, network.reference_encoder, network.extractor, network.decoder):
        norms = sum(isinstance(m, nn.InstanceNorm2d) for m in part.modules())
        assert norms == sum(isinstance(m, nn.LeakyReLU) for m in part.modules())
    assert [m.in_channels for m in network.cpm.mapping if isinstance(m, nn.Conv2d)] == [258, 256, 256, 256]


def test_mult_adds_at_720p_with_a_reference() -> None:
    """Products of activations: self-attention, and a cross-attention at each scale, with 128 keys and 256 values."""
    with torch.device("meta"):
        network = registry.create("scsnet")
    cost = count(network, 1, (180, 320), (720, 1280), reference=(128, 128))
    scales = [(45 * 80, 32 * 32), (23 * 40, 16 * 16), (12 * 20, 8 * 8)]
    assert cost.attention == ((45 * 80) ** 2 + sum(queries * keys for queries, keys in scales)) * (128 + 256)
    assert cost.total == 348_596_872_448  # 333.3 G without the reference


def slow_z(i: int, hr: int, lr: int) -> float:
    """Eq. 3 with x = i / (hr - 1)."""
    x, unit = i / (hr - 1), 1 / lr
    return math.fmod(x, unit) / unit * 2 - 1


@pytest.mark.parametrize(("lr", "hr"), [(3, 8), (7, 20), (5, 100), (45, 181)])
def test_relative_positions_are_equation_3(lr: int, hr: int) -> None:
    z = relative_positions(lr, hr)
    for i in range(hr - 1):
        if abs(slow_z(i, hr, lr)) < 1 - 1e-9:  # where a unit ends, fmod's rounding decides: below
            assert float(z[i]) == pytest.approx(slow_z(i, hr, lr), abs=1e-9)
    assert (z.min(), z.max()) == (-1, 1)


def test_relative_positions_at_corners_and_centres() -> None:
    """-1 in the upper left corner, +1 in the lower right one, -1 wherever a unit begins, 0 in the middle of units."""
    z = relative_positions(4, 9)  # units of two steps: x = i / 8, unit = 1 / 4
    assert z.tolist() == [-1, 0, -1, 0, -1, 0, -1, 0, 1]
    assert relative_positions(3, 4).tolist() == [-1, -1, -1, 1]
    assert relative_positions(5, 7)[3] == 0  # the middle of the image
    assert relative_positions(1, 3).tolist() == [-1, 0, 1]
    assert relative_positions(6, 1).tolist() == [-1]


def slow_cpm(layer: PixelMapping, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Section 3.2 point by point, for one image: corners aligned, four neighbours, Z_rel, four linear layers."""
    features = layer.conv(x[None])[0]
    _, h, w = features.shape
    out = torch.empty(3, *size, dtype=x.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x_ = i * (h - 1) / (size[0] - 1), j * (w - 1) / (size[1] - 1)
            top, left = min(int(y), h - 2), min(int(x_), w - 2)
            down, right = y - top, x_ - left
            upper = (1 - right) * features[:, top, left] + right * features[:, top, left + 1]
            lower = (1 - right) * features[:, top + 1, left] + right * features[:, top + 1, left + 1]
            z = [relative_positions(w, size[1])[j], relative_positions(h, size[0])[i]]
            point = torch.cat([(1 - down) * upper + down * lower, torch.stack(z).to(x.dtype)])
            weights, biases = zip(*((x.weight[:, :, 0, 0], x.bias) for x in layer.mapping[::2]), strict=True)
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                point = (weight @ point + bias).clamp(min=0)
            out[:, i, j] = weights[-1] @ point + biases[-1]
    return out


def test_cpm_equals_a_loop_over_points(lively) -> None:
    layer = lively(PixelMapping(4, 8).double(), noise=0.3)
    x = torch.randn(2, 4, 4, 3).double()
    expected = torch.stack([slow_cpm(layer, image, (7, 9)) for image in x])
    torch.testing.assert_close(layer(x, (7, 9)), expected, rtol=0, atol=1e-9)


def test_cpm_aligns_corners(lively) -> None:
    """The corner pixels of HR see exactly the corner pixels of LR, whatever lies beside them."""
    layer, x = lively(PixelMapping(4, 8), noise=0.3), torch.randn(1, 4, 6, 5)
    features = layer.conv(x)
    for size in ((12, 10), (17, 23)):
        out = layer(x, size)
        for corner, z in (
            ((0, 0), (-1.0, -1.0)),
            ((0, -1), (1.0, -1.0)),
            ((-1, 0), (-1.0, 1.0)),
            ((-1, -1), (1.0, 1.0)),
        ):
            at = (..., corner[0], corner[1])
            point = torch.cat([features[at], torch.tensor([z])], dim=1)[..., None, None]
            torch.testing.assert_close(out[at], layer.mapping(point)[..., 0, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(30, 40), (23, 17), (1, 40), (30, 1)])
def test_cpm_in_chunks_equals_cpm_at_once(lively, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    layer, x = lively(PixelMapping(4, 8), noise=0.3), torch.randn(2, 4, 6, 5)
    at_once = layer(x, size)
    for pixels_at_a_time in (1, 333):
        monkeypatch.setattr(scsnet, "CHUNK_PIXELS", pixels_at_a_time)
        torch.testing.assert_close(layer(x, size), at_once, rtol=0, atol=1e-6)
    assert at_once.std() > 0.01


def test_training_maps_at_once(lively, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, calls = lively(PixelMapping(4, 8)).train(), []
    monkeypatch.setattr(scsnet, "CHUNK_PIXELS", 1)
    layer.mapping.register_forward_hook(lambda *_: calls.append(1))
    layer(torch.randn(1, 4, 6, 5), (12, 10))
    assert len(calls) == 1
    layer.eval()(torch.randn(1, 4, 6, 5), (12, 10))
    assert len(calls) == 1 + 12


@pytest.mark.parametrize("lr", [(1, 1), (1, 9), (13, 2), (16, 24), (17, 22)])
@pytest.mark.parametrize("times", [1, 1.37, 4, 8])
def test_any_size_at_any_magnification(small: SCSNet, lr: tuple[int, int], times: float) -> None:
    size = (max(1, round(lr[0] * times)), max(1, round(lr[1] * times)))
    gray = torch.rand(2, 1, *lr)
    for reference in (None, torch.rand(2, 3, 1, 1), torch.rand(2, 3, 15, 21)):
        out = small(gray, size, reference)
        assert out.shape == (2, 3, *size)
        assert out.min() >= 0
        assert out.max() <= 1


def test_padding_repeats_the_border(small: SCSNet) -> None:
    """18x21 is seen as 20x24 with its last row and column repeated; only then the image's own part is enlarged."""
    gray = torch.rand(1, 1, 18, 21)
    padded = torch.cat([gray, gray[..., -1:].expand(1, 1, 18, 3)], dim=-1)
    padded = torch.cat([padded, padded[..., -1:, :].expand(1, 1, 2, 24)], dim=-2)
    seen = []
    hook = small.cpm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    small(gray, (36, 42))
    small(padded, (40, 48))
    hook.remove()
    assert torch.equal(seen[0], seen[1][..., :18, :21])


def test_automatic_mode_has_no_trace_of_the_reference_branch(small: SCSNet) -> None:
    """The same bits with the branch, without it, and whatever is in it."""
    automatic = SCSNet(SCSNetConfig(channels=4, blocks=2, reference=False)).eval()
    kept = {k: v for k, v in small.state_dict().items() if not k.startswith(("reference_encoder", "pvcattn"))}
    automatic.load_state_dict(kept)
    gray, calls = torch.rand(1, 1, 16, 24), []
    hooks = [m.register_forward_hook(lambda *_: calls.append(1)) for m in (small.reference_encoder, small.pvcattn)]
    assert torch.equal(small(gray, (32, 48)), automatic(gray, (32, 48)))
    assert not calls
    led = small(gray, (32, 48), torch.rand(1, 3, 16, 16))
    assert len(calls) == 2
    assert (led - small(gray, (32, 48))).abs().max() > 1e-4
    for hook in hooks:
        hook.remove()
    with pytest.raises(ValueError, match="without its reference branch"):
        automatic(gray, (32, 48), torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match="without its reference branch"):
        automatic.attention(gray, torch.rand(1, 3, 16, 16))


def test_attention_is_what_the_network_uses(small: SCSNet) -> None:
    """Three grids, the finest first; the valves are those that open in ``forward``."""
    gray, reference = torch.rand(1, 1, 32, 48), torch.rand(1, 3, 64, 32)
    fine, middle, coarse = small.attention(gray, reference)
    assert [x.valves.shape for x in (fine, middle, coarse)] == [(1, 2, 8, 12), (1, 2, 4, 6), (1, 2, 2, 3)]
    for x, grid in ((fine, (16, 8)), (middle, (8, 4)), (coarse, (4, 2))):
        found = x.at(1, 2)
        assert found.shape == (1, *grid)
        assert float(found.sum()) == pytest.approx(1, abs=1e-5)
        assert x.valves.min() >= 0
        assert x.valves.max() <= 1
    seen = []
    hooks = [a.valves.register_forward_hook(lambda _, __, out: seen.append(out)) for a in small.pvcattn.attentions]
    small(gray, (32, 48), reference)
    for hook in hooks:
        hook.remove()
    for ran, x in zip(seen, (fine, middle, coarse), strict=True):
        assert torch.equal(ran, x.valves)


def test_gradients_reach_every_parameter_of_each_mode() -> None:
    network = SCSNet(SMALL)
    with torch.no_grad():
        network.decoder[0].gamma.fill_(0.5)  # zero at first: nothing behind it would learn
    gray = torch.rand(2, 1, 16, 24)
    network.lab(gray, (24, 36)).square().sum().backward()
    silent = {name for name, p in network.named_parameters() if p.grad is None}
    assert silent == {n for n, _ in network.named_parameters() if n.startswith(("reference_encoder", "pvcattn"))}
    network.lab(gray, (24, 36), torch.rand(2, 3, 32, 32)).square().sum().backward()
    # A bias before a norm has no effect, and one added to every key moves no softmax.
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name.endswith("weight"):
            assert parameter.grad.abs().max() > 0, name


def test_gradients_pass_through_rgb_and_stay_finite() -> None:
    """Black, white, pure colours and impossible LAB: what a perceptual loss in RGB sends back is finite."""
    lab = torch.cat(
        [to_lab(torch.eye(3).reshape(1, 3, 1, 3)), torch.tensor([[[[0.0, 1.0, 2.0]]] * 3]).reshape(1, 3, 1, 3)], 3
    )
    lab.requires_grad_()
    to_rgb(lab).sum().backward()
    assert lab.grad.isfinite().all()
    rgb = torch.tensor([0.0, 1.0, 0.5]).reshape(1, 3, 1, 1).requires_grad_()
    to_lab(rgb).sum().backward()
    assert rgb.grad.isfinite().all()


def test_lab_is_cielab_and_comes_back() -> None:
    from skimage.color import rgb2lab

    rgb = torch.rand(2, 3, 5, 7)
    expected = torch.from_numpy(rgb2lab(rgb.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2)
    expected /= torch.tensor([100.0, 110.0, 110.0]).reshape(3, 1, 1)
    lab = to_lab(rgb)
    back = to_rgb(lab)
    torch.testing.assert_close(lab, expected.float(), rtol=0, atol=2e-4)
    torch.testing.assert_close(back, rgb, rtol=0, atol=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(to_lab(rgb), lab)
        assert torch.equal(to_rgb(lab), back)


def test_grey_goes_in_as_lightness(small: SCSNet) -> None:
    """sRGB 119 / 255 is L = 50: the first convolution sees 0.5."""
    seen = []
    hook = small.initial.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    small(torch.full((1, 1, 8, 8), 0.46633), (8, 8))
    hook.remove()
    torch.testing.assert_close(seen[0], torch.full((1, 1, 8, 8), 0.5), rtol=0, atol=1e-3)


def test_brightness_reaches_the_output(small: SCSNet) -> None:
    """The texture branch is not normed: a darker image is not the same image to it."""
    gray = torch.rand(1, 1, 16, 16) * 0.3
    seen = []
    hook = small.texture.register_forward_hook(lambda _, __, out: seen.append(out))
    small(gray, (16, 16))
    small(gray + 0.5, (16, 16))
    hook.remove()
    assert (seen[0] - seen[1]).mean(dim=(2, 3)).abs().max() > 0.05


def test_bf16_autocast_answers_in_float32(small: SCSNet) -> None:
    gray, reference = torch.rand(1, 1, 16, 24), torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = small.lab(gray, (32, 48), reference)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@pytest.mark.slow
def test_a_large_output_stays_small_in_memory() -> None:
    """In a fresh process, 768x768 at 64 channels: at once, every layer of F(.) would hold 144 MiB."""
    code = """
import resource, torch
from edge_scs.models.scsnet import PixelMapping
torch.set_num_threads(1)
layer, x = PixelMapping(8, 64).eval(), torch.rand(1, 8, 64, 64)
with torch.inference_mode():
    layer(x, (256, 256))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    layer(x, (768, 768))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60
