"""The authors' names of tensors and ours: one table of patterns for each published layout.

A pattern matches a whole name, and the first one counts; ``None`` drops the tensor, because it is a constant here.
Names that nothing matches belong to another network. Where the layouts come from:

=================== ================================================= =============================================
network             repository                                        nesting of its files
=================== ================================================= =============================================
pcarn, pcarn_m      nmhkahn/PCARN-pytorch                             plain
carn, carn_m        nmhkahn/CARN-pytorch                              plain
ciaosr_*            caojiezhang/CiaoSR (mmediting 0.x)                state_dict, generator(_ema).*
liif_edsr, _rdn     yinboc/liif                                       model.sd
edsr                sanghyun-son/EDSR-PyTorch; BasicSR; mmediting     plain; params; state_dict, generator.*
rdn                 yjn870/RDN-pytorch; mmediting                     plain; state_dict, generator.*
swinir              JingyunLiang/SwinIR, classical (001)              params, params_ema
=================== ================================================= =============================================
"""

import re
from collections.abc import Iterable

from torch import Tensor

Rules = tuple[tuple[str, str | None], ...]
State = dict[str, Tensor]

_BOTH = r"\.(weight|bias)"


def _modules(*pairs: tuple[str, str]) -> Rules:
    """Rules for modules with a weight and a bias; groups of the patterns are numbered from 1."""
    return tuple((pattern + _BOTH, f"{template}.\\{pattern.count('(') + 1}") for pattern, template in pairs)


def _perceptron(theirs: str, ours: str) -> Rules:
    """LIIF's: linear layers at every second place of a sequence."""
    middle = [(rf"{theirs}\.layers\.{2 + 2 * i}", f"{ours}.middle.{i}") for i in range(3)]
    return _modules((rf"{theirs}\.layers\.0", f"{ours}.first"), *middle, (rf"{theirs}\.layers\.8", f"{ours}.last"))


def _cascades(units: int, tied: bool, parts: dict[str, str], gather: str) -> Rules:
    """Blocks b1..b3 of ``units`` residual units b1.. each and gathers c1..c3, in both PCARN's and CARN's files."""
    pairs = []
    for block in range(3):
        pairs.append((rf"c{block + 1}{gather}", f"body.gathers.{block}"))
        pairs += [(rf"b{block + 1}\.c{c + 1}{gather}", f"body.units.{block}.gathers.{c}") for c in range(3)]
        for unit in range(units):
            ours = f"body.units.{block}.units.{0 if tied else unit}"
            pairs += [(rf"b{block + 1}\.b{unit + 1}\.{part}", f"{ours}.{name}") for part, name in parts.items()]
    return _modules(
        *pairs, (r"(entry|exit)", r"\1"),
        (r"upsample\.up([234])\.body\.0", r"upsamplers.\1.convs.0"),
        (r"upsample\.up4\.body\.3", "upsamplers.4.convs.1"),
    )  # fmt: skip


def pcarn(tied: bool) -> Rules:
    return _cascades(3, tied, {"conv1": "conv1", "conv2": "conv2", "pw": "pointwise"}, "")


def carn(tied: bool) -> Rules:
    parts = {r"body\.0": "conv1", r"body\.2": "conv2"} | ({r"body\.4": "pointwise"} if tied else {})
    return _cascades(1 if tied else 3, tied, parts, r"\.body\.0")


_MM_EDSR = _modules(
    ("conv_first", "encoder.entry"),
    (r"body\.(\d+)\.(conv[12])", r"encoder.blocks.\1.\2"),
    ("conv_after_body", "encoder.exit"),
)
_EDSR = _modules(
    (r"head\.0", "encoder.entry"),
    (r"body\.(\d+)\.body\.0", r"encoder.blocks.\1.conv1"),
    (r"body\.(\d+)\.body\.2", r"encoder.blocks.\1.conv2"),
    (r"body\.\d+", "encoder.exit"),
)
_MM_RDN = _modules(
    (r"sfe([12])", r"encoder.shallow\1"),
    (r"rdbs\.(\d+)\.layers\.(\d+)\.conv", r"encoder.blocks.\1.layers.\2"),
    (r"rdbs\.(\d+)\.lff", r"encoder.blocks.\1.fusion"),
    (r"gff\.([01])", r"encoder.fusion.\1"),
)
_LIIF_RDN = _modules(
    (r"SFENet([12])", r"encoder.shallow\1"),
    (r"RDBs\.(\d+)\.convs\.(\d+)\.conv\.0", r"encoder.blocks.\1.layers.\2"),
    (r"RDBs\.(\d+)\.LFF", r"encoder.blocks.\1.fusion"),
    (r"GFF\.([01])", r"encoder.fusion.\1"),
)
_SWIN_LAYER = r"layers\.(\d+)\.residual_group\.blocks\.(\d+)"
_SWINIR: Rules = (
    *_modules(
        ("conv_first", "encoder.entry"),
        (r"patch_embed\.norm", "encoder.embed_norm"),
        (rf"{_SWIN_LAYER}\.(norm[12])", r"encoder.groups.\1.layers.\2.\3"),
        (rf"{_SWIN_LAYER}\.attn\.qkv", r"encoder.groups.\1.layers.\2.attention.qkv"),
        (rf"{_SWIN_LAYER}\.attn\.proj", r"encoder.groups.\1.layers.\2.attention.out"),
        (rf"{_SWIN_LAYER}\.mlp\.fc1", r"encoder.groups.\1.layers.\2.mlp.0"),
        (rf"{_SWIN_LAYER}\.mlp\.fc2", r"encoder.groups.\1.layers.\2.mlp.2"),
        (r"layers\.(\d+)\.conv", r"encoder.groups.\1.conv"),
        ("norm", "encoder.norm"),
        ("conv_after_body", "encoder.exit"),
    ),
    (rf"{_SWIN_LAYER}\.attn\.relative_position_bias_table", r"encoder.groups.\1.layers.\2.attention.position_bias"),
    (rf"{_SWIN_LAYER}\.(attn\.relative_position_index|attn_mask)", None),
)

# Of the encoders alone, by the key that only they have: CiaoSR's and LIIF's files.
MM_ENCODERS: dict[str, tuple[str, Rules]] = {
    "edsr": ("body.0.conv1.weight", _MM_EDSR),
    "rdn": ("sfe1.weight", _MM_RDN),
    "swinir": ("patch_embed.norm.weight", _SWINIR),
}
LIIF_ENCODERS: dict[str, tuple[str, Rules]] = {
    "edsr": ("encoder.head.0.weight", _EDSR),
    "rdn": ("encoder.SFENet1.weight", _LIIF_RDN),
}

CIAOSR_HEAD: Rules = (
    *_perceptron("imnet_k", "attention.key"),
    *_perceptron("imnet_v", "attention.value"),
    *_perceptron("imnet_q", "attention.query"),
    *_modules(
        (r"cs_attn\.conv_match_1\.0", "nonlocals.query.0"),
        (r"cs_attn\.conv_match_2\.0", "nonlocals.key.0"),
        (r"cs_attn\.conv_assembly\.0", "nonlocals.value.0"),
        (r"cs_attn\.down", "nonlocals.down.2"),
        (r"cs_attn\.downx([34])", r"nonlocals.down.\1"),
    ),
    (r"cs_attn\.conv_match_1\.1\.weight", "nonlocals.query.1.weight"),
    (r"cs_attn\.conv_match_2\.1\.weight", "nonlocals.key.1.weight"),
    (r"cs_attn\.conv_assembly\.1\.weight", "nonlocals.value.1.weight"),
    (r"cs_attn\.escape_NaN", None),
)
LIIF_HEAD: Rules = _perceptron("imnet", "perceptron")

# Whole networks of one scale, by the key that tells their layout: (network, key, rules).
SHUFFLE: tuple[tuple[str, str, Rules], ...] = (
    (
        "edsr", "tail.0.0.weight",
        (*_EDSR, *_modules((r"tail\.0\.0", "upsamplers.0"), (r"tail\.0\.2", "upsamplers.1"), (r"tail\.1", "exit"))),
    ),
    (
        "edsr", "upsample.0.upsample_conv.weight",
        (*_MM_EDSR, *_modules((r"upsample\.([01])\.upsample_conv", r"upsamplers.\1"), ("conv_last", "exit"))),
    ),
    (
        "rdn", "upscale.0.weight",
        (*_MM_RDN, *_modules((r"upscale\.0", "upsamplers.0"), (r"upscale\.2", "upsamplers.1"), ("output", "exit"))),
    ),
    (
        "swinir", "conv_before_upsample.0.weight",
        (*_SWINIR, *_modules((r"conv_before_upsample\.0", "encoder.narrow"), (r"upsample\.0", "upsamplers.0"),
                             (r"upsample\.2", "upsamplers.1"), ("conv_last", "exit"))),
    ),
    (
        "edsr", "body.0.conv1.weight",
        (*_MM_EDSR, *_modules((r"upsample\.0", "upsamplers.0"), (r"upsample\.2", "upsamplers.1"),
                              ("conv_last", "exit"))),
    ),
)  # fmt: skip


def our_name(key: str, rules: Iterable[tuple[str, str | None]]) -> tuple[bool, str | None]:
    """Whether a rule knows this name, and what it is called here; None where it is dropped."""
    for pattern, template in rules:
        if match := re.fullmatch(pattern, key):
            return True, None if template is None else match.expand(template)
    return False, None
