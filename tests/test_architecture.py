"""The architecture: which module may import which, how big a module may be, and what training must not need."""

import subprocess
import sys
from pathlib import Path

import architecture
import pytest
from architecture import COMMON, ORDER, PACKAGE, ROOT, arrows, circles, documented, dotted, imports, modules, part

NEVER = ("executorch", "coremltools", "torchao")


def test_imports_are_seen_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    for name in ("data/a.py", "models/m.py", "color.py"):
        (tmp_path / "edge_scs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "edge_scs" / name).touch()
    path = tmp_path / "edge_scs" / "data" / "a.py"
    path.write_text("import torch, edge_scs.cli\nfrom edge_scs import __version__, color\nfrom .b import f\n")
    assert imports(path) == {"edge_scs.cli", "edge_scs", "edge_scs.color", "edge_scs.data.b"}
    path.write_text("def f():\n    if f:\n        from ..models import m, Thing\n")
    assert imports(path) == {"edge_scs.models.m", "edge_scs.models"}


def test_every_part_has_its_place_in_the_list() -> None:
    parts = {part(dotted(path)) for path in modules()} - {"", "__main__"}
    assert parts <= {*ORDER, *COMMON}


def test_arrows_run_downwards() -> None:
    wrong = []
    for path, source, target in arrows():
        if source in ("__main__", "") or target in ("", *COMMON):  # "" is the package: its version, its lazy interface
            continue
        if source not in ORDER or target not in ORDER or ORDER.index(source) > ORDER.index(target):
            wrong.append(f"{path.relative_to(ROOT)} imports {target}")
    assert not wrong


def test_no_import_circles() -> None:
    assert not circles()


def test_the_drawing_is_of_today() -> None:
    """If not: python tests/architecture.py."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert text == documented(text)


def test_the_networks_are_mathematics_only() -> None:
    assert not [f"{path.name} imports {target}" for path, source, target in arrows() if source == "models"]


def test_whoever_uses_networks_loads_them_through_weights() -> None:
    users = ("archive", "inference", "lowering", "artifacts", "evaluate")
    assert not [str(path) for path, source, target in arrows() if source in users and target == "training"]


def test_no_drawers() -> None:
    drawers = {"utils", "util", "helpers", "misc", "common"}
    assert not [str(path) for path in PACKAGE.rglob("*") if path.stem in drawers]


def test_modules_stay_readable() -> None:
    long = {str(path): count for path in modules() if (count := len(path.read_text("utf-8").splitlines())) > 350}
    assert not long


def test_training_needs_no_exporter() -> None:
    """A GPU box has torch and little else. A fresh process, where whoever imports an exporter fails."""
    if not any((PACKAGE / "training").glob("[a-z]*.py")):
        pytest.skip("no training modules yet")
    code = f"""
import importlib, pkgutil, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NEVER!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import edge_scs.training as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()
