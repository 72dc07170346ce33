"""Which of how many processes this is: `accelerate launch` and torchrun say so in the environment."""

import os

import torch


def without_accelerator() -> bool:
    """Whether several processes were started on a machine that has no GPU.

    Accelerate has to be told: left to itself, it takes each of them for a run of its own there.
    """
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.accelerator.is_available()


def start_processes() -> tuple[int, int]:
    """Join the other processes, if any: (rank, number of processes)."""
    from accelerate import PartialState

    state = PartialState(cpu=without_accelerator())
    return state.process_index, state.num_processes
