"""Every official layout: files made of the authors' names, in their nesting, become the network they came from.

The names below are written down from the authors' repositories, ours on the left; docs/papers.md says how the authors'
own code was run beside the imported networks. Networks are small: the registered ones are replaced.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.weights.importing import import_weights

RDN_OPTIONS = {"channels": 4, "blocks": 2, "layers": 2, "growth": 3}
SWIN_OPTIONS = {"channels": 6, "width": 8, "groups": 2, "layers": 2, "heads": 2, "window": 4}
SMALL = {
    "edsr": {"channels": 4, "blocks": 2, "scale": 2},
    "rdn": {"encoder_options": RDN_OPTIONS},
    "swinir": {"encoder_options": SWIN_OPTIONS},
    "liif_edsr": {"encoder_options": {"channels": 4, "blocks": 2}, "hidden": 8},
    "liif_rdn": {"encoder_options": RDN_OPTIONS, "hidden": 8},
    "ciaosr_edsr": {"encoder_options": {"channels": 4, "blocks": 2}, "hidden": 8},
    "ciaosr_rdn": {"encoder_options": RDN_OPTIONS, "hidden": 8},
    "ciaosr_swinir": {"encoder_options": SWIN_OPTIONS | {"channels": 8}, "hidden": 8},
}
EDSR_PYTORCH = {"encoder.entry": "head.0", "encoder.exit": "body.2"} | {
    f"encoder.blocks.{i}.conv{j + 1}": f"body.{i}.body.{2 * j}" for i in range(2) for j in range(2)
}
MMEDITING_EDSR = {"encoder.entry": "conv_first", "encoder.exit": "conv_after_body"} | {
    f"encoder.blocks.{i}.conv{j}": f"body.{i}.conv{j}" for i in range(2) for j in (1, 2)
}
MMEDITING_RDN = {
    "encoder.shallow1": "sfe1", "encoder.shallow2": "sfe2", "encoder.fusion.0": "gff.0", "encoder.fusion.1": "gff.1",
    **{f"encoder.blocks.{i}.layers.{j}": f"rdbs.{i}.layers.{j}.conv" for i in range(2) for j in range(2)},
    **{f"encoder.blocks.{i}.fusion": f"rdbs.{i}.lff" for i in range(2)},
}  # fmt: skip
LIIF_RDN = {
    "encoder.shallow1": "encoder.SFENet1", "encoder.shallow2": "encoder.SFENet2",
    "encoder.fusion.0": "encoder.GFF.0", "encoder.fusion.1": "encoder.GFF.1",
    **{f"encoder.blocks.{i}.layers.{j}": f"encoder.RDBs.{i}.convs.{j}.conv.0" for i in range(2) for j in range(2)},
    **{f"encoder.blocks.{i}.fusion": f"encoder.RDBs.{i}.LFF" for i in range(2)},
}  # fmt: skip
SWINIR = {
    "encoder.entry": "conv_first", "encoder.embed_norm": "patch_embed.norm", "encoder.norm": "norm",
    "encoder.exit": "conv_after_body", **{f"encoder.groups.{i}.conv": f"layers.{i}.conv" for i in range(2)},
    **{
        f"encoder.groups.{i}.layers.{j}.{ours}": f"layers.{i}.residual_group.blocks.{j}.{theirs}"
        for i in range(2)
        for j in range(2)
        for ours, theirs in {
            "norm1": "norm1", "norm2": "norm2", "attention.qkv": "attn.qkv", "attention.out": "attn.proj",
            "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2",
        }.items()
    },
}  # fmt: skip
SWIN_TABLES = {
    f"encoder.groups.{i}.layers.{j}.attention.position_bias": (
        f"layers.{i}.residual_group.blocks.{j}.attn.relative_position_bias_table"
    )
    for i in range(2)
    for j in range(2)
}


def perceptron(ours: str, theirs: str) -> dict[str, str]:
    layers = ["first", "middle.0", "middle.1", "middle.2", "last"]
    return {f"{ours}.{layer}": f"{theirs}.layers.{2 * i}" for i, layer in enumerate(layers)}


CIAOSR = {
    **perceptron("attention.key", "imnet_k"), **perceptron("attention.value", "imnet_v"),
    **perceptron("attention.query", "imnet_q"), "nonlocals.query.0": "cs_attn.conv_match_1.0",
    "nonlocals.query.1": "cs_attn.conv_match_1.1", "nonlocals.key.0": "cs_attn.conv_match_2.0",
    "nonlocals.key.1": "cs_attn.conv_match_2.1", "nonlocals.value.0": "cs_attn.conv_assembly.0",
    "nonlocals.value.1": "cs_attn.conv_assembly.1", "nonlocals.down.2": "cs_attn.down",
    "nonlocals.down.3": "cs_attn.downx3", "nonlocals.down.4": "cs_attn.downx4",
}  # fmt: skip


@pytest.fixture
def network(monkeypatch, lively):
    """A small random network, registered under its name."""

    def make(name: str, **options: object) -> nn.Module:
        entry = registry.MODELS[name]
        small = replace(entry.config, **SMALL.get(name, {}))  # type: ignore[type-var]
        monkeypatch.setitem(registry.MODELS, name, replace(entry, config=small))
        return lively(registry.create(name, options), noise=0.2)

    return make


def renamed(model: nn.Module, *tables: dict[str, str]) -> dict[str, Tensor]:
    """The network's tensors under the authors' names."""
    table = {ours: theirs for one in tables for ours, theirs in one.items()}
    state = {}
    for key, value in model.state_dict().items():
        module, _, kind = key.rpartition(".")
        state[table[key] if key in table else f"{table[module]}.{kind}"] = value
    return state


def come_back(tmp_path: Path, content: object, name: str, model: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Save, import, and compare outputs."""
    torch.save(content, tmp_path / "official.pth")
    imported = import_weights(tmp_path / "official.pth", name, tmp_path / "ours.safetensors").model
    model.training = imported.training = True  # of the outermost module alone: not clamped, but nothing dropped
    rgb = torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(imported(rgb, size), model(rgb, size), atol=1e-5, rtol=1e-5)
    return imported


TAILS = {
    2: ({"upsamplers.0": "tail.0.0", "exit": "tail.1"}, {"upsamplers.0": "upsample.0.upsample_conv"}),
    3: ({"upsamplers.0": "tail.0.0", "exit": "tail.1"}, {"upsamplers.0": "upsample.0.upsample_conv"}),
    4: (
        {"upsamplers.0": "tail.0.0", "upsamplers.1": "tail.0.2", "exit": "tail.1"},
        {"upsamplers.0": "upsample.0.upsample_conv", "upsamplers.1": "upsample.1.upsample_conv"},
    ),
}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_in_three_layouts(tmp_path, network, scale):
    model = network("edsr", scale=scale)
    size = (6 * scale, 5 * scale)
    theirs, mmediting = TAILS[scale]
    shifts = {"weight": torch.eye(3).reshape(3, 3, 1, 1)}
    for peak in (1.0, 255.0):
        state = renamed(model, EDSR_PYTORCH, theirs)
        state["head.0.weight"] = state["head.0.weight"] / peak
        state |= {f"tail.1.{kind}": state[f"tail.1.{kind}"] * peak for kind in ("weight", "bias")}
        for end, sign in (("sub", -1), ("add", 1)):
            bias = {"bias": sign * peak * torch.tensor(DIV2K_MEAN)}
            state |= {f"{end}_mean.{kind}": value for kind, value in (shifts | bias).items()}
        come_back(tmp_path, state, "edsr", model, size)
    state = renamed(model, MMEDITING_EDSR, mmediting, {"exit": "conv_last"})
    come_back(
        tmp_path, {"meta": {}, "state_dict": {f"generator.{k}": v for k, v in state.items()}}, "edsr", model, size
    )
    basicsr = {"upsamplers.0": "upsample.0", "upsamplers.1": "upsample.2", "exit": "conv_last"}
    state = renamed(model, MMEDITING_EDSR, basicsr)
    state["conv_first.weight"] = state["conv_first.weight"] / 255
    state |= {f"conv_last.{kind}": state[f"conv_last.{kind}"] * 255 for kind in ("weight", "bias")}
    come_back(tmp_path, {"params": state}, "edsr", model, size)


def test_edsr_pytorch_literally(tmp_path, network):
    """What EDSR-PyTorch computes with its own names, in 0..255, is what the imported network computes."""
    network("edsr")
    state = {
        "head.0.weight": torch.randn(4, 3, 3, 3) / 255, "head.0.bias": torch.randn(4),
        "body.2.weight": torch.randn(4, 4, 3, 3) / 6, "body.2.bias": torch.randn(4),
        "tail.0.0.weight": torch.randn(16, 4, 3, 3) / 6, "tail.0.0.bias": torch.randn(16),
        "tail.1.weight": torch.randn(3, 4, 3, 3) * 40, "tail.1.bias": torch.randn(3),
        "sub_mean.bias": -255 * torch.tensor(DIV2K_MEAN), "add_mean.bias": 255 * torch.tensor(DIV2K_MEAN),
    }  # fmt: skip
    for i in range(2):
        for j in (0, 2):
            state |= {
                f"body.{i}.body.{j}.weight": torch.randn(4, 4, 3, 3) / 6,
                f"body.{i}.body.{j}.bias": torch.randn(4),
            }

    def conv(x: Tensor, name: str) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    rgb, mean = torch.rand(1, 3, 6, 5), state["add_mean.bias"].reshape(1, 3, 1, 1)
    x = head = conv(rgb * 255 - mean, "head.0")
    for i in range(2):
        x = x + conv(F.relu(conv(x, f"body.{i}.body.0")), f"body.{i}.body.2")
    x = conv(x, "body.2") + head
    expected = (conv(F.pixel_shuffle(conv(x, "tail.0.0"), 2), "tail.1") + mean) / 255
    torch.save(state, tmp_path / "official.pth")
    model = import_weights(tmp_path / "official.pth", "edsr", tmp_path / "ours.safetensors").model.train()
    torch.testing.assert_close(model(rgb, (12, 10)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [3, 4])
def test_rdn_and_swinir(tmp_path, network, scale):
    size = (6 * scale, 5 * scale)
    model = network("rdn", scale=scale)
    state = renamed(model, MMEDITING_RDN, {"upsamplers.0": "upscale.0", "upsamplers.1": "upscale.2", "exit": "output"})
    come_back(tmp_path, state, "rdn", model, size)
    model = network("swinir", scale=scale)
    tail = {"encoder.narrow": "conv_before_upsample.0", "upsamplers.0": "upsample.0", "upsamplers.1": "upsample.2"}
    state = renamed(model, SWINIR, SWIN_TABLES, tail, {"exit": "conv_last"})
    block = "layers.0.residual_group.blocks.1"
    state |= {
        f"{block}.attn.relative_position_index": torch.zeros(16, 16),
        f"{block}.attn_mask": torch.zeros(4, 16, 16),
    }
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    come_back(tmp_path, {"params": other, "params_ema": state}, "swinir", model, size)


def test_liif(tmp_path, network):
    for name, table in (
        ("liif_edsr", {ours: f"encoder.{theirs}" for ours, theirs in EDSR_PYTORCH.items()}),
        ("liif_rdn", LIIF_RDN),
    ):
        model = network(name)
        state = renamed(model, table, perceptron("perceptron", "imnet"))
        if name == "liif_edsr":
            state["encoder.sub_mean.bias"] = -torch.tensor(DIV2K_MEAN)
        content = {"model": {"name": "liif", "args": {"local_ensemble": True}, "sd": state}, "epoch": 1000}
        come_back(tmp_path, content, name, model, (13, 9))


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("ciaosr_edsr", (2,)),
        ("ciaosr_edsr", (2, 3, 4)),
        ("ciaosr_edsr", (3,)),
        ("ciaosr_rdn", ()),
        ("ciaosr_swinir", (2,)),
    ],
)
def test_ciaosr(tmp_path, network, name, scales):
    model = network(name, nonlocal_scales=scales)
    tables = {"edsr": (MMEDITING_EDSR,), "rdn": (MMEDITING_RDN,), "swinir": (SWINIR, SWIN_TABLES)}
    state = renamed(model, *tables[name.rpartition("_")[2]], CIAOSR)
    if scales:
        state["cs_attn.escape_NaN"] = torch.tensor([1e-4])
        state.setdefault("cs_attn.down.weight", torch.zeros(4, 4, 3, 3))  # theirs is always made
        state.setdefault("cs_attn.down.bias", torch.zeros(4))
    content = {f"generator.{key}": value for key, value in state.items()}
    if not scales:  # a GAN's file: the averaged generator counts
        content = {key: torch.zeros_like(value) for key, value in content.items()} | {"discriminator.x": torch.zeros(1)}
        content |= {f"generator_ema.{key}": value for key, value in state.items()}
    imported = come_back(tmp_path, {"state_dict": content, "optimizer": {}}, name, model, (13, 9))
    assert imported.config.nonlocal_scales == scales


@pytest.mark.parametrize("name", ["carn", "carn_m"])
def test_carn(tmp_path, lively, name):
    model = lively(registry.create(name))
    tied = name == "carn_m"
    table = {"entry": "entry", "exit": "exit", "upsamplers.4.convs.1": "upsample.up4.body.3"}
    table |= {f"upsamplers.{scale}.convs.0": f"upsample.up{scale}.body.0" for scale in (2, 3, 4)}
    for b in range(3):
        table[f"body.gathers.{b}"] = f"c{b + 1}.body.0"
        table |= {f"body.units.{b}.gathers.{c}": f"b{b + 1}.c{c + 1}.body.0" for c in range(3)}
        for u in range(1 if tied else 3):
            parts = ["conv1", "conv2", "pointwise"][: 3 if tied else 2]
            table |= {f"body.units.{b}.units.{u}.{p}": f"b{b + 1}.b{u + 1}.body.{2 * i}" for i, p in enumerate(parts)}
    state = {f"module.{key}": value for key, value in renamed(model, table).items()}
    come_back(tmp_path, state, name, model, (18, 15))


def refusal(tmp_path: Path, content: object, name: str) -> str:
    torch.save(content, tmp_path / "official.pth")
    with pytest.raises(InputError) as caught:
        import_weights(tmp_path / "official.pth", name, tmp_path / "ours.safetensors")
    assert not (tmp_path / "ours.safetensors").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_networks_are_named(tmp_path, network):
    ciaosr = renamed(network("ciaosr_edsr"), MMEDITING_EDSR, CIAOSR)
    network("ciaosr_rdn")
    assert "its encoder is edsr; import it as ciaosr_edsr" in refusal(tmp_path, ciaosr, "ciaosr_rdn")
    assert "no encoder of liif_edsr (encoder.head.0.weight is missing)" in refusal(tmp_path, ciaosr, "liif_edsr")
    del ciaosr["imnet_v.layers.0.weight"]
    assert "lacks imnet_v.layers.0.weight" in refusal(tmp_path, ciaosr, "ciaosr_edsr")
    edsr = renamed(network("edsr"), EDSR_PYTORCH, TAILS[2][0])
    assert "no known layout of rdn; import it as edsr" in refusal(tmp_path, edsr, "rdn")
    assert "no known layout of swinir; see docs" in refusal(tmp_path, {"x": torch.zeros(1)}, "swinir")
    assert "has y.weight, which no edsr has" in refusal(tmp_path, edsr | {"y.weight": torch.zeros(1)}, "edsr")
    wrong = edsr | {"sub_mean.bias": torch.ones(3)}
    assert "sub_mean.bias is not the mean colour of DIV2K" in refusal(tmp_path, wrong, "edsr")
    del edsr["body.1.body.2.bias"]
    assert "lacks encoder.blocks.1.conv2.bias" in refusal(tmp_path, edsr, "edsr")
