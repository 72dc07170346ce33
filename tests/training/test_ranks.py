"""Two processes, each with a folder of its own, as on two machines without a shared disk."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from edge_scs.data.photographs import load_photographs
from edge_scs.recipes import load_recipe
from edge_scs.training.checkpoints import load_checkpoint
from edge_scs.training.loop import train
from tests.training.conftest import losses

# Several runs in one launch, as starting two processes takes longer than all of them.
SCRIPT = """
import os, sys, runpy
rank = os.environ["RANK"]
for name, *more in {runs!r}:
    sys.argv[:] = ["edge-scs", "train", {recipe!r}, "--set", 'stages=["l1"]', "--threads", "1", "--resume", *more]
    places = ["{base}/" + name + "_data", "{base}/" + name + "_data" + rank, "{base}/data" + rank]
    sys.argv += ["--data", next(filter(os.path.isdir, places)), "--out", "{base}/" + name + rank]
    try:
        runpy.run_module("edge_scs", run_name="__main__")
    except SystemExit as end:
        print("\\n", name, "ended with", end.code or 0, file=sys.stderr, flush=True)
"""
LONG = ("--set", "stage.l1.steps=4000", "--set", "cache_mb=0", "--set", "store_mb=0")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Pair:
    """Ranks 0 and 1, which train by a recipe in ``base``/NAME0 and NAME1 on photographs in data0 and data1.

    NAME_data0 and NAME_data1 are another run's own photographs, and NAME_data those of both of its ranks.
    """

    def __init__(self, base: Path, recipe: Path, *runs: tuple[str, ...]):
        script = base / "pair.py"
        script.write_text(SCRIPT.format(recipe=str(recipe), base=base, runs=runs))
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        common["EDGE_SCS_CACHE"] = str(base / "cache")
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            )
            for rank in (0, 1)
        ]  # fmt: skip

    def ended(self) -> list[str]:
        """What each has written on stderr."""
        return [process.communicate(timeout=240)[1] for process in self.processes]


@pytest.fixture
def machines(tmp_path: Path, folder: Path) -> Path:
    for rank in (0, 1):
        shutil.copytree(folder, tmp_path / f"data{rank}")
    return tmp_path


def code(text: str, name: str) -> int:
    return int(re.search(rf"{name} ended with (\d+)", text)[1])  # type: ignore[index]


def test_rank_0_s_checkpoint_counts_or_all_stop(machines: Path, folder: Path, pcarn_recipe) -> None:
    """Copies of a run, with rank 1's checkpoint missing or older, rank 0's older, or a photograph missing on rank 1.

    Two ranks decode the photographs of one folder into one store at once. And then rank 1 is killed.
    """
    recipe, whole = pcarn_recipe(l1=8), machines / "whole"
    doubled = load_recipe(recipe, ['stages=["l1"]', "stage.l1.data.batch=4"])
    train(doubled, load_photographs([folder]), whole, say=lambda text: None)
    (whole / "checkpoint.pt").unlink()
    (whole / "checkpoint.previous.pt").rename(whole / "checkpoint.pt")  # of step 6
    older = torch.load(whole / "checkpoint.pt", weights_only=True) | {"position": {"stage": 0, "step": 3}}
    for name in ("missing0", "older0", "older1", "ahead0", "ahead1"):
        shutil.copytree(whole, machines / name)
    for name in ("older1", "ahead0"):
        torch.save(older, machines / name / "checkpoint.pt")
    for rank in (0, 1):
        shutil.copytree(folder, machines / f"odd_data{rank}")
    (machines / "odd_data1" / "2.png").unlink()
    shutil.copytree(folder, machines / "shared_data")

    names = ("missing", "older", "shared", "ahead", "odd")
    pair = Pair(machines, recipe, *((name,) for name in names), ("last", *LONG))
    wait_for_checkpoints(machines / "last0", pair)
    os.kill(pair.processes[1].pid, signal.SIGKILL)
    first, second = pair.ended()
    assert [code(first, name) for name in (*names, "last")] == [0, 0, 0, 2, 2, 2], first
    assert [code(second, name) for name in names] == [0, 0, 0, 2, 2], second
    expected = [float(value) for *_, value in losses(whole)]
    for name in ("missing0", "older0", "shared0"):
        assert [float(value) for *_, value in losses(machines / name)] == pytest.approx(expected, rel=1e-5)
    # One of each rank's own folder, and one of both: nobody wrote a second, or left something unfinished.
    kept = sorted(path.name for path in (machines / "cache").iterdir() if not path.name.startswith("photographs-"))
    assert len(kept) == 6, kept
    assert len([name for name in kept if name.endswith(".rgb")]) == 3
    ahead, odd, last = [line for line in (first + second).splitlines() if line.startswith("edge-scs:")]
    assert re.search(r"rank 1 on \S+ holds a checkpoint of stage 0, step 6, rank 0 on \S+ one of .* step 3", ahead)
    assert re.search(r"the photographs differ between rank 0 \(3\) and rank 1 on \S+ \(2\): 2.png", odd)
    assert "another process of this run has ended" in last
    assert "resume with --resume" in last
    state = load_checkpoint(machines / "last0")
    assert state is not None
    assert len(losses(machines / "last0")) >= state["position"]["step"]


@pytest.mark.slow
def test_a_photograph_deleted_on_one_rank_ends_both(machines: Path, pcarn_recipe) -> None:
    pair = Pair(machines, pcarn_recipe(l1=8), ("last", *LONG))
    wait_for_checkpoints(machines / "last0", pair)
    for path in (machines / "data1").iterdir():
        path.unlink()
    first, second = pair.ended()
    assert (code(first, "last"), code(second, "last")) == (2, 2), first
    assert "another process of this run has ended" in first
    assert re.search(r"edge-scs: \S+\.png: no such file", second)


def wait_for_checkpoints(run: Path, pair: Pair) -> None:
    """Two of them, or a process that has ended."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (run / "checkpoint.previous.pt").exists():
        if any(process.poll() is not None for process in pair.processes):
            break
        time.sleep(0.02)
