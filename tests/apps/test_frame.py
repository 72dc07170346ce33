"""`make test-apps` says what passed, was skipped and failed, and nothing unsigned gets into its tools."""

import os
import sys
import tarfile
from pathlib import Path

import pytest

APPS = Path(__file__).parents[2] / "apps"


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch):
    """apps/test.py and apps/tools.py, which are scripts beside each other rather than a package."""
    names = ("checks", "real", "tools", "test")
    monkeypatch.syspath_prepend(str(APPS / "android"))
    monkeypatch.syspath_prepend(str(APPS))
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    import test as frame

    yield frame
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(hidden)


def test_checks_are_tallied(frame, capsys: pytest.CaptureFixture[str]) -> None:
    tally = frame.Tally()

    def skipped() -> str:
        raise frame.Skip("no g++")

    def failed() -> str:
        raise frame.Failed("\n".join(map(str, range(40))))

    assert tally.check("a", lambda: "3 tests")
    assert not tally.check("b", skipped)
    assert not tally.check("c", failed)
    assert (tally.passed, tally.skipped, tally.failed) == (1, ["b: no g++"], ["c"])
    said = capsys.readouterr().out
    assert said.startswith("pass  a (3 tests), ")
    assert "skip  b: no g++\n" in said
    assert "FAIL  c\n      15\n" in said


@pytest.mark.parametrize(("end", "failed"), [("exit 0", 1), ("exit 1", 1)])
def test_a_scripts_checks_are_tallied(frame, tmp_path: Path, end: str, failed: int) -> None:
    script = tmp_path / "test.sh"
    script.write_text(
        f"#!/bin/sh\necho 'pass  ios: a'\necho 'skip  ios: b'\necho 'FAIL  ios: c'\necho '      why'\n{end}\n"
    )
    script.chmod(0o755)
    tally = frame.Tally()
    tally.hear(script)
    assert (tally.passed, tally.skipped, tally.failed) == (1, ["ios: b"], ["ios: c"])


def test_a_script_that_breaks_is_a_failure(frame, tmp_path: Path) -> None:
    script = tmp_path / "test.sh"
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o755)
    tally = frame.Tally()
    tally.hear(script)
    assert tally.failed == [f"{script}: ended with 7"]


@pytest.mark.slow
def test_a_suite_counts_what_ran_and_names_what_did_not(frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip = "import pytest\n@pytest.mark.skip(reason='no phone')\ndef test_b(): pass\n"
    (tmp_path / "test_some.py").write_text("def test_a(): pass\n" + skip)
    tally = frame.Tally()
    tally.suite("files: some", tmp_path / "test_some.py")
    assert (tally.passed, tally.skipped, tally.failed) == (1, ["files: some: no phone"], [])
    (tmp_path / "test_bad.py").write_text("def test_a(): assert 0\n")
    tally.suite("files: bad", tmp_path / "test_bad.py")
    assert tally.failed == ["files: bad"]
    monkeypatch.setattr(frame, "_pytest", lambda tests: ({"passed": 0}, ["no phone", "no phone"]))
    tally.suite("files: none", tmp_path / "test_none.py")
    assert (tally.passed, tally.skipped[1:]) == (1, ["files: none: no phone"])


def test_what_make_test_apps_names_is_there(frame) -> None:
    assert all((APPS.parent / path).is_file() for path in frame.SUITES.values())


def test_a_package_of_another_content_is_refused(frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "index.js").write_text("evil")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as tar:
        tar.add(package, "package")
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\ncp {tmp_path / 'x.tgz'} x-1.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    tools = tmp_path / "tools"
    tools.mkdir()
    with pytest.raises(frame.Failed, match="sha256"):
        frame.checks.from_npm(tools, "x@1", "0" * 64)
    assert not list(tools.iterdir())


def test_a_machine_without_a_tool_skips(frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(frame.Skip, match="apt-get install some-package"):
        frame.checks.program("no-such-program", "some-package")
