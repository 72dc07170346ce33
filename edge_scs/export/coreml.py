"""Core ML: an ML program (.mlpackage) with tensors in and out. Converts anywhere, runs on Apple's systems only."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_scs import __version__
from edge_scs.errors import InputError
from edge_scs.export.quiet import quiet, require

DESCRIPTIONS = {
    "gray": "Grey picture, BT.601 luma (what Pillow's convert('L') gives) / 255, shape (1, 1, height, width)",
    "rgb_lr": "Small RGB picture / 255, shape (1, 3, height, width)",
    "reference": "RGB picture whose colours to use / 255, shape (1, 3, height, width)",
    "rgb": "Enlarged RGB picture in [0, 1], shape (1, 3, height, width)",
}


def convert(
    module: nn.Module,
    example: Mapping[str, Tensor],
    path: Path,
    description: str,
    precision: str = "fp16",
    minimum_target: str = "iOS17",
) -> None:
    """Convert a deployed module for the named example inputs and save it as ``path`` (.mlpackage, must not exist).

    ``precision`` is of arithmetic and of inputs and outputs alike, without casts at the borders; "fp32" is float32,
    anything else float16 (an int8 module brings its own quantisation, the rest of it is float16).
    Raises InputError when coremltools is missing, or cannot convert the module, or knows no such ``minimum_target``.
    """
    ct, np = require("coremltools", "numpy")
    target = getattr(ct.target, minimum_target, None)
    if target is None:
        raise InputError(f"minimum_target: coremltools knows no {minimum_target!r}; use iOS17 or iOS18")
    half = precision != "fp32"
    dtype = np.float16 if half else np.float32
    inputs = tuple(x.contiguous() for x in example.values())
    try:
        with quiet(), torch.no_grad():
            if isinstance(module, fx.GraphModule):
                module = join_moves(copy.deepcopy(module))
            exported = torch.export.export(module, inputs, strict=False).run_decompositions({})
            package = ct.convert(
                exported,
                inputs=[ct.TensorType(name=name, shape=tuple(x.shape), dtype=dtype) for name, x in example.items()],
                outputs=[ct.TensorType(name="rgb", dtype=dtype)],
                minimum_deployment_target=target,
                convert_to="mlprogram",
                compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
                skip_model_load=True,
            )
            _describe(package, list(example), description)
            package.save(str(path))
    except Exception as error:
        reason = str(error).strip().splitlines()[:1]
        raise InputError(f"{type(module).__name__}: coremltools cannot convert it ({''.join(reason)})") from error
    # A debugging aid of the converter, listed nowhere in the package's manifest, a tenth of its size.
    (path / "executorch_debug_handle_mapping.json").unlink(missing_ok=True)


def join_moves(graph: fx.GraphModule) -> fx.GraphModule:
    """Drop the rounding between one data movement and the next of an int8 graph: what is moved is rounded already.

    Core ML has no tensors of six axes. It turns reshape, permute, reshape into its own pixel shuffle, but only where
    nothing stands between them.
    """
    for node in list(graph.graph.nodes):
        if not _is_move(node) or len(node.users) != 1:
            continue
        rounded = next(iter(node.users))
        back = next(iter(rounded.users), None)
        if "quantize_per_tensor" in str(rounded.target) and back is not None and "dequantize" in str(back.target):
            for user in list(back.users):
                if _is_move(user):
                    user.replace_input_with(back, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _is_move(node: fx.Node) -> bool:
    return node.op == "call_function" and str(node.target).removeprefix("aten.").split(".")[0] in (
        "permute",
        "reshape",
        "transpose",
        "view",
    )


def _describe(package: Any, inputs: list[str], description: str) -> None:
    package.author = "The Edge-SCS authors"
    package.license = "Apache-2.0"
    package.version = __version__
    package.short_description = description
    for name in inputs:
        package.input_description[name] = DESCRIPTIONS.get(name, name)
    package.output_description["rgb"] = DESCRIPTIONS["rgb"]
