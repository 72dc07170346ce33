"""A deployed network as a graph with fake quantisation in it, and that graph as int8: PT2E with its tied-weight fixes.

PT2E (torchao) with XNNPACK's quantiser: int8 weights per output channel, symmetric; int8 activations per tensor,
affine, static. Two of its habits break networks that call one convolution several times, as ours do:

* Only the *last* user of a shared weight gets a fake quantiser; the other calls keep float weights between int8
  activations. The .pte lowers and then fails to load. Fix: ``split_shared_parameters``, before preparing.
* A bias shared by several convolutions is quantised once, with the scale of the first one's input, for all of them:
  silently wrong. Fix: ``privatise_biases``, after converting.
"""

import copy
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError


def prepare(module: nn.Module, example: Sequence[Tensor], keep_float: Sequence[str] = ()) -> fx.GraphModule:
    """A deployed module (``lowering.deploy``) as a graph with fake quantisers, for the shapes of ``example``.

    The parameters are the module's own: training the graph trains the module. ``keep_float`` names submodules whose
    operations stay float, such as ``"head"`` or ``"colour.branch.classify"``; names of no submodule mean nothing.

    Raises InputError when torchao or executorch (whose quantiser it is) is missing, or when the network cannot be
    traced or prepared.
    """
    pt2e, specs, xnnpack = require(
        "torchao.quantization.pt2e.quantize_pt2e",
        "torchao.quantization.pt2e.quantizer.quantizer",
        "executorch.backends.xnnpack.quantizer.xnnpack_quantizer",
    )
    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    quantiser = xnnpack.XNNPACKQuantizer().set_global(config)
    # No deployed network has a batch norm, and building the patterns that look for one takes seconds.
    quantiser.SUPPORTED_PATTERNS = [pattern for pattern in quantiser.SUPPORTED_PATTERNS if not pattern.is_qat]
    annotate = quantiser.transform_for_annotation
    quantiser.transform_for_annotation = lambda graph: _scalars_moved(annotate(graph), example[0].device)
    try:
        with quiet():
            graph: fx.GraphModule = torch.export.export(module, tuple(example), strict=False).module()  # type: ignore[assignment]
            _same_parameters(graph, module)
            split_shared_parameters(graph)
            for node in graph.graph.nodes:
                # Annotated already, with nothing: the quantiser leaves it alone.
                if any(inside(owner(node), name) for name in keep_float):
                    node.meta[specs.Q_ANNOTATION_KEY] = specs.QuantizationAnnotation(_annotated=True)
            return pt2e.prepare_qat_pt2e(graph, quantiser)
    except Exception as error:
        reason = "".join(str(error).strip().splitlines()[:1])
        raise InputError(f"{type(module).__name__}: cannot be prepared for quantisation ({reason})") from error


def _scalars_moved(graph: fx.GraphModule, device: torch.device) -> fx.GraphModule:
    """The constants that ExecuTorch made of a graph's scalars, on the CPU, where everything else is.

    torchao refuses to prepare a graph whose tensors lie on two devices.
    """
    for node in graph.graph.nodes:
        if node.op == "get_attr" and str(node.target).startswith("_tensor_constant_"):
            moved = _attribute(graph, node.target).to(device)
            graph.register_buffer(node.target, moved)
            node.meta["val"] = node.meta["val"].fake_mode.from_tensor(moved, static_shapes=True)
    return graph


def convert(prepared: fx.GraphModule) -> fx.GraphModule:
    """The int8 graph of a prepared one, which stays as it is: what runtimes compute, in torch, and what is lowered."""
    (pt2e,) = require("torchao.quantization.pt2e.quantize_pt2e")
    with quiet():
        converted: fx.GraphModule = pt2e.convert_pt2e(copy.deepcopy(prepared))
    privatise_biases(converted)
    _drop_idle_clamp(converted)
    for parameter in converted.parameters():
        parameter.requires_grad_(False)
    return converted


def split_shared_parameters(graph: fx.GraphModule) -> None:
    """One ``get_attr`` node for every use of a parameter; the parameter itself stays one, and trains as one."""
    for node in list(graph.graph.nodes):
        if node.op != "get_attr" or not isinstance(_attribute(graph, node.target), nn.Parameter):
            continue
        for user in list(node.users)[1:]:
            with graph.graph.inserting_before(user):
                own = graph.graph.get_attr(node.target)
            own.meta = copy.copy(node.meta)
            user.replace_input_with(node, own)
    graph.recompile()


def privatise_biases(graph: fx.GraphModule) -> None:
    """A buffer of its own for every use of a bias: lowering gives each the scale of its own convolution."""
    seen: set[str] = set()
    for node in list(graph.graph.nodes):
        if node.op != "get_attr" or not str(node.target).endswith("bias"):
            continue
        if node.target in seen:
            name = f"_own_bias_{len(seen)}"
            graph.register_buffer(name, _attribute(graph, node.target).detach().clone())
            node.target = name
        seen.add(node.target)
    graph.recompile()


def clamp_of_answer(graph: fx.GraphModule) -> fx.Node | None:
    """The clamp to [0, 1] that gives the graph's one answer, or None."""
    (answers,) = next(node for node in graph.graph.nodes if node.op == "output").args
    answer = answers[0] if isinstance(answers, (tuple, list)) and len(answers) == 1 else answers
    is_clamp = isinstance(answer, fx.Node) and answer.target is torch.ops.aten.clamp.default
    return answer if is_clamp and tuple(answer.args[1:]) == (0, 1) else None


def _drop_idle_clamp(graph: fx.GraphModule) -> None:
    """Take out the clamp of an answer whose int8 values all lie in [0, 1]."""
    clamp = clamp_of_answer(graph)
    step = clamp.args[0] if clamp is not None else None
    if clamp is None or not isinstance(step, fx.Node) or "dequantize_per_tensor" not in str(step.target):
        return
    scale, zero_point, low, high = step.args[1:5]
    ends = (torch.tensor([low, high]) - zero_point) * torch.tensor(scale)  # type: ignore[operator, list-item]
    if ends[0] >= 0 and ends[1] <= 1:
        clamp.replace_all_uses_with(step)
        graph.graph.erase_node(clamp)
        graph.recompile()


def owner(node: fx.Node) -> str:
    """The submodule that a node came from, such as "colour.branch.classify"; "" for the network itself."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return stack[-1][0].removeprefix("L['self'].") if stack else ""


def inside(module: str, part: str) -> bool:
    """Whether the submodule ``module`` is ``part`` or lies in it, by their names."""
    return module == part or module.startswith(f"{part}.")


def _attribute(graph: nn.Module, target: str) -> Any:
    return reduce(getattr, target.split("."), graph)


def _same_parameters(graph: fx.GraphModule, module: nn.Module) -> None:
    """Exporting may copy parameters; training has to reach the module's own."""
    for name, parameter in module.named_parameters():
        *path, last = name.split(".")
        parent = reduce(getattr, path, graph) if _has(graph, name) else None
        if parent is not None:
            parent._parameters[last] = parameter


def _has(graph: nn.Module, name: str) -> bool:
    try:
        return isinstance(_attribute(graph, name), nn.Parameter)
    except AttributeError:
        return False
