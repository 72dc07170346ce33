"""Which of how many processes this is: `accelerate launch` and torchrun say so in the environment."""

import torch

from edge_scs import launch


def without_accelerator() -> bool:
    """Whether several processes were started on a machine that has no GPU.

    Accelerate needs to know: left to itself, it takes each of them for a run of its own there.
    """
    return launch.processes() > 1 and not torch.accelerator.is_available()


def start_processes() -> tuple[int, int]:
    """Join the other processes, if any: (rank, number of processes). Raises InputError like ``launch.check``."""
    from accelerate import PartialState

    launch.check()
    state = PartialState(cpu=without_accelerator())
    return state.process_index, state.num_processes
