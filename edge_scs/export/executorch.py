"""ExecuTorch with the XNNPACK delegate: lowering, and running a .pte on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.export.quiet import quiet, require


@dataclass(frozen=True)
class Lowered:
    """A program and what is known about it.

    ``delegated_share`` in [0, 1] counts operator nodes (``getitem``, which only unpacks, is none); ``non_delegated``
    names the operators that portable kernels run; ``arena_bytes`` is the planned memory, without XNNPACK's own.
    """

    content: bytes
    delegated_share: float
    non_delegated: list[str]
    subgraphs: int
    arena_bytes: int


def lower(module: nn.Module, example: Sequence[Tensor]) -> Lowered:
    """Lower a deployed module for the shapes of ``example``.

    Raises InputError when executorch is missing or cannot lower the module.
    """
    exir, xnnpack, debug = require(
        "executorch.exir",
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        "executorch.devtools.backend_debug",
    )
    example = tuple(_plain(x) for x in example)
    try:
        with quiet(), torch.no_grad():
            exported = torch.export.export(module, example, strict=False)
            edge = exir.to_edge_transform_and_lower(exported, partitioner=[xnnpack.XnnpackPartitioner()])
            info = debug.get_delegation_info(edge.exported_program().graph_module)
            program = edge.to_executorch()
    except Exception as error:
        reason = str(error).strip().splitlines()[:1]
        raise InputError(f"{type(module).__name__}: ExecuTorch cannot lower it ({''.join(reason)})") from error
    operators = {name: count for name, count in info.delegation_by_operator.items() if name != "getitem"}
    delegated = sum(count.delegated for count in operators.values())
    left = {name: count.non_delegated for name, count in operators.items() if count.non_delegated}
    plan = program.executorch_program.execution_plan[0]
    return Lowered(
        content=bytes(program.buffer),
        delegated_share=delegated / max(1, delegated + sum(left.values())),
        non_delegated=sorted(left),
        subgraphs=info.num_delegated_subgraphs,
        arena_bytes=sum(plan.non_const_buffer_sizes),
    )


class PteProgram:
    """A loaded .pte: ``run`` executes its ``forward``.

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
                self._method = self._program.load_method("forward")
                if threads is not None:  # loading may build the pool anew
                    bindings._unsafe_reset_threadpool(threads)
        except (RuntimeError, KeyError) as error:
            raise InputError(f"{path}: not a program this ExecuTorch can load; export it again ({error})") from error
        meta = self._method.metadata
        self.inputs = [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())]
        self.outputs = [tuple(meta.output_tensor_meta(i).sizes()) for i in range(meta.num_outputs())]

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Float tensors of the program's input shapes -> its outputs. Raises InputError on any other shape."""
        given = [tuple(x.shape) for x in inputs]
        if given != self.inputs:
            raise InputError(
                f"{self.path}: takes inputs of shape {self.inputs}, not {given}; resize, or export that size"
            )
        try:
            outputs = self._method.execute([_plain(x) for x in inputs])
        except RuntimeError as error:
            raise InputError(f"{self.path}: ExecuTorch could not run it ({error}); export it again") from error
        return [x.contiguous() for x in outputs]


def _plain(x: Tensor) -> Tensor:
    """A float32 copy with the strides of a new tensor.

    Lowering bakes the example's dim order into the program and nothing checks it again; it is read from the strides.
    ``contiguous`` is not enough: one channel leaves them ambiguous, so a transposed grey picture counts as contiguous
    and would still be taken for channels-last.
    """
    return torch.empty(x.shape).copy_(x.detach())


def run_pte(path: Path, inputs: Sequence[Tensor], threads: int | None = None) -> list[Tensor]:
    """Load and run once; see ``PteProgram`` to run the same program again."""
    return PteProgram(path, threads).run(inputs)
