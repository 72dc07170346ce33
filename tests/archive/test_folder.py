"""Files and folders: names, places, sources that stay, broken images that are counted."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from archive.repeat import Mistaken, Repeat, run_over

from edge_scs.archive import folder
from edge_scs.archive.folder import Summary, enhance_files, plan
from edge_scs.errors import InputError
from edge_scs.images import read_rgb, write_image
from edge_scs.inference.choice import make_predictor
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options, Request
from edge_scs.weights.loading import load


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """in/a.png, in/b.jpg, in/deep/c.webp and a note."""
    photo = skimage.data.astronaut()[:40, :60]
    for name in ("a.png", "b.jpg", "deep/c.webp"):
        write_image(tmp_path / "in" / name, photo)
    (tmp_path / "in" / "note.txt").write_text("not an image")
    return tmp_path / "in"


def run(inputs: list[Path], out: Path, enhancer: Repeat | None = None, **options: object) -> Summary:
    return run_over(inputs, out, enhancer or Repeat(), **options)


def tree(folder: Path) -> list[str]:
    """All files but the journal's."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in names if ".edge-scs/" not in name)


def test_one_file_to_one_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "big.tif"
    assert run([source / "a.png"], out) == Summary([out], [])
    assert read_rgb(out).shape == (80, 120, 3)
    assert tree(tmp_path / "new") == ["big.tif"]


def test_one_file_into_a_folder(source: Path, tmp_path: Path) -> None:
    assert run([source / "b.jpg"], tmp_path / "out").done == [tmp_path / "out" / "b.jpg"]
    (tmp_path / "there.png").mkdir()
    assert run([source / "b.jpg"], tmp_path / "there.png").done == [tmp_path / "there.png" / "b.jpg"]


def test_a_folder_keeps_its_structure_and_formats(source: Path, tmp_path: Path) -> None:
    summary = run([source], tmp_path / "out")
    assert tree(tmp_path / "out") == ["a.png", "b.jpg", "deep/c.webp"]
    assert sorted(summary.done) == sorted(tmp_path / "out" / name for name in ("a.png", "b.jpg", "deep/c.webp"))
    assert (tmp_path / "out" / "b.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_relative_folders_work(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source)
    run([Path(".")], Path("../out"))
    assert tree(tmp_path / "out") == ["a.png", "b.jpg", "deep/c.webp"]


def test_meeting_names_do_not_replace_each_other(source: Path, tmp_path: Path) -> None:
    for name, level in (("x/a.png", 10), ("y/a.png", 20), ("y/A.png", 30), ("a.one", 40)):
        write_image(tmp_path / Path(name).with_suffix(".png"), np.full((4, 4), level, np.uint8))
    (tmp_path / "a.png").rename(tmp_path / "a")
    summary = run([tmp_path / "x", tmp_path / "y", tmp_path / "a"], tmp_path / "out")
    levels = {path.name: int(read_rgb(path).max()) for path in summary.done}
    assert levels == {"a.png": 40, "a-2.png": 10, "A-3.png": 30, "a-4.png": 20}


def test_a_file_without_known_suffix_becomes_png(source: Path, tmp_path: Path) -> None:
    (source / "a.png").rename(source / "scan.001")
    assert run([source / "scan.001"], tmp_path / "out").done == [tmp_path / "out" / "scan.001.png"]


def test_broken_images_are_skipped_and_named(source: Path, tmp_path: Path) -> None:
    (source / "bad.png").write_bytes((source / "a.png").read_bytes()[:200])
    (source / "deep" / "empty.jpg").touch()
    summary = run([source], tmp_path / "out")
    assert len(summary.done) == 3
    assert [path for path, _ in summary.failed] == [source / "bad.png", source / "deep" / "empty.jpg"]
    assert "damaged" in summary.failed[0][1]
    assert "empty (0 bytes)" in summary.failed[1][1]
    assert not any(str(source) in reason for _, reason in summary.failed)
    assert tree(tmp_path / "out") == ["a.png", "b.jpg", "deep/c.webp", "failures.jsonl"]


def test_a_dangling_link_is_skipped_too(source: Path, tmp_path: Path) -> None:
    (source / "gone.png").symlink_to(tmp_path / "nowhere.png")
    summary = run([source], tmp_path / "out")
    assert len(summary.done) == 3
    assert summary.failed == [(source / "gone.png", "no such file; check the path")]


def test_a_single_broken_image_is_an_error(source: Path, tmp_path: Path) -> None:
    (source / "bad.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"bad\.png: not a PNG"):
        run([source / "bad.png"], tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_memory_that_does_not_suffice_is_a_skipped_image(source: Path, tmp_path: Path) -> None:
    class Hungry(Repeat):
        def strips(self, *given: object, **more: object) -> Iterator[np.ndarray]:
            raise MemoryError

    assert len(run([source], tmp_path / "out", Hungry()).failed) == 3
    with pytest.raises(InputError, match=r"a\.png: not enough memory"):
        run([source / "a.png"], tmp_path / "out", Hungry())


def test_no_mistake_ends_a_folder(source: Path, tmp_path: Path) -> None:
    write_image(source / "deep" / "d.png", np.zeros((4, 4, 3), np.uint8))
    for more in ({}, {"resume": True}):
        summary = run([source], tmp_path / "out", Mistaken(), **more)
        assert (len(summary.done) + summary.before, len(summary.failed)) == (1, 3)
        assert {why for _, why in summary.failed} == {
            "failed by an error that should not be (KeyError: 'no such\\nkey'); please report it"
        }
    with pytest.raises(InputError, match=r"a\.png: failed by an error that should not be \(KeyError"):
        run([source / "a.png"], tmp_path / "out", Mistaken())


def test_nor_one_in_reading_it(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_scs.imaging import scans

    real = scans._decode

    def broken(path: Path, *given: object) -> object:
        if path.name == "b.jpg":
            raise ZeroDivisionError
        return real(path, *given)

    monkeypatch.setattr(scans, "_decode", broken)
    summary = run([source], tmp_path / "out")
    assert len(summary.done) == 2
    assert summary.failed[0][0].name == "b.jpg"
    assert "ZeroDivisionError" in summary.failed[0][1]


def test_sizes_that_are_none_are_refused(source: Path, tmp_path: Path) -> None:
    predictor = Predictor(load("edge_scs_s", allow_untrained=True))
    for size in ((0, 0), (-4, 8), (8, 0), (2.5, 8)):
        with pytest.raises(InputError, match=r"size \(.*at least 1"):
            predictor.enhance(np.zeros((4, 4), np.uint8), size)
        with pytest.raises(InputError, match=r"size \(.*at least 1"):
            next(predictor.strips(Request(np.zeros((4, 4), np.uint8), size)))
        with pytest.raises(InputError, match=r"size \(.*at least 1"):
            run([source / "a.png"], tmp_path / "out", size=size)


def test_without_a_temporary_folder_there_is_no_estimate(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "WORTH_ESTIMATING", 1)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    said: list[str] = []
    summary = enhance_files([source], tmp_path / "out", Repeat(), say=said.append)
    assert len(summary.done) == 3
    assert "no estimate, as there is no temporary folder (set TMPDIR)" in said[0]


def test_sources_are_never_replaced(source: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    (tmp_path / "link").symlink_to(source)
    for inputs, out in [
        ([source], source),
        ([source], tmp_path / "link"),
        ([source / "a.png"], source / "a.png"),
        ([source / "a.png"], source),
        ([source / "a.png", source / "b.jpg"], source),
        ([source / "deep" / "c.webp"], tmp_path / "link" / "deep" / "c.webp"),
    ]:
        with pytest.raises(InputError, match="would replace its source"):
            run(inputs, out)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_results_inside_the_source_folder_are_not_enhanced_again(source: Path) -> None:
    first = run([source], source / "out")
    second = run([source], source / "out")
    assert first == second
    assert len(second.done) == 3
    assert tree(source / "out") == ["a.png", "b.jpg", "deep/c.webp"]
    for name in ("a.png", "b.jpg", "deep/c.webp"):
        (source / name).unlink()
    with pytest.raises(InputError, match="no images besides those already in"):
        run([source], source / "out")


def test_outputs_that_cannot_be_are_refused_before_any_work(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("os.access", lambda path, mode: "closed" not in str(path))
    (tmp_path / "closed").mkdir()
    for inputs, out, words in [
        ([source], tmp_path / "file", "is a file, not a folder"),
        ([source], tmp_path / "file" / "deeper", "is a file, not a folder"),
        ([source], tmp_path / "out.png", "several images need a folder"),
        ([source / "a.png"], tmp_path / "out.bmp", "unknown image format '.bmp'"),
        ([source], tmp_path / "closed", "permission denied"),
        ([source], tmp_path / "closed" / "new", "permission denied"),
        ([source / "a.png"], tmp_path / "closed" / "a.png", "permission denied"),
    ]:
        enhancer = Repeat()
        with pytest.raises(InputError, match=words) as caught:
            run(inputs, out, enhancer)
        assert "\n" not in str(caught.value)
        assert enhancer.asked == []


def test_inputs_that_are_not_there_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for inputs, words in [([tmp_path / "gone"], "no such"), ([tmp_path / "none"], "no images in this folder")]:
        with pytest.raises(InputError, match=words):
            run(inputs, tmp_path / "out")
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        run([source], tmp_path / "out", reference=tmp_path / "gone.png")
    assert not (tmp_path / "out").exists()


def test_scale_size_and_their_conflicts(source: Path, tmp_path: Path) -> None:
    assert read_rgb(run([source / "a.png"], tmp_path / "1.png", scale=1.5).done[0]).shape == (60, 90, 3)
    assert read_rgb(run([source / "a.png"], tmp_path / "2.png", size="100x50").done[0]).shape == (50, 100, 3)
    for options, words in [
        ({"scale": 99}, "scale 99: must be between 1 and 8"),
        ({"scale": 7}, "cannot magnify by x7"),
        ({"size": "big"}, "WIDTHxHEIGHT"),
        ({"scale": 2, "size": "100x50"}, "not both"),
    ]:
        with pytest.raises(InputError, match=words):
            run([source], tmp_path / "out", **options)
    summary = run([source], tmp_path / "out", size="1000x1000")
    assert len(summary.failed) == 3
    assert "choose between 60x40 and 480x320" in summary.failed[0][1]


def test_images_are_read_in_colour_only_to_keep_it(source: Path, tmp_path: Path) -> None:
    enhancer = Repeat()
    run([source / "a.png"], tmp_path / "1.png", enhancer, reference=source / "b.jpg")
    run([source / "a.png"], tmp_path / "2.png", enhancer, options=Options(keep_colour=True))
    assert enhancer.asked[0]["shape"] == (40, 60)
    assert enhancer.asked[0]["reference"].shape == (40, 60, 3)
    assert enhancer.asked[1] == {"shape": (40, 60, 3), "size": (80, 120), "reference": None, "keep_colour": True}
    assert np.array_equal(read_rgb(tmp_path / "2.png")[::2, ::2], read_rgb(source / "a.png"))


def test_planning_writes_nothing(source: Path, tmp_path: Path) -> None:
    jobs = plan([source], tmp_path / "out")
    assert [target.name for _, target in jobs] == ["a.png", "b.jpg", "c.webp"]
    assert not (tmp_path / "out").exists()


def test_a_bar_is_drawn_on_stderr_of_a_terminal_only(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    enhance_files([source], tmp_path / "1", Repeat())
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    monkeypatch.setenv("TERM", "xterm")
    enhance_files([source], tmp_path / "2", Repeat())
    out, err = capfd.readouterr()
    assert out == ""
    assert "3/3" in err or "c.webp" in err


def test_the_network_restores_a_folder(source: Path, tmp_path: Path) -> None:
    predictor = Predictor(load("edge_scs_s", allow_untrained=True))
    summary = run_over([source], tmp_path / "out", predictor, size="150x90")
    assert summary.failed == []
    assert {read_rgb(path).shape for path in summary.done} == {(90, 150, 3)}


def test_make_predictor_refuses_what_does_not_fit(tmp_path: Path) -> None:
    for options, words in [
        ({"runtime": "tflite"}, "must be torch or executorch"),
        ({"runtime": "executorch"}, "give --artifact"),
        ({"runtime": "executorch", "artifact": tmp_path / "a.pte", "weights": tmp_path / "w"}, "no --weights"),
        ({"artifact": tmp_path / "a.pte"}, "needs --runtime executorch"),
    ]:
        with pytest.raises(InputError, match=words):
            make_predictor("edge_scs_s", **options)
    with pytest.raises(InputError, match="no such model"):
        make_predictor("edge_scs_z")
