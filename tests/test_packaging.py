"""What an installation needs is declared: every import by a dependency, every data file by the build."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "edge_scs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Distributions whose module has another name; "test": what the suite itself may use.
MODULES = {"pillow": "PIL", "scikit-image": "skimage", "scikit-learn": "sklearn", "pyyaml": "yaml"}


def modules(requirements: list[str]) -> set[str]:
    names = {re.split(r"[=<>\[ ]", text)[0] for text in requirements}
    return {MODULES.get(name, name).replace("-", "_") for name in names}


def imported(folder: Path) -> dict[str, Path]:
    """Top-level modules imported anywhere below a folder: {name: a file that does}."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {name.split(".")[0]: path for name in names}
    return found


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    optional = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    known = {*sys.stdlib_module_names, "edge_scs"}
    declared = modules(PROJECT["dependencies"]) | modules(optional)
    missing = {name: str(path) for name, path in imported(PACKAGE).items() if name not in known | declared}
    assert not missing
    assert "torch" in declared
    assert "skimage" in imported(PACKAGE)


def test_data_files_are_declared_to_the_build() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    declared = {
        path
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data == declared
    assert PACKAGE / "py.typed" in data
