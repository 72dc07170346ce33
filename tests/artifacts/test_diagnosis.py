"""Each classic fault, injected into a deployment's answer, is called by its name; a sound answer by none."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.artifacts.diagnosis import diagnose
from edge_scs.artifacts.verify import embedded_photographs, prepare

LR, SIZE = (48, 64), (192, 256)


@pytest.fixture(scope="module")
def rgb() -> Tensor:
    """A real photograph in place of a network's answer."""
    return prepare(embedded_photographs()[0], {"rgb": (1, 3, *SIZE)})["rgb"]


def shifted(x: Tensor, down: int, right: int) -> Tensor:
    return F.pad(x, (4, 4, 4, 4), mode="replicate")[
        ..., 4 - down : 4 - down + x.shape[2], 4 - right : 4 - right + x.shape[3]
    ]


def aligned(rgb: Tensor) -> Tensor:
    small = F.interpolate(rgb, LR, mode="area")
    return F.interpolate(small, SIZE, mode="bilinear", align_corners=True)


def smooth(rgb: Tensor) -> Tensor:
    return F.interpolate(F.interpolate(rgb, LR, mode="area"), SIZE, mode="bilinear", align_corners=False)


def test_a_sound_answer_has_no_fault(rgb: Tensor) -> None:
    assert diagnose(rgb + 1e-4, rgb, LR) == []


def test_noise_is_no_known_fault(rgb: Tensor) -> None:
    assert diagnose(rgb + 0.05 * torch.randn_like(rgb), rgb, LR) == []


def test_nan(rgb: Tensor) -> None:
    broken = rgb.clone()
    broken[0, 1, 5, 5] = torch.nan
    assert diagnose(broken, rgb, LR) == ["NaN or infinity"]


@pytest.mark.parametrize(("order", "name"), [([2, 1, 0], "BGR"), ([1, 2, 0], "GBR")])
def test_colour_order(rgb: Tensor, order: list[int], name: str) -> None:
    assert diagnose(rgb[:, order], rgb, LR) == [f"wrong colour order: channels come as {name}"]


def test_channels_last_memory(rgb: Tensor) -> None:
    (fault,) = diagnose(rgb.permute(0, 2, 3, 1).reshape(rgb.shape), rgb, LR)
    assert fault.startswith("dim-order trap: the output")


def test_a_transposed_output(rgb: Tensor) -> None:
    (fault,) = diagnose(rgb.transpose(2, 3).reshape(rgb.shape), rgb, LR)
    assert fault.startswith("dim-order trap: the output")


def test_an_input_that_is_read_as_channels_last(rgb: Tensor) -> None:
    def run(inputs: dict[str, Tensor]) -> Tensor:
        n, c, h, w = inputs["rgb_lr"].shape
        return inputs["rgb_lr"].reshape(n, h, w, c).permute(0, 3, 1, 2)

    inputs = {"rgb_lr": rgb}
    assert "dim-order trap: rgb_lr is read as channels-last" in diagnose(run(inputs), rgb, LR, run, inputs)  # type: ignore[arg-type]


def test_an_input_that_is_read_as_bgr(rgb: Tensor) -> None:
    """The answer's luma depends on it, so swapping the answer's channels does not help."""

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return answer({"rgb_lr": inputs["rgb_lr"].flip(1)})

    def answer(inputs: dict[str, Tensor]) -> Tensor:
        red, green, blue = inputs["rgb_lr"].split(1, 1)
        return torch.cat([red, green * red, blue * red], 1)

    inputs = {"rgb_lr": rgb}
    found = diagnose(run(inputs), answer(inputs), LR, run, inputs)  # type: ignore[arg-type]
    assert found == ["wrong colour order: rgb_lr is read as BGR"]


@pytest.mark.parametrize("step", [(1, 0), (0, -1), (1, 1), (4, 4)])
def test_a_grid_that_is_off(rgb: Tensor, step: tuple[int, int]) -> None:
    """By an HR pixel or two, or by an LR pixel, which is four at x4."""
    assert diagnose(shifted(rgb, *step), rgb, LR) == [f"sampling grid off by {step[0]} rows and {step[1]} columns"]


def test_aligned_corners(rgb: Tensor) -> None:
    (fault,) = diagnose(aligned(rgb), smooth(rgb), LR)
    assert fault.startswith("sampling grid: corners are aligned")


def test_float16_drift(rgb: Tensor) -> None:
    def exact(inputs: object) -> Tensor:
        return rgb

    drifted = ((rgb * 4096).half() / 4096).float() + 0.02 * torch.rand_like(rgb)
    assert diagnose(drifted, rgb, LR, None, {}, exact) == ["fp16 drift: right in float32, wrong in float16"]  # type: ignore[arg-type]
    infinite = diagnose(rgb / 0, rgb, LR, None, {}, exact)  # type: ignore[arg-type]
    assert infinite[0] == "NaN or infinity"
    assert "beyond float16's range" in infinite[1]
