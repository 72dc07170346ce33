"""Golden pairs: what lies in the folder is what went in."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from edge_scs.artifacts.golden import read_golden, write_golden


def test_hint_planes_are_kept_and_are_no_image(tmp_path: Path) -> None:
    inputs = {"gray": torch.full((1, 1, 8, 12), 0.2), "hints": torch.zeros(1, 3, 2, 3)}
    inputs["hints"][0, :, 1, 2] = torch.tensor([0.1, -0.3, 1.0])
    write_golden(tmp_path / "forward", inputs, torch.full((1, 3, 16, 24), 0.7))
    assert np.asarray(Image.open(tmp_path / "forward" / "input.png")).shape == (8, 12)
    kept, rgb = read_golden(tmp_path / "forward")
    assert list(kept) == ["gray", "hints"]
    assert torch.equal(kept["hints"], inputs["hints"])
    assert rgb.shape == (1, 3, 16, 24)
