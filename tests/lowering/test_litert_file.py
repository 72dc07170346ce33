"""LiteRT: the same parity check, by its interpreter where the extra is installed; else a line that names the extra."""

import importlib.util
from pathlib import Path

import pytest

from edge_scs.artifacts.presets import load_preset
from edge_scs.artifacts.verify import verify
from edge_scs.lowering import extras, litert_file
from edge_scs.lowering.methods import UnsupportedError
from edge_scs.lowering.pipeline import export_model
from edge_scs.weights.loading import Loaded

INSTALLED = all(importlib.util.find_spec(package) for package in litert_file.NEEDS)


@pytest.mark.skipif(not INSTALLED, reason="the extra litert is not installed")
@pytest.mark.parametrize("changes", [{}, {"reference": True, "reference_side": 64}, {"scale": 2.5}])
def test_a_tflite_file_is_verified_by_litert(tmp_path: Path, small: Loaded, changes: dict[str, object]) -> None:
    manifest = export_model(small, load_preset("litert").replace(lr=[24, 32], **changes), tmp_path)
    assert manifest.artifact.endswith("_litert-fp32.tflite")
    assert manifest.parity is not None
    assert manifest.parity.psnr_db is not None
    assert manifest.parity.psnr_db >= 80
    assert [port.name for port in manifest.inputs] == ["gray", *(["reference"] if changes.get("reference") else [])]
    assert verify(tmp_path / manifest.artifact, small).passed


def test_a_missing_extra_is_named(tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(
        UnsupportedError, match=r"litert_torch: is not installed; run: pip install 'edge-scs\[litert\]'"
    ):
        export_model(small, load_preset("litert").replace(lr=[24, 32]), tmp_path)
    assert list(tmp_path.iterdir()) == []
