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
    Port,
    artifact_bytes,
    artifact_sha256,
    capped_psnr,
    read_manifest,
    weights_sha256,
)
from edge_scs.errors import InputError

PROMISED = {
    "artifact", "target", "model", "scale", "inputs", "outputs", "bytes", "sha256", "delegated_share", "parity",
    "versions", "mult_adds", "params",
}  # fmt: skip


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        artifact="a.pte",
        target="executorch",
        model="edge_scs_m",
        scale=4.0,
        inputs=[Port("gray", [1, 1, 2, 3], "float32")],
        outputs=[Port("rgb", [1, 3, 8, 12], "float32")],
        bytes=3,
        sha256="00",
        delegated_share=1.0,
        parity=Parity("eager", 99.5, 1e-6, 6, "pass", 80.0, {"a.png": 99.5}),
        versions={"torch": "2"},
        mult_adds=10,
        params=5,
        preset="xnnpack-fp32",
        precision="fp32",
        weights="shipped",
        weights_sha256="11",
        min_psnr_db=80.0,
    )


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


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"inputs": [1], "outputs": []}', "null", "\xff"])
def test_damaged_manifests_are_one_line_errors(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.pte.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="export again") as caught:
        read_manifest(tmp_path / "a.pte")
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
