"""Every registered network, from a checkpoint with seeded random weights, through evaluate, enhance and bench.

Small configurations, so that all of it takes seconds; ``slow`` does the same with the networks as they are registered.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_scs import cli
from edge_scs.errors import InputError
from edge_scs.evaluate import run
from edge_scs.measure import latency
from edge_scs.measure.latency_worker import Subject
from edge_scs.models import registry
from edge_scs.models.registry import Description
from edge_scs.weights.loading import load, save

SMALL: dict[str, dict[str, Any]] = {
    "edge_scs_m": {"channels": 8, "blocks": 1},
    "edge_scs_s": {"channels": 8, "blocks": 1},
    "pcarn": {"channels": 8, "blocks": 1},
    "pcarn_m": {"channels": 8, "blocks": 1},
    "carn": {"channels": 8, "blocks": 1},
    "carn_m": {"channels": 8, "blocks": 1},
    "scsnet": {"channels": 4, "blocks": 1},
    "ciaosr_edsr": {"encoder_options": {"channels": 8, "blocks": 1}, "hidden": 16},
    "ciaosr_rdn": {"encoder_options": {"channels": 8, "blocks": 2, "layers": 2, "growth": 8}, "hidden": 16},
    "ciaosr_swinir": {
        "encoder_options": {"channels": 8, "width": 12, "groups": 1, "layers": 2, "heads": 2},
        "hidden": 16,
    },
    "edsr": {"channels": 8, "blocks": 1},
    "rdn": {"encoder_options": {"channels": 8, "blocks": 2, "layers": 2, "growth": 8}},
    "cpm_rdn": {"encoder_options": {"channels": 8, "blocks": 2, "layers": 2, "growth": 8}, "hidden": 16},
    "swinir": {"encoder_options": {"channels": 8, "width": 12, "groups": 1, "layers": 2, "heads": 2}},
    "liif_edsr": {"encoder_options": {"channels": 8, "blocks": 1}, "hidden": 16},
    "liif_rdn": {"encoder_options": {"channels": 8, "blocks": 2, "layers": 2, "growth": 8}, "hidden": 16},
}
CASES = [
    *((name, "small") for name in registry.names()),
    *(pytest.param(name, "whole", marks=pytest.mark.slow) for name in registry.names()),
]


class InProcess:
    """A subject's worker without its process, which would import torch anew for every network."""

    def __init__(self, subject: str, mode: str, guided: bool = False):
        self.subject, self.mode, self.guided, self.here = subject, mode, guided, Subject()

    def send(self, request: dict[str, Any]) -> None:
        self.request = request

    def receive(self) -> dict[str, Any]:
        return getattr(self.here, self.request["do"])(**{k: v for k, v in self.request.items() if k != "do"})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def close(self) -> None:
        pass


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]):
    """A command in this process, and what it prints; refusals are InputErrors."""

    def call(*arguments: object) -> str:
        cli.app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return call


@pytest.fixture
def checkpoint(tmp_path: Path, lively):
    """Writes a network whose every parameter is a seeded random number: fresh output layers may be zero."""

    def write(name: str, size: str, seed: int = 0) -> Path:
        path = tmp_path / f"{name}-{seed}.safetensors"
        model = registry.create(name, SMALL[name] if size == "small" else None)
        save(path, name, lively(model, seed, 0.05 if size == "small" else 0.005))
        return path

    return write


@pytest.fixture
def images(tmp_path: Path, photograph: np.ndarray) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, corner in enumerate((60, 180)):
        Image.fromarray(photograph[corner : corner + 45, corner : corner + 53]).save(folder / f"{index}.png")
    return folder


def scales(about: Description) -> list[float]:
    """What a network is asked for here: a decimal magnification where it is continuous, else its largest."""
    return [4, 2.7] if about.continuous else [max(about.scales)]


def test_every_network_has_a_small_configuration() -> None:
    assert list(SMALL) == registry.names()


@pytest.mark.parametrize(("name", "size"), CASES)
def test_evaluate(command, checkpoint, images, name, size):
    path = checkpoint(name, size)
    about = load(str(path)).description
    for scale in scales(about):
        result = json.loads(command("evaluate", path, "--data", images, "--scale", scale, "--json"))
        assert (result["model"], result["scale"], result["images"], result["skipped"]) == (name, scale, 2, [])
        assert result["weights"] == str(path)
        for key in ("psnr_y", "psnr_grey", "psnr_rgb", "ssim_y"):
            assert np.isfinite(result[key]), key
        assert result["psnr_y"] != result["bicubic"]["psnr_y"]
        assert (result["colourfulness"] is None) == (about.input == "rgb")
    if not about.continuous:
        with pytest.raises(InputError, match=r"scale 2\.7: .* does x"):
            command("evaluate", path, "--data", images, "--scale", 2.7)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_enhance(command, checkpoint, images, tmp_path, name, size):
    path, source, out = checkpoint(name, size), images / "0.png", tmp_path / "out.png"
    loaded = load(str(path))
    about = loaded.description
    # Without --keep-colour every network is given luma; those that see colour are to see it here.
    options = ["--device", "cpu", *(["--keep-colour"] if about.input == "rgb" else [])]
    for scale in scales(about):
        command("enhance", source, "-o", out, "--model", path, "--scale", scale, *options)
        with Image.open(out) as image:
            assert (image.size, image.mode) == ((round(53 * scale), round(45 * scale)), "RGB")
            ours = np.asarray(image).astype(int)
        with Image.open(source) as image:
            given = np.asarray(image if about.input == "rgb" else image.convert("L")).reshape(45, 53, -1)
        direct = run(loaded.model, given, ours.shape[:2]).astype(int)
        assert np.abs(ours - direct).max() <= 1, "the network's own answer"
        assert ours.std() > 1
    command("enhance", source, "-o", out, "--model", checkpoint(name, size, 1), "--scale", scale, *options)
    with Image.open(out) as image:
        assert np.abs(np.asarray(image).astype(int) - ours).max() > 1, "another checkpoint, another image"
    if not about.continuous:
        with pytest.raises(InputError, match=r"cannot magnify by x2\.7"):
            command("enhance", source, "-o", out, "--model", path, "--scale", 2.7)


@pytest.mark.parametrize("size", ["small", pytest.param("whole", marks=pytest.mark.slow)])
def test_bench(command, checkpoint, monkeypatch, size):
    monkeypatch.setattr(latency, "Worker", InProcess)
    paths = [str(checkpoint(name, size)) for name in registry.names()]
    options = ("--lr", "20x16", "--threads", 1, "--runs", 2, "--min-seconds", 0)
    measured = json.loads(command("bench", *paths, *options, "--json"))
    assert [row["subject"] for row in measured["results"]] == paths
    assert measured["left_out"] == []
    for row in measured["results"]:
        assert (row["lr"], row["hr"], row["runs"]) == ([16, 20], [64, 80], 2)
        assert row["median_ms"] > 0
    for path in paths:
        if not load(path).description.continuous:
            with pytest.raises(InputError, match=r"scale 2\.7: .* does x"):
                command("bench", path, *options, "--scale", 2.7)
