"""The Android app as far as pytest sees it: versions, manifest, resources, and what adb's caller relies on.

`make test-apps` compiles it and runs its own tests.
"""

import json
import os
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import edge_scs
from edge_scs.phones import adb
from edge_scs.phones import results as devices

ROOT = Path(__file__).parents[2]
ANDROID = ROOT / "apps" / "android"
MAIN = ANDROID / "app" / "src" / "main"
SCHEMA = json.loads(devices.SCHEMA.read_text(encoding="utf-8"))
SYSTEM = "{http://schemas.android.com/apk/res/android}"


def kotlin() -> list[Path]:
    return sorted(path for path in ANDROID.rglob("*.kt") if "build" not in path.parts)


def text(name: str) -> str:
    return next(path for path in kotlin() if path.name == name).read_text(encoding="utf-8")


def test_versions_are_those_of_the_package() -> None:
    versions = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())["versions"]
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["export"]
    assert f"executorch=={versions['executorch']}" in pinned
    assert versions["edge-scs"] == edge_scs.__version__
    assert (versions["min-sdk"], versions["executorch"] in (ANDROID / "stubs" / "README.md").read_text()) == (
        "26",
        True,
    )


def test_gradle_takes_every_version_from_the_one_place() -> None:
    for path in ANDROID.rglob("*.gradle.kts"):
        assert not re.search(r'"[\w.:-]*\d+\.\d+[\w.-]*"', path.read_text()), path


def test_gradle_properties_serve_what_the_aar_depends_on() -> None:
    """Without AndroidX a build with an AAR that depends on androidx stops at checkDebugAarMetadata."""
    noted = tomllib.loads((ANDROID / "gradle" / "executorch-android.toml").read_text())
    versions = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())["versions"]
    assert noted["version"] == versions["executorch"]
    lines = (ANDROID / "gradle.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    androidx = [name for name in noted["dependencies"] if name.startswith("androidx.")]
    assert androidx
    assert properties["android.useAndroidX"] == "true"


def test_the_noted_dependencies_are_those_of_the_pom() -> None:
    """Where Gradle has fetched the AAR: elsewhere its POM cannot be had."""
    noted = tomllib.loads((ANDROID / "gradle" / "executorch-android.toml").read_text())
    name = f"executorch-android-{noted['version']}.pom"
    home = Path(os.environ.get("GRADLE_USER_HOME") or Path.home() / ".gradle")
    pom = next(home.glob(f"caches/modules-2/files-2.1/org.pytorch/executorch-android/*/*/{name}"), None)
    if pom is None:
        pytest.skip(f"no {name} in Gradle's cache")
    found = [
        f"{node.findtext('{*}groupId')}:{node.findtext('{*}artifactId')}"
        for node in ElementTree.parse(pom).getroot().iterfind("{*}dependencies/{*}dependency")
    ]
    assert sorted(found) == sorted(noted["dependencies"])


def test_what_is_measured_is_not_debuggable() -> None:
    gradle = (ANDROID / "app" / "build.gradle.kts").read_text()
    benchmark = re.search(r'create\("benchmark"\) \{(.*?)\}', gradle, re.DOTALL)
    assert benchmark
    assert 'initWith(getByName("release"))' in benchmark[1]
    assert "isDebuggable" not in gradle


def test_saving_truncates_and_keeps_others_out() -> None:
    body = re.search(r"fun writeTo\(.*?\n    \}\n", text("MainActivity.kt"), re.DOTALL)
    assert body
    assert 'openOutputStream(uri, "wt")' in body[0]
    assert body[0].index("busy(true)") < body[0].index("app.work") < body[0].index("busy(false)")


def test_a_second_language_says_everything() -> None:
    """The same names, and the same places for values in each text."""
    said = {}
    for folder in ("values", "values-de"):
        root = ElementTree.parse(MAIN / "res" / folder / "strings.xml").getroot()
        said[folder] = {
            f"{node.get('name')} {node.tag} {item.get('quantity', '')}": sorted(
                re.findall(r"%[\d$.]*\w", item.text or "")
            )
            for node in root
            if node.get("translatable") != "false"
            for item in (node if node.tag == "plurals" else [node])
        }
    assert said["values"] == said["values-de"]


def test_the_bundled_sample_is_the_packages() -> None:
    sample = (ROOT / "edge_scs" / "lincoln.jpg").read_bytes()
    assert (MAIN / "assets" / "sample.jpg").read_bytes() == sample


def test_the_portrait_layout_scrolls_and_the_slider_has_a_range() -> None:
    root = ElementTree.parse(MAIN / "res" / "layout" / "main.xml").getroot()
    assert (root.tag, root.get(f"{SYSTEM}fillViewport")) == ("ScrollView", "true")
    assert "RangeInfo.obtain(" in text("BeforeAfterView.kt")


def test_files_stay_readable() -> None:
    assert kotlin()
    assert not [path for path in kotlin() if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    wide = [path for path in kotlin() if max(map(len, path.read_text(encoding="utf-8").splitlines())) > 120]
    assert not wide


def test_the_core_is_free_of_android_and_the_screens_of_tensors() -> None:
    for path in kotlin():
        words = set(re.findall(r"^import ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        if "core" in path.relative_to(ANDROID).parts[:1]:
            assert not [w for w in words if w.startswith(("android", "org.pytorch"))], path
        elif path.name != "ExecuTorchEngine.kt":
            assert not [
                w for w in words if w.startswith("org.pytorch") or w.endswith((".Tensor", ".Tiling", ".Pixels"))
            ], path


def test_adb_finds_what_it_starts_and_reads() -> None:
    """edge_scs.phones.adb starts BenchActivity by name, with these extras, and waits for these files."""
    manifest = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    activities = {node.get(f"{SYSTEM}name"): node for node in manifest.iter("activity")}
    bench = activities[f"{adb.PACKAGE}.BenchActivity"]
    assert bench.get(f"{SYSTEM}exported") == "true"
    assert bench.get(f"{SYSTEM}permission") == "android.permission.DUMP"  # the shell's, no other app's
    source = text("BenchActivity.kt")
    constants = dict(re.findall(r'const val (\w+) = "([\w.]+)"', source))
    extras = ("model", "warmup", "runs", "threads", "sustained")
    assert [constants[name.upper()] for name in extras] == list(extras)
    assert [f"files/{constants[key]}" for key in ("RESULT", "ERROR")] == [adb.RESULT, adb.ERROR]
    gradle = (ANDROID / "app" / "build.gradle.kts").read_text()
    assert f'applicationId = "{adb.PACKAGE}"' in gradle


def test_nothing_but_the_launcher_and_the_shell_may_start_a_screen() -> None:
    manifest = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    for node in (*manifest.iter("activity"), *manifest.iter("provider"), *manifest.iter("service")):
        launched = any(c.get(f"{SYSTEM}name") == "android.intent.category.LAUNCHER" for c in node.iter("category"))
        if node.get(f"{SYSTEM}exported") == "true":
            assert launched or node.get(f"{SYSTEM}permission"), node.attrib
    assert not list(manifest.iter("uses-permission"))


def test_every_class_of_the_manifest_is_written() -> None:
    manifest = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    named = {
        node.get(f"{SYSTEM}name") for tag in ("application", "activity", "provider") for node in manifest.iter(tag)
    }
    classes = {f"org.edgescs.{path.stem}" for path in kotlin()}
    assert named <= classes


def test_texts_stand_in_resources_and_controls_have_words() -> None:
    strings = ElementTree.parse(MAIN / "res" / "values" / "strings.xml").getroot()
    names = {node.get("name") for node in strings}
    for path in (MAIN / "res" / "layout").glob("*.xml"):
        for node in ElementTree.parse(path).iter():
            words = [node.get(f"{SYSTEM}{key}") for key in ("text", "contentDescription")]
            for word in filter(None, words):
                assert word.startswith("@string/"), (path, word)
                assert word.removeprefix("@string/") in names, (path, word)
            if node.tag in ("Button", "Spinner", "ImageView"):
                assert any(words), (path, node.attrib)


def test_night_has_every_colour_that_the_day_shows() -> None:
    day, night = (
        {node.get("name") for node in ElementTree.parse(MAIN / "res" / folder / "colors.xml").getroot()}
        for folder in ("values", "values-night")
    )
    assert day - night == {"icon_background"}  # an icon has one look
    assert night < day


def test_thermal_words_are_the_schemas() -> None:
    words = re.findall(r'"(\w+)"', re.search(r"STATUSES = listOf\((.*)\)", text("Device.kt"))[1])  # type: ignore[index]
    assert tuple(words) == adb.THERMAL_STATUS
    assert {*words, "unknown"} <= set(SCHEMA["$defs"]["thermal"]["enum"])


def test_signatures_hold_no_code_of_others() -> None:
    for path in (ANDROID / "stubs").rglob("*.java"):
        bodies = re.findall(r"\{([^{}]*)\}", path.read_text())
        assert all(
            body.strip() in ("", "throw new UnsupportedOperationException();") or "\n" in body for body in bodies
        )


def test_kotlin_parses() -> None:
    """A first look without a compiler, where the grammar is installed; `make test-apps` compiles."""
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_kotlin")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    assert parser.parse(b"fun f( {").root_node.has_error
    assert not [path for path in kotlin() if parser.parse(path.read_bytes()).root_node.has_error]
