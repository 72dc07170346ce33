"""How a network begins before its first step, where a recipe asks for more than PyTorch's defaults.

PCARN, Table 3 and its authors' ``init.py``: weights of all convolutions and linear layers anew, biases zero, F the
number of inputs of a unit. ``initial_scale`` multiplies the weights (1 or 0.1 there):

* "uniform": U(-sqrt(1/F), sqrt(1/F)), what PyTorch has for weights, too: the best row;
* "he_uniform": U(-sqrt(6/F), sqrt(6/F)); "he_normal": N(0, 2/F) (He et al. 2015).

CiaoSR rests at the bilinear enlargement for hundreds of steps with PyTorch's defaults (docs/log/round-12-papers.md):

* "perceptrons": He's normal for implicit networks' perceptrons, biases zero, and the layer that gives RGB times 1e-3,
  so that CiaoSR begins as the bilinear enlargement. Encoders stay as they are. Ours, not the papers'.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edge_scs.errors import InputError
from edge_scs.models.implicit import Perceptron
from edge_scs.recipes import Recipe

QUIET = 1e-3


def _uniform(weight: Tensor, gain: float) -> None:
    bound = (gain / weight[0].numel()) ** 0.5
    nn.init.uniform_(weight, -bound, bound)


DISTRIBUTIONS: dict[str, Callable[[Tensor], object]] = {
    "uniform": lambda weight: _uniform(weight, 1),
    "he_uniform": lambda weight: _uniform(weight, 6),
    "he_normal": lambda weight: nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5),
}


@torch.no_grad()
def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Draw the network's weights anew as ``recipe.initial`` says; "" leaves them. Raises InputError naming the key."""
    if not recipe.initial:
        return
    if recipe.initial == "perceptrons":
        perceptrons = [module for module in model.modules() if isinstance(module, Perceptron)]
        if not perceptrons:
            raise InputError(f'initial: {recipe.model} has no perceptrons; choose {", ".join(DISTRIBUTIONS)} or ""')
        layers = [layer for one in perceptrons for layer in (one.first, *one.middle, one.last)]
    elif recipe.initial in DISTRIBUTIONS:
        perceptrons = []
        layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    else:
        raise InputError(f"initial: no {recipe.initial!r}; known: {', '.join(DISTRIBUTIONS)}, perceptrons")
    for layer in layers:
        DISTRIBUTIONS[recipe.initial if recipe.initial in DISTRIBUTIONS else "he_normal"](layer.weight)
        layer.weight.mul_(recipe.initial_scale)
        if layer.bias is not None:
            layer.bias.zero_()
    for perceptron in perceptrons:
        if perceptron.last.out_features == 3:
            perceptron.last.weight.mul_(QUIET)
