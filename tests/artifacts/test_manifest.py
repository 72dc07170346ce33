"""What the manifest records, and what it refuses to read."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_scs.artifacts.manifest import (
    MAX_PSNR_DB,
    Manifest,
    Parity,
    artifact_bytes,
    artifact_sha256,
    capped_psnr,
    read_manifest,
    weights_sha256,
)
from edge_scs.errors import InputError
from tests import manifests

PROMISED = {
    "artifact", "target", "model", "scale", "inputs", "outputs", "bytes", "sha256", "delegated_share", "parity",
    "versions", "mult_adds", "params",
}  # fmt: skip


@pytest.fixture
def manifest() -> Manifest:
    return manifests.manifest(parity=Parity("eager", 99.5, 1e-6, 6, "pass", 80.0, {"a.png": 99.5}))


def test_round_trip_and_promised_keys(tmp_path: Path, manifest: Manifest) -> None:
    path = manifest.write(tmp_path / "a.pte")
    assert path == tmp_path / "a.pte.json"
    table = json.loads(path.read_text())
    assert set(table) >= PROMISED
    assert set(table["parity"]) >= {"reference", "psnr_db", "max_abs", "images", "verdict"}
    assert repr(table["scale"]) == "4"
    again = read_manifest(tmp_path / "a.pte")
    assert again == manifest
    assert again.path == tmp_path / "a.pte"
    assert "parity pass: 99.5 dB" in again.summary()


def test_keys_of_later_versions_are_ignored(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "a.pte.json").write_text(json.dumps(manifest.to_dict() | {"later": 1}))
    assert read_manifest(tmp_path / "a.pte") == manifest


def test_versions(tmp_path: Path, manifest: Manifest) -> None:
    table = manifest.to_dict()
    assert next(iter(table)) == "manifest_version"
    for key in ("manifest_version", "values"):
        del table[key]
    for port in (*table["inputs"], *table["outputs"]):
        del port["meaning"], port["range"]
    (tmp_path / "a.pte.json").write_text(json.dumps(table))  # as version 1 wrote it
    old = read_manifest(tmp_path / "a.pte")
    assert (old.manifest_version, old.values, old.inputs[0].meaning) == (1, {}, "")
    for version in (3, "2", None, True):
        (tmp_path / "a.pte.json").write_text(json.dumps(manifest.to_dict() | {"manifest_version": version}))
        with pytest.raises(InputError, match=r"a\.pte\.json: has manifest_version .* update"):
            read_manifest(tmp_path / "a.pte")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{", '{"inputs": [1], "outputs": []}', "null", "\xff", '{"bytes": NaN}', "[" * 100_000]
)
def test_damaged_manifests_are_one_line_errors(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.pte.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="export again") as caught:
        read_manifest(tmp_path / "a.pte")
    assert "\n" not in str(caught.value)


def test_manifests_of_earlier_versions_are_read(tmp_path: Path, manifest: Manifest) -> None:
    """Version 0.2 and earlier wrote ``fp32_islands`` and ``parity.proof``."""
    table = json.loads(json.dumps(manifest.to_dict()))
    table["fp32_islands"] = [*table.pop("float32_ops"), "softmax"]
    table["parity"]["proof"] = table["parity"].pop("execution") + "executed here"
    (tmp_path / "a.pte.json").write_text(json.dumps(table))
    read = read_manifest(tmp_path / "a.pte")
    assert read.float32_ops == ["softmax"]
    assert read.parity is not None
    assert read.parity.execution == "executed here"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sha256", ..., "lacks 'sha256'"),
        ("sha256", "AB", 'sha256 is "AB", must be 64 small hexadecimal digits'),
        ("target", "tflite", 'target is "tflite", must be one of "executorch", "coreml"'),
        ("bytes", 4.0, "bytes is 4.0, must be a whole number, at least 1"),
        ("params", True, "params is true, must be a whole number"),
        ("delegated_share", 1.5, "delegated_share is 1.5, must be a number or null, 0 to 1"),
        ("methods", [], "methods is [], must be a list of at least one method"),
        ("parity", None, "parity is null, must be an object with"),
        ("versions", {}, "lacks 'versions.edge_scs'"),
        ("inputs", [{"name": "gray", "shape": [1, 24.0, 32], "dtype": "float32"}], "inputs[0].shape[1] is 24.0"),
        ("inputs", [{"name": "gray", "shape": [24, 32], "dtype": "float32"}], "must be 4 whole numbers (n, c, h, w)"),
        ("inputs", [{"name": "gray", "shape": [1, 1, 24, 32]}], "lacks 'inputs[0].dtype'"),
        (
            "inputs",
            [{"name": "g", "shape": [1, 1, 9, 9], "dtyp": "float32", "dtype": "float32"}],
            "did you mean dtype?",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(
    tmp_path: Path, manifest: Manifest, key: str, value: object, message: str
) -> None:
    table = manifest.to_dict() | {key: value}
    if value is ...:
        del table[key]
    (tmp_path / "a.pte.json").write_text(json.dumps(table))
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "a.pte")
    assert message in str(caught.value)
    assert str(caught.value).endswith("export again")
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pte\.json: cannot be read"):
        read_manifest(tmp_path / "a.pte")


def test_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes(b"abc")
    assert artifact_sha256(path) == hashlib.sha256(b"abc").hexdigest()
    assert artifact_bytes(path) == 3
    with pytest.raises(InputError, match="no such artifact"):
        artifact_sha256(tmp_path / "b.pte")


def test_hash_of_a_folder_sees_names_contents_and_borders(tmp_path: Path) -> None:
    seen = set()
    for number, files in enumerate(
        [{"a/x": b"12", "b": b"3"}, {"a/x": b"1", "b": b"23"}, {"a/y": b"12", "b": b"3"}, {"a/x": b"12", "b": b"4"}]
    ):
        folder = tmp_path / str(number)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        assert artifact_bytes(folder) == 3
        seen.add(artifact_sha256(folder))
    assert len(seen) == 4


def test_hash_of_weights_sees_every_tensor() -> None:
    model = nn.Conv2d(1, 1, 1)
    before = weights_sha256(model)
    assert weights_sha256(model) == before
    with torch.no_grad():
        model.bias.add_(1e-6)  # type: ignore[union-attr]
    assert weights_sha256(model) != before


def test_psnr_is_json_safe() -> None:
    assert capped_psnr(0.0) == capped_psnr(1e-300) == MAX_PSNR_DB
    assert capped_psnr(0.01) == pytest.approx(20)
    assert capped_psnr(float("nan")) is None
    assert capped_psnr(float("inf")) is None
