"""Files and folders of pictures through an enhancer: names kept, sources safe, broken files named and skipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_scs.enhance.predictor import Enhancer, Progress
from edge_scs.enhance.sizes import check_scale, parse_size, target_size
from edge_scs.errors import InputError
from edge_scs.images import SUFFIXES, check_writable, find_images, read_grey, read_rgb, write_image


@dataclass
class Summary:
    """What became of a run: ``done``, the files written, and ``failed``, the pictures skipped with the reason."""

    done: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def enhance_files(
    inputs: list[Path],
    out: Path,
    predictor: Enhancer,
    scale: float | None = None,
    size: str | tuple[int, int] | None = None,
    reference: Path | None = None,
    keep_colour: bool = False,
    progress: bool = True,
) -> Summary:
    """Enhance pictures and folders of pictures (recursively) by ``scale`` or to ``size`` ("1280x720" or (W, H)).

    One file and an ``out`` with a picture's suffix: that file. Otherwise ``out`` is a folder, made if need be; pictures
    keep their names, formats and places below the given folders (a file of no known suffix becomes a PNG), and names
    that would meet get -2, -3, ... Earlier results are replaced, sources never. Pictures that already lie in ``out``
    are no inputs, so that a folder may hold its own results.

    A picture that cannot be read, or not at this size, is skipped and listed in the summary; if it is the only one and
    was given by name, it raises. ``progress`` shows a bar on stderr when that is a terminal.
    Raises InputError for missing inputs, a folder without pictures, options that do not go together or that the
    network cannot serve, and an output that cannot be written or is a source.
    """
    if isinstance(size, str):
        size = parse_size(size)
    if scale is not None and size is not None:
        raise InputError("scale and size exclude each other: give --scale or --size, not both")
    if size is None:
        check_scale(scale := predictor.default_scale if scale is None else scale)
    predictor.check_options(reference is not None, keep_colour, scale)
    jobs = plan(inputs, out)
    guide = None if reference is None else read_rgb(reference)
    alone = len(inputs) == 1 and not Path(inputs[0]).is_dir()
    summary = Summary()
    with _bar(len(jobs), progress) as bar:
        for index, (source, target) in enumerate(jobs):
            try:
                picture = read_rgb(source) if keep_colour else read_grey(source)
                hr = target_size((picture.shape[0], picture.shape[1]), scale, size)
                check_writable(target, hr)
                result = predictor.enhance(picture, hr, guide, keep_colour, bar(source, index))
            except InputError as error:
                if alone:
                    raise
                summary.failed.append((source, str(error).removeprefix(f"{source}: ")))
                continue
            except MemoryError as error:
                reason = "not enough memory; choose a smaller scale or crop it"
                if alone:
                    raise InputError(f"{source}: {reason}") from error
                summary.failed.append((source, reason))
                continue
            write_image(target, result)  # a disk that is full for one is full for all: not skipped
            summary.done.append(target)
    return summary


def plan(inputs: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Pairs of (source, target), sorted by source, each target once. Writes nothing; raises InputError as above."""
    inputs, out = [Path(path) for path in inputs], Path(out)
    sources = find_images(inputs)
    if len(inputs) == 1 and not inputs[0].is_dir() and out.suffix and not out.is_dir():
        check_writable(out, (1, 1))
        jobs = [(sources[0], out)]
    else:
        if out.suffix.lower() in SUFFIXES and not out.is_dir():
            raise InputError(f"{out}: several pictures need a folder; give one without a picture's suffix")
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: is a file, not a folder; choose another output folder")
        jobs = _into_folder(sources, [path for path in inputs if path.is_dir()], out)
    if not jobs:
        raise InputError(f"{', '.join(map(str, inputs))}: no pictures besides those already in {out}")
    _refuse_sources(jobs)
    _refuse_closed_folder(out if out.is_dir() else out.parent)
    return jobs


def _into_folder(sources: list[Path], folders: list[Path], out: Path) -> list[tuple[Path, Path]]:
    inside_out = [folder for folder in folders if folder.resolve() in out.resolve().parents]
    jobs, taken = [], set()
    for source in sources:
        if out.resolve() in source.resolve().parents and any(folder in source.parents for folder in inside_out):
            continue
        # The innermost of the given folders decides; a file given by name keeps its name only.
        above = [folder for folder in folders if folder in source.parents]
        place = source.relative_to(max(above, key=lambda folder: len(folder.parts))) if above else Path(source.name)
        if place.suffix.lower() not in SUFFIXES:
            place = place.with_name(f"{place.name}.png")
        name, count = place, 1
        while str(name).casefold() in taken:  # many file systems do not tell A.png from a.png
            count += 1
            name = place.with_name(f"{place.stem}-{count}{place.suffix}")
        taken.add(str(name).casefold())
        jobs.append((source, out / name))
    return jobs


def _refuse_sources(jobs: list[tuple[Path, Path]]) -> None:
    """Raise InputError if a target is one of the sources, under whatever name."""
    present: dict[tuple[int, int] | None, Path] = {_identity(source): source for source, _ in jobs}
    present.pop(None, None)
    for _, target in jobs:
        if source := present.get(_identity(target)):
            raise InputError(f"{target}: would replace its source {source}; choose another output")


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of one file; None where there is none, or a dangling link."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _refuse_closed_folder(folder: Path) -> None:
    """Raise InputError before the work rather than after it, if nothing can be written here."""
    present = folder
    while not present.exists() and present != present.parent:
        present = present.parent
    if not present.is_dir():
        raise InputError(f"{present}: is a file, not a folder; choose another output folder")
    if not os.access(present, os.W_OK | os.X_OK):
        raise InputError(f"{present}: cannot be written (permission denied); choose another output folder")


@contextmanager
def _bar(count: int, wanted: bool) -> Iterator:
    """A function (source, index) -> progress callback for that picture, drawing one bar on stderr."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = wanted and console.is_terminal
    with RichProgress(*columns, console=console, transient=True, disable=not shown) as display:
        task = display.add_task("", total=count)

        def start(source: Path, index: int) -> Progress:
            display.update(task, completed=index, description=escape(source.name))
            return lambda done, total: display.update(task, completed=index + done / total)

        yield start
