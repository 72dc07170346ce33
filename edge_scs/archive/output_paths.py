"""Which images of a run become which files: names and structure kept, nothing met twice, sources safe."""

import os
from collections.abc import Callable
from pathlib import Path

from edge_scs.archive.journal import results
from edge_scs.errors import InputError
from edge_scs.images import SAVE, SUFFIXES, check_writable, find_images

FAILURES = "failures.jsonl"
FORMATS = {"png": ".png", "jpeg": ".jpg", "jpg": ".jpg", "webp": ".webp", "tiff": ".tif", "tif": ".tif"}


def suffix_of(name: str | None) -> str | None:
    """The suffix for --format. Raises InputError for an unknown one."""
    if name is None:
        return None
    if name.lower() not in FORMATS:
        raise InputError(f"format {name}: must be png, jpeg, webp or tiff")
    return FORMATS[name.lower()]


def plan(
    inputs: list[Path],
    out: Path,
    suffix: str | None = None,
    overwrite_sources: bool = False,
    unlisted: list[tuple[Path, str]] | None = None,
    passed: list[Path] | None = None,
) -> list[tuple[Path, Path]]:
    """Pairs of (source, target), sorted by source, each target once. Writes nothing.

    ``suffix`` is every result's, instead of its source's. Folders below ``inputs`` that cannot be listed are appended
    to ``unlisted``, with the reason, and files of other kinds to ``passed``, where those are given. What an earlier run
    into ``out`` made of other files is no source. Raises InputError for inputs that are missing or without images, an
    output that cannot be written, and one that is a source, unless ``overwrite_sources``.
    """
    inputs, out = [Path(path) for path in inputs], Path(out)
    others: list[Path] = []
    sources = find_images(inputs, unlisted, others)
    if len(inputs) == 1 and not inputs[0].is_dir() and out.suffix and not out.is_dir():
        check_writable(out, (1, 1))
        if suffix not in (None, out.suffix.lower()):
            raise InputError(f"{out}: is no {suffix} file; give its name that suffix, or drop --format")
        jobs = [(sources[0], out)]
    else:
        if out.suffix.lower() in SUFFIXES and not out.is_dir():
            raise InputError(f"{out}: several images need a folder; give one without an image's suffix")
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: is a file, not a folder; choose another output folder")
        folders, is_result = [path for path in inputs if path.is_dir()], results(out)
        outside = _outside(folders, out)
        sources = [path for path in sources if outside(path) and not is_result(path)]
        jobs = _into_folder(sources, folders, out, suffix)
        if passed is not None:
            passed += [path for path in others if outside(path) and path != out / FAILURES]
    if not jobs:
        raise InputError(f"{', '.join(map(str, inputs))}: no images besides those already in {out}")
    if not overwrite_sources:
        _refuse_sources(jobs)
    _refuse_closed_folder(out if out.is_dir() else out.parent)
    return jobs


def _into_folder(sources: list[Path], folders: list[Path], out: Path, suffix: str | None) -> list[tuple[Path, Path]]:
    jobs, taken = [], set()
    for source in sources:
        # The innermost of the given folders decides; a file given by name keeps its name only.
        above = [folder for folder in folders if folder in source.parents]
        place = source.relative_to(max(above, key=lambda folder: len(folder.parts))) if above else Path(source.name)
        place = result_name(place, suffix)
        name, count = place, 1
        while str(name).casefold() in taken:  # many file systems do not distinguish A.png from a.png
            count += 1
            name = place.with_name(f"{place.stem}-{count}{place.suffix}")
        taken.add(str(name).casefold())
        jobs.append((source, out / name))
    return jobs


def result_name(source: Path, suffix: str | None) -> Path:
    """The source's name with the suffix of what it becomes: its own where that is written, else ``suffix`` or PNG."""
    if source.suffix.lower() not in SUFFIXES:
        return source.with_name(f"{source.name}{suffix or '.png'}")
    if source.suffix.lower() not in SAVE:
        return source.with_suffix(suffix or ".png")
    if suffix is not None and SAVE[source.suffix.lower()][0] != SAVE[suffix][0]:
        return source.with_suffix(suffix)
    return source


def _outside(folders: list[Path], out: Path) -> Callable[[Path], bool]:
    """Tells whether a file found below ``folders`` is no result: ``out`` may lie inside one of them."""
    there = _real(out)
    around = [folder for folder in folders if _real(folder) in there.parents]

    def outside(path: Path) -> bool:
        return not (around and there in _real(path).parents and any(folder in path.parents for folder in around))

    return outside


def _refuse_sources(jobs: list[tuple[Path, Path]]) -> None:
    """Raise InputError if a target is one of the sources, under whatever name."""
    present: dict[tuple[int, int] | None, Path] = {_identity(source): source for source, _ in jobs}
    present.pop(None, None)
    for _, target in jobs:
        if source := present.get(_identity(target)):
            raise InputError(
                f"{target}: would replace its source {source}; choose another output, or add --overwrite-sources"
            )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # ``Path.resolve`` raises on links that go in circles


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
