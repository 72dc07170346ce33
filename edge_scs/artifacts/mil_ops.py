"""What MIL's operations mean, in PyTorch: name -> function of the named arguments (floats come as float32).

Semantics follow coremltools' own reference documentation of the operations (iOS 15 to 17 opsets), for images:
convolutions and pools have two spatial axes. ``shape_of_result`` is the shape that the graph declares.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.errors import InputError

Arguments = dict[str, Any]


def _ints(value: Any) -> list[int]:
    return [int(v) for v in (value.reshape(-1).tolist() if isinstance(value, Tensor) else value)]


def _refuse(operation: str, option: str, value: Any) -> InputError:
    return InputError(f"{operation} with {option} = {value!r}: unknown to the evaluator; check the package on a Mac")


def _padding(a: Arguments, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """[top, bottom, left, right] by ``pad_type``."""
    kind = a.get("pad_type", "valid")
    if kind == "custom":
        return _ints(a["pad"])
    if kind == "valid":
        return [0, 0, 0, 0]
    pads: list[int] = []
    for size, k, stride, dilation in zip(a["x"].shape[-2:], kernel, strides, dilations, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        if kind not in ("same", "same_lower"):
            raise _refuse("convolution or pool", "pad_type", kind)
        pads += [large, small] if kind == "same_lower" else [small, large]
    return pads


def _pad(x: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    top, bottom, left, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def _conv(a: Arguments) -> Tensor:
    strides, dilations = _ints(a.get("strides", [1, 1])), _ints(a.get("dilations", [1, 1]))
    x = _pad(a["x"], _padding(a, list(a["weight"].shape[2:]), strides, dilations))
    return F.conv2d(x, a["weight"], a.get("bias"), strides, 0, dilations, int(a.get("groups", 1)))


def _conv_transpose(a: Arguments) -> Tensor:
    strides, dilations = _ints(a.get("strides", [1, 1])), _ints(a.get("dilations", [1, 1]))
    if a.get("pad_type", "valid") not in ("valid", "custom"):
        raise _refuse("conv_transpose", "pad_type", a["pad_type"])
    top, _, left, _ = _ints(a["pad"]) if a.get("pad_type") == "custom" else [0, 0, 0, 0]
    out = F.conv_transpose2d(a["x"], a["weight"], None, strides, 0, 0, int(a.get("groups", 1)), dilations)
    rows, cols = a["shape_of_result"][-2:]
    # An output_shape may request rows and columns beyond the last stride: nothing reaches them.
    out = F.pad(out, (0, max(0, left + cols - out.shape[-1]), 0, max(0, top + rows - out.shape[-2])))
    out = out[..., top : top + rows, left : left + cols]
    return out if a.get("bias") is None else out + a["bias"].reshape(1, -1, 1, 1)


def _pool(a: Arguments, kind: str) -> Tensor:
    kernel = _ints(a["kernel_sizes"])
    strides = _ints(a.get("strides", [1, 1]))
    pads = _padding(a, kernel, strides, [1, 1])
    rows, cols = a["shape_of_result"][-2:]
    # ceil_mode: one more, partial window; it reads padding that counts neither as a maximum nor in an average.
    h, w = a["x"].shape[-2:]
    more_rows = max(0, (rows - 1) * strides[0] + kernel[0] - (h + pads[0] + pads[1]))
    more_cols = max(0, (cols - 1) * strides[1] + kernel[1] - (w + pads[2] + pads[3]))
    ragged = [pads[0], pads[1] + more_rows, pads[2], pads[3] + more_cols]
    if kind == "max":
        return F.max_pool2d(_pad(a["x"], ragged, -torch.inf), kernel, strides)[..., :rows, :cols]
    ones = torch.ones_like(a["x"][:1, :1])
    if not a.get("exclude_padding_from_average", False):
        ones = _pad(ones, pads, 1.0)
        ones = _pad(ones, [0, more_rows, 0, more_cols])
    else:
        ones = _pad(ones, ragged)
    total = F.avg_pool2d(_pad(a["x"], ragged), kernel, strides, divisor_override=1)
    return (total / F.avg_pool2d(ones, kernel, strides, divisor_override=1))[..., :rows, :cols]


def _upsample_bilinear(a: Arguments) -> Tensor:
    # MIL takes the scale from the sizes, whatever the factors' fraction: PyTorch's recompute_scale_factor=True.
    align = bool(a.get("align_corners", True))
    if bool(a.get("half_pixel_centers", not align)) == align:
        raise _refuse("upsample_bilinear", "half_pixel_centers", align)
    return F.interpolate(a["x"], a["shape_of_result"][-2:], mode="bilinear", align_corners=align)


def _resize_bilinear(a: Arguments) -> Tensor:
    corners = {"STRICT_ALIGN_CORNERS": True, "ALIGN_CORNERS": True, "UNALIGN_CORNERS": False}
    mode = a.get("sampling_mode", "DEFAULT")
    if mode not in corners:
        raise _refuse("resize_bilinear", "sampling_mode", mode)
    return F.interpolate(a["x"], a["shape_of_result"][-2:], mode="bilinear", align_corners=corners[mode])


def _crop(a: Arguments) -> Tensor:
    (top, bottom), (left, right) = _ints(a["crop_height"]), _ints(a["crop_width"])
    h, w = a["x"].shape[-2:]
    return a["x"][..., top : h - bottom, left : w - right]


def _matmul(a: Arguments) -> Tensor:
    x, y = a["x"], a["y"]
    x = x.transpose(-1, -2) if a.get("transpose_x", False) else x
    return x @ (y.transpose(-1, -2) if a.get("transpose_y", False) else y)


def _slice_by_index(a: Arguments) -> Tensor:
    x, rank = a["x"], a["x"].dim()
    begin, end = _ints(a["begin"]), _ints(a["end"])
    stride = _ints(a["stride"]) if a.get("stride") is not None else [1] * rank
    masks = {
        name: [bool(v) for v in (a[name].tolist() if a.get(name) is not None else [False] * rank)]
        for name in ("begin_mask", "end_mask", "squeeze_mask")
    }
    for axis in reversed(range(rank)):
        if masks["squeeze_mask"][axis]:
            x = x.select(axis, begin[axis])
            continue
        if stride[axis] < 0:
            raise _refuse("slice_by_index", "stride", stride)
        start = 0 if masks["begin_mask"][axis] else begin[axis]
        stop = a["x"].shape[axis] if masks["end_mask"][axis] else end[axis]
        chosen = range(a["x"].shape[axis])[start : stop : stride[axis]]
        x = x.index_select(axis, torch.tensor(chosen, dtype=torch.long))
    return x


def _slice_by_size(a: Arguments) -> Tensor:
    x = a["x"]
    for axis, (start, size) in enumerate(zip(_ints(a["begin"]), a["shape_of_result"], strict=True)):
        x = x.narrow(axis, start, size)
    return x


def _pad_op(a: Arguments) -> Tensor:
    pads, mode = _ints(a["pad"]), a.get("mode", "constant")
    pairs = [pads[i : i + 2] for i in range(0, len(pads), 2)]  # (before, after) of the last axes, outermost first
    flat = [amount for pair in reversed(pairs) for amount in pair]
    if mode == "constant":
        return F.pad(a["x"], flat, value=float(a.get("constant_val", 0.0)))
    while len(flat) > 4 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    return F.pad(a["x"], flat, mode={"reflect": "reflect", "replicate": "replicate"}[mode])


def _split(a: Arguments) -> list[Tensor]:
    axis = int(a["axis"])
    if a.get("split_sizes") is not None:
        return list(a["x"].split(_ints(a["split_sizes"]), axis))
    return list(a["x"].chunk(int(a["num_splits"]), axis))


def _per_axis(parameter: Any, x: Tensor, axis: Any) -> Any:
    """A scalar as it is; a vector shaped to broadcast along ``axis``."""
    if not isinstance(parameter, Tensor) or parameter.dim() == 0 or parameter.numel() == 1:
        return float(parameter)
    return parameter.float().reshape([-1 if i == int(axis) % x.dim() else 1 for i in range(x.dim())])


def _quantize(a: Arguments) -> Tensor:
    x = a["input"]
    scale = _per_axis(a["scale"], x, a.get("axis", 0))
    zero = _per_axis(a.get("zero_point", 0), x, a.get("axis", 0))
    low, high = (0, 255) if a["output_dtype"] == "uint8" else (-128, 127)
    return (torch.round(x / scale) + zero).clamp(low, high)


def _dequantize(a: Arguments) -> Tensor:
    x = a["input"].float()
    zero = _per_axis(a.get("zero_point", 0), x, a.get("axis", 0))
    return (x - zero) * _per_axis(a["scale"], x, a.get("axis", 0))


def _instance_norm(a: Arguments) -> Tensor:
    return F.instance_norm(a["x"], weight=a.get("gamma"), bias=a.get("beta"), eps=float(a.get("epsilon", 1e-5)))


def _batch_norm(a: Arguments) -> Tensor:
    gamma, beta = a.get("gamma"), a.get("beta")
    return F.batch_norm(a["x"], a["mean"], a["variance"], gamma, beta, eps=float(a.get("epsilon", 1e-5)))


def _layer_norm(a: Arguments) -> Tensor:
    axes = sorted(axis % a["x"].dim() for axis in _ints(a["axes"]))
    if axes != list(range(a["x"].dim() - len(axes), a["x"].dim())):
        raise _refuse("layer_norm", "axes", axes)
    shape = a["x"].shape[axes[0] :]
    return F.layer_norm(a["x"], shape, a.get("gamma"), a.get("beta"), float(a.get("epsilon", 1e-5)))


def _gelu(a: Arguments) -> Tensor:
    mode = a.get("mode", "EXACT")
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise _refuse("gelu", "mode", mode)
    return F.gelu(a["x"], approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _reduce(function: Callable[..., Tensor]) -> Callable[[Arguments], Tensor]:
    def apply(a: Arguments) -> Tensor:
        axes = _ints(a["axes"]) if a.get("axes") is not None else list(range(a["x"].dim()))
        return function(a["x"], dim=axes, keepdim=bool(a.get("keep_dims", False)))

    return apply


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Arguments], Tensor]:
    return lambda a: function(a["x"])


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Arguments], Tensor]:
    return lambda a: function(torch.as_tensor(a["x"]), torch.as_tensor(a["y"]))


def _cast(a: Arguments) -> Tensor:
    x = torch.as_tensor(a["x"])
    return x.trunc() if str(a["dtype"]).startswith(("int", "uint")) and x.is_floating_point() else x


OPERATIONS: dict[str, Callable[[Arguments], Any]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "crop": _crop,
    "linear": lambda a: F.linear(a["x"], a["weight"], a.get("bias")),
    "matmul": _matmul,
    "einsum": lambda a: torch.einsum(a["equation"], *a["values"]),
    "avg_pool": lambda a: _pool(a, "avg"),
    "max_pool": lambda a: _pool(a, "max"),
    "upsample_bilinear": _upsample_bilinear,
    "resize_bilinear": _resize_bilinear,
    "upsample_nearest_neighbor": lambda a: F.interpolate(a["x"], a["shape_of_result"][-2:], mode="nearest"),
    "pixel_shuffle": lambda a: F.pixel_shuffle(a["x"], int(a["upscale_factor"])),
    "pixel_unshuffle": lambda a: F.pixel_unshuffle(a["x"], int(a["downscale_factor"])),
    "softmax": lambda a: torch.softmax(a["x"], int(a.get("axis", -1))),
    "instance_norm": _instance_norm,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "relu": _unary(F.relu),
    "relu6": _unary(F.relu6),
    "leaky_relu": lambda a: F.leaky_relu(a["x"], float(a.get("alpha", 0.01))),
    "prelu": lambda a: F.prelu(a["x"], a["alpha"]),
    "sigmoid": _unary(torch.sigmoid),
    "tanh": _unary(torch.tanh),
    "silu": _unary(F.silu),
    "gelu": _gelu,
    "softplus": _unary(F.softplus),
    "sigmoid_hard": lambda a: (float(a.get("alpha", 0.2)) * a["x"] + float(a.get("beta", 0.5))).clamp(0, 1),
    "clip": lambda a: a["x"].clamp(float(a["alpha"]), float(a["beta"])),
    "thresholded_relu": lambda a: a["x"] * (a["x"] >= float(a["alpha"])),
    "threshold": lambda a: a["x"].clamp(min=float(a["alpha"])),
    "abs": _unary(torch.abs),
    "exp": _unary(torch.exp),
    "log": lambda a: torch.log(a["x"] + float(a.get("epsilon", 1e-45))),
    "sqrt": _unary(torch.sqrt),
    "rsqrt": lambda a: torch.rsqrt(a["x"] + float(a.get("epsilon", 1e-12))),
    "inverse": lambda a: 1 / (a["x"] + float(a.get("epsilon", 1e-4))),
    "square": _unary(torch.square),
    "floor": _unary(torch.floor),
    "ceil": _unary(torch.ceil),
    "round": _unary(torch.round),
    "sin": _unary(torch.sin),
    "cos": _unary(torch.cos),
    "identity": _unary(torch.clone),
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "real_div": _binary(torch.true_divide),
    "floor_div": _binary(torch.floor_divide),
    "mod": _binary(torch.remainder),
    "pow": _binary(torch.pow),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "greater": _binary(torch.gt),
    "greater_equal": _binary(torch.ge),
    "less": _binary(torch.lt),
    "less_equal": _binary(torch.le),
    "equal": _binary(torch.eq),
    "not_equal": _binary(torch.ne),
    "select": lambda a: torch.where(*(torch.as_tensor(a[name]) for name in ("cond", "a", "b"))),
    "reduce_mean": _reduce(torch.mean),
    "reduce_sum": _reduce(torch.sum),
    "reduce_max": _reduce(torch.amax),
    "reduce_min": _reduce(torch.amin),
    "cast": _cast,
    "concat": lambda a: torch.cat(a["values"], int(a["axis"])),
    "stack": lambda a: torch.stack(a["values"], int(a["axis"])),
    "split": _split,
    "reshape": lambda a: a["x"].reshape(a["shape_of_result"]),
    "expand_dims": lambda a: a["x"].reshape(a["shape_of_result"]),
    "squeeze": lambda a: a["x"].reshape(a["shape_of_result"]),
    "transpose": lambda a: a["x"].permute(_ints(a["perm"])),
    "tile": lambda a: a["x"].repeat(_ints(a["reps"])),
    "pad": _pad_op,
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "gather": lambda a: (
        a["x"].index_select(int(a.get("axis", 0)), a["indices"].long().reshape(-1)).reshape(a["shape_of_result"])
    ),
    "quantize": _quantize,
    "dequantize": _dequantize,
}
