"""Tests of the phone apps as far as Linux goes: ``make test-apps``, or ``python apps/test.py [files] [android] [ios]``.

``files``: what Python checks of both apps, of manifests and of the drivers in the documents. Runs in an environment
with ``.[export,dev]``. Installs what it needs into ``apps/.tools`` (git-ignored; ``EDGE_SCS_TOOLS`` names another
folder), and as root by apt-get. Prints one line a check, "pass", "skip" with its reason, or "FAIL", and ends with 1 if
anything failed.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

APPS = Path(__file__).resolve().parent
GROUPS = ("files", "android", "ios")
# What pytest checks, by the words to print.
SUITES = {
    "files: Gradle's properties and the AAR's dependencies, Android's manifest, resources and texts": (
        "tests/apps/test_android.py"
    ),
    "files: the Xcode project, its property lists and texts": "tests/apps/test_ios_project.py",
    "files: the golden vectors are what the package computes": "tests/apps/test_testdata.py",
    "files: models are prepared for both apps": "tests/apps/test_apps_prepare.py",
    "files: manifests": "tests/artifacts/test_manifest.py",
    "files: the drivers of docs/drive-it-yourself.md, on real programs": "tests/artifacts/test_drive_it_yourself.py",
    "files: the latency JSON's reader": "tests/phones/test_results.py",
}
sys.path[:0] = [str(APPS), str(APPS / "android"), str(APPS / "runner"), str(APPS.parent)]

import checks  # noqa: E402
from tools import Failed, Skip, call, tools_folder  # noqa: E402


class Tally:
    """What passed, was skipped, failed; each said at once."""

    def __init__(self) -> None:
        self.passed = 0
        self.skipped: list[str] = []
        self.failed: list[str] = []

    def check(self, words: str, run: Callable[[], str | None]) -> bool:
        """Run one check; what it returns is said beside it."""
        start = time.monotonic()
        try:
            said = run()
        except Skip as skip:
            self.skipped.append(f"{words}: {skip}")
            print(f"skip  {self.skipped[-1]}", flush=True)
            return False
        except Failed as failure:
            self.failed.append(words)
            print(
                f"FAIL  {words}\n" + "\n".join(f"      {line}" for line in str(failure).splitlines()[-25:]), flush=True
            )
            return False
        self.passed += 1
        print(f"pass  {words}{f' ({said})' if said else ''}, {time.monotonic() - start:.0f} s", flush=True)
        return True

    def hear(self, script: Path) -> None:
        """Run the checks of a shell script, which says them in the same words."""
        command = subprocess.Popen(
            [str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHON": sys.executable}
        )
        assert command.stdout is not None
        failed = len(self.failed)
        for line in command.stdout:
            print(line, end="", flush=True)
            kind, _, words = line.strip().partition("  ")
            self.passed += kind == "pass"
            if kind in ("skip", "FAIL"):
                (self.skipped if kind == "skip" else self.failed).append(words)
        if command.wait() and len(self.failed) == failed:
            self.failed.append(f"{script}: ended with {command.returncode}")

    def suite(self, words: str, *tests: Path) -> None:
        """Run pytest on files, the slow tests among them: one check; tests that it skips are skipped here too."""
        skips: list[str] = []

        def run() -> str:
            counts, found = _pytest(tests)
            skips.extend(found)
            if not counts["passed"]:
                raise Skip("; ".join(sorted(set(skips))) or "no test ran")
            skips[:] = [f"{words}: {reason}" for reason in skips]
            return f"{counts['passed']} tests" + (f", {len(skips)} skipped" if skips else "")

        if self.check(words, run):
            self.skipped += skips


def _pytest(tests: tuple[Path, ...]) -> tuple[dict[str, int], list[str]]:
    """{"passed"} and the reasons of what was skipped. Raises Failed where a test fails, or pytest cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", f"--junit-xml={report}"]
        call([*command, *tests], cwd=APPS.parent)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    skipped = [case.find("skipped") for case in cases]
    reasons = [node.get("message", "") for node in skipped if node is not None]
    return {"passed": len(cases) - len(reasons)}, reasons


def main(wanted: list[str]) -> int:
    tally = Tally()
    if "files" in wanted:
        for words, path in SUITES.items():
            tally.suite(words, APPS.parent / path)
    if "android" in wanted:
        checks.run(tally.check, tools_folder())
    if "ios" in wanted:
        script = APPS / "ios" / "test.sh"
        if script.is_file():
            tally.hear(script)
        else:
            tally.skipped.append("ios: apps/ios/test.sh is not there")
    print(f"\n{tally.passed} passed, {len(tally.skipped)} skipped, {len(tally.failed)} failed")
    for words in tally.skipped:
        print(f"skipped: {words}")
    if tally.skipped or tally.failed:
        print("Checks that build on a skipped or failed one did not run either.")
    for words in tally.failed:
        print(f"failed: {words}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    chosen = sys.argv[1:] or [*GROUPS]
    if not set(chosen) <= {*GROUPS}:
        sys.exit(f"usage: python apps/test.py [{'] ['.join(GROUPS)}]")
    sys.exit(main(chosen))
