"""Core ML: an ML program (.mlpackage). Converts anywhere, runs on Apple's systems only."""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_scs import __version__
from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError
from edge_scs.lowering.methods import Method, UnsupportedError

DESCRIPTIONS = {
    "gray": "Grey image, BT.601 luma (what Pillow's convert('L') gives) / 255, shape (1, 1, height, width)",
    "rgb_lr": "Small RGB image / 255, shape (1, 3, height, width)",
    "reference": "RGB image whose colours to use / 255, shape (1, 3, height, width)",
    "hints": "Colour hints: Cb and Cr in [-0.5, 0.5] and presence (0 or 1) by cell, shape (1, 3, height, width)",
    "rgb": "Enlarged RGB image in [0, 1], shape (1, 3, height, width)",
}
PIXEL_BUFFERS = {
    "gray": "Grey image: kCVPixelFormatType_OneComponent8, BT.601 luma",
    "rgb_lr": "Small image: kCVPixelFormatType_32BGRA or 32ARGB",
    "reference": "Image whose colours to use: kCVPixelFormatType_32BGRA or 32ARGB",
    "hints": DESCRIPTIONS["hints"],
    "rgb": "Enlarged image: kCVPixelFormatType_32BGRA",
}


@dataclass(frozen=True)
class Options:
    """How to convert. ``precision`` is of arithmetic and of inputs and outputs alike, without casts at the borders:
    "fp32" is float32, anything else float16 (an int8 module brings its own quantisation, the rest of it is float16).

    ``images``: pixel buffers in and out. ``compression`` of the weights: "none", "int8", "palette6". ``float32_ops``:
    types of operations that stay in float32.
    """

    precision: str = "fp16"
    minimum_target: str = "iOS17"
    images: bool = False
    compression: str = "none"
    float32_ops: Collection[str] = ()


class Levels(nn.Module):
    """What a pixel buffer holds: the RGB of ``module`` times 255."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *images: Tensor) -> Tensor:
        return self.module(*images) * 255.0


def convert(
    module: nn.Module,
    example: Mapping[str, Tensor],
    path: Path,
    description: str,
    precision: str = "fp16",
    minimum_target: str = "iOS17",
    images: bool = False,
    compression: str = "none",
    float32_ops: Collection[str] = (),
) -> None:
    """Convert a deployed module for the named example inputs and save it as ``path`` (.mlpackage, must not exist).

    The options are those of ``Options``. Raises InputError when coremltools is missing, or cannot convert the module,
    or knows no such ``minimum_target``.
    """
    options = Options(precision, minimum_target, images, compression, float32_ops)
    ct, np = require("coremltools", "numpy")
    target = getattr(ct.target, minimum_target, None)
    if target is None:
        raise InputError(f"minimum_target: coremltools knows no {minimum_target!r}; use iOS17 or iOS18")
    half = precision != "fp32"
    dtype = np.float16 if half else np.float32
    inputs = tuple(x.contiguous() for x in example.values())
    name = type(module).__name__
    try:
        with quiet(), torch.no_grad():
            if isinstance(module, fx.GraphModule):
                module = join_moves(copy.deepcopy(module))
            whole = Levels(module) if images else module
            exported = torch.export.export(whole, inputs, strict=False).run_decompositions({})
            shuffle_pixels(exported.graph_module)
            package = ct.convert(
                exported,
                inputs=[_input(ct, name, x, dtype, images) for name, x in example.items()],
                outputs=[
                    ct.ImageType(name="rgb", color_layout=ct.colorlayout.RGB)
                    if images
                    else ct.TensorType(name="rgb", dtype=dtype)
                ],
                minimum_deployment_target=target,
                convert_to="mlprogram",
                compute_precision=_precision(ct, half, float32_ops),
                skip_model_load=True,
            )
            package = _compress(package, compression)
            _describe(package, list(example), description, options)
            package.save(str(path))
    except Exception as error:
        raise UnsupportedError(f"{name}: coremltools cannot convert it ({_line(error)})") from error
    _tidy(path)


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
        "_unsafe_view",
    )


def shuffle_pixels(graph: fx.GraphModule) -> int:
    """Reshape, permute, reshape (``heads.pixel_shuffle``) as Core ML's own pixel shuffle; returns how many there were.

    As they stand they become a transpose of five axes over the whole image, which the Neural Engine is known to leave
    to others. int8 graphs keep theirs: there the rounding stands between the moves.
    """
    found = 0
    for node in list(graph.graph.nodes):
        if not _is_move(node) or "permute" not in str(node.target) or node.args[1] != [0, 1, 4, 2, 5, 3]:
            continue
        first, last = node.args[0], _only_user(node)
        if not isinstance(first, fx.Node):
            continue
        if last is not None and "clone" in str(last.target):
            last = _only_user(last)
        if not (_is_move(first) and len(first.users) == 1 and last is not None and _is_move(last)):
            continue
        n, c, s, t, h, w = first.meta["val"].shape
        if s != t or tuple(last.meta["val"].shape) != (n, c, h * s, w * s):
            continue
        with graph.graph.inserting_before(last):
            shuffled = graph.graph.call_function(torch.ops.aten.pixel_shuffle.default, (first.args[0], int(s)))
        shuffled.meta = dict(last.meta)
        last.replace_all_uses_with(shuffled)
        graph.graph.erase_node(last)
        shuffled.name = last.name  # the exported program's signature names its outputs
        found += 1
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return found


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def convert_functions(methods: Mapping[str, Method], path: Path, description: str, options: Options) -> None:
    """One package with a function for every method, weights stored once (iOS 18). Raises like ``convert``."""
    (ct,) = require("coremltools")
    with TemporaryDirectory(dir=path.parent) as folder:
        parts = {name: Path(folder) / f"{name}.mlpackage" for name in methods}
        for name, method in methods.items():
            convert(method.module, method.inputs, parts[name], description, **vars(options))
        try:
            with quiet():
                joined = ct.utils.MultiFunctionDescriptor()
                for name, part in parts.items():
                    joined.add_function(str(part), src_function_name="main", target_function_name=name)
                joined.default_function_name = next(iter(methods))
                ct.utils.save_multifunction(joined, str(path))
        except Exception as error:
            raise InputError(f"{path.name}: coremltools cannot join its functions ({_line(error)})") from error
    _tidy(path)


def find_float32_ops(path: Path, cost: Callable[[Any], float], limit: float) -> list[str]:
    """Types of operations to keep in float32 so that ``cost`` stays within ``limit``; none where float16 does.

    ``cost`` measures a set of types, in dB, on the program at ``path`` by the evaluator. Greedy: the type that helps
    most joins, until it is enough. Raises InputError when nothing helps.
    """
    if cost(frozenset()) <= limit:
        return []
    from edge_scs.artifacts.mil import MilProgram

    candidates = sorted({name for name in MilProgram(path).operations if not name.startswith("constexpr_")})
    chosen: list[str] = []
    while candidates:
        costs = {name: cost(frozenset([*chosen, name])) for name in candidates}
        best = min(candidates, key=lambda name: costs[name])
        chosen.append(best)
        candidates.remove(best)
        if costs[best] <= limit:
            return sorted(chosen)
    raise InputError(f"{path.name}: float16 costs more than {limit:g} dB whatever stays in float32; use precision fp32")


def _input(ct: Any, name: str, x: Tensor, dtype: Any, images: bool) -> Any:
    if not images or name == "hints":  # chroma has a sign, which pixel buffers have not
        return ct.TensorType(name=name, shape=tuple(x.shape), dtype=dtype)
    layout = ct.colorlayout.GRAYSCALE if x.shape[1] == 1 else ct.colorlayout.RGB
    return ct.ImageType(name=name, shape=tuple(x.shape), color_layout=layout, scale=1 / 255)


def _precision(ct: Any, half: bool, float32_ops: Collection[str]) -> Any:
    if not half:
        return ct.precision.FLOAT32
    if not float32_ops:
        return ct.precision.FLOAT16
    return ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type not in float32_ops)


def _compress(package: Any, compression: str) -> Any:
    if compression == "none":
        return package
    (optimize,) = require("coremltools.optimize.coreml")
    if compression == "int8":
        config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_channel")
        return optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=config))
    config = optimize.OpPalettizerConfig(mode="kmeans", nbits=6)
    return optimize.palettize_weights(package, optimize.OptimizationConfig(global_config=config))


def _describe(package: Any, inputs: list[str], description: str, options: Options) -> None:
    texts = PIXEL_BUFFERS if options.images else DESCRIPTIONS
    package.author = "The Edge-SCS authors"
    package.license = "Apache-2.0"
    package.version = __version__
    package.short_description = description
    for name in inputs:
        package.input_description[name] = texts.get(name, name)
    package.output_description["rgb"] = texts["rgb"]


def _tidy(path: Path) -> None:
    # A debugging aid of the converter, listed nowhere in the package's manifest, a tenth of its size.
    (path / "executorch_debug_handle_mapping.json").unlink(missing_ok=True)


def _line(error: Exception) -> str:
    return "".join(str(error).strip().splitlines()[:1])
