"""One training run killed with SIGKILL at random moments, resumed each time, against one that was left alone.

    python benchmarks/kill_training.py --kills 20

Prints one JSON object; exits with 1 unless losses and weights are the same, bit for bit.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import skimage.data
import torch
from PIL import Image

from edge_scs.weights.loading import read_safetensors

RECIPE = """
model = "edge_scs_s"
stages = ["texture", "colour"]
checkpoint_every = 5
validate_every = 1000
channels_last = false
[stage.texture]
task = "texture"
parts = ["texture", "heads", "continuous"]
steps = {steps}
learning_rate = 2e-3
warmup = 2
[stage.texture.data]
batch = 2
lr_patch = 12
[stage.colour]
task = "colour"
parts = ["colour"]
steps = {steps}
learning_rate = 3e-4
warmup = 2
colour_side = 48
[stage.colour.data]
batch = 2
crop = "image"
hr_side = 64
whole_scales = 0.0
reference_every = 2
"""


def start(folder: Path, name: str, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "edge_scs", "train", str(folder / "recipe.toml"), "--data", str(folder / "photos")]
    command += ["--out", str(folder / name), "--threads", "1", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def losses(run: Path) -> list[tuple[str, str, str]]:
    with open(run / "metrics.csv", newline="") as file:
        return [(row["stage"], row["step"], row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"]


def rows(run: Path) -> int:
    return (run / "metrics.csv").read_bytes().count(b"\n") if (run / "metrics.csv").exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100, help="of each of the two stages")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recipe.toml").write_text(RECIPE.format(steps=options.steps))
        (folder / "photos").mkdir()
        image = Image.fromarray(skimage.data.astronaut())
        for i in range(4):
            image.crop((60 * i, 60 * i, 60 * i + 160, 60 * i + 140)).save(folder / "photos" / f"{i}.png")
        begun = time.monotonic()
        start(folder, "whole").wait()
        alone = time.monotonic() - begun
        kills, unfinished, total = [], 0, rows(folder / "whole")
        for number in range(options.kills):
            process = start(folder, "broken", *(["--resume"] if number else []))
            if number % 4 == 3:  # while it starts: imports, reading the checkpoint
                time.sleep(rng.uniform(0, 4))
            else:  # somewhere in this share of the run, and then anywhere in a step or a checkpoint
                goal = total * (number + rng.random()) / (options.kills + 2)
                while rows(folder / "broken") < goal and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.2))
            if process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills.append(rows(folder / "broken"))
            unfinished = max(unfinished, len(list((folder / "broken").glob(".edge-scs-*"))))
        last = start(folder, "broken", "--resume").wait()
        ours, theirs = (read_safetensors(folder / run / "weights.safetensors")[0] for run in ("broken", "whole"))
        same = all(torch.equal(ours[key], theirs[key]) for key in theirs)
        same_losses = losses(folder / "broken") == losses(folder / "whole")
        figures = {
            "kills": len(kills), "steps": 2 * options.steps, "last_exit": last, "same_weights": same,
            "same_losses": same_losses, "log_rows_at_kills": kills, "most_unfinished_files": unfinished,
            "left_over": [p.name for p in (folder / "broken").glob(".edge-scs-*")],
            "seconds": round(time.monotonic() - begun), "seconds_alone": round(alone),
        }  # fmt: skip
        print(json.dumps(figures))
        sys.exit(not (same and same_losses and len(kills) == options.kills))


if __name__ == "__main__":
    main()
