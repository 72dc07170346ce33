"""Which parts of a network suffer from int8: each quantised alone, and each alone left float."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional as F

from edge_scs.data.photographs import Photographs
from edge_scs.quantization.family import Family
from edge_scs.quantization.prepare import owner
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.weights.loading import Loaded

IMAGES = 8


@torch.no_grad()
def sensitivities(
    recipe: QATRecipe,
    loaded: Loaded,
    photographs: Photographs,
    say: Callable[[str], None] = print,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - immutable
) -> list[dict[str, Any]]:
    """One row per part of the recipe's first variant: {"part", "alone_db", "without_db"}, the worst first.

    PSNR of the answer to the float network's, over held-out photographs: with only this part in int8, and with
    everything in int8 but this part. The part "all" is everything in int8. A part is a module of the deployed network,
    its weights and the activations that it takes; ``keep_float`` of the recipe is ignored.
    """
    family = Family(recipe, loaded, device, variants=recipe.variants[:1], keep_float=())
    name = family.names[0]
    training, validation = photographs.split()
    family.calibrate(name, training)
    graph = family.graphs[name]
    parts = _parts(graph)
    images = []
    for start in range(0, IMAGES, recipe.batch):
        rng = np.random.default_rng([recipe.seed, 2, start])
        inputs = family.inputs(name, family.draw(validation, rng), rng)
        images.append((inputs, family.teacher[name](*inputs)))
        graph(*inputs)  # the weights' ranges

    quantisers = {id(m): m for group in parts.values() for m in group}

    def measure(on: list[Any]) -> float:
        chosen = {id(m) for m in on}
        for key, quantiser in quantisers.items():
            quantiser.fake_quant_enabled.fill_(int(key in chosen))
        errors = [F.mse_loss(graph(*inputs), lesson) for inputs, lesson in images]
        return float(-10 * torch.log10(torch.stack(errors).mean().clamp(min=1e-12)))

    everything = list(quantisers.values())
    rows: list[dict[str, Any]] = [{"part": "all", "alone_db": measure(everything), "without_db": None}]
    for count, (part, own) in enumerate(parts.items(), 1):
        others = [m for m in everything if id(m) not in {id(o) for o in own}]
        rows.append({"part": part, "alone_db": measure(own), "without_db": measure(others)})
        if count % 10 == 0 or count == len(parts):
            say(f"{count} of {len(parts)} parts")
    return [rows[0], *sorted(rows[1:], key=lambda row: float(row["alone_db"]))]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| part in int8 | alone, dB to float | all but it, dB to float |", "|---|---|---|"]
    for row in rows:
        without = "" if row["without_db"] is None else f"{row['without_db']:.1f}"
        lines.append(f"| {row['part']} | {row['alone_db']:.1f} | {without} |")
    return "\n".join(lines)


def _parts(graph: fx.GraphModule) -> dict[str, list[Any]]:
    """The fake quantisers that each module's operations read through, in the order of the data."""
    parts: dict[str, list[Any]] = {}
    for node in graph.graph.nodes:
        if node.op != "call_function" or not owner(node):
            continue
        for before in node.all_input_nodes:
            if before.op == "call_module":
                group = parts.setdefault(owner(node), [])
                quantiser = graph.get_submodule(str(before.target))
                if all(quantiser is not m for m in group):
                    group.append(quantiser)
    return parts
