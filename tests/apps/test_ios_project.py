"""The iOS project as far as Linux reads it: it parses, its references hold, and its versions are the package's."""

import json
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edge_scs

ROOT = Path(__file__).parents[2]
IOS = ROOT / "apps" / "ios"
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PARTS = ("App", "EdgeSCSCore/Sources", "EdgeSCSCore/Tests", "Stubs")
SOURCES = sorted(path for part in PARTS for path in (IOS / part).rglob("*.swift"))


def pinned(package: str) -> str:
    found = re.search(rf'"{package}==([\d.]+)"', PYPROJECT)
    assert found, package
    return found[1]


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    parser = pytest.importorskip("openstep_parser")  # what PyPI's pbxproj reads projects with
    with open(IOS / "EdgeSCS.xcodeproj" / "project.pbxproj", encoding="utf-8") as file:
        project = parser.OpenStepDecoder.ParseFromFile(file)
    assert project["objectVersion"] == "77"
    return project["objects"]


def test_pbxproj_reads_the_project() -> None:
    pbxproj = pytest.importorskip("pbxproj")
    project = pbxproj.XcodeProject.load(str(IOS / "EdgeSCS.xcodeproj" / "project.pbxproj"))
    assert [target.name for target in project.objects.get_targets()] == ["EdgeSCS"]


def settings(objects: dict[str, dict[str, Any]], key: str) -> set[str]:
    """The values that the build configurations give a key."""
    found = set()
    for item in objects.values():
        if item["isa"] == "XCBuildConfiguration" and key in item["buildSettings"]:
            found.add(item["buildSettings"][key])
    return found


def test_every_object_that_the_project_names_is_there(objects: dict[str, dict[str, Any]]) -> None:
    text = (IOS / "EdgeSCS.xcodeproj" / "project.pbxproj").read_text(encoding="utf-8")
    named = set(re.findall(r"\bED6E5C5[0-9A-F]{17}\b", text))
    assert named == set(objects)
    scheme = (IOS / "EdgeSCS.xcodeproj/xcshareddata/xcschemes/EdgeSCS.xcscheme").read_text(encoding="utf-8")
    assert {objects[key]["isa"] for key in re.findall(r"ED6E5C5[0-9A-F]{17}", scheme)} == {"PBXNativeTarget"}


def test_every_file_that_the_project_names_is_there(objects: dict[str, dict[str, Any]]) -> None:
    found = []

    def walk(key: str, folder: Path) -> None:
        item = objects[key]
        path = folder / item.get("path", "")
        if item["sourceTree"] == "<group>":
            assert path.exists(), path
            found.append(path)
        for child in item.get("children", []):
            walk(child, path)

    (project,) = (item for item in objects.values() if item["isa"] == "PBXProject")
    walk(project["mainGroup"], IOS)
    assert IOS / "App/Sources" in found
    assert IOS / "App/Resources/Models" in found
    (package,) = (item for item in objects.values() if item["isa"] == "XCLocalSwiftPackageReference")
    assert (IOS / package["relativePath"] / "Package.swift").is_file()
    (info,) = settings(objects, "INFOPLIST_FILE")
    assert (IOS / info).is_file()


def test_models_travel_as_a_folder_that_xcode_does_not_compile(objects: dict[str, dict[str, Any]]) -> None:
    """Compiled by Xcode, a package would no longer be what its manifest's sha256 says."""
    (models,) = (key for key, item in objects.items() if item.get("path") == "Models")
    assert objects[models]["lastKnownFileType"] == "folder"
    (build,) = (key for key, item in objects.items() if item.get("fileRef") == models)
    (resources,) = (item for item in objects.values() if item["isa"] == "PBXResourcesBuildPhase")
    assert build in resources["files"]
    # Golden images are compared byte by byte: Xcode's own PNG format is another one.
    assert settings(objects, "COMPRESS_PNG_FILES") == {"NO"}


def test_both_projects_say_the_same(objects: dict[str, dict[str, Any]]) -> None:
    yaml = pytest.importorskip("yaml")
    table = yaml.load((IOS / "project.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    target = table["targets"]["EdgeSCS"]
    for key, value in (table["settings"]["base"] | target["settings"]["base"]).items():
        assert settings(objects, key) == {value}, key
    assert settings(objects, "IPHONEOS_DEPLOYMENT_TARGET") == {table["options"]["deploymentTarget"]["iOS"]}
    for source in target["sources"]:
        assert (IOS / (source if isinstance(source, str) else source["path"])).exists()


def test_versions_are_the_packages(objects: dict[str, dict[str, Any]]) -> None:
    assert settings(objects, "MARKETING_VERSION") == {edge_scs.__version__}
    engine = (IOS / "App/Sources/Engines/ExecuTorchEngine.swift").read_text(encoding="utf-8")
    readme = (IOS / "README.md").read_text(encoding="utf-8")
    assert f'version: String? = "{pinned("executorch")}"' in engine
    assert set(re.findall(r"swiftpm-([\d.]+\d)", readme)) == {pinned("executorch")}
    assert set(re.findall(r"coremltools (\d[\d.]*\d)", readme)) == {pinned("coremltools")}
    (oldest,) = settings(objects, "IPHONEOS_DEPLOYMENT_TARGET")
    assert f".iOS(.v{oldest.removesuffix('.0')})" in (IOS / "EdgeSCSCore/Package.swift").read_text(encoding="utf-8")


def test_property_lists_and_catalogues_parse() -> None:
    info = plistlib.loads((IOS / "App/Info.plist").read_bytes())
    assert "UILaunchScreen" in info
    privacy = plistlib.loads((IOS / "App/Resources/PrivacyInfo.xcprivacy").read_bytes())
    assert privacy["NSPrivacyTracking"] is False
    assert privacy["NSPrivacyCollectedDataTypes"] == []
    for path in (IOS / "App/Resources/Assets.xcassets").rglob("Contents.json"):
        for image in json.loads(path.read_text(encoding="utf-8")).get("images", []):
            assert (path.parent / image["filename"]).is_file()


def test_saving_an_image_has_its_reason() -> None:
    """iOS ends an app that adds to the photo library without it: "Save Image" of the share sheet does."""
    info = plistlib.loads((IOS / "App/Info.plist").read_bytes())
    assert info["NSPhotoLibraryAddUsageDescription"]


def test_a_second_language_says_everything_that_the_views_do(objects: dict[str, dict[str, Any]]) -> None:
    catalogue = json.loads((IOS / "App/Sources/Localizable.xcstrings").read_text(encoding="utf-8"))
    german = {key: item["localizations"]["de"]["stringUnit"]["value"] for key, item in catalogue["strings"].items()}
    views = "\n".join(path.read_text(encoding="utf-8") for path in (IOS / "App/Sources/Views").glob("*.swift"))
    calls = "Text|Label|Button|Picker|Toggle|Section|LabeledContent|ContentUnavailableView|caption"
    labels = r"(?:accessibilityLabel|navigationTitle)"
    said = set(re.findall(rf'(?:{calls}|{labels})\(\s*"((?:[^"\\]|\\.)*)"', views))
    plain = {text for text in said if "\\(" not in text} - {"Edge-SCS"}
    assert len(plain) > 20
    assert plain <= set(german)
    assert all(german.values())
    (project,) = (item for item in objects.values() if item["isa"] == "PBXProject")
    assert "de" in project["knownRegions"]


def test_the_bundled_sample_is_the_packages() -> None:
    sample = IOS / "App/Resources/Assets.xcassets/Sample.dataset"
    (entry,) = json.loads((sample / "Contents.json").read_text())["data"]
    assert (sample / entry["filename"]).read_bytes() == (ROOT / "edge_scs" / "lincoln.jpg").read_bytes()


def test_both_apps_begin_with_the_same_longest_side() -> None:
    studio = (IOS / "App/Sources/State/Studio.swift").read_text(encoding="utf-8")
    workshop = (ROOT / "apps/android/core/src/main/kotlin/org/edgescs/core/Workshop.kt").read_text(encoding="utf-8")
    ours = re.search(r"var side = (\d+)", studio)
    theirs = re.search(r"MAX_SIDE = (\d+)", workshop)
    assert ours
    assert theirs
    assert ours[1] == theirs[1]


def test_core_and_app_are_in_swift_6_language_mode(objects: dict[str, dict[str, Any]]) -> None:
    """A package of tools version 6 is, unless it says otherwise."""
    package = (IOS / "EdgeSCSCore" / "Package.swift").read_text(encoding="utf-8")
    assert package.startswith("// swift-tools-version: 6.")
    assert "swiftLanguage" not in package
    assert settings(objects, "SWIFT_VERSION") == {"6.0"}


def test_swift_files_stay_readable() -> None:
    assert len(SOURCES) > 30
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 300, path
        assert not [line for line in lines if len(line) > 120], path


def test_swift_files_parse() -> None:
    tree_sitter = pytest.importorskip("tree_sitter")
    swift = pytest.importorskip("tree_sitter_swift")
    parser = tree_sitter.Parser(tree_sitter.Language(swift.language()))
    assert parser.parse(b"func f( { ]").root_node.has_error
    for path in (path for path in SOURCES if "Stubs" not in path.parts):
        assert not parser.parse(path.read_bytes()).root_node.has_error, path


def test_shell_scripts_parse() -> None:
    for name in ("test.sh", "toolchain.sh"):
        assert subprocess.run(["sh", "-n", IOS / name], check=False).returncode == 0


def test_every_vector_can_be_changed(tmp_path: Path) -> None:
    """What the apps' own tests do to show that Kotlin's and Swift's tests notice it."""
    change = ROOT / "apps" / "change_vector.py"
    for path in sorted((ROOT / "apps" / "testdata").glob("*.json")):
        copy = shutil.copy(path, tmp_path)
        done = subprocess.run([sys.executable, change, copy], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(Path(copy).read_text()) != json.loads(path.read_text())
