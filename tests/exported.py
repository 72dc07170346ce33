"""Networks and artifacts that several export tests look at; lowering takes seconds, so each is made once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_scs.artifacts.manifest import Manifest
from edge_scs.artifacts.presets import load_preset
from edge_scs.lowering.pipeline import export_model
from edge_scs.models import registry
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, lively: Callable[..., nn.Module]) -> Loaded:
    """edge_scs_s with noise in every layer, loaded from a checkpoint file."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    model = registry.create("edge_scs_s")
    assert isinstance(model, EdgeSCS)
    lively(model)
    model.colour.classify.weight.mul_(30)  # sure of its colours, as a trained network is; else they would all be grey
    loading.save(path, "edge_scs_s", model)
    return loading.load(str(path))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, lively: Callable[..., nn.Module]) -> Loaded:
    """PCARN-M with 8 channels and noise in every layer, from a file: tied, and lowered in a few seconds."""
    torch.manual_seed(0)
    config: dict[str, object] = {"channels": 8, "blocks": 1, "repeats": 2, "groups": 2}
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    loading.save(path, "pcarn_m", lively(registry.create("pcarn_m", config), noise=0.02))
    return loading.load(str(path))


@dataclass(frozen=True)
class Exported:
    path: Path
    manifest: Manifest


@pytest.fixture(scope="session")
def pte(tmp_path_factory: pytest.TempPathFactory, small: Loaded) -> Exported:
    """24x32, x4, automatic. Not to be changed: copy it."""
    pytest.importorskip("executorch")
    folder = tmp_path_factory.mktemp("pte")
    manifest = export_model(small, load_preset("executorch").replace(lr=[24, 32]), folder)
    return Exported(folder / manifest.artifact, manifest)


@pytest.fixture(scope="session")
def mlpackage(tmp_path_factory: pytest.TempPathFactory, small: Loaded) -> Exported:
    """24x32, x2.5, with a reference. Not to be changed: copy it."""
    pytest.importorskip("coremltools")
    folder = tmp_path_factory.mktemp("mlpackage")
    preset = load_preset("coreml").replace(lr=[24, 32], scale=2.5, reference=True, reference_side=64)
    manifest = export_model(small, preset, folder)
    return Exported(folder / manifest.artifact, manifest)
