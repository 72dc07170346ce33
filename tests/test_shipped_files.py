"""Shipped presets and recipes are found by name, in a clone and in an installed package, and never silently absent."""

from pathlib import Path

import pytest

from edge_scs import presets
from edge_scs.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", ["export", "recipes"])
def test_names_are_the_files_at_the_top_of_the_clone(kind) -> None:
    assert presets.names(kind) == sorted(path.stem for path in (ROOT / kind).glob("*.toml"))
    name = presets.names(kind)[0]
    assert presets.find(kind, name) == presets.folder(kind) / f"{name}.toml"


def test_an_installed_package_has_them_inside_and_prefers_those(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.toml").write_text("")
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    assert presets.names("export") == ["mine"]


def test_an_installation_without_them_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    monkeypatch.setattr(presets, "__file__", str(tmp_path / "edge_scs" / "presets" / "__init__.py"))
    with pytest.raises(InputError, match="no export presets; install edge-scs again"):
        presets.names("export")


def test_a_name_or_a_file(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("")
    assert presets.find("recipes", file) == file
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge_scs_m").mkdir()  # an output folder of that name does not stand in the way
    assert presets.find("recipes", "edge_scs_m").name == "edge_scs_m.toml"
    with pytest.raises(InputError, match=r"edge_scs_mm: no such recipe; did you mean edge_scs_m\?"):
        presets.find("recipes", "edge_scs_mm")
    with pytest.raises(InputError, match=r"none.toml: no such file; .*edge_scs_m_qat"):
        presets.find("recipes", "none.toml")
    with pytest.raises(InputError, match=r"\.\./secret: no such recipe"):
        presets.find("recipes", "../secret")
