"""Latency JSON from phones: what is read, what is refused, and that the reader and the schema say the same."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_scs.errors import InputError
from edge_scs.phones import results
from edge_scs.phones.results import MAX_BYTES, read_device_result, statistics, with_manifest

SCHEMA = json.loads(results.SCHEMA.read_text())
SHA256 = "ab" * 32


@pytest.fixture
def result() -> dict[str, Any]:
    """What an app would write: the schema's own example, on a phone."""
    example = copy.deepcopy(SCHEMA["examples"][0])
    example["emulated"] = False
    example["model"]["sha256"] = SHA256
    return example


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], dict[str, Any]]:
    def write_and_read(table: Any) -> dict[str, Any]:
        path = tmp_path / "phone.json"
        path.write_text(table if isinstance(table, str) else json.dumps(table))
        return read_device_result(path)

    return write_and_read


def changed(table: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy with one value set; ``...`` removes the key."""
    table = copy.deepcopy(table)
    *parents, key = place.split(".")
    inner = table
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[key]
    else:
        inner[key] = value
    return table


def test_what_an_app_writes_is_read(result, read):
    assert read(result) == result
    coreml = result | {"runtime": "coreml", "compute_units": "all", "runtime_version": None, "threads": None}
    coreml["app"] = result["app"] | {"platform": "ios"}
    assert read(coreml)["backends"] == ["XnnpackBackend"]
    more = coreml | {"compile_ms": 70.25, "placement": [part("neural_engine"), part("cpu", cost_share=0.4)]}
    slow = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "max_ms")) | {"runs": 0, "thermal": "serious"}
    more["sustained"] = {"seconds": 130.0, "runs": 1, "minutes": [slow, minute(runs=1)]}
    assert read(more) == more
    nothing = dict.fromkeys(("cached_load_ms", "low_power_mode", "memory", "placement", "sustained"))
    assert read(result | nothing) == result | nothing


def test_the_first_version_is_still_read(read):
    schema = json.loads(results.SCHEMAS[1].read_text())
    first = schema["examples"][0] | {"emulated": False}
    assert read(first) == first
    assert "sustained" not in schema["required"]
    with pytest.raises(InputError, match="unknown key 'sustained'"):
        read(first | {"sustained": None})
    with pytest.raises(InputError, match="lacks 'compile_ms'"):
        read(first | {"schema_version": 2})


def test_statistics_from_their_definitions():
    times = [float(t) for t in (20, 1, 3, 2, 5, 4, 7, 6, 9, 8)]
    assert statistics(times) == {"median_ms": 5.5, "p90_ms": 9.0, "min_ms": 1.0, "trimmed_mean_ms": 5.5}
    assert statistics(times[:9])["trimmed_mean_ms"] == pytest.approx(sum(times[:9]) / 9)
    assert statistics([3.0]) == {"median_ms": 3.0, "p90_ms": 3.0, "min_ms": 3.0, "trimmed_mean_ms": 3.0}


def part(device: str, **changes: Any) -> dict[str, Any]:
    return {"device": device, "operations": 2, "cost_share": 0.6, "types": {"conv": 2}} | changes


def minute(**changes: Any) -> dict[str, Any]:
    table = {"runs": 27000, "p50_ms": 4.25, "p90_ms": 4.5, "p99_ms": 5.5, "max_ms": 9.0, "thermal": "none"}
    return table | changes


# (key, value, what the message says). Each is refused by the reader; those of SCHEMA_SAYS_SO by the schema as well.
WRONG: list[tuple[str, Any, str]] = [
    ("schema_version", 3, "schema_version is 3, known are 1 and 2"),
    ("schema_version", "1", "schema_version"),
    ("schema_version", True, "schema_version is true"),
    ("created", "yesterday", "created"),
    ("created", "2026-11-21 03:00:00", "created"),
    ("created", 3, "created"),
    ("emulated", "false", "emulated"),
    ("emulated", 0, "emulated"),
    ("app", "edge", 'app is "edge", must be an object with name'),
    ("app.platform", "windows", "app.platform"),
    ("app.extra", 1, "unknown key 'app.extra'"),
    ("device", "", "device"),
    ("device", "x" * 201, "device"),
    ("os", None, "os"),
    ("soc", 7, "soc"),
    ("model.sha256", "AB" * 32, "model.sha256"),
    ("model.sha256", "ab" * 31, "model.sha256"),
    ("model.sha256", ..., "lacks 'model.sha256'"),
    ("model.lr", [180], "model.lr"),
    ("model.lr", [180, 0], "model.lr"),
    ("model.hr", "720x1280", "model.hr"),
    ("runtime", "tflite", "runtime"),
    ("backends", "XnnpackBackend", "backends"),
    ("backends", [1], "backends"),
    ("compute_units", "gpu", "compute_units"),
    ("compute_units", "all", "compute_units"),
    ("runtime", "coreml", "compute_units"),
    ("threads", 0, "threads"),
    ("threads", 2.5, "threads"),
    ("threads", True, "threads"),
    ("thermal_before", "warm", "thermal_before"),
    ("warmup", -1, "warmup"),
    ("runs", 0, "runs"),
    ("samples_ms", [], "samples_ms"),
    ("samples_ms", [4.25, -4.0, 5.5, 4.125], "samples_ms"),
    ("samples_ms", [4.25, 0, 5.5, 4.125], "samples_ms"),
    ("samples_ms", [4.25, "4", 5.5, 4.125], "samples_ms"),
    ("samples_ms", 4.25, "samples_ms"),
    ("median_ms", ..., "lacks 'median_ms'"),
    ("p90_ms", None, "p90_ms"),
    ("load_ms", -3.0, "load_ms"),
    ("first_ms", True, "first_ms"),
    ("median", 4.2, "unknown key 'median'; did you mean median_ms?"),
    ("compile_ms", 0, "compile_ms is 0, must be milliseconds above 0, or null"),
    ("cached_load_ms", "31", "cached_load_ms"),
    ("build_type", "Debug", 'build_type is "Debug", must be one of "debug", "benchmark", "release"'),
    ("low_power_mode", "off", "low_power_mode"),
    ("memory", {"before_mb": 1.0}, "memory is {"),
    ("memory", {"before_mb": 0, "peak_mb": 1.0}, "memory is {"),
    ("placement", {}, "placement is {}, must be a list"),
    ("placement", [{"device": "npu", "operations": 1, "cost_share": 1.0, "types": {"conv": 1}}], "placement is ["),
    ("placement", [{"device": "cpu", "operations": 0, "cost_share": 1.0, "types": {}}], "placement is ["),
    ("placement", [{"device": "cpu", "operations": 1, "cost_share": 1.5, "types": {"conv": 1}}], "placement is ["),
    ("placement", [{"device": "cpu", "operations": 1, "cost_share": 1.0}], "placement is ["),
    ("sustained", [], "sustained is [], must be an object with seconds, runs, minutes, or null"),
    ("sustained.minutes", [], "sustained is {"),
    ("sustained.minutes", [{"runs": 27000}], "sustained is {"),
    ("sustained.seconds", 1e9, "sustained is {"),
]
# What a schema cannot say.
WRONG_INSIDE: list[tuple[str, Any, str]] = [
    ("emulated", True, "emulated is true"),
    ("created", "2026-13-41T03:00:00Z", "created"),
    ("runs", 5, "samples_ms has 4 times, runs says 5"),
    ("median_ms", 4.125, "median_ms is 4.125, its samples say 4.188"),
    ("median_ms", 4.19, "median_ms"),
    ("p90_ms", 5.4, "p90_ms"),
    ("min_ms", 4.1, "min_ms"),
    ("trimmed_mean_ms", 4.2, "trimmed_mean_ms"),
    ("pipeline_ms", 4.0, "pipeline_ms is below"),
    ("compile_ms", 80.6, "compile_ms is 80.6, more than load_ms"),
    ("memory.peak_mb", 61.0, "memory.peak_mb is 61, less than before_mb"),
    ("placement", [part("cpu"), part("cpu")], "placement names a device twice"),
    ("placement", [part("cpu", types={"conv": 3})], "types must add up to operations, 2"),
    ("placement", [part("cpu"), part("gpu")], "the shares of the cost add up to 1.200"),
    ("sustained.runs", 26000, "sustained.minutes must have 26000 runs"),
    ("sustained.seconds", 59.0, "2 minutes in 59 seconds"),
    ("sustained.minutes", [minute(runs=0), minute(runs=27000)], "minutes[0] has times, but no runs"),
    ("sustained.minutes", [minute(p90_ms=None)], "minutes[0]: p50_ms"),
    ("sustained.minutes", [minute(p99_ms=4.4)], "must be times that do not fall"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG + WRONG_INSIDE)
def test_wrong_values_are_one_line(result, read, place, value, message):
    with pytest.raises(InputError) as caught:
        read(changed(result, place, value))
    text = str(caught.value)
    assert "phone.json: " in text
    assert message in text
    assert "\n" not in text


def test_schema_and_reader_agree(result, read):
    check = jsonschema.Draft202012Validator(SCHEMA)
    check.check_schema(SCHEMA)
    assert check.is_valid(SCHEMA["examples"][0])
    assert check.is_valid(result)
    for place, value, _ in WRONG:
        assert not check.is_valid(changed(result, place, value)), (place, value)
    for place, value, _ in WRONG_INSIDE:
        assert check.is_valid(changed(result, place, value)), (place, value)
    for key in SCHEMA["required"]:
        with pytest.raises(InputError, match=key):
            read(changed(result, key, ...))
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(result)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("4.125]", "NaN]"), "NaN is no number"),
        (lambda text: text.replace("4.125]", "Infinity]"), "Infinity is no number"),
        (lambda text: text.replace("4.125]", "1e999]"), "samples_ms"),
        (lambda text: text.replace('"runs"', '"warmup"'), "'warmup' is given twice"),
        (lambda text: text.replace('"hr"', '"lr"'), "'lr' is given twice"),
        (lambda text: text[:-1], "not valid JSON"),
        (lambda text: "", "not valid JSON"),
        (lambda text: "[]", "lacks 'schema_version'"),
        (lambda text: "[" * 100_000, "not valid JSON"),
        (lambda text: text + " " * MAX_BYTES, "larger than 1 MB"),
        (lambda text: text.replace("XnnpackBackend", "\\n\\u202e" * 200), "backends"),
    ],
)
def test_damaged_files_are_one_line(result, read, damage, message):
    with pytest.raises(InputError) as caught:
        read(damage(json.dumps(result)))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_device_result(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_device_result(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_device_result(tmp_path)


def manifest(**changes: Any) -> dict[str, dict[str, Any]]:
    ports = {"inputs": [{"shape": [1, 1, 180, 320]}], "outputs": [{"shape": [1, 3, 720, 1280]}]}
    table = {"model": "edge_scs_m", "preset": "xnnpack-fp32", "precision": "fp32", "params": 5, "bytes": 6}
    return {SHA256: table | {"mult_adds": 7} | ports | changes}


def test_the_manifest_of_what_ran_tells_its_costs(result):
    merged = with_manifest(result, manifest(), "phone.json")
    wanted = {"preset": "xnnpack-fp32", "precision": "fp32", "params": 5, "bytes": 6, "mult_adds": 7}
    assert merged["artifact"] == wanted
    assert {key: merged[key] for key in result} == result


def test_another_method_has_no_mult_adds(result):
    small = {"inputs": [{"shape": [1, 1, 64, 64]}], "outputs": [{"shape": [1, 3, 256, 256]}]}
    result["model"] |= {"lr": [64, 64], "hr": [256, 256]}
    assert with_manifest(result, manifest(methods=[small]), "x")["artifact"]["mult_adds"] is None


@pytest.mark.parametrize(
    ("manifests", "message"),
    [
        ({}, r"phone\.json: model\.sha256 abab.*--artifact"),
        (manifest(model="edge_scs_s"), "the manifest of its artifact says 'edge_scs_s'"),
        (manifest(inputs=[{"shape": [1, 1, 90, 160]}]), "no size that its artifact has"),
    ],
)
def test_results_of_other_artifacts_are_refused(result, manifests, message):
    with pytest.raises(InputError, match=message):
        with_manifest(result, manifests, "phone.json")
