"""Mutated recipes, manifests, latency results, weights and checkpoints: accepted or refused in one line, never more.

``pytest -m fuzz tests/fuzz`` makes 2,000 of each; by default a few dozen.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fuzz.mutate import mutate

from edge_scs.artifacts.manifest import read_manifest
from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.phones.results import read_device_result
from edge_scs.recipes import load_recipe
from edge_scs.training.checkpoints import load_checkpoint, save_checkpoint
from edge_scs.weights.importing import import_weights
from edge_scs.weights.loading import load, save
from tests import manifests

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "edge_scs_s.toml"
LATENCY = ROOT / "apps" / "testdata" / "latency.json"


def manifest(folder: Path) -> Path:
    return manifests.manifest().write(folder / "a.pte")


def checkpoint(folder: Path) -> Path:
    save_checkpoint(folder, {"model": {"weight": torch.ones(4, 4)}, "position": {"stage": 0, "step": 3}})
    return folder / "checkpoint.pt"


def weights(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "small.safetensors"
    save(path, "pcarn_m", registry.create("pcarn_m", {"channels": 8, "groups": 1}))
    return path


def recipe(folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_bytes(RECIPE.read_bytes())
    return path


def pickled(folder: Path) -> Path:
    torch.save({"entry.weight": torch.ones(4), "exit.weight": torch.ones(4)}, folder / "official.pth")
    return folder / "official.pth"


def latency(folder: Path) -> Path:
    case = json.loads(LATENCY.read_text(encoding="utf-8"))["cases"][0]
    path = folder / "latency.json"
    path.write_text(json.dumps(case["document"] | {"emulated": False}, indent=2), encoding="utf-8")
    return path


# Name -> (a good file, its reader, whether it is text).
DOCUMENTS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object], bool]] = {
    "recipe": (recipe, load_recipe, True),
    "latency": (latency, read_device_result, True),
    "manifest": (manifest, lambda path: read_manifest(path.with_suffix("")), True),
    "safetensors": (weights, lambda path: load(str(path)), False),
    "safetensors header": (weights, lambda path: load(str(path)), True),
    "checkpoint": (checkpoint, lambda path: load_checkpoint(path.parent, lambda text: None), False),
    "pickle": (pickled, lambda path: import_weights(path, "pcarn_m", path.with_suffix(".safetensors")), False),
}


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_mutated_documents_are_accepted_or_refused_in_one_line(tmp_path: Path, name: str, count: int) -> None:
    make, read, text = DOCUMENTS[name]
    path = make(tmp_path)
    content = path.read_bytes()
    before = signal.signal(signal.SIGALRM, _hang)
    if name != "pickle":  # whose good file would be large: it is refused for its shapes
        read(path)
    refused = 0
    for seed in range(count):
        # A safetensors header is text behind eight bytes of length: those two are mutated, not the numbers.
        kept = content[1500:] if name == "safetensors header" else b""
        path.write_bytes(mutate(content[: len(content) - len(kept)], seed, text) + kept)
        signal.setitimer(signal.ITIMER_REAL, 10)
        try:
            read(path)
        except InputError:
            refused += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    assert refused


def _hang(*_: object) -> None:
    raise AssertionError("took more than 10 s")


def test_a_network_of_terabytes_is_refused_before_it_is_made(tmp_path: Path) -> None:

    import safetensors.torch

    spec = {"format": "edge-scs", "model": "edge_scs_s"}
    for config in ({"channels": 10**9}, {"channels": 1024, "blocks": 1024, "repeats": 1024, "tied": False}):
        safetensors.torch.save_file(
            {"x": torch.ones(1)}, tmp_path / "a.safetensors", spec | {"config": json.dumps(config)}
        )
        with pytest.raises(InputError, match="its spec does not fit"):
            load(str(tmp_path / "a.safetensors"))


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"entry.weight": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="claims more numbers"):
        import_weights(tmp_path / "a.pth", "pcarn_m", tmp_path / "b.safetensors")


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"position": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError):
        load_checkpoint(tmp_path, lambda text: None)
    with pytest.raises(InputError):
        import_weights(tmp_path / "checkpoint.pt", "pcarn_m", tmp_path / "b.safetensors")
    assert not (tmp_path / "ran").exists()
