"""An artifact gets its name only when it is whole and verified; verifying checks it again."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from edge_scs.artifacts import manifest as manifests
from edge_scs.artifacts.diagnosis import psnr
from edge_scs.artifacts.golden import read_golden
from edge_scs.artifacts.manifest import Manifest, Parity, read_manifest
from edge_scs.artifacts.presets import Preset, load_preset
from edge_scs.artifacts.runnable import Opened, Run, open_artifact
from edge_scs.artifacts.verify import embedded_photographs, measure, prepare, verify
from edge_scs.errors import InputError
from edge_scs.lowering import pipeline
from edge_scs.lowering.building import Built
from edge_scs.lowering.methods import example_inputs
from edge_scs.lowering.pipeline import artifact_name, export_model, mult_adds
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded
from tests.exported import Exported

ROOT = Path(__file__).parents[2]


@pytest.fixture
def preset() -> Preset:
    return load_preset("executorch").replace(lr=[24, 32])


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch, small: Loaded) -> dict[str, object]:
    """Replaces the slow converter: the "artifact" is a text, and running it runs the eager network plus an error."""
    state: dict[str, object] = {"error": 0.0, "content": b"one"}

    def build(methods: object, artifact: Path, *_: object) -> Built:
        artifact.write_bytes(state["content"])  # type: ignore[arg-type]
        return Built(1.0, [], 10)

    def open_stub(artifact: Path, manifest: Manifest) -> Opened:
        assert artifact.read_bytes() == state["content"]
        run = Run(lambda inputs, exact: small.model(inputs["gray"], (96, 128)) + state["error"], rounds=False)
        return Opened(lambda method: run, "a stub")

    monkeypatch.setattr(pipeline, "build", build)
    monkeypatch.setattr(pipeline, "open_artifact", open_stub)
    monkeypatch.setattr("edge_scs.artifacts.verify.embedded_photographs", lambda: embedded_photographs()[:1])
    return state


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def whole(artifact: str) -> list[str]:
    """What lies in a folder with one whole artifact."""
    return [artifact, f"{artifact}.golden", f"{artifact}.json"]


def test_pte_manifest_says_what_was_made(pte: Exported, small: Loaded) -> None:
    manifest = pte.manifest
    assert pte.path.name == "edge_scs_s_x4_24x32_xnnpack-fp32.pte"
    assert manifest.bytes == pte.path.stat().st_size
    assert [(p.name, p.shape) for p in manifest.inputs] == [("gray", [1, 1, 24, 32])]
    assert [(p.name, p.shape) for p in manifest.outputs] == [("rgb", [1, 3, 96, 128])]
    assert manifest.parity is not None
    assert manifest.parity.images == len(embedded_photographs()) >= 6
    assert manifest.versions["executorch"]
    assert read_manifest(pte.path) == manifest
    assert names(pte.path.parent) == whole(pte.path.name)


def test_mlpackage_is_verified_at_half_precision(mlpackage: Exported) -> None:
    manifest = mlpackage.manifest
    assert mlpackage.path.name == "edge_scs_s_x2.5_24x32_ref_coreml-fp16.mlpackage"
    assert [(p.name, p.shape, p.dtype) for p in manifest.inputs] == [
        ("gray", [1, 1, 24, 32], "float16"),
        ("reference", [1, 3, 64, 64], "float16"),
    ]
    assert manifest.parity is not None
    assert manifest.parity.psnr_db is not None
    assert 50 <= manifest.parity.psnr_db < 100  # half precision was really used
    assert 2 * manifest.params < manifest.bytes < 2.1 * manifest.params + 400_000
    assert manifest.delegated_share is None


@pytest.mark.parametrize("kind", ["pte", "mlpackage"])
def test_verify_anywhere(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    exported: Exported = request.getfixturevalue(kind)
    moved = tmp_path / exported.path.name
    (shutil.copytree if exported.path.is_dir() else shutil.copy)(exported.path, moved)
    shutil.copy(f"{exported.path}.json", tmp_path)
    parity = verify(moved, images=embedded_photographs()[:2])
    assert parity.passed
    assert parity.images == 2
    assert exported.manifest.parity is not None
    for name, value in parity.per_image.items():
        assert value == pytest.approx(exported.manifest.parity.per_image[name], abs=3)
    # Another network of the same shape is told apart, by its numbers when it is given on purpose.
    foreign = loading.load("edge_scs_s", allow_untrained=True)
    parity = verify(moved, model=foreign, images=embedded_photographs()[:1])
    assert parity.verdict == "fail"
    assert parity.psnr_db is not None
    assert parity.psnr_db < 50
    # A byte more, anywhere in it.
    victim = moved / "Manifest.json" if moved.is_dir() else moved
    with open(victim, "ab") as file:
        file.write(b" ")
    with pytest.raises(InputError, match="differs from its manifest"):
        verify(moved)


def test_verify_wants_the_weights_it_was_made_from(tmp_path: Path, pte: Exported, small: Loaded) -> None:
    moved = tmp_path / pte.path.name
    shutil.copy(pte.path, moved)
    table = pte.manifest.to_dict() | {"weights": "gone.safetensors"}
    Path(f"{moved}.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match=r"gone\.safetensors, are not here; give --weights"):
        verify(moved)
    loading.save(tmp_path / "gone.safetensors", "edge_scs_s", small.model)  # beside the artifact will do
    assert verify(moved, images=embedded_photographs()[:1]).passed
    other = loading.load("edge_scs_s", allow_untrained=True).model
    loading.save(tmp_path / "gone.safetensors", "edge_scs_s", other)
    with pytest.raises(InputError, match="made from other weights"):
        verify(moved)


@pytest.mark.parametrize("error", [0.01, float("nan"), float("inf")])
def test_a_failed_verdict_leaves_nothing(
    tmp_path: Path, small: Loaded, preset: Preset, stubbed: dict[str, object], error: float
) -> None:
    stubbed["error"] = error
    with pytest.raises(InputError, match="parity failed") as caught:
        export_model(small, preset, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupted_export_leaves_the_older_artifact(
    tmp_path: Path, small: Loaded, preset: Preset, stubbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export_model(small, preset, tmp_path)
    stubbed["content"] = b"two"

    def interrupt(*_: object, **__: object) -> Parity:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "check_parity", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_model(small, preset, tmp_path)
    assert (tmp_path / first.artifact).read_bytes() == b"one"
    assert names(tmp_path) == whole(first.artifact)
    second = export_model(small, preset, tmp_path)
    assert (tmp_path / second.artifact).read_bytes() == b"two"
    assert read_manifest(tmp_path / second.artifact).sha256 == second.sha256 != first.sha256


def test_swapped_colours_fail(small: Loaded) -> None:
    shapes = {"gray": (1, 1, 24, 32)}

    def swapped(inputs: dict[str, Tensor]) -> Tensor:
        return small.model(inputs["gray"], (96, 128)).flip(1)

    parity = measure(swapped, small, shapes, (96, 128), 50, embedded_photographs()[:1])  # type: ignore[arg-type]
    assert parity.verdict == "fail"
    assert parity.flags == ["wrong colour order: channels come as BGR"]


def test_the_worst_photograph_decides(small: Loaded) -> None:
    errors = iter([0.0, 0.1, 0.0])

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return small.model(inputs["gray"], (96, 128)) + next(errors)

    parity = measure(run, small, {"gray": (1, 1, 24, 32)}, (96, 128), 50, embedded_photographs()[:3])  # type: ignore[arg-type]
    assert (parity.verdict, parity.images) == ("fail", 3)
    assert parity.psnr_db == pytest.approx(20, abs=0.01)
    assert parity.max_abs == pytest.approx(0.1, abs=1e-4)
    assert list(parity.per_image.values()) == [200.0, parity.psnr_db, 200.0]


def test_photographs_become_inputs() -> None:
    shapes = {"gray": (1, 1, 24, 40), "reference": (1, 3, 16, 16)}
    for path in embedded_photographs():
        example = prepare(path, shapes)
        assert {name: tuple(x.shape) for name, x in example.items()} == shapes
        assert 0 <= example["gray"].min() < example["gray"].max() <= 1
        assert example["gray"].std() > 0.05
    with pytest.raises(InputError, match=r"none\.png"):
        prepare(Path("none.png"), shapes)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("edge_scs_m", {"scale": 9.0}, "cannot enlarge x9; it does anything from 1 to 8"),
        ("pcarn_m", {"scale": 2.5}, "cannot enlarge x2.5; it does x2, x3 or x4"),
        ("pcarn_m", {"reference": True}, "takes no reference"),
        ("ciaosr_edsr", {}, "cannot be exported: it gathers features at computed indices"),
        ("edge_scs_m", {"precision": "int8"}, "int8 cannot be made of a float one"),
    ],
)
def test_what_a_network_cannot_do_is_said_before_work(
    tmp_path: Path, name: str, changes: dict[str, object], words: str
) -> None:
    loaded = loading.load(name, allow_untrained=True)
    with pytest.raises(InputError, match=words):
        export_model(loaded, load_preset("executorch").replace(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_named(tmp_path: Path, small: Loaded, preset: Preset) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another output folder"):
        export_model(small, preset, tmp_path / "file")


def test_mult_adds_count_the_eager_network(small: Loaded) -> None:
    loaded = loading.load("pcarn_m", allow_untrained=True)
    preset = load_preset("executorch")
    counted = mult_adds(loaded.model, example_inputs(loaded.description, preset), preset.size)
    assert counted == pytest.approx(32.4809e9, rel=1e-4)  # 32.5 G by the paper's own count
    assert artifact_name("edge_scs_m", preset) == "edge_scs_m_x4_180x320_xnnpack-fp32.pte"
    automatic = example_inputs(small.description, preset)
    referential = example_inputs(small.description, preset.replace(reference=True))
    assert torch.equal(automatic["gray"], referential["gray"])
    assert mult_adds(small.model, referential, preset.size) > mult_adds(small.model, automatic, preset.size)


def test_golden_pairs_repeat_the_parity_check(pte: Exported, mlpackage: Exported, small: Loaded) -> None:
    for exported in (pte, mlpackage):
        folder = exported.path.parent / str(exported.manifest.golden) / "forward"
        inputs, expected = read_golden(folder)
        assert [(name, list(x.shape)) for name, x in inputs.items()] == [
            (port.name, port.shape) for port in exported.manifest.inputs
        ]
        small_image, *reference = inputs.values()
        with torch.no_grad():
            answer = small.model(small_image, tuple(expected.shape[-2:]), *reference)
        assert (answer - expected).abs().max() < 1e-6
        got = open_artifact(exported.path, exported.manifest).of("forward")(inputs)
        assert exported.manifest.parity is not None
        measured = exported.manifest.parity.per_image["astronaut.png"]  # the golden pair's photograph
        assert psnr(got, expected) == pytest.approx(measured, abs=0.5)
        image = np.asarray(Image.open(folder / "expected.png"), dtype=np.float32) / 255
        assert np.abs(image - expected[0].permute(1, 2, 0).numpy()).max() < 0.51 / 255
        levels = np.asarray(Image.open(folder / "input.png"), dtype=np.float32) / 255
        assert np.abs(levels - small_image[0, 0].numpy()).max() < 1e-6
    with pytest.raises(InputError, match="no golden pair"):
        read_golden(pte.path.parent)


def test_manifests_follow_the_schema(pte: Exported, mlpackage: Exported) -> None:
    schema = json.loads(manifests.SCHEMA.read_text())
    check = jsonschema.Draft202012Validator(schema)
    for exported in (pte, mlpackage):
        table = json.loads(Path(f"{exported.path}.json").read_text())
        assert not list(check.iter_errors(table))
        assert set(table) == set(schema["properties"])
        assert list(check.iter_errors(table | {"bytes": "many"}))
        assert list(check.iter_errors({key: value for key, value in table.items() if key != "golden"}))
