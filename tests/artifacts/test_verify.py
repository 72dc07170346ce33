"""The verdict: every method and every photograph counts, and a manifest that was edited verifies nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edge_scs.artifacts import verify as verifying
from edge_scs.artifacts.manifest import Manifest, MethodPorts, Parity, Port, artifact_sha256, check_scales
from edge_scs.artifacts.runnable import Opened, Run
from edge_scs.artifacts.verify import check_least, check_parity, measure, prepare, verify
from edge_scs.errors import InputError
from edge_scs.inference.choice import make_predictor
from edge_scs.models.registry import describe
from edge_scs.weights.loading import Loaded
from tests import manifests

SIZES = {"forward": (6, 8), "x2_8x12": (12, 8)}


class Twice(nn.Module):
    """A network that repeats pixels, and nothing else."""

    def forward(self, small: Tensor, size: tuple[int, int]) -> Tensor:
        rows, cols = size[0] // small.shape[2], size[1] // small.shape[3]
        return small.expand(-1, 3, -1, -1).repeat_interleave(rows, 2).repeat_interleave(cols, 3)


def ports(name: str, lr: tuple[int, int], scale: float | None = 2.0) -> MethodPorts:
    h, w = lr
    small, large = Port("gray", [1, 1, h, w], "float32"), Port("rgb", [1, 3, 2 * h, 2 * w], "float32")
    return MethodPorts(name, [small], [large], scale)


def manifest(**more: object) -> Manifest:
    methods = [ports(name, lr) for name, lr in SIZES.items()]
    given = {"scale": 2.0, "inputs": methods[0].inputs, "outputs": methods[0].outputs, "methods": methods}
    return manifests.manifest(**(given | more))


@pytest.fixture
def loaded() -> Loaded:
    from edge_scs.models import registry

    description = describe("edge_scs_s", registry.create("edge_scs_s"))
    return Loaded("edge_scs_s", Twice(), description, "untrained")


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return paths


def opened(error: Mapping[str, float]) -> Opened:
    """Methods that answer as the network does but for an error added to every value."""

    def of(name: str) -> Run:
        def call(inputs: Mapping[str, Tensor], exact: bool) -> Tensor:
            gray = inputs["gray"]
            return Twice()(gray, (2 * gray.shape[2], 2 * gray.shape[3])) + error.get(name, 0.0)

        return Run(call, rounds=False)

    return Opened(of, "run by the test")


@pytest.mark.parametrize("broken", list(SIZES))
def test_one_broken_method_of_two_fails(loaded: Loaded, photographs: list[Path], broken: str) -> None:
    parity = check_parity(opened({broken: 0.01}), manifest(), loaded, photographs)
    assert (parity.verdict, parity.passed, parity.images) == ("fail", False, 3)
    assert parity.psnr_db == pytest.approx(40.0, abs=0.01)
    assert parity.methods[broken] == pytest.approx(40.0, abs=0.01)
    assert max(parity.methods.values()) > 100
    assert parity.max_abs == pytest.approx(0.01, rel=1e-3)


def test_all_methods_right_is_a_pass(loaded: Loaded, photographs: list[Path]) -> None:
    parity = check_parity(opened({}), manifest(), loaded, photographs)
    assert (parity.verdict, parity.psnr_db, parity.execution) == ("pass", 200.0, "run by the test")
    assert set(parity.per_image) == {"0.png", "1.png", "2.png"}
    elsewhere = replace(opened({}), verdict="not run here")
    assert check_parity(elsewhere, manifest(), loaded, photographs).verdict == "not run here"


def test_the_worst_photograph_decides(loaded: Loaded, photographs: list[Path]) -> None:
    seen = []

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        seen.append(1)
        answer = Twice()(inputs["gray"], (12, 16))
        return answer + (0.001 if len(seen) == 2 else 0.0)

    parity = measure(run, loaded, {"gray": (1, 1, 6, 8)}, (12, 16), 59.9, photographs)
    assert (parity.psnr_db, parity.verdict) == (60.0, "pass")
    seen.clear()
    assert measure(run, loaded, {"gray": (1, 1, 6, 8)}, (12, 16), 60.1, photographs).verdict == "fail"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_fails(loaded: Loaded, photographs: list[Path], value: float) -> None:
    parity = check_parity(opened({"forward": value}), manifest(), loaded, photographs)
    assert (parity.verdict, parity.psnr_db, parity.max_abs) == ("fail", None, None)
    assert "NaN or infinity" in parity.flags[0]


def test_another_shape_is_refused(loaded: Loaded, photographs: list[Path]) -> None:
    with pytest.raises(InputError, match=r"gives shape \(1, 3, 12, 16\), the network \(1, 3, 18, 24\)"):
        measure(lambda x: Twice()(x["gray"], (12, 16)), loaded, {"gray": (1, 1, 6, 8)}, (18, 24), 60, photographs)


def test_photographs_are_cut_to_the_aspect_and_references_mirrored(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    made = prepare(tmp_path / "a.png", {"gray": (1, 1, 10, 20), "reference": (1, 3, 8, 16)})
    assert made["gray"].shape == (1, 1, 10, 20)
    assert made["reference"].shape == (1, 3, 8, 16)
    assert made["gray"][0, 0, 5, 0] == 0
    assert made["gray"][0, 0, 5, -1] == 1
    assert made["reference"][0, 0, 4, 0] == 1
    assert made["reference"][0, 0, 4, -1] == 0


@pytest.mark.parametrize("scale", [3.0, 1.0, 2.5])
def test_an_edited_scale_is_noticed(scale: float) -> None:
    check_scales(manifest())
    with pytest.raises(InputError, match=f"says scale {scale:g} of forward, whose sizes are 8x6 to 16x12"):
        check_scales(manifest(scale=scale))
    methods = [ports("forward", (6, 8)), ports("other", (12, 8), scale)]
    with pytest.raises(InputError, match=f"says scale {scale:g} of other"):
        check_scales(manifest(methods=methods))
    check_scales(manifest(methods=[], scale=2.0))
    check_scales(manifest(scale=scale, continuous={"halo": 1}))


@pytest.mark.parametrize(
    ("preset", "least", "fine"),
    [
        ("xnnpack-fp32", 80.0, True),
        ("xnnpack-fp32", 79.9, False),
        ("xnnpack-fp32", 0.0, False),
        ("coreml-palette6", 30.0, True),
        ("mine", 25.0, True),
        ("mine", 0.0, False),
        ("mine", float("nan"), False),
    ],
)
def test_an_edited_threshold_is_noticed(preset: str, least: float, fine: bool) -> None:
    edited = manifest(preset=preset, min_psnr_db=least)
    if fine:
        check_least(Path("a.pte"), edited)
        return
    with pytest.raises(InputError, match=r"a\.pte: its manifest asks for .* it was edited"):
        check_least(Path("a.pte"), edited)


def test_verify_looks_at_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: Loaded) -> None:
    artifact = tmp_path / "a.pte"
    artifact.write_bytes(b"abc")
    monkeypatch.setattr(verifying, "open_artifact", lambda *_: opened({}))
    sound = manifest(sha256=artifact_sha256(artifact))
    for change, words in [
        ({}, None),
        ({"sha256": "0" * 64}, "differs from its manifest"),
        ({"scale": 3.0}, "says scale 3"),
        ({"min_psnr_db": 0.0}, "asks for 0 dB"),
    ]:
        replace(sound, **change).write(artifact)
        if words is None:
            assert verify(artifact, loaded).passed
            continue
        with pytest.raises(InputError, match=words):
            verify(artifact, loaded)


def test_what_failed_its_parity_check_is_not_run(tmp_path: Path) -> None:
    artifact = tmp_path / "a.pte"
    artifact.write_bytes(b"abc")
    failed = Parity("eager", 12.0, 0.5, 6, "fail", 60.0)
    manifest(sha256=artifact_sha256(artifact), parity=failed).write(artifact)
    with pytest.raises(InputError, match="verdict is 'fail'"):
        make_predictor("edge_scs_m", runtime="executorch", artifact=artifact)
    manifest(sha256=artifact_sha256(artifact), scale=4.0).write(artifact)
    with pytest.raises(InputError, match="says scale 4"):
        make_predictor("edge_scs_m", runtime="executorch", artifact=artifact)
