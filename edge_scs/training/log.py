"""What a run leaves to look at: metrics.csv (and TensorBoard if installed), progress on stderr, contact sheets."""

import csv
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_scs.data.photographs import Photographs
from edge_scs.files import write_atomically
from edge_scs.training.validation import crop_pair

HEADER = ("stage_number", "stage", "step", "name", "value")
BLOCK = 1 << 16  # bytes of the file that are looked at together, from its end
Tracker = Callable[[int, int, dict[str, float]], None]  # stage number, its step, figures by "stage/name"


class MetricsLog:
    """Rows (stage_number, stage, step, name, value) in ``folder``/metrics.csv, flushed as they come."""

    def __init__(self, folder: Path, enabled: bool = True, tracker: Tracker | None = None):
        self.path, self.enabled, self.tracker = folder / "metrics.csv", enabled, tracker
        self.writer: Any = None
        if not enabled:
            return
        if not self.path.exists():
            text = io.StringIO(newline="")
            csv.writer(text).writerow(HEADER)
            write_atomically(self.path, text.getvalue())
        if tracker is not None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tensorboard"))
        except ImportError:
            self.writer = None

    def truncate(self, stage_number: int, step: int) -> None:
        """Drop rows at or after a position: a resumed run writes them again.

        Rows stand in the order of their steps, so the file is read from its end, as far as it has to be.
        """
        if not self.enabled:
            return
        with open(self.path, "r+b") as file:
            end = start = file.seek(0, os.SEEK_END)
            keep, rest = 0, b""
            while start and not keep:
                start = max(0, start - BLOCK)
                file.seek(start)
                rest = file.read(end - start)
                # What stands before the first line break may be half a line, unless the file begins here.
                place = rest.find(b"\n") + 1 if start else 0
                for line in rest[place:].splitlines(keepends=True):
                    if not _is_before(line, (stage_number, step)):
                        break
                    place += len(line)
                    keep = start + place
            file.truncate(keep)

    def write(self, number: int, stage: str, step: int, figures: dict[str, float]) -> None:
        """Append one row per figure of a step."""
        if self.enabled:
            self._write([(number, stage, step, key, f"{value:.9g}") for key, value in figures.items()])
            if self.tracker is not None:
                self.tracker(number, step, {f"{stage}/{key}": value for key, value in figures.items()})

    def _write(self, rows: list[tuple[int, str, int, str, str]]) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerows(rows)
        if self.writer is not None:
            for _, stage, step, name, value in rows:
                self.writer.add_scalar(f"{stage}/{name}", float(value), step)


def _is_before(line: bytes, position: tuple[int, int]) -> bool:
    """Whether a whole line is the header, or of a step before ``position``."""
    row = line.decode("utf-8", "replace").rstrip("\r\n").split(",")
    if len(row) != len(HEADER) or not line.endswith(b"\n"):
        return False
    if row[0] == HEADER[0]:
        return True
    try:
        return (int(row[0]), int(row[2])) < position  # what is measured before the first step is of step -1
    except ValueError:
        return False


class Progress:
    """A bar on a terminal's stderr (loss, it/s, images/s, ETA), a line every half minute elsewhere."""

    def __init__(self, stage: str, start: int, total: int, say: Callable[[str], None]):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.stage, self.done, self.total, self.say = stage, start, total, say
        console = Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.task = self.bar.add_task(stage, total=total, completed=start, figures="")
        self.loss, self.rate, self.images = float("nan"), 0.0, 0.0
        self.reported = time.monotonic()

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def advance(self, loss: float, images: int, seconds: float) -> None:
        """One step done: its loss, the images it saw and how long it took."""
        self.done += 1
        fresh = self.rate == 0.0
        self.loss = loss if fresh else 0.98 * self.loss + 0.02 * loss
        self.rate = 1 / seconds if fresh else 0.95 * self.rate + 0.05 / seconds
        self.images = images * self.rate
        figures = f"loss {self.loss:.4f}  {self.rate:.1f} it/s  {self.images:.0f} images/s"
        self.bar.update(self.task, advance=1, figures=figures)
        if self.bar.disable and time.monotonic() - self.reported > 30:
            self.reported = time.monotonic()
            left = (self.total - self.done) / max(self.rate, 1e-9) / 60
            self.say(f"{self.stage} {self.done}/{self.total}  {figures}  {left:.0f} min left")


@torch.no_grad()
def contact_sheet(model: Any, photographs: Photographs, path: Path, colour: bool, count: int, side: int = 256) -> None:
    """A PNG of held-out photographs: LR enlarged (grey, or RGB with ``colour``) | the network's x4 | the truth."""
    from edge_scs.images import write_image

    rows = []
    step = max(1, len(photographs) // count)
    for index in range(0, len(photographs), step)[:count]:
        hr, small = crop_pair(photographs[index], side, colour)
        h, w = hr.shape[-2:]
        out = model(small.to(next(model.parameters()).device), (h, w)).cpu()
        blocks = small.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
        row = torch.cat([blocks, out, hr.float() / 255], dim=3)[0]
        rows.append(torch.nn.functional.pad(row, (0, 3 * side - row.shape[2], 0, side - row.shape[1]), value=1.0))
    sheet = (torch.cat(rows, dim=1).permute(1, 2, 0) * 255).round().clamp(0, 255).numpy().astype(np.uint8)
    write_image(path, sheet)
