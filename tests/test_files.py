"""Files appear whole under their final name, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from edge_scs.errors import InputError
from edge_scs.files import atomic_path, printable, sweep, write_atomically


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_crash_inside_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def crash() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"ne")
            raise error

    with pytest.raises(error):
        crash()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_final_name_shows_only_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent, "a rename is atomic on one file system only"
        assert temporary.suffix == path.suffix, "writers choose the format by the suffix"
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "c.txt", "grün")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grün".encode()


def test_a_parent_that_is_a_file_is_the_user_s_to_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/out\.bin: cannot be written") as caught:
        write_atomically(tmp_path / "file" / "out.bin", b"x")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_of_that_name_is_the_user_s_to_fix(tmp_path: Path) -> None:
    (tmp_path / "out.bin").mkdir()
    with pytest.raises(InputError, match=r"out\.bin: cannot be written"):
        write_atomically(tmp_path / "out.bin", b"x")
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_folder_without_permission_is_the_user_s_to_fix(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(folder / "out.bin", b"x")


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_modes_honour_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.bin", b"x")
        assert os.umask(umask) == umask, "and leave it as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == mode


@pytest.mark.parametrize("stem", ["x" * 250, "照" * 80, "😀" * 60], ids=["ascii", "3 bytes", "4 bytes"])
def test_any_name_that_the_file_system_takes_can_be_written(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.png"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="POSIX locks")
def test_sweep_removes_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / ".edge-scs-abcdefgh.partial.png"
    for path in (left, tmp_path / "a.png", tmp_path / ".edge-scs-short.partial.png", tmp_path / ".other.partial.png"):
        path.write_bytes(b"x")
    with atomic_path(tmp_path / "b.png") as live:
        assert sweep(tmp_path) == [left]
        assert live.exists()
        live.write_bytes(b"y")
    assert sweep(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == [".edge-scs-short.partial.png", ".other.partial.png", "a.png", "b.png"]
    assert sweep(tmp_path / "nowhere") == []


def test_names_are_printed_on_one_line_and_as_they_are() -> None:
    assert printable("a\nb\u202egnp.exe\x1b[31m") == "a\\nb\\u202egnp.exe\\x1b[31m"
    assert printable(os.fsdecode(b"\xff.png")) == "\\udcff.png"
    assert printable("Fotografie ü 写真.png") == "Fotografie ü 写真.png"
