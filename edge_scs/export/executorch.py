"""ExecuTorch: lowering for its delegates, and running a .pte on this machine's CPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.export.methods import Method, UnsupportedError
from edge_scs.export.quiet import quiet, require

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


class PteProgram:
    """A loaded .pte: ``run`` executes a method, ``forward`` if no other is named.

    The file is read into memory rather than mapped: ExecuTorch maps by path, and a path that is loaded, rewritten and
    loaded again in one process crashes it.
    """

    def __init__(self, path: Path, threads: int | None = None):
        """Raises InputError: no such file, not a program, executorch missing. ``threads`` sets the process's pool."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); name a .pte artifact") from error
        self.path = path
        runtime, bindings = require("executorch.runtime", "executorch.extension.pybindings.portable_lib")
        try:
            with quiet():
                if threads is not None:
                    bindings._unsafe_reset_threadpool(threads)
                self._program = runtime.Runtime.get().load_program(content)
                self.methods = frozenset(self._program.method_names)
                self._loaded = {"forward": self._load("forward")} if "forward" in self.methods else {}
                if threads is not None:  # loading may build the pool anew
                    bindings._unsafe_reset_threadpool(threads)
        except (RuntimeError, KeyError) as error:
            raise InputError(f"{path}: not a program this ExecuTorch can load; export it again ({error})") from error
        first = self._loaded.get("forward")
        self.inputs = first.inputs if first else []
        self.outputs = first.outputs if first else []

    def _load(self, name: str) -> "_PteMethod":
        method = self._program.load_method(name)
        meta = method.metadata
        return _PteMethod(
            method,
            [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())],
            [tuple(meta.output_tensor_meta(i).sizes()) for i in range(meta.num_outputs())],
        )

    def run(self, inputs: Sequence[Tensor], method: str = "forward") -> list[Tensor]:
        """Float tensors of the method's input shapes -> its outputs.

        A method whose sizes are chosen at run time takes any up to the shapes that it was lowered for. Raises
        InputError on any other shape and for a method that the program does not have.
        """
        if method not in self._loaded:
            if method not in self.methods:
                raise InputError(f"{self.path}: has no method {method}, only {', '.join(sorted(self.methods))}")
            with quiet():
                self._loaded[method] = self._load(method)
        loaded = self._loaded[method]
        given = [tuple(x.shape) for x in inputs]
        misfit = InputError(
            f"{self.path}: takes inputs of shape {loaded.inputs}, not {given}; resize, or export that size"
        )
        if given != loaded.inputs and not loaded.fits(given):
            raise misfit
        try:
            outputs = loaded.method.execute([_plain(x) for x in inputs])
        except RuntimeError as error:
            if given != loaded.inputs:  # smaller ones: only the runtime knows which axes may vary
                raise misfit from error
            raise InputError(f"{self.path}: ExecuTorch could not run it ({error}); export it again") from error
        return [x.clone() for x in outputs]


@dataclass(frozen=True)
class _PteMethod:
    method: Any
    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]

    def fits(self, given: list[tuple[int, ...]]) -> bool:
        """Whether no axis is longer than the program's memory plan allows."""
        return [len(shape) for shape in given] == [len(shape) for shape in self.inputs] and all(
            0 < size <= limit
            for shape, limits in zip(given, self.inputs, strict=True)
            for size, limit in zip(shape, limits, strict=True)
        )


def _plain(x: Tensor) -> Tensor:
    """A float32 copy with the strides of a new tensor.

    Lowering bakes the example's dim order into the program and nothing checks it again; it is read from the strides.
    ``contiguous`` is not enough: one channel leaves them ambiguous, so a transposed grey picture counts as contiguous
    and would still be taken for channels-last.
    """
    return torch.empty(x.shape).copy_(x.detach())


def _laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """An example whose strides say in which order the program will find its pictures."""
    features = channels_last and x.dim() == 4 and x.shape[1] > 3
    return _plain(x).contiguous(memory_format=torch.channels_last) if features else _plain(x)


def run_pte(path: Path, inputs: Sequence[Tensor], threads: int | None = None) -> list[Tensor]:
    """Load and run once; see ``PteProgram`` to run the same program again."""
    return PteProgram(path, threads).run(inputs)
