"""Encoders against their papers: sizes, topology in literal form, any image size, receptive field."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.models.sr_encoders import ENCODERS, RDN, EDSRBaseline, ResidualDenseBlock, create_encoder
from edge_scs.models.swinir import SwinIR, SwinLayer, WindowAttention, from_windows, shift_mask, to_windows

SMALL = {
    "edsr": {"channels": 4, "blocks": 2},
    "rdn": {"channels": 4, "blocks": 2, "layers": 3, "growth": 3},
    "swinir": {"channels": 4, "width": 12, "groups": 2, "layers": 2, "heads": 3, "window": 4},
}
# The upsamplers that the published counts include and ours leave out: x2, 64 channels.
UPSAMPLER_X2 = (64 * 256 * 9 + 256) + (64 * 3 * 9 + 3)


@pytest.mark.parametrize(
    ("name", "ours", "published"),
    [("edsr", 1_220_416, 1.37e6), ("rdn", 21_973_952, 22.12e6), ("swinir", 11_603_044, 11.75e6)],
)
def test_published_sizes(name, ours, published):
    """EDSR-baseline 1.37 M, RDN 22.12 M, SwinIR 11.75 M (11.8 M in its Table 2) at x2, upsampler included."""
    with torch.device("meta"):
        encoder = create_encoder(name)
    assert sum(p.numel() for p in encoder.parameters()) == ours
    assert ours + UPSAMPLER_X2 == pytest.approx(published, rel=1e-3)
    assert encoder.out_channels == 64


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [(8, 8), (5, 13), (1, 1), (2, 9)])
def test_any_size_and_every_parameter_learns(name, size):
    encoder = create_encoder(name, SMALL[name])
    features = encoder(torch.rand(2, 3, *size))
    assert features.shape == (2, 4, *size)
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    if size == (8, 8):
        assert all(p.grad.abs().sum() > 0 for n, p in encoder.named_parameters() if "qkv.bias" not in n)


def test_swinir_costs_by_hand():
    """Per padded pixel: convolutions, per layer qkv + out + mlp, and two products with the window's keys and values."""
    encoder = create_encoder("swinir", SMALL["swinir"]).to("meta")  # where costs are counted
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        encoder(torch.zeros(1, 3, 9, 12, device="meta"))
    width, layer = 12, 4 * 12 * 12 + 2 * 2 * 12 * 12 + 2 * 16 * 12
    pixel = 9 * (3 * width + 3 * width * width + 4 * width) + 4 * layer
    assert counter.get_total_flops() == 2 * 12 * 12 * pixel


def test_unknown_names_and_options_are_errors():
    with pytest.raises(ValueError, match=r"no encoder 'rcan'; known: edsr, rdn, swinir"):
        create_encoder("rcan")
    with pytest.raises(TypeError, match="blokcs"):
        create_encoder("edsr", {"blokcs": 4})
    for value in (-1, 0, 0.5, "2"):
        with pytest.raises(ValueError, match=r"encoder option blocks is .*; it must be a whole number, 1 or more"):
            create_encoder("edsr", {"blocks": value})
    with pytest.raises(ValueError, match="multiple of heads"):
        create_encoder("swinir", {"width": 10, "heads": 3})


def test_edsr_literally(lively):
    encoder = lively(EDSRBaseline(channels=4, blocks=2))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    x = torch.rand(1, 3, 6, 5)
    shallow = y = encoder.entry(x)
    for block in encoder.blocks:
        y = y + block.conv2(block.conv1(y).clamp(min=0))
    torch.testing.assert_close(encoder(x), shallow + encoder.exit(y))


def test_residual_dense_block_literally(lively):
    """RDN eq. 4 to 7: F_{d,c} = relu(W [F_{d-1}, F_{d,1}, ..., F_{d,c-1}]), then fusion, then the residual."""
    block = lively(ResidualDenseBlock(channels=4, layers=3, growth=2))
    x = torch.rand(1, 4, 6, 5)
    states = [x]
    for layer in block.layers:
        states.append(layer(torch.cat(states, 1)).clamp(min=0))
    torch.testing.assert_close(block(x), x + block.fusion(torch.cat(states, 1)))


def test_rdn_literally(lively):
    """Eq. 1 to 3 and 8, 9: two shallow convolutions, all blocks' outputs fused, the residual from the first one."""
    encoder = lively(RDN(**SMALL["rdn"]))
    x = torch.rand(1, 3, 6, 5)
    first = encoder.shallow1(x)
    one = encoder.blocks[0](encoder.shallow2(first))
    two = encoder.blocks[1](one)
    torch.testing.assert_close(encoder(x), first + encoder.fusion[1](encoder.fusion[0](torch.cat([one, two], 1))))


@pytest.mark.parametrize("name", ["edsr", "rdn"])
def test_halo_is_the_receptive_field(name):
    encoder = create_encoder(name, SMALL[name]).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.rand_like(parameter))  # all positive: no ReLU closes, no terms cancel
    assert reach(encoder, 2 * encoder.halo + 5) == encoder.halo


def test_halo_of_swinir_is_not_exceeded():
    encoder = SwinIR(channels=2, width=4, groups=1, layers=2, heads=1, window=4).double()
    assert encoder.halo - 4 < reach(encoder, 4 * encoder.halo) <= encoder.halo


def reach(encoder: nn.Module, side: int) -> int:
    """How far, in LR pixels, the features at any of eight pixels in the middle see."""
    far = 0
    for centre in range(side // 2 - 4, side // 2 + 4):
        x = torch.rand(1, 3, side, side, dtype=torch.double).requires_grad_()
        encoder(x)[0, :, centre, centre].sum().backward()
        rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        far = max(far, centre - int(rows.min()), int(rows.max()) - centre)
    return far


def literal_window_attention(attention: WindowAttention, x: Tensor, window: int, shift: int) -> Tensor:
    """One image (h, w, c), pixel by pixel: who is in my window after the shift, and on my side of every seam?

    Windows of the shifted partition begin at ``shift`` (mod the window); at the borders that leaves narrower ones,
    which is what rolling and masking emulate.
    """
    h, w, c = x.shape
    heads, d = attention.heads, c // attention.heads
    query, key, value = attention.qkv(x).chunk(3, dim=-1)
    out = torch.empty_like(x)

    def home(i: int) -> int:
        return (i - shift) // window  # -1: the narrow window before the first whole one

    for i in range(h):
        for j in range(w):
            mates = [(k, m) for k in range(h) for m in range(w) if (home(k), home(m)) == (home(i), home(j))]
            for head in range(heads):
                part = slice(head * d, (head + 1) * d)
                scores = []
                for k, m in mates:
                    entry = (i - k + window - 1) * (2 * window - 1) + (j - m + window - 1)
                    bias = attention.position_bias[entry, head]
                    scores.append(query[i, j, part] @ key[k, m, part] / d**0.5 + bias)
                weights = torch.stack(scores).softmax(0)
                out[i, j, part] = sum(a * value[k, m, part] for a, (k, m) in zip(weights, mates, strict=True))
    return attention.out(out)


@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("size", [(8, 12), (4, 4)])
def test_shifted_windows_literally(lively, size, shift):
    layer = lively(SwinLayer(channels=6, heads=2, window=4, shift=shift, mlp_ratio=2), noise=0.3).double()
    x = torch.rand(2, *size, 6, dtype=torch.double)
    mask = shift_mask(size, 4, 2, x.device)
    got = layer(x, mask)
    for image, expected in zip(x, got, strict=True):
        y = image + literal_window_attention(layer.attention, layer.norm1(image), 4, shift)
        torch.testing.assert_close(y + layer.mlp(layer.norm2(y)), expected)


def test_windows_and_back():
    x = torch.rand(2, 8, 12, 3)
    windows = to_windows(x, 4)
    assert windows.shape == (2 * 2 * 3, 16, 3)
    torch.testing.assert_close(windows[2].reshape(4, 4, 3), x[0, :4, 8:])
    torch.testing.assert_close(from_windows(windows, 4, (8, 12)), x)


def test_swinir_shifts_every_other_layer():
    encoder = SwinIR(**SMALL["swinir"])
    assert [[layer.shift for layer in group.layers] for group in encoder.groups] == [[0, 2], [0, 2]]


def test_swinir_literally(lively):
    encoder = lively(SwinIR(**SMALL["swinir"]))
    x = torch.rand(1, 3, 8, 4)
    shallow = encoder.entry(x)
    y = encoder.embed_norm(shallow.permute(0, 2, 3, 1))
    mask = shift_mask((8, 4), 4, 2, x.device)
    for group in encoder.groups:
        z = y
        for layer in group.layers:
            z = layer(z, mask)
        y = y + group.conv(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    deep = encoder.exit(encoder.norm(y).permute(0, 3, 1, 2))
    torch.testing.assert_close(encoder(x), F.leaky_relu(encoder.narrow(shallow + deep)))


def test_swinir_pads_by_reflection_and_crops(lively):
    encoder = lively(SwinIR(**SMALL["swinir"]))
    x = torch.rand(1, 3, 6, 7)
    reflected = torch.cat([x, x[:, :, [4, 3]]], 2)
    reflected = torch.cat([reflected, reflected[..., [5]]], 3)
    torch.testing.assert_close(encoder(x), encoder(reflected)[..., :6, :7])


def test_swinirs_drop_path_is_for_training_and_rises():
    """timm's: an image's branch is left out or divided by the share that stays; from 0 to 0.1 at the last layer."""
    encoder = SwinIR(channels=4, width=8, groups=2, layers=3, heads=2, window=4)
    drops = [layer.drop for group in encoder.groups for layer in group.layers]
    assert drops == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])
    layer = encoder.groups[1].layers[2].train()
    branch = torch.ones(4000, 1, 1, 2)
    kept = layer._kept(branch)
    assert sorted(set(kept.flatten().tolist())) == pytest.approx([0, 1 / 0.9])
    assert float((kept == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert torch.equal(layer.eval()._kept(branch), branch)
