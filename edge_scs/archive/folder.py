"""Files and folders of images through an enhancer: everything that can be done is done, the rest is listed.

A run over a folder keeps a journal in ``OUT/.edge-scs`` (``journal``), which ``resume`` goes by, and leaves
``OUT/failures.jsonl`` if there are failures. Several processes share a run either as ``jobs`` workers of one process
or as ranks of a distributed launch (``ranks``); results are the same.
"""

import errno
import json
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from edge_scs import __version__
from edge_scs.archive.journal import Journal, sha256
from edge_scs.archive.output_paths import FAILURES, plan
from edge_scs.archive.progress import WORTH_ESTIMATING, Display, duration, seconds_per_pixel
from edge_scs.archive.ranks import Ranks
from edge_scs.archive.restore import Wanted, restore
from edge_scs.archive.workers import Died, run_all
from edge_scs.errors import InputError
from edge_scs.files import printable, sweep, write_atomically
from edge_scs.imaging.arrays import ImageArray
from edge_scs.imaging.scans import check_pixels, image_size, read_reference
from edge_scs.imaging.sizes import check_scale, target_size
from edge_scs.imaging.writers import check_target
from edge_scs.inference.engine import Engine
from edge_scs.inference.monochrome import NO_COLOUR, is_monochrome
from edge_scs.interrupts import interruptible

# Trouble with the disk that the next image would meet as well: the run stops, to resume with --resume.
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOTCONN, errno.ESTALE}


UNFORESEEN = "failed by an error that should not be"


@dataclass
class Summary:
    """What became of a run: ``done``, the files written; ``failed``, the images skipped, with the reason.

    ``before``: how many an earlier run had settled, of which ``failed_before`` are in ``failed`` too; ``notes``: what
    was special about images that were done; ``planned``: sources, targets and sizes (H, W) of a dry run; ``passed``:
    files in the given folders that are of no known kind, and were not looked at.
    """

    done: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    before: int = 0
    failed_before: int = 0
    notes: list[tuple[Path, str]] = field(default_factory=list)
    planned: list[tuple[Path, Path, tuple[int, int]]] = field(default_factory=list)
    passed: list[Path] = field(default_factory=list)

    def remarks(self, out: Path, dry_run: bool) -> list[str]:
        """What to report about the run, a line each: notes, failures, the sum."""
        lines = [printable(f"{path}: {note}") for path, note in self.notes]
        lines += [printable(f"skipped: {why if str(path) in why else f'{path}: {why}'}") for path, why in self.failed]
        if self.passed:
            kinds = Counter(path.suffix.lower() or "no suffix" for path in self.passed).most_common()
            names = ", ".join(f"{count} {kind}" for kind, count in kinds[:5]) + (", ..." if len(kinds) > 5 else "")
            lines.append(printable(f"{len(self.passed)} files of other kinds passed over: {names}"))
        if dry_run:
            planned = f"{len(self.planned)} to do, {self.before} settled before"
            return [*lines, f"{planned}, {len(self.failed)} cannot be done"]
        return [*lines, f"{self.words()}, in {printable(out)}"]

    def words(self) -> str:
        earlier = f"{self.before - self.failed_before} done before, {self.failed_before} skipped before"
        if self.before and not self.done and len(self.failed) == self.failed_before:
            return f"nothing to do: {earlier}"
        now = f"{len(self.done)} done, {len(self.failed) - self.failed_before} skipped"
        return f"{now}; {earlier}" if self.before else now


@dataclass(frozen=True)
class Outcome:
    """One image: its content's hash, the reason if it failed, and whether that lies in the file itself."""

    content: str
    reason: str | None = None
    final: bool = False
    hopeless: bool = False
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class RunOptions:
    """How a run proceeds: ``wanted`` of every image, ``reference`` for all of them, and what becomes of the files.

    ``suffix`` (".png") replaces the images' own formats. ``overwrite_sources`` lets results take their sources' places.
    ``resume`` passes over what an earlier run with the same settings settled. ``dry_run`` only plans. ``jobs``
    processes share the work. ``progress``: a bar on stderr when that is a terminal, else lines through ``say``.
    """

    wanted: Wanted = field(default_factory=Wanted)
    reference: Path | None = None
    suffix: str | None = None
    overwrite_sources: bool = False
    resume: bool = False
    dry_run: bool = False
    jobs: int = 1
    progress: bool = True


def enhance_files(
    inputs: list[Path],
    out: Path,
    predictor: Engine,
    run: RunOptions = RunOptions(),
    *,
    make: Callable[[], Engine] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Enhance images and folders of images (recursively).

    One file and an ``out`` with an image's suffix: that file. Otherwise ``out`` is a folder, made if need be; images
    keep their names, formats and places below the given folders (a file of no known suffix becomes a PNG), and names
    that would meet get -2, -3, ... Earlier results are replaced. Images that lie in ``out`` are no inputs, so that a
    folder may hold its own results.

    Each of several ``jobs`` calls ``make`` for an enhancer like ``predictor``. Unfinished files of killed runs are
    removed first. An image that cannot be read, or not at this size, is skipped and listed in the summary; if it is the
    only one and was given by name, it raises. Raises InputError for missing inputs, a folder without images, options
    that do not go together or that the network cannot serve, and an output that cannot be written or is a source.
    """
    wanted, reference, options, jobs = run.wanted, run.reference, run.wanted.options, run.jobs
    if wanted.size is None:
        check_scale(scale := predictor.default_scale if wanted.scale is None else wanted.scale)
        wanted = replace(wanted, scale=scale)
    predictor.check_options(options, reference is not None, wanted.scale)
    if jobs > 1 and make is None:
        raise InputError("jobs: several processes need a way to make their enhancers")
    unlisted: list[tuple[Path, str]] = []
    passed: list[Path] = []
    pairs = plan(inputs, out, run.suffix, run.overwrite_sources, unlisted, passed)
    if options.hints and len(pairs) > 1:
        raise InputError(f"hints: are points of one image, and these are {len(pairs)}; give one image")
    guide = None if reference is None else read_reference(Path(reference))
    if guide is not None and is_monochrome(guide):
        say(f"{reference}: {NO_COLOUR}")
        guide = None
    work = partial(attempt, wanted=wanted, guide=guide)
    if len(inputs) == 1 and not Path(inputs[0]).is_dir():
        if run.dry_run:
            return _dry(pairs, wanted, Summary())
        if run.progress and (weight := _weight(pairs[0][0])) > WORTH_ESTIMATING:
            say(_estimate(predictor, wanted, guide, pairs, weight, 1))
        return _one(*pairs[0], partial(work, enhancer=predictor), run.progress, say)
    settings = {"network": predictor.identity, "version": __version__, **asdict(options), "quality": wanted.quality}
    guided = None if reference is None else sha256(Path(reference))
    settings |= {"scale": wanted.scale, "size": wanted.size, "reference": guided}
    with Ranks() as ranks, closing(Journal(out, settings, ranks.rank, read_only=run.dry_run)) as journal:
        summary = Summary(failed=unlisted if ranks.rank == 0 else [], passed=passed)
        todo = pairs[ranks.rank :: ranks.count]
        if run.resume:
            todo = _unsettled(todo, journal, summary)
        if run.dry_run:
            return _dry(todo, wanted, summary)
        if ranks.rank == 0:
            _sweep({target.parent for _, target in pairs}, say)
        shown, weights = run.progress and ranks.rank == 0, [_weight(source) for source, _ in todo]
        if shown and sum(weights) > WORTH_ESTIMATING:
            say(_estimate(predictor, wanted, guide, todo, sum(weights), jobs * ranks.count))
        try:
            with interruptible(), Display(weights, shown, say) as display:
                if jobs > 1 and make is not None and len(todo) > 1:
                    results: Generator[tuple[int, Any], None, None] = run_all(todo, partial(_Worker, make, work), jobs)
                else:
                    results = _in_turn(todo, partial(work, enhancer=predictor), display)
                with closing(results):
                    for index, outcome in results:
                        _note(todo[index], outcome, journal, summary)
                        display.end(index, failed=outcome.reason is not None)
            summary = _gathered(summary, ranks)
        finally:
            if ranks.rank == 0:
                _list_failures(out, summary)
    return summary


def _one(
    source: Path, target: Path, work: Callable[..., Outcome], progress: bool, say: Callable[[str], None]
) -> Summary:
    """A single image given by name: no journal, and what is wrong with it is raised."""
    _sweep({target.parent}, say)
    with interruptible(), Display([1.0], progress, say) as display:
        outcome = work(source, target, progress=display.start(0, source))
    if outcome.reason is not None:
        raise InputError(outcome.reason if str(target) in outcome.reason else f"{source}: {outcome.reason}")
    return Summary([target], notes=[(source, note) for note in outcome.notes])


def _sweep(folders: set[Path], say: Callable[[str], None]) -> None:
    for folder in sorted(folders):
        for path in sweep(folder):
            say(f"removed {printable(path)}, left unfinished by a killed run")


def attempt(
    source: Path, target: Path, wanted: Wanted, guide: ImageArray | None, enhancer: Engine, progress: Any = None
) -> Outcome:
    """One image; whatever goes wrong with it is the outcome's reason. ``guide`` is the reference's RGB."""
    begun = time.monotonic()
    content = ""
    try:
        content = sha256(source) if source.is_file() else ""
        notes = restore(source, target, enhancer, wanted, guide, progress)
        return Outcome(content, notes=tuple(notes), seconds=round(time.monotonic() - begun, 3))
    except InputError as error:
        cause = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        reason = str(error).removeprefix(f"{source}: ")
        return Outcome(content, reason, final=cause is None, hopeless=cause in _HOPELESS and str(target) in str(error))
    except MemoryError:
        return Outcome(content, "not enough memory; choose a smaller scale or crop it")
    except OSError as error:
        return Outcome(content, f"cannot be read ({error.strerror or error}); check the disk and its permissions")
    except RuntimeError as error:  # torch: a GPU's memory, an operator that cannot
        return Outcome(content, f"could not be computed ({' '.join(str(error).split())[:200]}); try a smaller --tile")
    except Exception as error:  # a mistake of ours, which must not cost the rest of a folder
        return Outcome(content, f"{UNFORESEEN} ({_named(error)}); please report it")


def _named(error: Exception) -> str:
    """An exception's type and words, as one line."""
    return ": ".join(filter(None, [type(error).__name__, " ".join(str(error).split())[:200]]))


class _Worker:
    """What a worker process does: its own enhancer, applied to one image after another."""

    def __init__(self, make: Callable[[], Engine], work: Callable[..., Outcome]):
        self._work = partial(work, enhancer=make())

    def __call__(self, source: Path, target: Path) -> Outcome:
        return self._work(source, target)


def _in_turn(
    pairs: list[tuple[Path, Path]], work: Callable[..., Outcome], display: Display
) -> Generator[tuple[int, Outcome], None, None]:
    for index, (source, target) in enumerate(pairs):
        yield index, work(source, target, progress=display.start(index, source))


def _note(pair: tuple[Path, Path], outcome: Outcome | Died, journal: Journal, summary: Summary) -> None:
    """Into the journal and the summary. Raises InputError if no other image would fare better."""
    source, target = pair
    if isinstance(outcome, Died):
        outcome = Outcome("", outcome.reason)
    if outcome.reason is None:
        journal.done(source, outcome.content, target, outcome.seconds, list(outcome.notes))
        summary.done.append(target)
        summary.notes += [(source, note) for note in outcome.notes]
        return
    if outcome.hopeless:
        raise InputError(f"{outcome.reason}; {len(summary.done)} done so far, resume with --resume once that is fixed")
    journal.failed(source, outcome.content, target, outcome.reason, outcome.final)
    summary.failed.append((source, outcome.reason))


def _unsettled(pairs: list[tuple[Path, Path]], journal: Journal, summary: Summary) -> list[tuple[Path, Path]]:
    left = []
    for source, target in pairs:
        entry = journal.settled(source, target)
        if entry is None:
            left.append((source, target))
            continue
        summary.before += 1
        if entry.status == "failed":
            summary.failed_before += 1
            summary.failed.append((source, entry.reason))
    return left


def _weight(source: Path) -> float:
    """LR pixels, 1 where the file does not say."""
    try:
        h, w = image_size(source)
        return float(h * w)
    except Exception:  # whatever it is, the attempt will say so
        return 1.0


def _dry(pairs: list[tuple[Path, Path]], wanted: Wanted, summary: Summary) -> Summary:
    """What a run would do, as far as the files' headers say."""
    for source, target in pairs:
        try:
            hr = target_size(image_size(source), wanted.scale, wanted.size)
            check_pixels(source, hr, wanted.max_output_pixels)
            check_target(target, hr)
            summary.planned.append((source, target, hr))
        except (InputError, OSError) as error:
            summary.failed.append((source, str(error).removeprefix(f"{source}: ")))
        except Exception as error:
            summary.failed.append((source, f"{UNFORESEEN} ({_named(error)})"))
    return summary


def _estimate(
    predictor: Engine,
    wanted: Wanted,
    guide: ImageArray | None,
    pairs: list[tuple[Path, Path]],
    pixels: float,
    processes: int,
) -> str:
    times = predictor.default_scale if wanted.scale is None else wanted.scale
    suffix = pairs[0][1].suffix
    number = f"{len(pairs)} images" if len(pairs) > 1 else "1 image"
    try:
        seconds = seconds_per_pixel(predictor, (times, times), suffix, guide, wanted.options) * pixels / processes
    except FileNotFoundError:  # tempfile's word for none at all
        return f"{number}, {pixels / 1e6:.1f} megapixels; no estimate, as there is no temporary folder (set TMPDIR)"
    return f"{number}, {pixels / 1e6:.1f} megapixels: {duration(seconds)}, going by one tile"


def _gathered(summary: Summary, ranks: Ranks) -> Summary:
    """All ranks' summaries as one, everywhere."""
    if ranks.count == 1:
        return summary
    parts = ranks.gather(summary)
    passed = parts[0].passed  # every rank has seen all files
    whole = Summary(
        passed=passed,
        before=sum(part.before for part in parts),
        failed_before=sum(part.failed_before for part in parts),
    )
    whole.done = sorted(path for part in parts for path in part.done)
    whole.failed = sorted(item for part in parts for item in part.failed)
    whole.notes = sorted(item for part in parts for item in part.notes)
    return whole


def _list_failures(out: Path, summary: Summary) -> None:
    path = out / FAILURES
    if not summary.failed:
        path.unlink(missing_ok=True)
        return
    lines = [json.dumps({"source": str(source), "reason": reason}) + "\n" for source, reason in summary.failed]
    write_atomically(path, "".join(lines))
