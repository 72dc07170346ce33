"""The phones' golden vectors are what the package computes today."""

import json
import runpy
from pathlib import Path

import jsonschema
import pytest

from edge_scs.inference.tiles import blend_weights
from edge_scs.phones import results

APPS = Path(__file__).parents[2] / "apps"
FOLDER = APPS / "testdata"


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return runpy.run_path(str(APPS / "make_testdata.py"))["documents"]()


def test_committed_vectors_are_the_generated_ones(generated: dict[str, str]) -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert committed.keys() == generated.keys()
    stale = [name for name, text in generated.items() if committed[name] != text]
    assert not stale, "run python apps/make_testdata.py"


def test_a_tiles_weights_are_float32_and_sum_to_one() -> None:
    for case in json.loads((FOLDER / "tiling.json").read_text())["cases"]:
        if "weights" not in case:
            continue
        total = [0.0] * (case["hr_starts"][-1] + case["hr_tile"])
        for start, weights in zip(case["hr_starts"], case["weights"], strict=True):
            assert len(weights) == case["hr_tile"]
            for index, weight in enumerate(weights):
                total[start + index] += weight
        assert total == pytest.approx([1.0] * len(total), abs=1e-6)


def test_vectors_tell_a_fade_from_a_step() -> None:
    """A core that ignores the halo, or cuts instead of fading, must not pass."""
    case = next(c for c in json.loads((FOLDER / "tiling.json").read_text())["cases"] if c["lr"] == 100)
    placed, hr = case["hr_starts"], case["hr_tile"]
    assert abs(blend_weights(placed, hr, 0) - case["weights"]).max() > 0.1
    assert any(0.2 < weight < 0.8 for row in case["weights"] for weight in row)


def test_latency_documents_fit_the_schema() -> None:
    schema = json.loads(results.SCHEMA.read_text())
    for case in json.loads((FOLDER / "latency.json").read_text())["cases"]:
        jsonschema.validate(case["document"], schema)
