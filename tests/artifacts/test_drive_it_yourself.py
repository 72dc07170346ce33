"""The drivers of docs/drive-it-yourself.md, run as they stand there and compared with the package's own."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edge_scs.artifacts.driver import ContinuousProgram
from edge_scs.artifacts.ports import COLOUR_PORTS, ENCODE_PORTS, PORTS
from edge_scs.artifacts.presets import load_preset
from edge_scs.imaging.arrays import to_image
from edge_scs.inference.choice import make_predictor
from edge_scs.lowering.continuous import continuous_methods
from edge_scs.lowering.pipeline import _continuous_facts, export_model
from edge_scs.models.edge_scs import EdgeSCS
from edge_scs.weights.loading import Loaded
from tests.exported import Exported

PAGE = Path(__file__).parents[2] / "docs" / "drive-it-yourself.md"


def driver(name: str) -> str:
    found = re.search(rf'```python title="{name}"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, name
    return found[1]


def run(name: str, folder: Path, *arguments: object) -> NDArray[np.uint8]:
    """The driver in a process of its own, as a stranger runs it; this package cannot be imported there."""
    script = folder / name
    script.write_text("import sys; sys.modules['edge_scs'] = None\n" + driver(name))
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return np.array(Image.open(arguments[2]))  # type: ignore[arg-type]


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    assert a.shape == b.shape
    return float(-10 * np.log10(max(1e-20, np.square(a.astype(float) - b).mean() / 255**2)))


@pytest.mark.parametrize("name", ["drive_fixed.py", "drive_continuous.py"])
def test_a_driver_is_short_and_needs_nothing_of_the_package(name: str) -> None:
    text = driver(name)
    assert len([line for line in text.splitlines() if line.strip()]) < 60
    assert max(map(len, text.splitlines())) <= 120
    nodes = ast.walk(ast.parse(text))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert modules <= {"itertools", "json", "math", "sys", "torch", "numpy", "fractions", "executorch.runtime", "PIL"}


def test_the_fixed_driver_gives_every_pixel(pte: Exported, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    """12 tiles, in colour so that luma counts, against ``enhance --runtime executorch``."""
    small = photo[:60, :75]
    Image.fromarray(small).save(tmp_path / "small.png")
    ours = run("drive_fixed.py", tmp_path, pte.path, tmp_path / "small.png", tmp_path / "large.png")
    expected = make_predictor("edge_scs_s", runtime="executorch", artifact=pte.path).enhance(small, (240, 300))
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize("reference", [False, True])
def test_the_fixed_driver_fills_a_port_for_hints_with_zeros(
    small: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: bool
) -> None:
    """Behind the reference, if there is one."""
    asked = []

    def execute(inputs: list[Tensor]) -> list[Tensor]:
        asked.append(inputs)
        return [torch.zeros(1, 3, 32, 48)]

    method = SimpleNamespace(execute=execute)
    runtime = ModuleType("executorch.runtime")
    runtime.Runtime = SimpleNamespace(  # type: ignore[attr-defined]
        get=lambda: SimpleNamespace(load_program=lambda path: SimpleNamespace(load_method=lambda name: method))
    )
    monkeypatch.setitem(sys.modules, "executorch.runtime", runtime)
    shapes = {"gray": [1, 1, 16, 24], "reference": [1, 3, 8, 8], "hints": [1, 3, 4, 6]}
    inputs = [{"name": k, "shape": v} for k, v in shapes.items() if reference or k != "reference"]
    table = {"inputs": inputs, "outputs": [{"shape": [1, 3, 32, 48]}], "halo": 2}
    (tmp_path / "x.pte.json").write_text(json.dumps(table))
    space: dict[str, Callable[..., Image.Image]] = {"__name__": "driver"}  # type: ignore[dict-item]
    exec(compile(driver("drive_fixed.py"), "drive_fixed.py", "exec"), space)
    image = Image.new("RGB", (24, 16), "red")
    space["enlarge"](str(tmp_path / "x.pte"), image, *([image] if reference else []))
    (given,) = asked
    assert [list(x.shape) for x in given] == [port["shape"] for port in inputs]
    assert not given[-1].any()


class Methods:
    """``executorch.runtime.Program`` of the same modules, run by PyTorch: lowering takes minutes."""

    def __init__(self, model: EdgeSCS, hints: bool):
        self.methods = continuous_methods(model, hints=hints)

    @property
    def ports(self) -> list[dict[str, object]]:
        """``methods`` of the manifest, as far as the driver reads it."""
        return [{"name": m, "inputs": [{"name": name} for name in x.inputs]} for m, x in self.methods.items()]

    def run(self, inputs: list[Tensor], method: str) -> list[Tensor]:
        with torch.no_grad():
            answer = self.methods[method].module(*inputs)
        return list(answer) if isinstance(answer, tuple) else [answer]

    def load_method(self, name: str) -> SimpleNamespace:
        def execute(inputs: list[Tensor]) -> list[Tensor]:
            for port, x in zip(self.methods[name].inputs, inputs, strict=True):
                assert x.is_contiguous(), port
            return self.run(inputs, name)

        return SimpleNamespace(execute=execute)


@pytest.mark.parametrize(
    ("size", "scale", "hints"),
    [((40, 60), 2.7, False), ((40, 60), 3.0, False), ((300, 260), 1.2, False), ((41, 60), 2.0, True)],
)
def test_the_continuous_driver_gives_the_same_image(
    small: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], scale: float, hints: bool
) -> None:
    """Chunks, a whole magnification, tiles with a colour grid of averages, a port for hints that stays empty: against
    the package's driver."""
    from skimage import data

    assert isinstance(small.model, EdgeSCS)
    model = small.model if not hints else EdgeSCS(replace(small.model.config, hints=True)).eval()
    program = Methods(model, hints)
    runtime = ModuleType("executorch.runtime")
    runtime.Runtime = SimpleNamespace(get=lambda: SimpleNamespace(load_program=lambda path: program))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "executorch.runtime", runtime)
    (tmp_path / "x.pte.json").write_text(json.dumps({"continuous": _continuous_facts(small), "methods": program.ports}))
    space: dict[str, Callable[..., Image.Image]] = {"__name__": "driver"}  # type: ignore[dict-item]
    exec(compile(driver("drive_continuous.py"), "drive_continuous.py", "exec"), space)
    image = Image.fromarray(data.coffee()).resize(size[::-1])
    ours = np.array(space["enlarge"](str(tmp_path / "x.pte"), image, scale))
    own = ContinuousProgram(_Named(program), small.description.halo, hints)  # type: ignore[arg-type]
    gray = torch.from_numpy(np.array(image.convert("L")))[None, None].float() / 255
    hr = (round(size[0] * scale), round(size[1] * scale))
    assert psnr(ours, to_image(own.render(gray, own.chroma(gray), hr))) >= 80


class _Named:
    """What ``ContinuousProgram`` wants of a program."""

    path = Path("x.pte")

    def __init__(self, program: Methods):
        self.run, self.methods = program.run, frozenset(program.methods)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 2.7, 4.0])
def test_the_continuous_driver_on_a_real_program(
    continuous_pte: Exported, photo: NDArray[np.uint8], tmp_path: Path, scale: float
) -> None:
    Image.fromarray(photo).save(tmp_path / "small.png")
    paths = (tmp_path / "small.png", tmp_path / "large.png")
    ours = run("drive_continuous.py", tmp_path, continuous_pte.path, *paths, scale)
    size = (round(photo.shape[0] * scale), round(photo.shape[1] * scale))
    own = make_predictor("edge_scs_s", runtime="executorch", artifact=continuous_pte.path)
    assert psnr(ours, own.enhance(photo, size)) >= 80


@pytest.fixture(scope="module")
def continuous_pte(tmp_path_factory: pytest.TempPathFactory, small: Loaded) -> Exported:
    folder = tmp_path_factory.mktemp("continuous")
    manifest = export_model(small, load_preset("xnnpack-continuous"), folder)
    return Exported(folder / manifest.artifact, manifest)


def test_every_port_has_a_meaning(small: Loaded, pte: Exported, mlpackage: Exported) -> None:
    assert isinstance(small.model, EdgeSCS)
    hinted = EdgeSCS(replace(small.model.config, hints=True))
    for name, method in continuous_methods(hinted, reference=True, hints=True).items():
        own = COLOUR_PORTS if name.startswith("colour") else ENCODE_PORTS if name == "encode" else {}
        assert {*method.inputs, *method.outputs} <= {*own, *PORTS}
    for exported in (pte, mlpackage):
        table = json.loads(Path(f"{exported.path}.json").read_text())
        assert table["manifest_version"] == 2
        assert "BT.601" in table["values"]["luma"]
        for port in (*table["methods"][0]["inputs"], *table["methods"][0]["outputs"]):
            assert port["meaning"]
            assert port["range"] == [0.0, 1.0]
