"""Which files become which: kinds that are read and not written, files that are passed over, results beside sources."""

from pathlib import Path

import pytest
from archive.repeat import Repeat, run_over
from fuzz.mixed import photo
from PIL import Image

from edge_scs.archive.folder import Summary
from edge_scs.archive.output_paths import plan, suffix_of
from edge_scs.errors import InputError
from edge_scs.images import SAVE, read_rgb


def run(inputs: list[Path], out: Path, **options: object) -> Summary:
    return run_over(inputs, out, Repeat(), **options)


def draw(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jfif": "JPEG", ".jpe": "JPEG"}.get(path.suffix)
    Image.fromarray(photo(8, seed)).save(path, kind)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_kinds_that_are_only_read_become_png(tmp_path: Path) -> None:
    for name in ("a.bmp", "b.gif", "c.jfif", "d.jpe", "e.JPG"):
        draw(tmp_path / "in" / name)
    made = [target.name for _, target in plan([tmp_path / "in"], tmp_path / "out")]
    assert made == ["a.png", "b.png", "c.jfif", "d.jpe", "e.JPG"]
    assert len(run([tmp_path / "in"], tmp_path / "out").done) == 5
    with Image.open(tmp_path / "out" / "c.jfif") as image:
        assert image.format == "JPEG"
    made = [target.name for _, target in plan([tmp_path / "in"], tmp_path / "out", suffix=".jpg")]
    assert made == ["a.jpg", "b.jpg", "c.jfif", "d.jpe", "e.JPG"]


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    draw(tmp_path / "in" / "a.png")
    for name in ("notes.txt", "b.heic", "c.HEIC", "deep/d.mov", "noname", ".hidden"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    for more in ({"dry_run": True}, {}, {"resume": True}):
        summary = run([tmp_path / "in"], tmp_path / "in" / "out", **more)
        assert "5 files of other kinds passed over: 2 .heic" in summary.remarks(tmp_path, False)[0]
        assert len(summary.passed) == 5
    run([tmp_path / "in"], tmp_path / "in" / "out", scale=1.0)
    assert len(run([tmp_path / "in"], tmp_path / "in" / "out").passed) == 5, "results and journals are not counted"


@pytest.mark.parametrize("by_name", [False, True])
def test_results_beside_their_sources_are_recognised(tmp_path: Path, by_name: bool) -> None:
    folder = tmp_path / "s"
    for name in ("a.png", "b.png", "deep/c.png", "own.jpg"):
        draw(folder / name)

    def inputs() -> list[Path]:
        return sorted(path for path in folder.rglob("*.*g") if path.name != "own.jpg") if by_name else [folder]

    if not by_name:
        (folder / "own.jpg").rename(tmp_path / "own.jpg")
    first = run(inputs(), folder, suffix=".jpg")
    assert len(first.done) == 3
    made = names(folder)
    again = run(inputs(), folder, suffix=".jpg", resume=True)
    assert again.words() == "nothing to do: 3 done before, 0 skipped before"
    assert len(run(inputs(), folder, suffix=".jpg").done) == 3, "made anew, and no result is a source"
    draw(folder / "z.png")
    assert [path.name for path in run(inputs(), folder, suffix=".jpg", resume=True).done] == ["z.jpg"]
    assert set(names(folder)) - set(made) == {"z.jpg", "z.png"}


def test_a_run_that_broke_off_beside_its_sources_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    for name in ("a.png", "b.png", "c.png"):
        draw(folder / name)

    class Interrupted(Repeat):
        def _strips(self, *given: object):
            if len(self.asked) == 1:
                raise KeyboardInterrupt
            yield from super()._strips(*given)

    with pytest.raises(KeyboardInterrupt):
        run_over([folder], folder, Interrupted(), suffix=".jpg")
    folder.rename(tmp_path / "moved")
    summary = run([tmp_path / "moved"], tmp_path / "moved", suffix=".jpg", resume=True)
    assert (len(summary.done), summary.before) == (2, 1)
    assert len(list((tmp_path / "moved").glob("*.jpg"))) == 3


def test_a_result_that_somebody_changed_is_a_source_again(tmp_path: Path) -> None:
    draw(tmp_path / "s" / "a.png")
    run([tmp_path / "s"], tmp_path / "s", suffix=".jpg")
    draw(tmp_path / "s" / "a.jpg", seed=2)
    before = (tmp_path / "s" / "a.jpg").read_bytes()
    with pytest.raises(InputError, match=r"a\.jpg: would replace its source"):
        run([tmp_path / "s"], tmp_path / "s", suffix=".jpg")
    assert (tmp_path / "s" / "a.jpg").read_bytes() == before


def test_names_that_would_meet_get_numbers(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "A.webp", "a.bmp"):
        draw(tmp_path / "in" / name)
    made = sorted(target.name for _, target in plan([tmp_path / "in"], tmp_path / "out", suffix=".tif"))
    assert made == ["A.tif", "a-2.tif", "a-3.tif", "a-4.tif"]
    assert read_rgb(tmp_path / "in" / "a.bmp").shape == (8, 8, 3)


def test_formats_by_name() -> None:
    assert suffix_of(None) is None
    assert {suffix_of(name) for name in ("PNG", "jpeg", "webp", "tiff")} <= set(SAVE)
    for name in ("bmp", "gif", "heic"):
        with pytest.raises(InputError, match="must be png, jpeg, webp or tiff"):
            suffix_of(name)
