"""A folder of everything an archive holds: the right summary, nothing harmed, and the second time nothing to do."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive.repeat import Deadly, Repeat, run_over
from fuzz.mixed import BROKEN, GOOD, write_good, write_mixed
from PIL import Image

from edge_scs.archive.folder import Summary
from edge_scs.archive.journal import Journal
from edge_scs.errors import InputError
from edge_scs.files import atomic_path
from edge_scs.images import read_rgb


def run(source: Path, out: Path, enhancer: Repeat | None = None, **options: object) -> Summary:
    return run_over([source], out, enhancer or Repeat(), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".partial" in path.name]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(4):
        write_good(tmp_path / "in", "colour", number)
    return tmp_path / "in"


def test_everything_that_can_be_done_is_done_and_the_rest_listed(tmp_path: Path) -> None:
    write_mixed(tmp_path / "in", good=2 * len(GOOD), broken=len(BROKEN))
    before = contents(tmp_path / "in")
    summary = run(tmp_path / "in", tmp_path / "out")
    assert (len(summary.done), len(summary.failed)) == (2 * len(GOOD), len(BROKEN))
    assert {path.name.rpartition("-")[0] for path, _ in summary.failed} == set(BROKEN)
    listed = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [(Path(item["source"]), item["reason"]) for item in listed] == summary.failed
    described = "ImageDescription left out: it described the array of the source"  # as tifffile writes it
    notes = [described, "the first of 2 frames", "the first of 2 pages"]
    assert sorted(note for _, note in summary.notes) == [note for note in notes for _ in range(2)]
    assert contents(tmp_path / "in") == before
    assert not unfinished(tmp_path)
    enhancer = Repeat()
    again = run(tmp_path / "in", tmp_path / "out", enhancer, resume=True)
    assert again.words() == f"nothing to do: {2 * len(GOOD)} done before, {len(BROKEN)} skipped before"
    assert sorted(again.failed) == sorted(summary.failed)
    assert enhancer.asked == []


def test_an_interrupted_run_goes_on_where_it_ended(scans: Path, tmp_path: Path) -> None:
    class Interrupted(Repeat):
        def strips(self, *given: object, **more: object) -> Iterator[np.ndarray]:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            yield from super().strips(*given, **more)

    with pytest.raises(KeyboardInterrupt):
        run(scans, tmp_path / "out", Interrupted())
    journal = tmp_path / "out" / ".edge-scs" / "journal-0.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"source": "half a li')  # as a kill would leave it
    enhancer = Repeat()
    summary = run(scans, tmp_path / "out", enhancer, resume=True)
    assert (len(summary.done), summary.before, len(enhancer.asked)) == (2, 2, 2)
    assert run(scans, tmp_path / "out", resume=True).words().startswith("nothing to do: 4 done before")


def test_resume_goes_by_content_and_settings(scans: Path, tmp_path: Path) -> None:
    run(scans, tmp_path / "out")
    names = sorted(path.name for path in scans.iterdir())
    os.utime(scans / names[0])  # another time is no other image
    Image.fromarray(255 - read_rgb(scans / names[1])).save(scans / names[1])
    (tmp_path / "out" / names[2]).unlink()
    (tmp_path / "out" / names[3]).write_bytes(b"cut")
    summary = run(scans, tmp_path / "out", resume=True)
    assert [path.name for path in summary.done] == names[1:]
    assert len(run(scans, tmp_path / "out", resume=True, scale=3.0).done) == 4
    scans.rename(tmp_path / "moved")
    assert run(tmp_path / "moved", tmp_path / "out", resume=True, scale=3.0).before == 4


def test_what_failed_for_want_of_something_is_tried_again(scans: Path, tmp_path: Path) -> None:
    class Hungry(Repeat):
        def strips(self, *given: object, **more: object) -> Iterator[np.ndarray]:
            raise MemoryError

    assert len(run(scans, tmp_path / "out", Hungry()).failed) == 4
    summary = run(scans, tmp_path / "out", resume=True)
    assert (len(summary.done), summary.failed) == (4, [])
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_two_runs_at_once_into_one_folder_are_refused(scans: Path, tmp_path: Path) -> None:
    held = Journal(tmp_path / "out", {})
    code = f"""
from pathlib import Path
from edge_scs.archive.journal import Journal
Journal(Path({str(tmp_path)!r}) / "out", {{}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another run is working there" in done.stderr
    held.close()


def test_a_dry_run_plans_and_touches_nothing(scans: Path, tmp_path: Path) -> None:
    (scans / "bad.png").write_text("no image")
    enhancer = Repeat()
    summary = run(scans, tmp_path / "out", enhancer, dry_run=True, scale=3.0)
    assert [size for _, _, size in summary.planned] == [(72, 72)] * 4
    assert len(summary.failed) == 1
    assert enhancer.asked == []
    assert not (tmp_path / "out").exists()


def test_sources_give_way_when_asked_and_only_once(scans: Path) -> None:
    with pytest.raises(InputError, match="--overwrite-sources"):
        run(scans, scans)
    assert len(run(scans, scans, overwrite_sources=True).done) == 4
    assert all(read_rgb(path).shape == (48, 48, 3) for path in scans.glob("*.png"))
    again = run(scans, scans, overwrite_sources=True, resume=True)
    assert again.words().startswith("nothing to do")
    assert all(read_rgb(path).shape == (48, 48, 3) for path in scans.glob("*.png"))


def test_another_format_for_all(tmp_path: Path) -> None:
    for kind in ("grey", "colour", "bilevel", "webp"):
        write_good(tmp_path / "in", kind, 0)
    summary = run(tmp_path / "in", tmp_path / "out", suffix=".tif")
    assert sorted(path.name for path in summary.done) == ["bilevel-0.tif", "colour-0.tif", "grey-0.tif", "webp-0.tif"]
    with pytest.raises(InputError, match="drop --format"):
        run(tmp_path / "in" / "colour-0.png", tmp_path / "a.png", suffix=".tif")


def test_results_too_large_are_listed_with_the_mend(scans: Path, tmp_path: Path) -> None:
    Image.new("L", (400, 300)).save(scans / "large.png")
    summary = run(scans, tmp_path / "out", max_output_pixels=100_000)
    assert len(summary.done) == 4
    assert "would become 800x600" in summary.failed[0][1]
    assert "--max-output-pixels 480000" in summary.failed[0][1]


def test_several_processes_give_the_same_files(scans: Path, tmp_path: Path) -> None:
    run(scans, tmp_path / "one")
    summary = run(scans, tmp_path / "two", jobs=2, make=Repeat)
    assert len(summary.done) == 4
    images = [{k: v for k, v in contents(tmp_path / out).items() if k.endswith(".png")} for out in ("one", "two")]
    assert images[0] == images[1]
    assert run(scans, tmp_path / "two", resume=True).before == 4


def test_an_image_that_kills_its_process_costs_that_image(scans: Path, tmp_path: Path) -> None:
    Image.new("L", (13, 9)).save(scans / "killer.png")
    summary = run(scans, tmp_path / "out", Deadly(), jobs=2, make=Deadly)
    assert len(summary.done) == 4
    assert summary.failed == [(scans / "killer.png", "its process died (signal 9)")]
    assert run(scans, tmp_path / "out", resume=True).done == [tmp_path / "out" / "killer.png"]


def test_a_full_disk_ends_the_run_and_keeps_what_is_done(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = os.replace, [2]

    def full(source: Path, target: Path) -> None:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"No space left.*2 done so far, resume with --resume"):
        run(scans, tmp_path / "out")
    assert not unfinished(tmp_path)
    monkeypatch.undo()
    assert run(scans, tmp_path / "out", resume=True).before == 2


def test_a_subfolder_that_cannot_be_written_costs_its_images(scans: Path, tmp_path: Path) -> None:
    write_good(scans / "deep", "colour", 9)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_text("in the way")
    summary = run(scans, tmp_path / "out")
    assert len(summary.done) == 4
    assert "cannot be written" in summary.failed[0][1]


def test_a_subfolder_that_cannot_be_listed_is_listed(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scans / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = run(scans, tmp_path / "out")
    assert len(summary.done) == 4
    assert summary.failed == [(scans / "closed", "cannot be listed (Permission denied); check its permissions")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals_leave_at_most_one_unfinished_file_and_the_next_run_removes_it(
    scans: Path, tmp_path: Path, number: signal.Signals
) -> None:
    code = f"""
from pathlib import Path
from archive.repeat import Slow
from edge_scs.archive.folder import enhance_files
enhance_files([Path({str(scans)!r})], Path({str(tmp_path / "out")!r}), Slow())
"""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    mine = unfinished(tmp_path / "out")
    assert len(mine) == 1
    with atomic_path(tmp_path / "out" / "other.png") as live:  # another process's, still being written
        process.send_signal(number)
        process.wait(30)
        assert set(unfinished(tmp_path / "out")) == {live, *(mine if number == signal.SIGKILL else [])}
        said: list[str] = []
        summary = run(scans, tmp_path / "out", say=said.append, resume=True)
        assert unfinished(tmp_path / "out") == [live]
        assert len(said) == (number == signal.SIGKILL)
        live.write_bytes(b"x")
    assert len(summary.done) == 4


def test_ranks_of_a_launcher_share_a_folder(scans: Path, tmp_path: Path) -> None:
    (scans / "bad.png").write_text("no image")
    code = f"""
from pathlib import Path
from archive.repeat import Repeat
from edge_scs.archive.folder import RunOptions, enhance_files
summary = enhance_files([Path({str(scans)!r})], Path({str(tmp_path / "out")!r}), Repeat(), RunOptions(resume=True))
print(len(summary.done), len(summary.failed))
"""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    common = {"PYTHONPATH": paths, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | common | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in ranks] == ["4 1", "4 1"], "each knows the whole"
    journals = sorted((tmp_path / "out" / ".edge-scs").iterdir())
    assert [path.name for path in journals] == ["journal-0.jsonl", "journal-1.jsonl"]
    assert [len(path.read_text().splitlines()) for path in journals] == [3, 2]
    assert run(scans, tmp_path / "out", resume=True).words() == "nothing to do: 4 done before, 1 skipped before"


def free_port() -> int:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
