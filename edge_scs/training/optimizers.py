"""A stage's optimizer: Adam or AdamW, and Muon for the convolutions that a recipe names."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edge_scs.recipes import Stage

# The quintic that Jordan et al. 2024 chose: it brings singular values from (0, 1] near 1 in five steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_MOMENTUM = 0.95


class MuonAdamW(torch.optim.AdamW):
    """AdamW, but groups with ``orthogonal = True`` are updated by Muon (Jordan et al. 2024): their momentum's nearest
    orthogonal matrix instead of its entries' signs. A kernel (out, in, h, w) counts as a matrix (out, in * h * w).

    ``torch.optim.Muon`` takes matrices only, and a parameter cannot be another one's view.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step of all groups. Raises ValueError for a closure: nothing here calls it again."""
        if closure is not None:
            raise ValueError("MuonAdamW takes no closure")
        gradients: dict[Tensor, Tensor] = {}
        for group in self.param_groups:
            if group.get("orthogonal"):
                own = {p: p.grad for p in group["params"] if p.grad is not None}
                self._orthogonal_step(own, group["lr"])
                gradients |= own
        for parameter in gradients:  # AdamW passes over what has no gradient
            parameter.grad = None
        super().step()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient

    @torch.no_grad()
    def _orthogonal_step(self, gradients: dict[Tensor, Tensor], rate: float) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for parameter in gradients:
            shapes.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in shapes.items():  # matrices of one shape in one batched product
            ahead = []
            for parameter in parameters:
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                    state["step"] = torch.tensor(0.0)  # AdamW looks for it when a state is loaded
                state["momentum"].lerp_(gradients[parameter], 1 - _MOMENTUM)
                ahead.append(gradients[parameter].lerp(state["momentum"], _MOMENTUM))  # Nesterov's look ahead
            updates = orthogonalised(torch.stack(ahead).flatten(2))
            scale = max(1.0, shape[0] / shape[1:].numel()) ** 0.5
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.add_(update.reshape(shape), alpha=-rate * scale)


def orthogonalised(matrices: Tensor) -> Tensor:
    """About the nearest (semi-)orthogonal matrices of (n, rows, columns): singular values come to 0.7 to 1.2.

    Newton-Schulz iteration; a matrix of zeros stays zero.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.float()
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)


def optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """The optimizer of the parameters of ``model`` that learn, by the stage's ``optimizer``, ``slow`` and ``muon``."""
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {(False, 1.0): []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        orthogonal = _share(stage.muon, name) if parameter.dim() == 4 else None
        share = _share(stage.slow, name) if orthogonal is None else orthogonal
        groups.setdefault((orthogonal is not None, 1.0 if share is None else share), []).append(parameter)
    return from_groups(
        [{"params": p, "share": share, "orthogonal": orthogonal} for (orthogonal, share), p in groups.items() if p],
        stage,
    )


def from_groups(groups: list[dict[str, Any]], stage: Stage) -> torch.optim.Optimizer:
    """The kind of optimizer that a stage names, over groups with a ``share`` of its learning rate each."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": MuonAdamW}[stage.optimizer]
    # On a GPU all parameters are updated by one kernel; on a CPU nothing is gained, and results stay what they were.
    fused = all(p.device.type != "cpu" for group in groups for p in group["params"]) or None
    return kind(groups, lr=stage.learning_rate, weight_decay=stage.weight_decay, fused=fused)


def load(optimizer: Any, state: dict[str, Any]) -> None:
    """Take over a checkpoint's state; how steps are computed stays as this device wants it."""
    own = [{key: group[key] for key in ("fused", "foreach") if key in group} for group in optimizer.param_groups]
    groups = [saved | mine for saved, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})


def set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * rate


def _share(shares: dict[str, float], name: str) -> float | None:
    return next((share for prefix, share in shares.items() if name.startswith(f"{prefix}.")), None)
