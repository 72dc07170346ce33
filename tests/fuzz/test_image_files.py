"""Mutated images through the whole of ``enhance``: done or refused, never a crash, a hang or a file left behind.

``pytest -m fuzz tests/fuzz`` does 20,000 (FUZZ_COUNT and FUZZ_SEED change number and start); by default some hundred.
Files are what is on trial, so of twenty folderfuls one goes through the network, the others through a stand-in for it.
"""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from archive.repeat import Repeat
from fuzz.mixed import GOOD, write_good
from fuzz.mutate import mutate

from edge_scs.archive import folder as folder_module
from edge_scs.archive.folder import UNFORESEEN, RunOptions, enhance_files
from edge_scs.archive.restore import Wanted
from edge_scs.inference.predictor import Predictor
from edge_scs.weights.loading import load

COUNT, SEED = int(os.environ.get("FUZZ_COUNT", "20000")), int(os.environ.get("FUZZ_SEED", "0"))
FOLDERFUL = 100
SECONDS = 10.0
MAX_PIXELS = 250_000  # files are on trial, not the network's patience


class Timed:
    """Notes the processor time of each image, which other work on the machine does not lengthen, and ends a hang."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path):
        self.slowest = 0.0
        attempt = folder_module.attempt

        def timed(source: Path, *given: object, **more: object) -> object:
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                return attempt(source, *given, **more)
            except Hang:
                shutil.copy(source, folder / f"hang-{source.name}")
                raise
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                self.slowest = max(self.slowest, time.process_time() - begun)

        signal.signal(signal.SIGPROF, _hang)
        monkeypatch.setattr(folder_module, "attempt", timed)


class Hang(BaseException):
    """So that no handler for decoders' errors takes it for one."""


def _hang(*_: object) -> None:
    raise Hang(f"an image took more than {SECONDS:g} s")


@pytest.mark.parametrize("count", [160, pytest.param(COUNT, marks=pytest.mark.fuzz)])
def test_mutated_images_are_done_or_refused(
    tmp_path: Path, count: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    originals = [write_good(tmp_path / "good", kind, 0, side=10) for kind in GOOD if "\n" not in kind]
    sources = [(path.read_bytes(), path.suffix) for path in originals]
    network = Predictor(load("edge_scs_s", allow_untrained=True))
    done = failed = 0
    timed = Timed(monkeypatch, tmp_path)
    for first in range(0, count, FOLDERFUL):
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        numbers = range(first, min(first + FOLDERFUL, count))
        for number in numbers:
            content, suffix = sources[number % len(sources)]
            (folder / f"{number}{suffix}").write_bytes(mutate(content, SEED + number))
        predictor = Repeat() if first // FOLDERFUL % 20 else network
        wanted = Wanted(scale=1.5, max_output_pixels=MAX_PIXELS)
        summary = enhance_files([folder], out, predictor, RunOptions(wanted, progress=False))
        done, failed = done + len(summary.done), failed + len(summary.failed)
        assert len(summary.done) + len(summary.failed) == len(numbers)
        assert not [item for item in summary.failed if UNFORESEEN in item[1]], "listed, but a mistake all the same"
        journal = (out / ".edge-scs" / "journal-0.jsonl").read_text().splitlines()
        assert len(journal) == len(numbers)
        left = {path for path in out.rglob("*") if path.is_file()} - set(summary.done)
        assert {path.name for path in left} <= {"journal-0.jsonl", "failures.jsonl"}
        shutil.rmtree(folder)
        shutil.rmtree(out)
    capfd.readouterr()
    with capfd.disabled():
        print(f"\n{count} mutated images: {done} done, {failed} refused, slowest {timed.slowest:.1f} s")
    assert done
    assert failed
