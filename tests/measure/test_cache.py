"""Kept measurements: found again only if nothing changed that could change them, and whole calls at a time."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_scs.errors import InputError
from edge_scs.measure import cache as module
from edge_scs.measure.cache import Cache, bench_by_row, code_digest, subject_digest
from edge_scs.measure.measurement import Conditions, Measurement
from tests.measurements import latency, ratio


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The subjects of every call of ``bench``, which is faked."""
    made: list[list[str]] = []

    def fake(subjects: list[str], conditions: Conditions, say: Any) -> Measurement:
        assert conditions.paired
        made.append(list(subjects))
        ms = float(len(made))
        results = [latency(s, ms, threads=t) for s in subjects for t in conditions.threads]
        ratios = [ratio(other, subjects[0], 2.0) for other in subjects[1:]]
        return Measurement(tuple(results), tuple(ratios))

    monkeypatch.setattr(module, "bench", fake)
    monkeypatch.setattr(module, "environment", lambda: {"date": str(len(made)), "load": len(made), "processor": "p"})
    return made


def test_measured_once(tmp_path: Path, calls):
    first = bench_by_row(Cache(tmp_path), ["pcarn_m", "edge_scs_m", "edge_scs_s"], Conditions(threads=(1, 2), runs=3))
    assert calls == [["pcarn_m", "edge_scs_m", "edge_scs_s"]]
    assert [(r.subject, r.to) for r in first.ratios] == [("edge_scs_m", "pcarn_m"), ("edge_scs_s", "pcarn_m")]
    assert [(r.subject, r.threads) for r in first.results] == [
        ("pcarn_m", 1), ("pcarn_m", 2), ("edge_scs_m", 1), ("edge_scs_m", 2), ("edge_scs_s", 1), ("edge_scs_s", 2),
    ]  # fmt: skip
    again = bench_by_row(Cache(tmp_path), ["pcarn_m", "edge_scs_m", "edge_scs_s"], Conditions(threads=(1, 2), runs=3))
    assert again == first
    assert len(calls) == 1


def test_a_row_more_leaves_the_others(tmp_path: Path, calls):
    two = bench_by_row(Cache(tmp_path), ["pcarn_m", "edge_scs_m"])
    three = bench_by_row(Cache(tmp_path), ["pcarn_m", "edge_scs_m", "edge_scs_s"])
    assert calls == [["pcarn_m", "edge_scs_m"], ["pcarn_m", "edge_scs_s"]]
    assert three.results[:2] == two.results  # the baseline's row too
    assert bench_by_row(Cache(tmp_path), ["pcarn_m", "edge_scs_s"]).ratios == three.ratios[1:]
    assert len(calls) == 2


def test_a_call_has_so_many_rows(tmp_path: Path, calls, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 2)
    said: list[str] = []
    result = bench_by_row(Cache(tmp_path), list("abcd"), say=said.append)
    assert calls == [["a", "b", "c"], ["a", "d"]]
    assert [(r.subject, r.median_ms) for r in result.results] == [("a", 1), ("b", 1), ("c", 1), ("d", 2)]
    assert said == ["rows 1 to 2 of 3: b, c beside a", "rows 3 to 3 of 3: d beside a"]


def test_every_ratio_comes_from_the_call_that_timed_both(tmp_path: Path, calls):
    for name in ("a.pte", "b.pte"):
        (tmp_path / name).write_bytes(name.encode())
    artifacts = [str(tmp_path / name) for name in ("a.pte", "b.pte")]
    result = bench_by_row(Cache(tmp_path / "c"), ["pcarn_m", *artifacts])
    assert calls == [["pcarn_m"], artifacts]  # runtimes apart, a single subject alone
    assert [(r.subject, r.to) for r in result.ratios] == [(artifacts[1], artifacts[0])]


def test_an_interrupted_report_goes_on(tmp_path: Path, calls, monkeypatch):
    fake = module.bench
    (tmp_path / "a.pte").touch()
    subjects = ["pcarn_m", "edge_scs_m", str(tmp_path / "a.pte")]

    def interrupted(given: list[str], *args: Any, **kwargs: Any) -> Any:
        if given == subjects[2:]:
            raise KeyboardInterrupt
        return fake(given, *args, **kwargs)

    monkeypatch.setattr(module, "bench", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench_by_row(Cache(tmp_path), subjects)
    monkeypatch.setattr(module, "bench", fake)
    bench_by_row(Cache(tmp_path), subjects)
    assert calls == [subjects[:2], subjects[2:]]


def test_what_changes_a_measurement_makes_another(tmp_path: Path, calls, monkeypatch):
    artifact = tmp_path / "a.pte"
    artifact.write_bytes(b"one")

    def measure(**settings: Any) -> int:
        bench_by_row(Cache(tmp_path / "c"), [str(artifact)], Conditions(**settings))
        return len(calls)

    assert measure() == measure() == 1
    assert measure(runs=5) == 2
    assert measure(lr=(8, 8)) == 3
    artifact.write_bytes(b"two")
    assert measure() == 4
    monkeypatch.setattr(module, "code_digest", lambda: "other")
    assert measure() == 5
    monkeypatch.setattr(module, "environment", lambda: {"date": "", "load": 0, "processor": "another"})
    assert measure() == 6


def test_fresh_measures_anew_and_keeps_it(tmp_path: Path, calls):
    bench_by_row(Cache(tmp_path), ["pcarn_m"])
    assert bench_by_row(Cache(tmp_path, fresh=True), ["pcarn_m"]).results[0].median_ms == 2.0
    assert bench_by_row(Cache(tmp_path), ["pcarn_m"]).results[0].median_ms == 2.0


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1, "result": 2}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, content):
    assert Cache(tmp_path).fetch({"a": 1}, lambda: "measured") == "measured"
    (file,) = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["result"] == "measured"
    file.write_text(content)
    assert Cache(tmp_path).fetch({"a": 1}, lambda: "again") == "again"
    assert Cache(tmp_path).fetch({"a": 1}, lambda: "never") == "again"


def test_digests(tmp_path: Path):
    assert code_digest() == code_digest()
    assert subject_digest("scsnet") == "untrained"
    assert len({subject_digest(name) for name in ("edge_scs_m", "edge_scs_s")}) == 2
    with pytest.raises(InputError, match=r"no\.pte: cannot be read"):
        subject_digest(str(tmp_path / "no.pte"))
