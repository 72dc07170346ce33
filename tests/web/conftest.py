"""A small network behind a running server."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edge_scs.api import make_engine
from edge_scs.models import registry
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.weights import loading

SMALL = {"channels": 8, "blocks": 1, "repeats": 1, "hints": True}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, lively: Callable[..., nn.Module]) -> Path:
    """A checkpoint that takes hints and a reference, with a restoring end beside it."""
    path = tmp_path_factory.mktemp("weights") / "web.safetensors"
    torch.manual_seed(0)
    model = registry.create("edge_scs_s", SMALL)
    assert isinstance(model, EdgeSCS)
    lively(model)
    model.colour.classify.weight.mul_(30)  # sure of its colours, as a trained network is
    loading.save(path, "edge_scs_s", model)
    state = {key: value + 0.01 for key, value in model.state_dict().items() if key.startswith("texture.")}
    save_file(state, path.with_name("web_restoring.safetensors"), {"restoration": "1"})
    return path


@pytest.fixture(scope="session")
def make(weights: Path) -> Callable[[float | None], object]:
    """An engine at an amount of restoration. Its tiles are small, so that there is something to cancel between."""

    def engine(restoration: float | None) -> object:
        return make_engine(str(weights), device="cpu", tile=64, restoration=restoration)

    return engine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, make) -> Iterator:
    """A server that runs: its ``url``, its ``page`` and the ``folder`` that uploads lie in."""
    from web.client import serving

    with serving(tmp_path_factory.mktemp("workspace"), make) as server:
        yield server


@pytest.fixture
def session(served):
    from web.client import Session

    return partial(Session, served.url)
