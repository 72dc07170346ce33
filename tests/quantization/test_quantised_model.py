"""Quantised checkpoints: saved, loaded, refused, exported for both targets."""

from pathlib import Path

import pytest
import torch

from edge_scs.artifacts.presets import load_preset
from edge_scs.artifacts.verify import verify
from edge_scs.errors import InputError
from edge_scs.lowering.pipeline import export_model
from edge_scs.lowering.targets import export_targets
from edge_scs.models.colour import answer_size
from edge_scs.quantization.prepare import owner
from edge_scs.quantization.quantised_model import Quantised, load, parse_variant, save
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded, is_quantised
from tests.quantization.conftest import psnr


@pytest.fixture(scope="module")
def quantised(quantised_file: Path) -> Loaded:
    return load(str(quantised_file))


@pytest.fixture(scope="module")
def tiny_quantised(tiny_int8: Path) -> Loaded:
    return load(str(tiny_int8))


def test_it_answers_like_the_float_network_in_int8(quantised: Loaded, small: Loaded) -> None:
    gray = torch.rand(1, 1, 20, 28)
    with torch.no_grad():
        answer, float_answer = quantised.model(gray, (80, 112)), small.model(gray, (80, 112))
    assert psnr(answer, float_answer) > 20
    assert not torch.equal(answer, float_answer)
    assert answer.min() >= 0
    assert answer.max() <= 1
    levels = answer * 255  # as an 8-bit image has them: nothing is rounded twice
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


def test_the_reference_matters(quantised: Loaded) -> None:
    gray, references = torch.rand(1, 1, 20, 28), torch.rand(2, 1, 3, 128, 128)
    with torch.no_grad():
        one, two = (quantised.model(gray, (80, 112), reference) for reference in references)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("name", ["edge_scs_s", "edge_scs_m"])
def test_shipped_weights_keep_the_colour_branch_float_with_hints(name: str, end: float) -> None:
    model = load(name, amount=end).model
    assert isinstance(model, Quantised)
    assert model.keep_float_with_hints == ("colour",)


def test_what_stays_float_with_hints_is_int8_without() -> None:
    model = load("edge_scs_s").model
    assert isinstance(model, Quantised)
    gray, hints = torch.rand(1, 1, 16, 16), torch.zeros(1, 3, *answer_size((16, 16)))
    graphs = {
        False: model.lowered({"small": gray}, (64, 64)),
        True: model.lowered({"small": gray, "hints": hints}, (64, 64)),
    }
    for hinted, graph in graphs.items():
        classify = next(node for node in graph.graph.nodes if owner(node) == "colour.branch.classify")
        assert ("dequantize" in str(classify.args[0])) != hinted


@pytest.mark.parametrize("size", [(40, 56), (81, 112), (200, 280)])
def test_what_was_not_calibrated_is_refused(quantised: Loaded, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="x4, x4_ref only"):
        quantised.model(torch.rand(1, 1, 20, 28), size)


def test_a_saved_network_comes_back(quantised: Loaded, tmp_path: Path) -> None:
    path, gray = tmp_path / "again.safetensors", torch.rand(1, 1, 16, 16)
    assert isinstance(quantised.model, Quantised)
    save(path, quantised.name, quantised.model)
    again = load("edge_scs_s", path)
    with torch.no_grad():
        assert torch.equal(again.model(gray, (64, 64)), quantised.model(gray, (64, 64)))
    assert again.model.state_dict().keys() == quantised.model.state_dict().keys()


def test_a_float_loader_refuses_it_and_a_quantised_one_floats(quantised_file: Path, small: Loaded) -> None:
    with pytest.raises(InputError, match="quantised checkpoint"):
        loading.load(str(quantised_file))
    with pytest.raises(InputError, match="holds a float network"):
        load(small.source)
    assert is_quantised(quantised_file)
    assert not is_quantised(Path(small.source))
    assert not is_quantised(quantised_file.with_name("nowhere.safetensors"))


@pytest.mark.parametrize("damage", ["not json", "{}", '{"keep_float": 3}'])
def test_damaged_metadata_is_one_line(quantised: Loaded, tmp_path: Path, damage: str) -> None:
    assert isinstance(quantised.model, Quantised)
    path = tmp_path / "damaged.safetensors"
    save(path, quantised.name, quantised.model, {"quantised": damage})
    with pytest.raises(InputError, match="its quantisation is damaged"):
        load(str(path))


def test_variant_names() -> None:
    assert parse_variant("x3") == (3, False, False)
    assert parse_variant("x4_ref") == (4, True, False)
    assert parse_variant("x2_ref_hints") == (2, True, True)
    for wrong in ("3", "x", "x2.5", "x4_reference", ""):
        with pytest.raises(InputError, match="variants"):
            parse_variant(wrong)


TINY = {"lr": [24, 32], "scale": 2.0, "min_psnr_db": 40.0}


@pytest.mark.slow
def test_an_int8_pte_is_verified_and_verifiable(tiny_quantised: Loaded, tiny: Loaded, tmp_path: Path) -> None:
    manifest = export_model(tiny_quantised, load_preset("xnnpack-int8").replace(**TINY, name="tiny-int8"), tmp_path)
    assert manifest.parity is not None
    assert manifest.parity.passed
    assert manifest.parity.reference == "the converted int8 network in PyTorch"
    assert manifest.precision == "int8"
    assert manifest.delegated_share == 1.0
    float_one = export_model(tiny, load_preset("xnnpack-fp32").replace(**TINY), tmp_path)
    assert manifest.params == float_one.params
    assert manifest.mult_adds == float_one.mult_adds
    assert verify(tmp_path / manifest.artifact, load(tiny_quantised.source)).passed


def test_an_int8_mlpackage_is_verified(tiny_quantised: Loaded, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    manifest = export_model(tiny_quantised, load_preset("coreml-w8a8").replace(**TINY), tmp_path)
    assert manifest.parity is not None
    assert manifest.parity.psnr_db is not None
    assert manifest.parity.psnr_db > 40


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["xnnpack-int8", "coreml-w8a8"])
@pytest.mark.parametrize("reference", [False, True])
def test_the_shipped_int8_network_reaches_both_targets(tmp_path: Path, preset: str, reference: bool) -> None:
    """Trained weights: an untrained network's attention has no clear winners, and rounding changes who wins."""
    chosen = load_preset(preset).replace(lr=[24, 32], reference=reference, min_psnr_db=40.0)
    manifest = export_model(load("edge_scs_s"), chosen, tmp_path)
    assert manifest.parity is not None
    assert manifest.parity.passed
    assert manifest.delegated_share in (None, 1.0)
    assert manifest.bytes < 0.35 * 4 * manifest.params


def test_presets_get_the_network_of_their_precision(tiny_quantised: Loaded, tiny: Loaded, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8 cannot be made of a float one"):
        export_model(tiny, load_preset("xnnpack-int8").replace(**TINY), tmp_path)
    with pytest.raises(InputError, match="fp32 cannot be made of a quantised network"):
        export_model(tiny_quantised, load_preset("xnnpack-fp32").replace(**TINY), tmp_path)


@pytest.mark.slow
def test_an_int8_preset_asks_for_the_quantised_network(tiny_quantised: Loaded, tiny: Loaded, tmp_path: Path) -> None:
    found = []
    manifests = export_targets(
        tiny, "xnnpack-int8", tmp_path, scale=2, lr="48x36", quantised=lambda: found.append(1) or tiny_quantised
    )
    assert found
    assert manifests[0].precision == "int8"
