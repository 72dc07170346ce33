"""Operations of the evaluator that conversions of ours seldom reach, built one by one and compared with PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("coremltools")

import coremltools as ct
from coremltools.converters.mil import Builder as mb  # noqa: N813

from edge_scs.artifacts.mil import MilProgram
from edge_scs.artifacts.mil_ops import OPERATIONS
from edge_scs.artifacts.optional_imports import quiet
from edge_scs.errors import InputError

SHAPE = (1, 4, 6, 10)
WEIGHT = np.linspace(-1, 1, 10 * 3, dtype=np.float32).reshape(10, 3)
Build = Callable[[Any], Any]
Expect = Callable[[Tensor], Tensor]

# Operation -> (how to build it on x, the same in PyTorch). x is uniform in [-2, 2].
BUILT: dict[str, tuple[Build, Expect]] = {
    "crop": (lambda x: mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 3]), lambda x: x[..., 1:-2, :-3]),
    "einsum": (
        lambda x: mb.einsum(values=(x, mb.transpose(x=x, perm=[0, 3, 2, 1])), equation="nchw,nwhu->nchu"),
        lambda x: torch.einsum("nchw,nwhu->nchu", x, x.permute(0, 3, 2, 1)),
    ),
    "resize_bilinear": (
        lambda x: mb.resize_bilinear(
            x=x, target_size_height=12, target_size_width=15, sampling_mode="UNALIGN_CORNERS"
        ),
        lambda x: F.interpolate(x, (12, 15), mode="bilinear", align_corners=False),
    ),
    "prelu": (
        lambda x: mb.prelu(x=x, alpha=np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
        lambda x: F.prelu(x, torch.tensor([0.1, 0.2, 0.3, 0.4])),
    ),
    "cast": (lambda x: mb.cast(x=mb.cast(x=x, dtype="int32"), dtype="fp32"), torch.trunc),
    "relu6": (lambda x: mb.relu6(x=mb.mul(x=x, y=5.0)), lambda x: F.relu6(5 * x)),
    "softplus": (lambda x: mb.softplus(x=x), F.softplus),
    "sigmoid_hard": (lambda x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4), lambda x: (0.3 * x + 0.4).clamp(0, 1)),
    "thresholded_relu": (lambda x: mb.thresholded_relu(x=x, alpha=0.5), lambda x: x * (x >= 0.5)),
    "threshold": (lambda x: mb.threshold(x=x, alpha=-0.5), lambda x: x.clamp(min=-0.5)),
    "log": (lambda x: mb.log(x=mb.abs(x=x), epsilon=0.1), lambda x: torch.log(x.abs() + 0.1)),
    "inverse": (lambda x: mb.inverse(x=mb.abs(x=x), epsilon=0.1), lambda x: 1 / (x.abs() + 0.1)),
    "square": (lambda x: mb.square(x=x), torch.square),
    "floor": (lambda x: mb.floor(x=x), torch.floor),
    "ceil": (lambda x: mb.ceil(x=x), torch.ceil),
    "round": (lambda x: mb.round(x=x), torch.round),
    "sin": (lambda x: mb.sin(x=x), torch.sin),
    "cos": (lambda x: mb.cos(x=x), torch.cos),
    "identity": (lambda x: mb.identity(x=mb.abs(x=x)), torch.abs),
    "floor_div": (lambda x: mb.floor_div(x=x, y=0.3), lambda x: torch.floor_divide(x, 0.3)),
    "mod": (lambda x: mb.mod(x=x, y=0.7), lambda x: torch.remainder(x, 0.7)),
    "pow": (lambda x: mb.pow(x=mb.abs(x=x), y=2.4), lambda x: x.abs() ** 2.4),
    "minimum": (lambda x: mb.minimum(x=x, y=0.5), lambda x: x.clamp(max=0.5)),
    "reduce_sum": (lambda x: mb.reduce_sum(x=x, axes=[1, 3], keep_dims=True), lambda x: x.sum((1, 3), True)),
    "reduce_min": (lambda x: mb.reduce_min(x=x, axes=[-1]), lambda x: x.amin(-1)),
    "stack": (lambda x: mb.stack(values=[x, mb.abs(x=x)], axis=1), lambda x: torch.stack([x, x.abs()], 1)),
    "squeeze": (lambda x: mb.squeeze(x=mb.reduce_mean(x=x, axes=[1], keep_dims=True), axes=[1]), lambda x: x.mean(1)),
    "slice_by_size": (
        lambda x: mb.slice_by_size(x=x, begin=[0, 1, 2, 3], size=[1, 2, -1, 4]),
        lambda x: x[:, 1:3, 2:, 3:7],
    ),
    "gather": (
        lambda x: mb.gather(x=x, indices=np.array([3, 0, 0], np.int32), axis=2),
        lambda x: x[:, :, [3, 0, 0]],
    ),
    "tile": (lambda x: mb.tile(x=x, reps=[1, 2, 1, 3]), lambda x: x.repeat(1, 2, 1, 3)),
    "linear": (
        lambda x: mb.linear(x=mb.reshape(x=x, shape=[24, 10]), weight=WEIGHT.T.copy(), bias=np.ones(3, np.float32)),
        lambda x: x.reshape(24, 10) @ torch.from_numpy(WEIGHT) + 1,
    ),
    "pixel_unshuffle": (
        lambda x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
        lambda x: F.pixel_unshuffle(x, 2),
    ),
    "dequantize": (
        lambda x: mb.dequantize(
            input=mb.quantize(input=x, scale=np.float32(0.02), zero_point=np.int8(3), output_dtype="int8"),
            scale=np.float32(0.02),
            zero_point=np.int8(3),
        ),
        lambda x: torch.fake_quantize_per_tensor_affine(x, 0.02, 3, -128, 127),
    ),
    **{
        name: (
            lambda x, name=name: mb.select(cond=getattr(mb, name)(x=x, y=0.0), a=x, b=mb.mul(x=x, y=0.25)),
            lambda x, compare=compare: torch.where(compare(x, torch.zeros(())), x, 0.25 * x),
        )
        for name, compare in {
            "greater": torch.gt, "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le,
            "equal": torch.eq, "not_equal": torch.ne,
        }.items()
    },
}  # fmt: skip
# Conversions in test_mil.py compare these.
CONVERTED = {
    "abs", "add", "avg_pool", "batch_norm", "clip", "concat", "conv", "conv_transpose", "exp", "expand_dims",
    "gelu", "instance_norm", "layer_norm", "leaky_relu", "matmul", "max_pool", "maximum", "mul", "pad", "pixel_shuffle",
    "quantize", "real_div", "reduce_max", "reduce_mean", "relu", "reshape", "rsqrt", "select", "sigmoid",
    "silu", "slice_by_index", "softmax", "split", "sqrt", "sub", "tanh", "transpose", "upsample_bilinear",
    "upsample_nearest_neighbor",
}  # fmt: skip


def saved(builds: list[Build], path: Path) -> MilProgram:
    """One program with an output for each."""

    @mb.program(input_specs=[mb.TensorSpec(shape=SHAPE)], opset_version=ct.target.iOS17)
    def program(x: Any) -> Any:
        return tuple(mb.identity(x=build(x), name=f"out{place}") for place, build in enumerate(builds))

    with quiet():
        package = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        package.save(str(path))
    return MilProgram(path)


@pytest.mark.parametrize("first", range(0, len(BUILT), 12))
def test_operations_equal_torch(tmp_path: Path, first: int) -> None:
    names = list(BUILT)[first : first + 12]
    program = saved([BUILT[name][0] for name in names], tmp_path / "a.mlpackage")
    x = torch.rand(SHAPE) * 4 - 2
    x[0, 0, 0, :3] = torch.tensor([0.0, 0.5, -0.5])
    answers = program.run({"x": x})
    for place, name in enumerate(names):
        assert name in program.operations
        right = BUILT[name][1](x)
        torch.testing.assert_close(
            answers[f"out{place}"], right, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_every_operation_is_compared_somewhere() -> None:
    assert set(OPERATIONS) - set(BUILT) - CONVERTED == set()


def test_an_option_that_is_not_known_is_named(tmp_path: Path) -> None:
    program = saved(
        [lambda x: mb.resize_bilinear(x=x, target_size_height=9, target_size_width=9, sampling_mode="OFFSET_CORNERS")],
        tmp_path / "a.mlpackage",
    )
    with pytest.raises(InputError, match="sampling_mode = 'OFFSET_CORNERS'"):
        program.run({"x": torch.rand(SHAPE)})
