"""ONNX: the deployed network as one .onnx file, for onnxruntime and whatever else reads ONNX. An optional extra.

``torch.onnx`` makes it from the same ``torch.export`` graph as the other targets; it needs onnx and onnxscript.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

from edge_scs.artifacts.optional_imports import quiet
from edge_scs.lowering.methods import Method, UnsupportedError

OPSET = 18
NEEDS = ("onnx", "onnxscript", "onnxruntime")


def convert(method: Method, path: Path) -> None:
    """Write a method of one size as ``path``, its weights inside.

    Raises UnsupportedError when the extra is not installed, or the converter refuses.
    """
    for package in NEEDS:
        if find_spec(package) is None:
            raise UnsupportedError(f"{package}: is not installed; run: pip install 'edge-scs[onnx]'")
    try:
        with quiet(), torch.no_grad():
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
    except Exception as error:
        why = "".join(str(error).strip().splitlines()[:1])
        raise UnsupportedError(f"{type(method.module).__name__}: torch.onnx cannot convert it ({why})") from error
