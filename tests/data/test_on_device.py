"""Batches that are made on the device, here the CPU: the loader's to one grey level a pass, Pillow's exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_scs.data.on_device import Planned, PlannedBatches, Resident, reduced
from edge_scs.data.pairs import Batch, StepBatches
from edge_scs.data.photographs import Photographs, load_photographs
from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.recipes import DataSection, load_recipe
from edge_scs.training.checks import check_stages
from edge_scs.training.loop import train
from tests.training.conftest import folder, losses, pcarn_recipe

__all__ = ["folder", "pcarn_recipe"]
CPU = torch.device("cpu")
PATCH = DataSection(batch=4, lr_patch=16, scales=[2, 3, 4])
SCENE = DataSection(
    batch=4, crop="image", hr_side=96, whole_scales=0.0, zoom=0.5, reference_every=1, foreign_references=0.5,
    spoiled_references=0.5, views=2, hints=0.5,
)  # fmt: skip
SQUARE = DataSection(batch=3, crop="square", lr_patch=20, scales=[4], reference_every=2)


@pytest.fixture
def photographs(folder: Path) -> Photographs:
    Image.open(folder / "0.png").crop((0, 0, 40, 36)).save(folder / "tiny.png")  # mirrored to fill a window
    return load_photographs([folder], min_side=32)


def made(batches: PlannedBatches, step: int, resident: torch.Tensor | None) -> Batch:
    planned = batches[step]
    assert isinstance(planned, Planned)
    assert (planned.pixels is None) == (resident is not None)
    return planned.made(CPU, resident)


def levels(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max()) * 255


@pytest.mark.parametrize("fits", [True, False], ids=["resident", "sent"])
@pytest.mark.parametrize(
    ("data", "colour"),
    [(PATCH, True), (PATCH, False), (replace(PATCH, points=50), True), (SCENE, False), (SQUARE, False)],
    ids=["colour", "grey", "points", "scenes", "square"],
)
def test_a_batch_is_the_loaders_to_one_level(
    data: DataSection, colour: bool, fits: bool, photographs: Photographs
) -> None:
    resident = Resident(photographs, 1 << 30 if fits else 0).pixels(CPU)
    for rank in (0, 1):
        theirs = StepBatches(photographs, data, 7, rank, 2, colour, as_bytes=True)
        ours = PlannedBatches(photographs, data, 7, rank, 2, colour, as_bytes=True)
        ours.resident = fits
        for step in range(6):
            a, b = made(ours, step, resident), theirs[step].to(CPU)
            assert a.hr.shape == b.hr.shape
            assert a.gray.shape == b.gray.shape
            # The loader rounds at each pass, where it is a level off; a scene has been reduced before.
            assert levels(a.hr, b.hr) <= (0 if data.crop == "patch" else 2.01)
            assert levels(a.gray, b.gray) <= (1.01 if data.crop == "patch" else 2.01)
            assert float((a.gray - b.gray).abs().mean()) * 255 < 0.01
            assert a.chroma_ratio == b.chroma_ratio
            for key in ("points", "shifts", "hints"):
                x, y = getattr(a, key), getattr(b, key)
                assert (x is None and y is None) or torch.equal(x, y)
            assert (a.rgb is None) == (b.rgb is None)
            if a.rgb is not None and b.rgb is not None:
                assert levels(a.rgb, b.rgb) <= 1.01
            assert (a.reference is None) == (b.reference is None)
            if a.reference is not None and b.reference is not None:
                # No bound on a single pixel: an exposure to the power of 0.2 lifts what is dark.
                assert float((a.reference - b.reference).abs().mean()) * 255 < 0.3


@pytest.mark.parametrize("size", [(48, 64), (50, 37), (100, 31), (192, 256), (240, 300), (1, 1)])
def test_reduction_is_pillows_bit_for_bit(size: tuple[int, int], photograph: np.ndarray) -> None:
    image = photograph[100:292, 100:356]
    ours = reduced(torch.from_numpy(image.copy()).permute(2, 0, 1)[None], size)[0].permute(1, 2, 0)
    pillow = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    assert (ours.numpy() == pillow).all()


def test_a_run_learns_the_same_wherever_its_photographs_are(folder: Path, tmp_path: Path, pcarn_recipe) -> None:
    found = []
    for name, settings in (("resident", ["workers=0"]), ("sent", ["device_mb=0", "workers=1"])):
        plan = load_recipe(pcarn_recipe(l1=4), ['stages=["l1"]', "stage.l1.data.on_device=true", *settings])
        train(plan, load_photographs([folder]), tmp_path / name, say=lambda text: None)
        found.append(losses(tmp_path / name))
    assert len(found[0]) == 4
    assert found[0] == found[1]


@pytest.mark.parametrize("setting", ['degradation="worn"', "fade=0.5"])
def test_what_the_cpu_alone_makes_is_refused(setting: str, pcarn_recipe) -> None:
    plan = load_recipe(pcarn_recipe(), ["stage.l1.data.on_device=true", f"stage.l1.data.{setting}"])
    with pytest.raises(InputError, match=r"stage\.l1\.data\.on_device: \w+ is made by the CPU"):
        check_stages(plan, registry.create(plan.model, plan.config))


def test_a_device_without_the_memory_is_named_in_one_line(
    photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError, match="device_mb: cpu has no 0 MB left for the photographs; set it below"):
        Resident(photographs, 1 << 30).pixels(CPU)
