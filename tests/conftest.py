"""Shared fixtures: real photographs, optional assets, and networks whose every layer speaks."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.device.fake import register
from tests.report.chromium import Chromium, find_chromium

ROOT = Path(__file__).parents[1]
pytest_plugins = ("tests.exported",)  # networks and artifacts that several folders look at

# A shell's background job ignores SIGINT, and its children inherit that: tests send it and expect it to be heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the commands that tests start
register()


# Fixtures that take seconds to make and serve many tests: by ``--dist loadgroup`` one worker runs these tests, so that
# no two workers make the same.
# {fixture: group}; some tests look at a .pte and a package.
SHARED = {
    "pte": "artifacts", "mlpackage": "artifacts", "exported": "continuous", "made": "apps",
    "quantised_file": "int8", "tiny_int8": "int8", "page": "page", "server": "server",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cuda" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
        for name, group in SHARED.items():
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(group))
                break


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands keep their indices and stores of photographs here, and not in the home of whoever tests."""
    os.environ["EDGE_SCS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test draws the same numbers alone, in any order and in any worker."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of photographs and foreign weights that the product cannot ship."""
    path = Path(os.environ.get("EDGE_SCS_ASSETS") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"no assets at {path}; set EDGE_SCS_ASSETS")
    return path.resolve()


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """A real colour photograph (512, 512, 3), embedded in scikit-image: no download."""
    from skimage import data

    photo = data.astronaut()
    photo.setflags(write=False)
    return photo


@pytest.fixture(scope="session")
def lively() -> Callable[..., nn.Module]:
    """Add seeded noise to ALL parameters of a network: fresh output layers are zero and would hide the rest."""

    def perturb(module: nn.Module, seed: int = 0, noise: float = 0.05) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * noise)
        return module.eval().requires_grad_(False)

    return perturb


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A cat, uint8 RGB (90, 110, 3)."""
    from skimage import data

    return data.chelsea()[60:150, 120:230]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium, where there is one."""
    binary = find_chromium()
    if binary is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    with Chromium(binary, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots stay: EDGE_SCS_ARTEFACTS, or pytest's own folder."""
    folder = os.environ.get("EDGE_SCS_ARTEFACTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("artefacts")
