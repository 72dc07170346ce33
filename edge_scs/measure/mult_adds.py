"""What a network costs on paper: parameters, MultAdds for one 1280x720 image, receptive field.

MultAdds are multiply-accumulates of convolutions, linear layers and matrix products (PCARN, section 4); interpolation
and element-wise arithmetic count as nothing. A tied block counts once for every time it runs, its
parameters once. Counting happens on PyTorch's meta device, where a forward pass moves shapes and no numbers.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge_scs.models import registry
from edge_scs.models.implicit import ImplicitNetwork
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded, load, shipped_file

SCALES_720P = (2, 3, 4)
_WIDTH, _HEIGHT = 1280, 720
# Products of two activations: the attention share. Everything else multiplies by weights.
_ATTENTION = ("bmm", "baddbmm", "scaled_dot_product")
LEGEND = (
    "params: all of them. automatic: those that stay without a reference. head: without the encoder.",
    "x2, x3, x4: MultAdds to 1280x720 (x3: 1278x720), without a reference. -: no such scale, or not printed.",
    "field: LR pixels a side that a pixel's detail depends on. Colours, attention and instance norms reach further.",
)


@dataclass(frozen=True)
class MultAdds:
    """Multiply-accumulates; ``attention`` is the part of ``total`` in products of activations with activations."""

    total: int
    attention: int


def parameters(model: nn.Module) -> int:
    """Unique parameters: what is tied counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def receptive_field(description: Description) -> int:
    """Side of the square of LR pixels that one output pixel's texture depends on.

    Coarse colour comes from the whole image where a network has a colour branch; that is not counted here.
    """
    return 2 * description.halo + 1


def sizes_720p(scale: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """LR (h, w) and HR (H, W) of the 720p job: 360x640, 240x426, 180x320. At x3 HR is 720x1278, a multiple of LR."""
    lr = (_HEIGHT // scale, _WIDTH // scale)
    return lr, (lr[0] * scale, lr[1] * scale)


def count(
    model: nn.Module,
    input_channels: int,
    lr: tuple[int, int],
    hr: tuple[int, int],
    reference: tuple[int, int] | None = None,
    device: str = "meta",
) -> MultAdds:
    """MultAdds of one forward pass from LR (h, w) to HR (H, W), with a ``reference`` image of (h, w) if given.

    Works on a copy on ``device``; only "cpu" computes anything.
    """
    from torch.utils.flop_counter import FlopCounterMode

    copied = copy.deepcopy(model).to(device).eval()
    inputs: list[object] = [torch.zeros(1, input_channels, *lr, device=device), hr]
    if reference is not None:
        inputs.append(torch.zeros(1, 3, *reference, device=device))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        copied(*inputs)
    by_operator = counter.get_flop_counts().get("Global", {})
    attention = sum(flops for operator, flops in by_operator.items() if any(n in str(operator) for n in _ATTENTION))
    return MultAdds(counter.get_total_flops() // 2, attention // 2)


def mult_adds_720p(model: nn.Module, description: Description) -> dict[int, MultAdds | None]:
    """MultAdds at 720p for x2, x3, x4, without a reference; None for a scale that the network does not have."""
    return {scale: mult_adds_at(model, description, scale) for scale in SCALES_720P}


def mult_adds_at(model: nn.Module, description: Description, scale: int) -> MultAdds | None:
    """``mult_adds_720p`` for one scale."""
    channels = 3 if description.input == "rgb" else 1
    return count(model, channels, *sizes_720p(scale)) if description.enlarges(scale) else None


def models_table() -> list[dict[str, Any]]:
    """Every network with its costs, its weights and the numbers its authors printed, in the registry's order.

    A row: {"name", "variant", "input", "params", "params_automatic": those of them that stay without a reference,
    "params_head": those of them behind the encoder, None where a network is not made of an encoder and a head,
    "mult_adds_720p": {"2", "3", "4"} (None for a scale it does not have), "attention_720p": the part of them in
    attention products, "receptive_field" (LR pixels a side, texture only), "weights": name of the shipped file or None,
    "published": what the paper prints, {} for our own}.
    """
    return [model_row(load(name, allow_untrained=True)) for name in registry.names()]


def models_text(rows: list[dict[str, Any]]) -> str:
    """Rows of ``models_table`` as text: under each network its parts, then what its paper prints of these columns."""
    lines = [f"{'model':22s} {'params':>10s} {'x2':>8s} {'x3':>8s} {'x4':>8s} {'field':>6s}  weights"]
    for row in rows:
        adds = [_giga(row["mult_adds_720p"][str(scale)], 2) for scale in SCALES_720P]
        whole = f"{row['name']:22s} {row['params']:10,d} {' '.join(adds)} {row['receptive_field']:6d}"
        lines.append(f"{whole}  {row['weights'] or '-'}")
        parts = {"automatic": row["params_automatic"], "head": row["params_head"]}
        lines += [f"  {key:20s} {part:10,d}" for key, part in parts.items() if part not in (None, row["params"])]
        lines += _published_lines(row["published"])
    return "\n".join([*lines, "", *LEGEND])


def _published_lines(published: dict[str, Any]) -> list[str]:
    params, adds = published.get("params"), published.get("mult_adds_720p") or {}
    if params is None:
        return []
    by_part = params if isinstance(params, dict) else {"": params}
    lines = [f"  {f'published {part}':20s} {f'{count / 1e6:g} M':>10s}" for part, count in by_part.items()]
    if any(adds.values()):
        lines[0] += " " + " ".join(_giga(adds[str(scale)], 1) for scale in SCALES_720P)
    lines[0] = f"{lines[0]:68s}  {published['source']}"
    return lines


def _giga(count: int | float | None, digits: int) -> str:
    """Eight characters: billions with as many decimals, "-" for None."""
    return f"{'-':>8s}" if count is None else f"{count / 1e9:7.{digits}f}G"


def model_row(loaded: Loaded) -> dict[str, Any]:
    """One row of ``models_table``."""
    counted = mult_adds_720p(loaded.model, loaded.description)
    shipped = shipped_file(loaded.name)
    return {
        "name": loaded.name,
        "variant": loaded.description.variant,
        "input": loaded.description.input,
        "params": parameters(loaded.model),
        "params_automatic": _automatic(loaded),
        "params_head": _head(loaded.model),
        "mult_adds_720p": {str(scale): cost.total if cost else None for scale, cost in counted.items()},
        "attention_720p": {str(scale): cost.attention if cost else None for scale, cost in counted.items()},
        "receptive_field": receptive_field(loaded.description),
        "weights": shipped.name if shipped else None,
        "published": loaded.description.published,
    }


def _automatic(loaded: Loaded) -> int:
    """Parameters of the same network built without its reference branch and its hints."""
    if not loaded.description.reference:
        return parameters(loaded.model)
    without = {"reference": False} | ({"hints": False} if loaded.description.hints else {})
    with torch.device("meta"):
        return parameters(registry.create(loaded.name, {**vars(loaded.model.config), **without}))


def _head(model: nn.Module) -> int | None:
    """Parameters of an implicit network but for its encoder's: what CiaoSR's Table 7 counts."""
    if not isinstance(model, ImplicitNetwork):
        return None
    return parameters(model) - parameters(model.encoder)
