"""ONNX: the same parity check, by onnxruntime where the extra is installed; else a line that says what to install."""

import importlib.util
from pathlib import Path

import pytest

from edge_scs.artifacts.presets import load_preset
from edge_scs.artifacts.verify import verify
from edge_scs.lowering import extras, onnx_file
from edge_scs.lowering.methods import UnsupportedError
from edge_scs.lowering.pipeline import export_model
from edge_scs.weights.loading import Loaded

INSTALLED = all(importlib.util.find_spec(package) for package in onnx_file.NEEDS)


@pytest.mark.skipif(not INSTALLED, reason="the extra onnx is not installed")
@pytest.mark.parametrize("changes", [{}, {"reference": True, "reference_side": 64}, {"scale": 2.5}])
def test_an_onnx_file_is_verified_by_onnxruntime(tmp_path: Path, small: Loaded, changes: dict[str, object]) -> None:
    manifest = export_model(small, load_preset("onnx").replace(lr=[24, 32], **changes), tmp_path)
    assert manifest.artifact.endswith("_onnx-fp32.onnx")
    assert manifest.parity is not None
    assert manifest.parity.psnr_db is not None
    assert manifest.parity.psnr_db >= 80
    assert [port.name for port in manifest.inputs] == ["gray", *(["reference"] if changes.get("reference") else [])]
    assert verify(tmp_path / manifest.artifact, small).passed


def test_a_missing_extra_is_named(tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"onnx: is not installed; run: pip install 'edge-scs\[onnx\]'"):
        export_model(small, load_preset("onnx").replace(lr=[24, 32]), tmp_path)
    assert list(tmp_path.iterdir()) == []
