"""An artifact gets its name only when it is whole and proven; verification proves it again."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.export import pipeline
from edge_scs.export.manifest import Manifest, Parity, read_manifest
from edge_scs.export.pipeline import artifact_name, example_inputs, export_model, export_targets, mult_adds
from edge_scs.export.presets import Preset, load_preset
from edge_scs.export.verify import embedded_photographs, measure, prepare, verify
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded
from tests.export.conftest import Exported


@pytest.fixture
def preset() -> Preset:
    return load_preset("executorch").replace(lr=[24, 32])


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch, small: Loaded) -> dict[str, object]:
    """Replaces the slow converter: the "artifact" is a text, and running it runs the eager network plus an error."""
    state: dict[str, object] = {"error": 0.0, "content": b"one"}

    def build(module: nn.Module, example: object, artifact: Path, *_: object) -> object:
        artifact.write_bytes(state["content"])  # type: ignore[arg-type]
        return pipeline._Built(1.0, [], 10)

    def open_stub(artifact: Path, target: str) -> object:
        assert artifact.read_bytes() == state["content"]
        return lambda inputs: small.model(inputs["gray"], (96, 128)) + state["error"]

    monkeypatch.setattr(pipeline, "_build", build)
    monkeypatch.setattr(pipeline, "open_artifact", open_stub)
    monkeypatch.setattr("edge_scs.export.verify.embedded_photographs", lambda: embedded_photographs()[:1])
    return state


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
    assert sorted(path.name for path in pte.path.parent.iterdir()) == [pte.path.name, pte.path.name + ".json"]


def test_mlpackage_is_proven_at_half_precision(mlpackage: Exported) -> None:
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
        patch.setattr(pipeline, "measure", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_model(small, preset, tmp_path)
    assert (tmp_path / first.artifact).read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.artifact, f"{first.artifact}.json"]
    second = export_model(small, preset, tmp_path)
    assert (tmp_path / second.artifact).read_bytes() == b"two"
    assert read_manifest(tmp_path / second.artifact).sha256 == second.sha256 != first.sha256


def test_an_older_package_folder_is_replaced(tmp_path: Path) -> None:
    final, artifact = tmp_path / "a.mlpackage", tmp_path / "w" / "a.mlpackage"
    for folder, name in ((final, "old"), (artifact, "new")):
        folder.mkdir(parents=True)
        (folder / name).touch()
    (tmp_path / "w" / "a.mlpackage.json").write_text("new")
    (tmp_path / "a.mlpackage.json").write_text("old")
    pipeline._publish(artifact, final)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert (tmp_path / "a.mlpackage.json").read_text() == "new"


def test_swapped_colours_fail(small: Loaded) -> None:
    shapes = {"gray": (1, 1, 24, 32)}

    def swapped(inputs: dict[str, Tensor]) -> Tensor:
        return small.model(inputs["gray"], (96, 128)).flip(1)

    parity = measure(swapped, small, shapes, (96, 128), 50, embedded_photographs()[:1])  # type: ignore[arg-type]
    assert parity.verdict == "fail"


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
        ("edge_scs_m", {"precision": "int8"}, "int8 cannot be made yet"),
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


def test_targets_are_checked_before_the_first_export(
    tmp_path: Path, small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Preset] = []

    def record(loaded: Loaded, preset: Preset, *_: object) -> Manifest | None:
        asked.append(preset)
        return None

    monkeypatch.setattr(pipeline, "export_model", record)
    export_targets(small, "executorch, coreml", tmp_path, scale=2.5, lr="40x24")
    assert [(p.target, p.lr, p.scale) for p in asked] == [("executorch", [24, 40], 2.5), ("coreml", [24, 40], 2.5)]
    asked.clear()
    for targets, lr in (
        ("executorch,korml", None),
        ("executorch", "40"),
        ("executorch", "0x4"),
        ("executorch", "-4x4"),
    ):
        with pytest.raises(InputError):
            export_targets(small, targets, tmp_path, lr=lr)
    assert asked == []


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
