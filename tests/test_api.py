"""``import edge_scs`` is the whole interface, costs nothing until it is used, and does what the command line does."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_scs
from edge_scs import api
from edge_scs.errors import InputError
from edge_scs.weights.loading import Loaded

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    return edge_scs.load("edge_scs_s", device="cpu")


@pytest.fixture
def grey(photograph) -> Image.Image:
    return Image.fromarray(photograph).convert("L").resize((32, 24))


def test_importing_imports_nothing_heavy() -> None:
    code = (
        "import sys, edge_scs; assert 'load' in dir(edge_scs);"
        "print([m for m in ('torch', 'numpy', 'PIL', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_those_of_the_api() -> None:
    for name in edge_scs.__all__:
        assert getattr(edge_scs, name) is (InputError if name == "InputError" else getattr(api, name))
        assert not [*(ROOT / "edge_scs").glob(f"{name}.py"), *(ROOT / "edge_scs" / name).glob("*.py")], (
            "takes its place"
        )
    with pytest.raises(AttributeError, match="no attribute 'enhanced'"):
        edge_scs.enhanced  # noqa: B018


@pytest.mark.parametrize("module", ["edge_scs", "edge_scs.api"])
def test_documented_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.attempted >= 5
    assert result.failed == 0


def test_python_examples_of_the_documents_run(tmp_path: Path, monkeypatch, photograph) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    small = Image.fromarray(photograph).resize((48, 32))
    small.convert("L").save("old.jpg")
    small.save("postcard.jpg")
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert Path("large.png").exists()


def test_a_path_an_image_and_an_array_are_the_same(tmp_path: Path, model, grey) -> None:
    grey.save(tmp_path / "grey.png")
    from_file = model.enhance(tmp_path / "grey.png", 2.5)
    assert (from_file.size, from_file.mode) == ((80, 60), "RGB")
    for same in (model.enhance(grey, scale=2.5), model.enhance(np.asarray(grey), size="80x60")):
        np.testing.assert_array_equal(same, from_file)
    edge_scs.enhance(tmp_path / "grey.png", tmp_path / "large.png", model=model, scale=2.5)
    with Image.open(tmp_path / "large.png") as written:
        np.testing.assert_array_equal(written, from_file)
    deep = model.enhance(np.asarray(grey).astype(np.uint16) * 257, 2.5)
    assert np.abs(np.asarray(deep).astype(int) - np.asarray(from_file)).max() <= 1


def test_transparent_files_stay_transparent_and_profiles_become_srgb(tmp_path: Path, model, grey) -> None:
    clear = grey.copy()
    clear.putalpha(Image.linear_gradient("L").resize(grey.size))
    clear.save(tmp_path / "clear.png")
    assert model.enhance(tmp_path / "clear.png", 2).mode == "RGBA"
    assert model.enhance(clear, 2).mode == "RGB"  # on white, as an image of three planes


def test_options_reach_the_network(model, grey, photograph) -> None:
    colour = Image.fromarray(photograph).resize((32, 24))
    automatic = np.asarray(model.enhance(colour, 2)).astype(int)
    guided = np.asarray(model.enhance(colour, 2, reference=photograph)).astype(int)
    kept = np.asarray(model.enhance(colour, 2, keep_colour=True)).astype(int)
    assert np.abs(automatic - guided).max() > 3
    assert np.abs(kept - np.asarray(colour.resize((64, 48)))).mean() < np.abs(automatic - kept).mean()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scale": 2, "size": (64, 48)}, "exclude each other"),
        ({"scale": 9}, "between 1 and 8"),
        ({"keep_color": True}, "did you mean keep_colour?"),
        ({"keep_colour": True, "reference": np.zeros((9, 9, 3), np.uint8)}, "exclude each other"),
        ({"size": "64"}, "WIDTHxHEIGHT"),
    ],
)
def test_wrong_arguments_are_one_line(model, grey, arguments, says) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        model.enhance(grey, **arguments)
    assert "\n" not in str(caught.value)


def test_wrong_images_and_models_are_one_line(tmp_path: Path, model) -> None:
    for image, says in (
        (np.zeros((4, 4)), "uint8 or uint16"),
        (3, "give a path"),
        (tmp_path / "no.png", "no such file"),
    ):
        with pytest.raises(InputError, match=says):
            model.enhance(image)
    for arguments, says in (
        (("edge_scs_x",), "did you mean edge_scs_"),
        ((tmp_path / "none.pte",), "none.pte"),
    ):
        with pytest.raises(InputError, match=says):
            edge_scs.load(*arguments)
    with pytest.raises(InputError, match="did you mean int8"):
        edge_scs.load("edge_scs_s", precision="int4")
    with pytest.raises(InputError, match="give one target a call"):
        edge_scs.export("edge_scs_s", target="all")


def test_precision_is_what_the_file_holds(model) -> None:
    from edge_scs.weights.loading import shipped_file

    assert model.precision == "float32"
    assert edge_scs.load(shipped_file("edge_scs_s", quantised=True)).precision == "int8"


@pytest.mark.slow
def test_export_returns_its_manifest_and_verify_its_parity(tmp_path: Path, tiny: Loaded) -> None:
    """Of a tiny network: examples/restore.ipynb does the same with a shipped one (test_examples.py)."""
    manifest = edge_scs.export(tiny.source, "executorch", tmp_path, lr="32x24", scale=2)
    assert manifest.path.is_file()
    assert manifest.parity.passed
    assert edge_scs.verify(manifest.path).psnr_db == pytest.approx(manifest.parity.psnr_db, abs=1)
    program = edge_scs.load(manifest.path)
    assert program.enhance(np.full((24, 32), 90, np.uint8)).size == (64, 48)
