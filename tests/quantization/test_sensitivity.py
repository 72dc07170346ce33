"""The sensitivity table: every part once, the worst first, and right for a part that is known to suffer."""

from dataclasses import replace

import torch

from edge_scs.data.photographs import Photographs
from edge_scs.quantization.recipe import QATRecipe
from edge_scs.quantization.sensitivity import sensitivities, table
from edge_scs.weights.loading import Loaded


def test_a_part_with_one_huge_weight_is_found(tiny: Loaded, photographs: Photographs) -> None:
    recipe = QATRecipe("pcarn_m", variants=["x2"], calibration=2, batch=1, hr=[48, 64], crop="patch")
    model = type(tiny.model)(tiny.model.config).eval()  # type: ignore[operator]
    model.load_state_dict(tiny.model.state_dict())
    with torch.no_grad():
        model.exit.weight[:, 0, 0, 0] = 30.0  # its other weights become zero in int8
        model.upsamplers["2"].convs[0].weight[:4].zero_()  # and nothing is read through it
        model.upsamplers["2"].convs[0].bias[:4].zero_()  # type: ignore[index]
    rows = sensitivities(recipe, replace(tiny, model=model), photographs, say=lambda line: None)
    assert rows[0]["part"] == "all"
    assert rows[0]["without_db"] is None
    parts = [row["part"] for row in rows[1:]]
    assert len(parts) == len(set(parts))
    assert "model.entry" in parts
    assert [row["alone_db"] for row in rows[1:]] == sorted(row["alone_db"] for row in rows[1:])
    assert parts[0] == "model.exit"
    assert rows[1]["without_db"] > rows[0]["alone_db"]
    assert table(rows).count("\n") == len(rows) + 1
