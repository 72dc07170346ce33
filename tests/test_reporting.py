"""The whole report: what it exports, evaluates and shows, without measuring anything."""

from pathlib import Path
from typing import Any

import pytest

from edge_scs import reporting
from edge_scs.errors import InputError
from edge_scs.report.cache import Cache
from edge_scs.reporting import evaluated, full_report
from edge_scs.weights.loading import load


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``make_report`` and the exporter are asked for; pictures and quality are left out."""
    seen: dict[str, Any] = {"exported": []}

    def make_report(out: Path, device_results: Any, models: Any, artifacts: Any, quality: Any, **more: Any) -> None:
        seen.update(models=list(models), artifacts=list(artifacts), quality=quality, **more)

    def export(network: Any, preset: str, folder: Path, say: Any) -> Path:
        seen["exported"].append((network.name, preset))
        return folder / f"{network.name}-{preset}.pte"

    monkeypatch.setattr(reporting, "make_report", make_report)
    monkeypatch.setattr(reporting, "_export", export)
    monkeypatch.setattr(reporting, "restored", lambda say: [])
    monkeypatch.setattr(reporting, "models_table", lambda: [{"name": "pcarn_m"}])
    monkeypatch.setattr(reporting, "machine_peak", lambda threads: {"threads": threads})
    monkeypatch.setattr(reporting, "measure_stages", lambda network, *_, **__: [{"model": network.name}])
    monkeypatch.setattr(reporting, "evaluated", lambda networks, data, say, cache: [(n.name, p) for n, p in networks])
    return seen


def test_every_precision_with_weights_is_exported_and_evaluated(tmp_path, asked):
    full_report(tmp_path, models=["pcarn_m", "edge_scs_m"], artifacts=[Path("other.pte")], command="edge-scs report")
    every = [("pcarn_m", "xnnpack-fp32"), ("edge_scs_m", "xnnpack-fp32"), ("edge_scs_m", "xnnpack-int8")]
    assert asked["exported"] == every
    assert asked["artifacts"][-1] == Path("other.pte")
    assert len(asked["artifacts"]) == 4
    assert asked["quality"] == [("edge_scs_m", "fp32"), ("edge_scs_m", "int8")]
    assert asked["stages"] == [{"model": "pcarn_m"}, {"model": "edge_scs_m"}]
    assert asked["networks"] == [{"name": "pcarn_m"}]
    assert asked["machine_peak"] == {"threads": 1}
    assert asked["command"] == "edge-scs report"


def test_a_bad_device_result_ends_it_before_anything_is_exported(tmp_path, asked):
    (tmp_path / "phone.json").write_text("{")
    with pytest.raises(InputError, match=r"phone\.json: not valid JSON"):
        full_report(tmp_path / "out", [tmp_path / "phone.json"])
    assert not asked["exported"]
    assert not (tmp_path / "out").exists()


def test_folders_of_device_results(tmp_path, asked):
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="no latency JSON in this folder"):
        full_report(tmp_path / "out", [tmp_path / "results"])
    (tmp_path / "results" / "phone.json").write_text("[]")
    with pytest.raises(InputError, match=r"phone\.json: lacks"):
        full_report(tmp_path / "out", [tmp_path / "results"])


def test_quality_without_data_is_of_the_bundled_photographs(tmp_path, monkeypatch):
    seen: list[list[str]] = []

    def judge(network: Any, data: Path, scale: float, say: Any) -> dict[str, Any]:
        seen.append(sorted(path.name for path in data.iterdir()))
        return {"model": network.name, "scale": scale}

    monkeypatch.setattr(reporting, "evaluate", judge)
    cache = Cache(tmp_path)
    results = evaluated([(load("edge_scs_s"), "fp32")], None, lambda line: None, cache)
    assert evaluated([(load("edge_scs_s"), "fp32")], None, lambda line: None, cache) == results
    assert len(seen) == 1  # the second time it was known
    assert len(seen[0]) == 6
    assert "china.png" in seen[0]
    wanted = {"model": "edge_scs_s", "scale": 4, "precision": "fp32", "data": "scikit-image and scikit-learn"}
    assert results == [wanted]


def test_an_artifact_that_was_proven_is_not_made_again(tmp_path, monkeypatch):
    from edge_scs.export import pipeline
    from edge_scs.export.manifest import Manifest, Parity, Port, artifact_sha256, weights_sha256
    from edge_scs.export.presets import load_preset

    network = load("edge_scs_s")
    path = tmp_path / pipeline.artifact_name("edge_scs_s", load_preset("xnnpack-fp32"))
    made: list[str] = []

    def make(*_: Any, **__: Any) -> None:
        made.append("made")

    monkeypatch.setattr(pipeline, "export_model", make)
    path.write_bytes(b"program")
    facts = {
        "artifact": path.name, "target": "executorch", "model": "edge_scs_s", "scale": 4.0, "bytes": 7, "params": 1,
        "inputs": [Port("gray", [1, 1, 2, 2], "float32")], "outputs": [Port("rgb", [1, 3, 8, 8], "float32")],
        "delegated_share": 1.0, "mult_adds": 1, "preset": "xnnpack-fp32", "precision": "fp32", "weights": "shipped",
        "min_psnr_db": 80.0, "parity": Parity("eager", 99.0, 0.0, 6, "pass", 80.0),
        "sha256": artifact_sha256(path), "weights_sha256": weights_sha256(network.model),
        "versions": pipeline.versions("executorch"),
    }  # fmt: skip
    for changes, count in (
        ({}, 0), ({"weights_sha256": "0"}, 1), ({"sha256": "0"}, 2), ({"versions": {"torch": "1"}}, 3),
        ({"parity": None}, 4), ({"parity": Parity("eager", 9.0, 0.0, 6, "fail", 80.0)}, 5),
    ):  # fmt: skip
        Manifest(**(facts | changes)).write(path)
        assert reporting._export(network, "xnnpack-fp32", tmp_path, lambda line: None) == path
        assert len(made) == count
    path.unlink()
    reporting._export(network, "xnnpack-fp32", tmp_path, lambda line: None)
    assert len(made) == 6
