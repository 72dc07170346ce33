"""ONNX: the deployed network as one .onnx file, for onnxruntime and whatever else reads ONNX. An optional extra.

``torch.onnx`` makes it from the same ``torch.export`` graph as the other targets; it needs onnx and onnxscript.
"""

from pathlib import Path

import torch

from edge_scs.lowering.extras import converting
from edge_scs.lowering.methods import Method

OPSET = 18
NEEDS = ("onnx", "onnxscript", "onnxruntime")


def convert(method: Method, path: Path) -> None:
    """Write a method of one size as ``path``, its weights inside.

    Raises UnsupportedError when the extra is not installed, or the converter refuses.
    """
    with converting(method, "torch.onnx", "onnx", NEEDS), torch.no_grad():
        program = torch.onnx.export(
            method.module,
            tuple(method.inputs.values()),
            input_names=list(method.inputs),
            output_names=list(method.outputs),
            opset_version=OPSET,
            dynamo=True,
        )
        assert program is not None
        program.save(path, external_data=False)
