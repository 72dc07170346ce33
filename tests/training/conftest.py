"""A folder of three photographs, and recipes whose networks and stages are small."""

import csv
import subprocess
import sys

import pytest
from PIL import Image

PCARN = """
model = "pcarn"
stages = ["l1", "gan", "relativistic"]
checkpoint_every = 3
validate_every = 1000
validate_images = 1
channels_last = false
[config]
channels = 8
blocks = 1
repeats = 1
[stage.l1]
task = "super_resolution"
parts = ["all"]
steps = {l1}
learning_rate = 2e-3
halve_every = 30
warmup = 0
optimizer = "adam"
ema = 0.0
[stage.l1.data]
batch = 2
lr_patch = 16
scales = [2, 3, 4]
[stage.gan]
task = "super_resolution"
parts = ["all"]
steps = {gan}
learning_rate = 1e-3
warmup = 0
pixel_weight = 1.0
adversary = {{ weight = 0.005, discriminator = "multi_scale", loss = "standard", channels = 4 }}
[stage.gan.data]
batch = 2
lr_patch = 24
scales = [2]
[stage.relativistic]
task = "super_resolution"
parts = ["all"]
steps = {gan}
learning_rate = 1e-3
warmup = 0
adversary = {{ weight = 0.01, discriminator = "spectral", loss = "relativistic", channels = 4, share = 2.0 }}
[stage.relativistic.data]
batch = 2
lr_patch = 24
scales = [2]
"""


@pytest.fixture
def folder(tmp_path, photograph):
    data = tmp_path / "photographs"
    data.mkdir()
    image = Image.fromarray(photograph)
    for i, left in enumerate((0, 60, 120)):
        image.crop((left, left, left + 160, left + 140)).save(data / f"{i}.png")
    return data


@pytest.fixture
def pcarn_recipe(tmp_path):
    """A tiny PCARN: an L1 stage, and two GAN stages with either kind of discriminator."""

    def write(l1=6, gan=6):
        path = tmp_path / "pcarn.toml"
        path.write_text(PCARN.format(l1=l1, gan=gan))
        return path

    return write


def losses(run, name="loss"):
    if not (run / "metrics.csv").exists():
        return []
    with open(run / "metrics.csv", newline="") as file:
        return [(r["stage"], r["step"], r["value"]) for r in csv.DictReader(file) if r["name"] == name]


def run_cli(recipe, data, out, *more):
    command = [sys.executable, "-m", "edge_scs", "train", str(recipe), "--data", str(data), "--out", str(out), *more]
    return subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
