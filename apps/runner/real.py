"""Exported artifacts, photographs, and what Python's driver makes of them: the cores' tests compare.

``python apps/runner/real.py FOLDER`` makes the continuous ones, its images as PPM too, which Swift reads on Linux.
"""

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from edge_scs.artifacts.presets import load_preset
from edge_scs.inference.choice import make_predictor
from edge_scs.inference.fixed_program import FixedPredictor
from edge_scs.lowering.pipeline import export_model
from edge_scs.weights.loading import load

MODEL = "edge_scs_s"  # the small one: seconds to export
SCALES = (1.3, 2.0, 2.7)  # of the continuous program


def prepare(folder: Path) -> None:
    """``folder``/models/<name>/ as `edge-scs apps prepare` lays it, and beside it <name>.in.png, .out.png, .ref.png.

    Those of `prepare_continuous` as well. Ports for hints stay empty.
    """
    preset = load_preset("xnnpack-fp32").replace(lr=[48, 64], scale=2.0)
    loaded = load(MODEL, None)
    grey = Image.fromarray(skimage.data.chelsea()).convert("L").resize((150, 100))
    reference = Image.fromarray(skimage.data.astronaut()).resize((200, 160))
    more = {"led": {"reference": True}, "hinted": {"hints": True}}
    for name, chosen in (("plain", preset), *((name, preset.replace(**changes)) for name, changes in more.items())):
        artifact = export_model(loaded, chosen, folder / "models" / name).path
        assert artifact is not None
        guide = np.array(reference) if chosen.reference else None
        answer = FixedPredictor(artifact).enhance(np.array(grey), (200, 300), guide)
        if name == "plain":
            colours = Image.fromarray(skimage.data.chelsea()).resize((150, 100))
            kept = FixedPredictor(artifact).enhance(np.array(colours), (200, 300), keep_colour=True)
            colours.save(folder / f"{name}.kept.in.png")
            Image.fromarray(kept).save(folder / f"{name}.kept.out.png")
        grey.save(folder / f"{name}.in.png")
        Image.fromarray(answer).save(folder / f"{name}.out.png")
        if guide is not None:
            reference.save(folder / f"{name}.ref.png")
    prepare_continuous(folder)


def prepare_continuous(folder: Path) -> None:
    """Continuous programs without and with a port for hints: <name>.x<scale>.png in place of .out.png."""
    loaded = load(MODEL, None)
    wide = Image.fromarray(skimage.data.chelsea()).resize((300, 120))  # wide enough for two tiles
    preset = load_preset("xnnpack-continuous")
    for name, chosen in (("any", preset), ("anyhinted", preset.replace(hints=True))):
        artifact = export_model(loaded, chosen, folder / "models" / name).path
        assert artifact is not None
        wide.save(folder / f"{name}.in.png")
        predictor = make_predictor(MODEL, runtime="executorch", artifact=artifact)
        for scale in SCALES:
            answer = predictor.enhance(np.array(wide), (round(120 * scale), round(300 * scale)))
            Image.fromarray(answer).save(folder / f"{name}.x{scale}.png")


if __name__ == "__main__":
    prepare_continuous(place := Path(sys.argv[1]))
    for path in sorted(place.rglob("*.png")):
        Image.open(path).convert("RGB").save(path.with_suffix(".ppm"))
