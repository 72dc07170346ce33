"""Running the Vulkan delegate's graph without a GPU: operators and weights, read from the .pte, evaluated with PyTorch.

Where the graph says float16 every result is rounded to it; the arithmetic in between is float32, which a phone's GPU
need not be. It verifies the graph and the weights, not a driver.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.artifacts.delegates import read_delegate
from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError

_TYPES = {"FLOAT16": np.float16, "FLOAT32": np.float32, "INT32": np.int32, "INT64": np.int64, "INT8": np.int8}


class VulkanProgram:
    """The graph of a .pte that Vulkan takes whole."""

    def __init__(self, path: Path):
        """Raises InputError: no such file, not taken by Vulkan as one graph, executorch missing."""
        self.path = path
        payload, named = read_delegate(path, "VulkanBackend")
        (serialize,) = require("executorch.backends.vulkan.serialization.vulkan_graph_serialize")
        try:
            with quiet():
                header = serialize.VulkanDelegateHeader.from_bytes(payload[:30])
                self._graph = serialize.flatbuffer_to_vk_graph(serialize.extract_vk_flatbuffer(payload))
        except Exception as error:
            reason = str(error).strip().splitlines()[:1]
            raise InputError(f"{path}: not a readable Vulkan graph ({''.join(reason)}); export it again") from error
        self._bytes = payload[header.bytes_offset : header.bytes_offset + header.bytes_size]
        self._named = (
            {} if named is None else {key: named.buffers[entry.buffer_index] for key, entry in named.pte_data.items()}
        )
        self.operations = [call.name for call in self._graph.chain]

    def run(self, inputs: Sequence[Tensor], half: bool = True) -> Tensor:
        """Float tensors -> the only output. ``half``: round every result to float16, as the graph's tensors are stored.

        Raises InputError for an operation that this evaluator does not know.
        """
        round_ = (lambda x: x.to(torch.float16).float() if x.is_floating_point() else x) if half else (lambda x: x)
        values: dict[int, Any] = {
            index: round_(x.float()) for index, x in zip(self._graph.input_ids, inputs, strict=True)
        }
        for call in self._graph.chain:
            operation = OPERATIONS.get(call.name)
            if operation is None:
                raise InputError(
                    f"{self.path}: its operation {call.name!r} is unknown to the evaluator; add it to "
                    "edge_scs/artifacts/vulkan.py, or check the program on a phone"
                )
            *arguments, out = call.args
            given = [self._value(index, values) for index in arguments]
            outputs = self._graph.values[out].value
            targets = list(outputs.items) if type(outputs).__name__ == "ValueList" else [out]
            shape = list(self._graph.values[targets[0]].value.dims)
            values[targets[0]] = round_(operation(given, shape))
        return values[self._graph.output_ids[0]]

    def _value(self, index: int, values: dict[int, Any]) -> Any:
        if index in values:
            return values[index]
        value = self._graph.values[index].value
        kind = type(value).__name__
        if kind == "VkTensor":
            values[index] = self._constant(value)
            return values[index]
        if kind == "Null":
            return None
        if kind == "ValueList":
            return [self._value(item, values) for item in value.items]
        for field in ("items", "int_val", "double_val", "bool_val", "string_val"):
            if hasattr(value, field):
                return getattr(value, field)
        raise InputError(f"{self.path}: a value of kind {kind} is unknown to the evaluator; check it on a phone")

    def _constant(self, tensor: Any) -> Tensor:
        entry = self._graph.constants[tensor.constant_id]
        content = self._named.get(entry.named_key) if entry.named_key else None
        content = self._bytes[entry.offset : entry.offset + entry.length] if content is None else content
        dtype = _TYPES[tensor.datatype.name]
        count = int(np.prod(tensor.dims)) if tensor.dims else 1
        array = np.frombuffer(bytes(content)[: count * np.dtype(dtype).itemsize], dtype)
        return torch.from_numpy(
            array.reshape(tensor.dims).astype(np.float32 if "FLOAT" in tensor.datatype.name else array.dtype)
        )


def _convolution(a: list[Any]) -> Tensor:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = a[:9]
    if transposed:
        return F.conv_transpose2d(x, weight, bias, stride, padding, output_padding, groups, dilation)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _clamped_convolution(a: list[Any], _: list[int]) -> Tensor:
    low, high = (None if limit is None or abs(limit) > 1e37 else limit for limit in a[9:11])  # "no limit" is huge
    x = _convolution(a)
    return x if low is None and high is None else x.clamp(low, high)


def _add(a: list[Any], sign: float = 1.0) -> Tensor:
    return a[0] + sign * (1 if len(a) < 3 or a[2] is None else a[2]) * a[1]


def _max_pool(a: list[Any], _: list[int]) -> Tensor:
    return F.max_pool2d(a[0], a[1], a[2] or None, a[3], a[4], bool(a[5]))


def _avg_pool(a: list[Any], _: list[int]) -> Tensor:
    return F.avg_pool2d(a[0], a[1], a[2] or None, a[3], bool(a[4]), bool(a[5]), a[6])


def _upsample(a: list[Any], shape: list[int]) -> Tensor:
    return F.interpolate(a[0], shape[-2:], mode="bilinear", align_corners=bool(a[2]))


OPERATIONS: dict[str, Callable[[list[Any], list[int]], Tensor]] = {
    "et_vk.prepack.default": lambda a, _: a[0],
    "et_vk.conv_with_clamp.default": _clamped_convolution,
    "aten.convolution.default": lambda a, _: _convolution(a),
    "aten.linear.default": lambda a, _: F.linear(a[0], a[1], a[2]),
    "aten.bmm.default": lambda a, _: torch.bmm(a[0], a[1]),
    "aten.mm.default": lambda a, _: torch.mm(a[0], a[1]),
    "aten.add.Tensor": lambda a, _: _add(a),
    "aten.sub.Tensor": lambda a, _: _add(a, -1.0),
    "aten.mul.Tensor": lambda a, _: a[0] * a[1],
    "aten.div.Tensor": lambda a, _: a[0] / a[1],
    "aten.rsqrt.default": lambda a, _: torch.rsqrt(a[0]),
    "aten.mean.dim": lambda a, _: a[0].mean(a[1], keepdim=bool(a[2])),
    "aten.relu.default": lambda a, _: F.relu(a[0]),
    "aten.sigmoid.default": lambda a, _: torch.sigmoid(a[0]),
    "aten.clamp.default": lambda a, _: a[0].clamp(a[1], a[2]),
    "aten.cat.default": lambda a, _: torch.cat(a[0], a[1]),
    "aten._softmax.default": lambda a, _: torch.softmax(a[0], a[1]),
    "aten.max_pool2d_with_indices.default": _max_pool,
    "aten.avg_pool2d.default": _avg_pool,
    "aten.upsample_bilinear2d.vec": _upsample,
    "aten.view_copy.default": lambda a, shape: a[0].reshape(shape),
    "aten.squeeze_copy.dims": lambda a, shape: a[0].reshape(shape),
    "aten.unsqueeze_copy.default": lambda a, shape: a[0].reshape(shape),
    "aten.expand_copy.default": lambda a, shape: a[0].expand(shape),
    "aten.permute_copy.default": lambda a, _: a[0].permute(a[1]),
    "dim_order_ops._to_dim_order_copy.default": lambda a, _: a[0].float(),
    "aten.clone.default": lambda a, _: a[0].clone(),
}
