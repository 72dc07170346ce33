"""The whole report: what it exports, evaluates and shows, without measuring anything."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from edge_scs.cli.app import app
from edge_scs.errors import InputError
from edge_scs.evaluate import evaluate
from edge_scs.images import write_image
from edge_scs.measure.cache import Cache
from edge_scs.models import registry
from edge_scs.report import full
from edge_scs.report.full import Variant, _variants, evaluations, exports, full_report
from edge_scs.report.page import Findings, Timing
from edge_scs.side_by_side import run_side_by_side
from edge_scs.weights.loading import load, save
from tests.manifests import manifest
from tests.report.test_page import artifact


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks are done here, in their order, and their names kept; each is pickled first, as for another process."""
    names: list[str] = []

    def run(tasks: Any, say: Any) -> None:
        for task in tasks:
            names.append(task.name)
            task.keep(pickle.loads(pickle.dumps(task.work))(say))

    monkeypatch.setattr(full, "run_side_by_side", run)
    return names


# What the tasks call, found by its name when they are unpickled.
def _fake_export(subject: str, precision: str, folder: Path, say: Any) -> None: ...
def _fake_lower(subject: str, folder: Path, say: Any) -> str:
    return f"{subject} lowered in {folder.is_dir()}"


def _fake_evaluate(subject: str, precision: str, images: Path, say: Any) -> dict[str, Any]:
    return {"model": subject, "images": sorted(path.name for path in images.iterdir())}


def _fake_count(say: Any) -> list[dict[str, Any]]:
    return [{"name": "pcarn_m", "mult_adds_720p": {"4": 32e9}}, {"name": "scsnet", "mult_adds_720p": {"4": 333e9}}]


def _fake_restore(job: Any, say: Any) -> str:
    return f"{job.name} restored"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, at_once: list[str]) -> dict[str, Any]:
    """What ``make_report`` is asked for; what takes long is faked."""
    seen: dict[str, Any] = {"tasks": at_once, "timed": []}

    def make_report(out: Path, timing: Timing, findings: Findings, say: Any) -> None:
        seen.update(vars(timing) | vars(findings))

    def measure(network: Any, *_: Any, lowered: Any, **__: Any) -> Any:
        seen["timed"].append((network.name, lowered, len(at_once)))
        return [{"model": network.name}]

    monkeypatch.setattr(full, "make_report", make_report)
    monkeypatch.setattr(full, "_export", _fake_export)
    monkeypatch.setattr(full, "_lower_stages", _fake_lower)
    monkeypatch.setattr(full, "_evaluate", _fake_evaluate)
    monkeypatch.setattr(full, "_restore", _fake_restore)
    monkeypatch.setattr(full, "_count", _fake_count)
    monkeypatch.setattr(full, "machine_peak", lambda threads: {"threads": threads})
    monkeypatch.setattr(full, "measure_stages", measure)
    return seen


def test_every_precision_with_weights_is_exported_and_evaluated(tmp_path, asked):
    other = artifact(tmp_path, "edge_scs_s")
    full_report(tmp_path, models=["pcarn_m", "edge_scs_m"], artifacts=[other], command="edge-scs report")
    exported = ["pcarn_m fp32 artifact", "edge_scs_m fp32 artifact", "edge_scs_m int8 artifact"]
    assert asked["tasks"] == [
        *exported, "pcarn_m fp32 stages", "edge_scs_m fp32 stages", "edge_scs_m int8 quality",
        "edge_scs_m fp32 quality", "every network on paper",
        "image china", "image astronaut", "image flower", "image chelsea",
    ]  # fmt: skip
    made = [
        "pcarn_m_x4_180x320_xnnpack-fp32",
        "edge_scs_m_x4_180x320_xnnpack-fp32",
        "edge_scs_m_x4_180x320_xnnpack-int8",
    ]
    assert asked["artifacts"] == [*(tmp_path / "artifacts" / f"{name}.pte" for name in made), other]
    assert [(q["model"], q["precision"], len(q["images"])) for q in asked["quality"]] == [
        ("edge_scs_m", "fp32", 6), ("edge_scs_m", "int8", 6),
    ]  # fmt: skip
    assert "china.png" in asked["quality"][0]["images"]
    assert asked["quality"][0]["data"] == "scikit-image and scikit-learn"
    assert asked["stages"] == [{"model": "pcarn_m"}, {"model": "edge_scs_m"}]
    assert asked["networks"] == _fake_count(None)
    assert asked["machine_peak"] == {"threads": 1}
    assert asked["comparisons"][1] == "astronaut restored"
    assert asked["command"] == "edge-scs report"
    # Nothing is timed before all of that is done.
    assert asked["timed"] == [(name, f"{name} lowered in True", 12) for name in ("pcarn_m", "edge_scs_m")]


def test_slow_networks_have_no_stages(tmp_path, asked):
    full_report(tmp_path, models=["pcarn_m", "scsnet"])
    assert asked["stages"] == [{"model": "pcarn_m"}]
    assert asked["models"] == ["pcarn_m", "scsnet"]


def test_what_was_done_before_is_not_done_again(tmp_path, asked, monkeypatch):
    monkeypatch.setattr(full, "_verified", lambda path, network: True)
    full_report(tmp_path, models=["edge_scs_s"])
    first, count = {key: asked[key] for key in ("quality", "stages", "artifacts")}, len(asked["tasks"])
    assert "edge_scs_s fp32 artifact" not in asked["tasks"]
    full_report(tmp_path, models=["edge_scs_s"])
    assert {key: asked[key] for key in first} == first
    assert asked["tasks"][count:] == [f"image {job.name}" for job in full.JOBS]
    assert len(asked["timed"]) == 1
    full_report(tmp_path, models=["edge_scs_s"], quick=True)  # other stages, the same quality
    assert asked["tasks"][count + 4 :] == ["edge_scs_s fp32 stages", *asked["tasks"][-4:]]
    full_report(tmp_path, models=["edge_scs_s"], fresh=True)
    assert asked["tasks"][count + 9 :] == asked["tasks"][:count]


def test_one_that_fails_leaves_what_the_others_did(tmp_path, asked, monkeypatch):
    """With real processes: the fakes are not there, so all of ``work`` is replaced by what can be found again."""
    monkeypatch.setattr(full, "run_side_by_side", run_side_by_side)
    monkeypatch.setattr(full, "_export", _broken_export)
    said: list[str] = []
    with pytest.raises(InputError, match=r"^edge_scs_s: cannot be lowered"):
        full_report(tmp_path, models=["edge_scs_s"], say=said.append)
    assert "[edge_scs_s fp32 artifact] failed: edge_scs_s: cannot be lowered" in said
    assert not asked["timed"]
    assert "quality" not in asked  # no report was made
    assert len(list((tmp_path / "cache").iterdir())) == 3  # but both qualities and the networks are known


def _broken_export(subject: str, precision: str, folder: Path, say: Any) -> None:
    if precision == "fp32":
        raise InputError(f"{subject}: cannot be lowered")


def test_a_bad_device_result_ends_it_before_anything_is_exported(tmp_path, asked):
    (tmp_path / "phone.json").write_text("{")
    with pytest.raises(InputError, match=r"phone\.json: not valid JSON"):
        full_report(tmp_path / "out", [tmp_path / "phone.json"])
    assert not asked["tasks"]
    assert not (tmp_path / "out").exists()


def test_an_interrupt_is_one_line(tmp_path, asked, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(full, "run_side_by_side", interrupted)
    result = CliRunner().invoke(app, ["report", "--model", "edge_scs_s", "-o", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1].startswith("interrupted; what was done is kept")


def test_folders_of_device_results(tmp_path, asked):
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="no latency JSON in this folder"):
        full_report(tmp_path / "out", [tmp_path / "results"])
    (tmp_path / "results" / "phone.json").write_text("[]")
    with pytest.raises(InputError, match=r"phone\.json: lacks"):
        full_report(tmp_path / "out", [tmp_path / "results"])


def test_results_are_those_of_one_after_the_other(tmp_path, photograph):
    """The figures of two processes are the ones that ``evaluate`` gives here, and are known afterwards."""
    for name, place in (("a", 0), ("b", 200)):
        write_image(tmp_path / "data" / f"{name}.png", photograph[place : place + 96, place : place + 128])
    names = ("pcarn_m", "edge_scs_s", "edge_scs_m")
    variants = [Variant(name, "fp32", load(name, allow_untrained=True)) for name in names]
    cache = Cache(tmp_path / "cache")
    results, tasks = evaluations(variants, tmp_path / "data", tmp_path, cache)
    assert [task.name for task in tasks] == ["edge_scs_s fp32 quality", "edge_scs_m fp32 quality"]  # pcarn_m has none
    run_side_by_side(tasks, lambda line: None, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of two processes has: sums depend on how they are shared out
    try:
        alone = {variant: evaluate(variant.network, tmp_path / "data", 4) for variant in variants[1:]}
    finally:
        torch.set_num_threads(threads)
    for variant in variants[1:]:
        assert results[variant] == alone[variant] | {"precision": variant.precision}
    assert evaluations(variants, tmp_path / "data", tmp_path, cache) == (results, [])


def test_checkpoints_of_one_network_are_exported_into_folders_of_their_own(tmp_path):
    names = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for name, path in zip("aba", names, strict=True):  # the last is the first again
        torch.manual_seed(ord(name))
        save(path, "edge_scs_s", registry.create("edge_scs_s"))
    subjects = ["edge_scs_s", *map(str, names)]
    paths, tasks = exports([v for name in subjects for v in _variants(name)], tmp_path / "out", lambda line: None)
    assert len(paths) == len(set(paths)) == 4  # the shipped one in both precisions
    assert [path.parent == tmp_path / "out" for path in paths] == [True, True, False, False]
    assert [(task.work.args[0], task.work.args[2]) for task in tasks] == [
        *(("edge_scs_s", tmp_path / "out") for _ in range(2)),
        *((str(name), path.parent) for name, path in zip(names, paths[2:], strict=False)),
    ]


def test_an_artifact_of_another_size_ends_it_before_anything_is_exported(tmp_path, asked):
    with pytest.raises(InputError, match="another size"):
        full_report(tmp_path / "out", artifacts=[artifact(tmp_path, "edge_scs_s", (90, 160))])
    assert not asked["tasks"]


def test_an_artifact_that_was_verified_is_not_made_again(tmp_path):
    from edge_scs.artifacts.manifest import Parity, artifact_sha256, weights_sha256
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.lowering import pipeline

    network = load("edge_scs_s")
    path = tmp_path / pipeline.artifact_name("edge_scs_s", load_preset("xnnpack-fp32"))
    path.write_bytes(b"program")
    facts = {
        "model": "edge_scs_s", "sha256": artifact_sha256(path), "weights_sha256": weights_sha256(network.model),
        "versions": pipeline.versions("executorch"),
    }  # fmt: skip
    variants = [Variant("edge_scs_s", "fp32", network)]
    other = pipeline.versions("executorch") | {"torch": "1"}
    for changes, count in (
        ({}, 0), ({"weights_sha256": "0" * 64}, 1), ({"sha256": "0" * 64}, 1), ({"versions": other}, 1),
        ({"parity": None}, 1), ({"parity": Parity("eager", 9.0, 0.0, 6, "fail", 80.0)}, 1),
    ):  # fmt: skip
        manifest(path, **(facts | changes))
        said: list[str] = []
        paths, tasks = exports(variants, tmp_path, said.append)
        assert paths == [path]
        assert (len(tasks), len(said)) == (count, 1 - count)
    path.unlink()
    assert len(exports(variants, tmp_path, lambda line: None)[1]) == 1
