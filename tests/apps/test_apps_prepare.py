"""``edge-scs apps prepare``: whole models in the apps' resources, kept while they are still true."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_scs import presets
from edge_scs.artifacts.manifest import Manifest, read_manifest
from edge_scs.artifacts.presets import Preset
from edge_scs.artifacts.verify import embedded_photographs, verify
from edge_scs.cli import app as command_line
from edge_scs.errors import InputError
from edge_scs.lowering import apps
from edge_scs.lowering.apps import CHOICE, RESOURCES, Prepared, others, prepare_apps
from edge_scs.weights.loading import Loaded


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The default one, of a size that is exported within a second or two."""
    text = presets.find("export", "xnnpack-fp32").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("presets") / "tiny.toml"
    path.write_text(text.replace("[180, 320]", "[24, 32]").replace('"xnnpack-fp32"', '"tiny"'), encoding="utf-8")
    return str(path)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path)


def make_clone(folder: Path) -> Path:
    for name in RESOURCES:
        (folder / "apps" / name).mkdir(parents=True)
    return folder / "apps"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: Loaded, preset: str) -> Prepared:
    """Really exported, once: it takes seconds. Not to be changed."""
    pytest.importorskip("executorch")
    (prepared,) = prepare_apps(tiny, ["android"], [preset], make_clone(tmp_path_factory.mktemp("made")))
    return prepared


@pytest.fixture
def exports(made: Prepared, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Exports are copies of that one from here on; the list says which were made."""
    names: list[str] = []

    def copy(loaded: Loaded, preset: Preset, out: Path, progress: object) -> Manifest:
        shutil.copytree(made.folder, out, ignore=shutil.ignore_patterns("prepared.json"))
        names.append(preset.name)
        return made.manifest

    monkeypatch.setattr(apps, "export_model", copy)
    return names


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_is_whole_and_verified(tiny: Loaded, made: Prepared) -> None:
    artifact = made.folder / made.manifest.artifact
    assert made.folder.name == "pcarn_m_x4_24x32_tiny"
    assert {path.name for path in made.folder.iterdir()} == {
        artifact.name, f"{artifact.name}.json", f"{artifact.name}.golden", "prepared.json",
    }  # fmt: skip
    assert {p.name for p in (made.folder / f"{artifact.name}.golden" / "forward").iterdir()} == {
        "input.png", "expected.png",
    }  # fmt: skip
    assert read_manifest(artifact).sha256 == hashlib.sha256(artifact.read_bytes()).hexdigest()
    assert verify(artifact, tiny, images=embedded_photographs()[:1]).passed
    assert not list(made.folder.parent.parent.glob(".*"))  # the workshop is gone


def test_a_model_is_kept_until_it_is_no_longer_true(
    tiny: Loaded, preset: str, clone: Path, exports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> bool:
        before = len(exports)
        (model,) = prepare_apps(tiny, ["ios"], [preset], clone)
        assert model.kept == (len(exports) == before)
        return model.kept

    assert [kept(), kept()] == [False, True]
    (folder,) = (clone / RESOURCES["ios"]).iterdir()
    whole = contents(folder)
    for path in whole:
        path.write_bytes(whole[path][:-2])
        assert [kept(), kept()] == [False, True], path
        assert contents(folder) == whole
    (folder / "stranger.txt").touch()
    assert [kept(), kept()] == [False, True]
    # Whatever decides an export makes it stale: here the converter's version.
    monkeypatch.setattr(apps, "versions", lambda target: {"executorch": "0"})
    assert [kept(), kept()] == [False, True]


def test_a_failure_leaves_the_older_model_and_nothing_else(
    tiny: Loaded, preset: str, clone: Path, exports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = prepare_apps(tiny, ["ios"], [preset], clone)
    before = contents(model.folder)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    real = apps.os.replace

    def fail_at_last(old: Path, new: Path) -> None:
        fail() if (old.name, new) == ("model", model.folder) else real(old, new)

    monkeypatch.setattr(apps, "versions", lambda target: {"executorch": "0"})
    for target, name, broken in ((apps, "_digests", fail), (apps.os, "replace", fail_at_last)):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, broken)
            with pytest.raises(InputError, match="No space left"):
                prepare_apps(tiny, ["ios"], [preset], clone)
        assert contents(model.folder) == before
        assert not list(model.folder.parent.parent.glob(".*"))


def test_models_of_earlier_choices_are_named(tiny: Loaded, preset: str, clone: Path, exports: list[str]) -> None:
    prepared = prepare_apps(tiny, ["android"], [preset], clone)
    assert others(prepared) == []
    earlier = prepared[0].folder.with_name("earlier")
    shutil.copytree(prepared[0].folder, earlier)
    assert others(prepared) == [earlier]


@pytest.mark.parametrize(
    ("app", "preset", "words"),
    [
        ("ios", "vulkan-fp16", "the ios app runs"),
        ("android", "coreml-fp16", "the android app runs"),
        ("ios", "xnnpack-continuous:reference", "without a reference"),
        ("android", "xnnpack-continuous:reference", "without a reference"),
        ("android", "xnnpack-fp23", "did you mean xnnpack-fp32"),
        ("android", "xnnpack-fp32:referenz", "no such export preset"),
        ("tv", "xnnpack-fp32", "no such app"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    tiny: Loaded, clone: Path, app: str, preset: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        prepare_apps(tiny, [app], ["xnnpack-fp32", preset], clone)
    assert not (clone / RESOURCES.get(app, "tv")).exists()


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line, ["apps", "prepare", "--into", str(tmp_path / "none")])
    assert isinstance(result.exception, InputError)
    assert "--into" in str(result.exception)


def test_every_choice_is_a_preset_that_its_app_runs() -> None:
    for name, choice in CHOICE.items():
        assert len(set(choice)) == len(choice)
        for spec in choice:
            apps._preset(spec, name)


def test_what_is_laid_into_the_apps_is_not_committed(tmp_path: Path) -> None:
    root = Path(apps.__file__).parents[2]
    ignored = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    for folder in RESOURCES.values():
        assert any(line.startswith(f"/apps/{folder}/") for line in ignored)


def test_json_is_json_alone(tiny: Loaded, preset: str, clone: Path, exports: list[str]) -> None:
    arguments = ["apps", "prepare", "--android", "--preset", preset, "--model", str(tiny.source), "--into", str(clone)]
    result = CliRunner().invoke(command_line, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    (model,) = json.loads(result.stdout)["models"]
    assert model["app"] == "android"
    assert (Path(model["folder"]) / model["artifact"]).is_file()
