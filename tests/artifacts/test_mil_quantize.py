"""MIL's quantize and dequantize by channel, along any axis, against torch's own; no coremltools needed."""

import pytest
import torch

from edge_scs.artifacts.mil_ops import OPERATIONS


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255)])
def test_by_channel_along_any_axis(axis: int, dtype: str, low: int, high: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 6)
    count = x.shape[axis]
    scale = torch.linspace(0.01, 0.03, count)
    zero = torch.arange(count) * 7 + (low + 100)
    stored = OPERATIONS["quantize"](
        {"input": x, "scale": scale, "zero_point": zero, "axis": axis, "output_dtype": dtype}
    )
    assert low <= stored.min() < stored.max() <= high
    back = OPERATIONS["dequantize"]({"input": stored, "scale": scale, "zero_point": zero, "axis": axis})
    expected = torch.fake_quantize_per_channel_affine(x, scale, zero.int(), axis % 4, low, high)
    assert torch.allclose(back, expected, atol=1e-6)


def test_signed_values_of_one_scale() -> None:
    x = torch.linspace(-1, 3, 500)
    more = {"scale": torch.tensor(4 / 255), "zero_point": torch.tensor(-64)}
    stored = OPERATIONS["quantize"]({"input": x, "output_dtype": "int8"} | more)
    assert (float(stored.min()), float(stored.max())) == (-128, 127)
    assert (OPERATIONS["dequantize"]({"input": stored} | more) - x).abs().max() < 0.51 * 4 / 255


def test_without_a_zero_point() -> None:
    x = torch.tensor([-1.0, 0.0, 1.27])
    stored = OPERATIONS["quantize"]({"input": x, "scale": torch.tensor(0.01), "output_dtype": "int8"})
    assert stored.tolist() == [-100, 0, 127]
    assert torch.allclose(OPERATIONS["dequantize"]({"input": stored, "scale": torch.tensor(0.01)}), x)
