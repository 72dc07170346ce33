"""The journal: what settles an image, what does not, and lines that other hands have been at."""

import json
from pathlib import Path

import pytest

from edge_scs.archive.journal import FOLDER, Journal, results, sha256

SETTINGS = {"scale": 2.0}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"source")
    (tmp_path / "out" / "a.png").write_bytes(b"result")
    return tmp_path


def settle(place: Path, settings: dict = SETTINGS, rank: int = 0) -> None:
    journal = Journal(place / "out", settings, rank)
    source = place / "in" / "a.png"
    journal.done(source, sha256(source), place / "out" / "a.png", 1.5, ["a note"])
    journal.close()


def settled(place: Path, settings: dict = SETTINGS):
    journal = Journal(place / "out", settings, read_only=True)
    return journal.settled(place / "in" / "a.png", place / "out" / "a.png")


def test_done_with_these_settings_and_still_there(place: Path) -> None:
    assert settled(place) is None
    settle(place, rank=3)
    entry = settled(place)
    assert (entry.status, entry.seconds, entry.notes, entry.origin) == ("done", 1.5, ["a note"], "../in/a.png")
    assert settled(place, {"scale": 3.0}) is None
    (place / "out" / "a.png").write_bytes(b"cut")
    assert settled(place) is None
    (place / "out" / "a.png").unlink()
    assert settled(place) is None


def test_another_content_is_another_image(place: Path) -> None:
    settle(place)
    (place / "in" / "a.png").write_bytes(b"rescan")
    assert settled(place) is None


@pytest.mark.parametrize(("final", "kept"), [(True, True), (False, False)])
def test_failures_that_lie_in_the_file_are_settled(place: Path, final: bool, kept: bool) -> None:
    journal = Journal(place / "out", SETTINGS)
    source = place / "in" / "a.png"
    journal.failed(source, sha256(source), place / "out" / "a.png", "damaged", final)
    assert (journal.settled(source, place / "out" / "a.png") is not None) == kept
    journal.close()


def test_strange_lines_are_passed_over(place: Path) -> None:
    settle(place)
    path = place / "out" / FOLDER / "journal-0.jsonl"
    line = json.loads(path.read_text())
    strange = [b"\xff\xfe", b"[" * 100_000, b"null", b'{"source": 1}', json.dumps(line | {"new": 1}).encode()]
    strange += [json.dumps(line | {"target": [1]}).encode(), json.dumps(line | {"target_sha256": {}}).encode()]
    path.write_bytes(b"\n".join([*strange, path.read_bytes().strip(), b'{"source": "half']))
    assert settled(place) is not None
    assert results(place / "out")(place / "out" / "a.png")
    Journal(place / "out", SETTINGS).close()
    assert path.read_bytes().endswith(b"\n"), "the next line begins on one of its own"


def test_results_are_known_by_place_and_content(place: Path) -> None:
    assert not results(place / "out")(place / "out" / "a.png")
    settle(place)
    is_result = results(place / "out")
    assert is_result(place / "out" / "a.png")
    assert is_result(place / "in" / ".." / "out" / "a.png")
    assert not is_result(place / "in" / "a.png")
    (place / "out" / "a.png").write_bytes(b"edited")
    assert not is_result(place / "out" / "a.png")
    (place / "out" / "a.png").unlink()
    assert not is_result(place / "out" / "a.png")


def test_what_took_its_sources_place_is_no_result_of_another(place: Path) -> None:
    journal = Journal(place / "out", SETTINGS)
    target = place / "out" / "a.png"
    journal.done(target, sha256(place / "in" / "a.png"), target, 1.0, [])
    assert not results(place / "out")(target)
    assert journal.settled(target, target) is not None
    journal.close()


def test_journals_of_before_go_by_names(place: Path) -> None:
    settle(place)
    path = place / "out" / FOLDER / "journal-0.jsonl"
    line = json.loads(path.read_text())
    del line["origin"]
    path.write_text(json.dumps(line))
    assert not results(place / "out")(place / "out" / "a.png"), "it may have taken its source's place"
    path.write_text(json.dumps(line | {"source": "in/a.tif"}))
    assert results(place / "out")(place / "out" / "a.png")
