"""What was verified gets its final name at once, whole, and alone: whatever interrupts or runs beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_scs.lowering.publishing import publish

ROOT = Path(__file__).parents[2]


def test_an_older_package_folder_is_replaced(tmp_path: Path) -> None:
    final, artifact = tmp_path / "a.mlpackage", tmp_path / "w" / "a.mlpackage"
    for folder, name in ((final, "old"), (artifact, "new")):
        folder.mkdir(parents=True)
        (folder / name).touch()
    (tmp_path / "w" / "a.mlpackage.json").write_text("new")
    (tmp_path / "a.mlpackage.json").write_text("old")
    publish(artifact, final)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert (tmp_path / "a.mlpackage.json").read_text() == "new"


def test_two_exports_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    """Each of two processes publishes forty times under one name: what lies there afterwards belongs together."""
    code = """
import sys
from pathlib import Path
from edge_scs.lowering.publishing import publish
folder, mine = Path(sys.argv[1]), sys.argv[2]
for i in range(40):
    workshop = folder / f".{mine}{i}"
    (workshop / "a.pte").parent.mkdir()
    for name in ("a.pte", "a.pte.json"):
        (workshop / name).write_text(f"{mine}{i}")
    (workshop / "a.pte.golden").mkdir()
    (workshop / "a.pte.golden" / "x").write_text(f"{mine}{i}")
    publish(workshop / "a.pte", folder / "a.pte")
"""
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=ROOT) for name in "ab"]
    assert [worker.wait(timeout=600) for worker in workers] == [0, 0]
    places = (tmp_path / "a.pte", tmp_path / "a.pte.json", tmp_path / "a.pte.golden" / "x")
    assert len({path.read_text() for path in places}) == 1


def test_what_was_there_comes_back_if_the_new_cannot_be_moved_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in ((tmp_path, "old"), (tmp_path / "w", "new")):
        (folder / "a.pte.golden").mkdir(parents=True)
        for name in ("a.pte", "a.pte.json", "a.pte.golden/x"):
            (folder / name).write_text(text)
    real = os.replace

    def broken(source: Path, target: Path) -> None:
        if Path(source) == tmp_path / "w" / "a.pte":
            raise OSError("the disk")
        real(source, target)

    monkeypatch.setattr("edge_scs.lowering.publishing.os.replace", broken)
    with pytest.raises(OSError, match="the disk"):
        publish(tmp_path / "w" / "a.pte", tmp_path / "a.pte")
    for folder, text in ((tmp_path, "old"), (tmp_path / "w", "new")):
        assert [(folder / name).read_text() for name in ("a.pte", "a.pte.json", "a.pte.golden/x")] == [text] * 3


class Ended(Exception):  # noqa: N818
    """What a handler of SIGTERM raises here."""


def _end(*_: object) -> None:
    raise Ended


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Ended)])
def test_an_interrupt_waits_for_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, raised: type[BaseException]
) -> None:
    workshop = tmp_path / "w"
    workshop.mkdir()
    for name in ("a.pte", "a.pte.json"):
        (workshop / name).touch()
    real = os.replace

    def interrupted(source: Path, target: Path) -> None:
        os.kill(os.getpid(), number)
        real(source, target)

    monkeypatch.setattr("edge_scs.lowering.publishing.os.replace", interrupted)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with pytest.raises(raised):
            publish(workshop / "a.pte", tmp_path / "a.pte")
        assert signal.getsignal(signal.SIGTERM) is _end
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pte", "a.pte.json", "w"]
