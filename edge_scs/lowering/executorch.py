"""ExecuTorch: lowering for its delegates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.artifacts.pte import plain
from edge_scs.lowering.methods import Method, UnsupportedError

# Python's own arithmetic on sizes, and unpacking: nodes of the graph that are no tensor operators.
_BOOKKEEPING = ("getitem", "sym_size", "add", "sub", "mul", "floordiv")
# Why a delegate leaves an operator to the portable kernels. What is not here, it has no kernel for.
REASONS = {
    "aten_view_copy_default": "a copy: XNNPACK's reshape takes fixed sizes",
    "aten_expand_copy_default": "a copy: XNNPACK has no expand",
    "aten_slice_copy_tensor": "a copy: XNNPACK's slice takes fixed sizes",
    "aten_upsample_bilinear2d_vec": "XNNPACK's resize takes fixed sizes",
    "aten_pixel_shuffle_default": "a copy: XNNPACK has none for sizes chosen at run time",
}


def reason(operator: str) -> str:
    """Why an operator is not delegated, in words."""
    return REASONS.get(operator, "the delegate has no kernel for it, or none for these shapes")


@dataclass(frozen=True)
class Lowered:
    """A program and what is known about it.

    ``delegated_share`` in [0, 1] counts tensor operators of all methods; ``non_delegated`` names those that portable
    kernels run; ``arena_bytes`` is the planned memory of the largest method, without the delegate's own.
    """

    content: bytes
    delegated_share: float
    non_delegated: list[str]
    subgraphs: int
    arena_bytes: int
    shares: dict[str, float]  # by method


def lower(module: nn.Module, example: Sequence[Tensor]) -> Lowered:
    """``lower_methods`` of one module of one size by XNNPACK, as the method "forward"."""
    return lower_methods({"forward": Method(module, {str(i): x for i, x in enumerate(example)})})


def lower_methods(methods: Mapping[str, Method], backend: str = "xnnpack", **options: str) -> Lowered:
    """Lower deployed modules into one program that stores shared weights once.

    ``backend``: "xnnpack", "vulkan" or "coreml"; ``options``: ``precision`` ("fp16" or "fp32") and ``minimum_target``
    for the last two. Raises InputError when executorch is missing or cannot lower a module.
    """
    exir, debug = require("executorch.exir", "executorch.devtools.backend_debug")
    partitioner = _partitioner(backend, **options)
    names = ", ".join(dict.fromkeys(type(method.module).__name__ for method in methods.values()))
    try:
        with quiet(), torch.no_grad():
            exported = {
                name: torch.export.export(
                    method.module,
                    tuple(_laid_out(x, method.channels_last) for x in method.inputs.values()),
                    dynamic_shapes=method.dynamic_shapes,
                    strict=False,
                )
                for name, method in methods.items()
            }
            edge = exir.to_edge_transform_and_lower(exported, partitioner={name: [partitioner] for name in methods})
            infos = {name: debug.get_delegation_info(edge.exported_program(name).graph_module) for name in methods}
            program = edge.to_executorch()
    except Exception as error:
        why = str(error).strip().splitlines()[:1]
        raise UnsupportedError(f"{names}: ExecuTorch cannot lower it ({''.join(why)})") from error
    counts = {name: _operators(info) for name, info in infos.items()}
    left = {op for operators in counts.values() for op, (_, portable) in operators.items() if portable}
    pairs = [pair for operators in counts.values() for pair in operators.values()]
    return Lowered(
        content=bytes(program.buffer),
        delegated_share=_share(pairs),
        non_delegated=sorted(left),
        subgraphs=sum(info.num_delegated_subgraphs for info in infos.values()),
        arena_bytes=max(sum(plan.non_const_buffer_sizes) for plan in program.executorch_program.execution_plan),
        shares={name: round(_share(list(operators.values())), 4) for name, operators in counts.items()},
    )


def _partitioner(backend: str, precision: str = "fp16", minimum_target: str = "iOS17") -> Any:
    if backend == "vulkan":
        (vulkan,) = require("executorch.backends.vulkan.partitioner.vulkan_partitioner")
        return vulkan.VulkanPartitioner({"force_fp16": precision == "fp16"})
    if backend == "coreml":
        ct, partition, compiler = require(
            "coremltools", "executorch.backends.apple.coreml.partition", "executorch.backends.apple.coreml.compiler"
        )
        specs = compiler.CoreMLBackend.generate_compile_specs(
            minimum_deployment_target=getattr(ct.target, minimum_target),
            compute_precision=ct.precision.FLOAT16 if precision == "fp16" else ct.precision.FLOAT32,
        )
        return partition.CoreMLPartitioner(compile_specs=specs)
    return _xnnpack_partitioner()


def _xnnpack_partitioner() -> Any:
    """XNNPACK's own, but for products with a matrix that is no weight: an input, like the bilinear weights of decode.

    XNNPACK computes them, and ``force_non_static_weights_for_f32_linear`` lets them through; but that option also turns
    every convolution's bias into an input, and a program with such a convolution does not load (executorch 1.4.1).
    """
    xnnpack, gemm, utils = require(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        "executorch.backends.xnnpack.partition.config.gemm_configs",
        "executorch.backends.xnnpack.utils.utils",
    )

    class LinearConfig(gemm.LinearConfig):  # type: ignore[name-defined]
        def _get_weight_deps(self, node: Any, ep: Any, precision: Any) -> tuple[bool, list[Any]]:
            if precision.name == "FP32" and not utils.is_param_node(ep, node.args[1]):
                return True, []
            return super()._get_weight_deps(node, ep, precision)

    configs = [LinearConfig if each is gemm.LinearConfig else each for each in xnnpack.ALL_PARTITIONER_CONFIGS]
    return xnnpack.XnnpackPartitioner(configs)


def _operators(info: Any) -> dict[str, tuple[int, int]]:
    """Tensor operators of a method: name -> (how often delegated, how often not)."""
    return {
        name: (count.delegated, count.non_delegated)
        for name, count in info.delegation_by_operator.items()
        if name not in _BOOKKEEPING
    }


def _share(pairs: Sequence[tuple[int, int]]) -> float:
    delegated, portable = (sum(column) for column in zip(*pairs, strict=True)) if pairs else (0, 0)
    return delegated / max(1, delegated + portable)


def _laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """An example whose strides say in which order the program will find its images."""
    features = channels_last and x.dim() == 4 and x.shape[1] > 3
    return plain(x).contiguous(memory_format=torch.channels_last) if features else plain(x)
