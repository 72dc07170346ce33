"""One step of a stage: batches that are accumulated count as one large batch, and the average keeps its share."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge_scs.recipes import DataSection, Stage
from edge_scs.training.divergence import Guard
from edge_scs.training.optimizers import MuonAdamW, from_groups, set_rate
from edge_scs.training.stage import StageRun, kept, learning_rate


class Pair:
    """A batch of numbers: inputs and what they are to become."""

    def __init__(self, gray: Tensor, hr: Tensor):
        self.gray, self.hr = gray, hr

    def to(self, device: object) -> "Pair":
        return self


class OneProcess:
    """What a step asks of accelerate, in one process."""

    device, num_processes, process_index = torch.device("cpu"), 1, 0

    def no_sync(self, task: object) -> nullcontext[None]:
        return nullcontext()

    def autocast(self) -> Any:
        return torch.autocast("cpu", enabled=False)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def clip_grad_norm_(self, parameters: list[Tensor], most: float) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, most)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, batch: Pair) -> dict[str, Tensor]:
        return {"loss": (self.layer(batch.gray) - batch.hr).square().mean()}


def steps(batches: list[list[Pair]], **more: Any) -> tuple[list[Tensor], list[Tensor], list[dict]]:
    """Weights, their averages and the losses after a step on each list of batches."""
    stage = Stage("line", ["all"], 9, 0.05, warmup=0, accumulate=len(batches[0]), data=DataSection(), **more)
    torch.manual_seed(0)
    run: Any = StageRun.__new__(StageRun)
    run.accelerator, run.stage, run.adversary, run.seed = OneProcess(), stage, None, 1
    run.task = Line()
    run.parameters = list(run.task.parameters())
    run.optimizer = from_groups([{"params": run.parameters, "share": 1.0}], stage)
    run.ema = [p.detach().clone() for p in run.parameters]
    run.guard, run.waited = Guard("line"), 0.0
    losses = []
    for number, group in enumerate(batches):
        loader: Iterator[Pair] = iter(group)
        losses.append(run.step(loader, number)[0])
    return [p.detach() for p in run.parameters], run.ema, losses


def data(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=generator), torch.randn(count, 2, generator=generator)


def test_accumulated_batches_are_one_large_batch() -> None:
    """Adam forgets how long a gradient is, but not beside a decay of the weights that is added to it."""
    x, y = data(24)
    parts = [[Pair(x[i : i + 2], y[i : i + 2]) for i in range(8 * s, 8 * s + 8, 2)] for s in range(3)]
    whole = [[Pair(x[8 * s : 8 * s + 8], y[8 * s : 8 * s + 8])] for s in range(3)]
    more = {"clip": 1e9, "optimizer": "adam", "weight_decay": 0.3}
    small, _, losses = steps(parts, **more)
    large, _, expected = steps(whole, **more)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(small, large, strict=True))
    assert [row["loss"] for row in losses] == pytest.approx([row["loss"] for row in expected])


@pytest.mark.parametrize(
    ("ema", "step", "share"),
    [(0.999, 0, 1 / 10), (0.999, 1, 2 / 11), (0.999, 8, 0.5), (0.999, 89, 90 / 99), (0.9, 10_000, 0.9), (0.0, 5, 0.0)],
)
def test_a_young_average_follows_closely(ema: float, step: int, share: float) -> None:
    assert kept(Stage("line", ["all"], 9, 0.1, ema=ema), step) == pytest.approx(share)


def test_the_average_is_of_the_weights_after_each_step() -> None:
    x, y = data(12)
    groups = [[Pair(x[4 * s : 4 * s + 4], y[4 * s : 4 * s + 4])] for s in range(3)]
    torch.manual_seed(0)
    average = [p.detach().clone() for p in Line().parameters()]
    for count in (1, 2, 3):
        weights, averages, _ = steps(groups[:count])
        share = (1 + count - 1) / (10 + count - 1)
        average = [share * old + (1 - share) * new for old, new in zip(average, weights, strict=True)]
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(average, averages, strict=True))


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.025), (3, 0.1), (4, 0.1), (14, 0.055), (24, 0.01)]
)  # fmt: skip
def test_rates_warm_up_and_fall_by_a_cosine(step: int, rate: float) -> None:
    stage = Stage("line", ["all"], 24, 0.1, warmup=4, final_rate=0.1)
    assert learning_rate(stage, step) == pytest.approx(rate)


def test_rates_halve() -> None:
    stage = Stage("line", ["all"], 24, 0.1, warmup=0, halve_every=10)
    assert [learning_rate(stage, step) for step in (0, 9, 10, 20)] == pytest.approx([0.1, 0.1, 0.05, 0.025])


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_muon_on_1x1_kernels_is_torchs(shape: tuple[int, int]) -> None:
    """Three steps: the first alone cannot tell Nesterov's look ahead from the momentum itself."""
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = nn.Parameter(start[:, :, None, None].clone()), nn.Parameter(start.clone())
    one = MuonAdamW([{"params": [ours], "share": 1.0, "orthogonal": True}], lr=0.1, weight_decay=0.0)
    two = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, momentum=0.95, nesterov=True)
    for _ in range(3):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient[:, :, None, None].clone(), gradient.clone()
        set_rate(one, 0.1)
        one.step()
        two.step()
        # torch iterates in bfloat16: some hundredths of a step of 0.1; without the look ahead it is half a step
        assert (ours.detach()[:, :, 0, 0] - theirs.detach()).abs().max() < 0.015
