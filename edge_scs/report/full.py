"""The whole report: exports what phones run, evaluates it, restores photographs, measures, and writes the page.

First comes everything that is not timed, side by side (``side_by_side``): artifacts, stages lowered apart,
quality, images. When all of its processes have ended, stages and latency are timed, one thing at a time.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge_scs.artifacts.manifest import artifact_sha256, read_manifest, weights_sha256
from edge_scs.errors import InputError
from edge_scs.evaluate import evaluate
from edge_scs.images import find_images, write_image
from edge_scs.measure.cache import Cache
from edge_scs.measure.mult_adds import models_table
from edge_scs.measure.programs import artifact_manifest
from edge_scs.measure.roofline import machine_peak
from edge_scs.measure.stage_times import LoweredStages, lower_stages, measure_stages
from edge_scs.phones.results import read_device_result
from edge_scs.report.comparison import Comparison
from edge_scs.report.page import MODELS, SLOW_MULT_ADDS, Findings, Timing, make_report
from edge_scs.report.result import Report
from edge_scs.report.rows import LR, SCALE, timed_row
from edge_scs.samples import CREDITS, Job, photograph, restore
from edge_scs.side_by_side import Say, Task, run_side_by_side
from edge_scs.weights.loading import Loaded, load, shipped_file

STAGE_THREADS = 1
SHOWN = "edge_scs_m"  # restores the photographs of the page
PRESETS = {"fp32": "xnnpack-fp32", "int8": "xnnpack-int8"}
JOBS = (Job("china", 4, False), Job("astronaut", 4, True), Job("flower", 2.5, False), Job("chelsea", 4, False))


def full_report(
    out: Path,
    device_results: Sequence[Path] = (),
    artifacts: Sequence[Path] = (),
    models: Sequence[str] | None = None,
    data: Path | None = None,
    quick: bool = False,
    fresh: bool = False,
    command: str = "edge-scs report",
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Write report.md, report.json and report.html into ``out``, and what was exported for it into ``out``/artifacts.

    ``device_results``: the apps' latency JSON, or folders of it. ``models``: names or checkpoints, MODELS by default.
    Each that can be is exported for ExecuTorch, in float32 and, where int8 weights are shipped, in int8; ``artifacts``
    are added to those. Networks with weights are evaluated at x4 on the photographs of ``data``, by default on six that
    are installed with scikit-image and scikit-learn.
    What was measured before lies in ``out``/cache and is not measured again, unless ``fresh``; neither are artifacts
    made again that are verified, and of the same weights and versions. Raises InputError for what cannot be used; then
    no report is written.
    """
    device_results = _unfolded(device_results)
    for path in device_results:
        read_device_result(path)  # what is wrong with it should not come out after minutes of exporting
    for path in artifacts:
        timed_row(path, artifact_manifest(path))
    cache = Cache(out / "cache", fresh)
    variants = [variant for subject in models or MODELS for variant in _variants(subject)]
    floats = [variant for variant in variants if variant.precision == "fp32"]
    effort: dict[str, Any] = {"runs": 2, "max_seconds": 5.0} if quick else {"runs": 3, "max_seconds": 5.0}
    with tempfile.TemporaryDirectory(prefix="edge-scs-report-") as temporary:
        folder = Path(temporary)
        exported, exporting = exports(variants, out / "artifacts", say)
        quality, evaluating = evaluations(variants, data, folder, cache)
        lowered, lowering = lowerings(floats, folder, effort, cache)
        comparisons, restoring = restorations()
        networks, counting = counts(cache)
        # The longest first, so that no core waits long for the last.
        run_side_by_side([*exporting, *lowering, *evaluating, *counting, *restoring], say)
        quick_ones = [variant for variant in floats if not _is_slow(variant, networks)]
        stages = staged(quick_ones, lowered, effort, say, cache)
    findings = Findings(
        device_results,
        quality=[quality[variant] for variant in variants if variant in quality],
        comparisons=[comparisons[job] for job in JOBS],
        stages=stages,
        machine_peak=cache.fetch({"machine_peak": STAGE_THREADS}, partial(machine_peak, STAGE_THREADS)),
        networks=networks,
        command=command,
    )
    timing = Timing(models or MODELS, [*exported, *artifacts], quick=quick, cache=cache)
    return make_report(out, timing, findings, say)


def _unfolded(paths: Sequence[Path]) -> list[Path]:
    """Folders replaced by the JSON files in them. Raises InputError for a folder without any."""
    found = []
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no latency JSON in this folder; name one with some")
        found += files
    return found


@dataclass(frozen=True, eq=False)
class Variant:
    """A network in one precision. ``subject`` is what it was requested by: a model's name or a checkpoint."""

    subject: str
    precision: str
    network: Loaded

    def __str__(self) -> str:
        return f"{self.network.name} {self.precision}"


def _variants(subject: str) -> list[Variant]:
    """A network in float32, and in int8 if such weights are shipped."""
    network = load(subject, allow_untrained=True)
    found = [Variant(subject, "fp32", network)]
    if network.origin == "shipped" and shipped_file(network.name, quantised=True):
        found.append(Variant(network.name, "int8", _network(network.name, "int8")))
    return found


def _network(subject: str, precision: str) -> Loaded:
    """For a process of its own: names travel lighter than networks."""
    from edge_scs.quantization.quantised_model import load as load_int8

    return load_int8(subject) if precision == "int8" else load(subject, allow_untrained=True)


def exports(variants: Iterable[Variant], folder: Path, say: Say) -> tuple[list[Path], list[Task]]:
    """The artifacts of all that can be exported, and what there is to do for those that are not verified yet.

    Verified is what an earlier report left there, if weights, versions and file are the same.
    """
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.lowering.pipeline import artifact_name

    paths: list[Path] = []
    tasks: list[Task] = []
    for variant in variants:
        description = variant.network.description
        if not description.enlarges(SCALE) or description.no_export:
            continue
        preset = PRESETS[variant.precision]
        # Checkpoints of one network have one name: each has a folder of its own.
        checkpoint = variant.network.origin not in ("shipped", "untrained")
        own = weights_sha256(variant.network.model)[:8] if checkpoint else ""
        path = folder / own / artifact_name(variant.network.name, load_preset(preset))
        if path in paths:  # the same weights again
            continue
        paths.append(path)
        if _verified(path, variant.network):
            say(f"verified before: {path.name}")
            continue
        work = partial(_export, variant.subject, variant.precision, path.parent)
        tasks.append(Task(f"{variant} artifact", work, lambda made: None))
    return paths, tasks


def _verified(path: Path, network: Loaded) -> bool:
    from edge_scs.lowering.pipeline import versions

    with suppress(InputError):
        manifest = read_manifest(path)
        made_from = (weights_sha256(network.model), versions(manifest.target), artifact_sha256(path))
        same = made_from == (manifest.weights_sha256, manifest.versions, manifest.sha256)
        return same and manifest.parity is not None and manifest.parity.passed
    return False


def _export(subject: str, precision: str, folder: Path, say: Say) -> None:
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.lowering.pipeline import export_model

    export_model(_network(subject, precision), load_preset(PRESETS[precision]), folder, progress=say)


def evaluations(
    variants: Iterable[Variant], data: Path | None, folder: Path, cache: Cache
) -> tuple[dict[Variant, dict[str, Any]], list[Task]]:
    """Results of ``evaluate`` at x4, with their "precision", of all that are trained; without ``data`` on the bundled
    photographs, which are written into ``folder``. Those not known yet are added by the tasks.
    """
    if data is None:
        for name in CREDITS:
            write_image(folder / "photographs" / f"{name}.png", photograph(name))
    images = data or folder / "photographs"
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in find_images([images])]
    named = str(data) if data else "scikit-image and scikit-learn"
    results: dict[Variant, dict[str, Any]] = {}
    tasks = []
    # int8 first: it converts the network for every image size, which takes far longest.
    for variant in sorted(variants, key=lambda variant: variant.precision != "int8"):
        if variant.network.source == "untrained":
            continue
        what = {"quality": {"weights": weights_sha256(variant.network.model), "images": digests}}

        def add(result: dict[str, Any], variant: Variant = variant) -> None:
            results[variant] = result | {"precision": variant.precision, "data": named}

        known = cache.find(what)
        if known is not None:
            add(known)
            continue

        def keep(result: dict[str, Any], what: dict[str, Any] = what, add: Callable[..., None] = add) -> None:
            add(cache.keep(what, result))

        tasks.append(Task(f"{variant} quality", partial(_evaluate, variant.subject, variant.precision, images), keep))
    return results, tasks


def _evaluate(subject: str, precision: str, images: Path, say: Say) -> dict[str, Any]:
    return evaluate(_network(subject, precision), images, SCALE, say=say)


def lowerings(
    variants: Iterable[Variant], folder: Path, effort: dict[str, Any], cache: Cache
) -> tuple[dict[Variant, LoweredStages], list[Task]]:
    """Stages lowered apart in ``folder``, of networks whose stages are still to be timed; the tasks add them."""
    lowered: dict[Variant, LoweredStages] = {}
    tasks = []
    for variant in variants:
        if variant.network.description.no_export or cache.find(_stages_key(variant, effort)) is not None:
            continue
        work = partial(_lower_stages, variant.subject, folder)
        tasks.append(Task(f"{variant} stages", work, partial(lowered.__setitem__, variant)))
    return lowered, tasks


def _lower_stages(subject: str, folder: Path, say: Say) -> LoweredStages:
    say("lowering its stages apart")
    return lower_stages(load(subject, allow_untrained=True), LR, SCALE, folder)


def _stages_key(variant: Variant, effort: dict[str, Any]) -> dict[str, Any]:
    return {"stages": variant.network.name, "weights": weights_sha256(variant.network.model)} | effort


def staged(
    variants: Iterable[Variant], lowered: dict[Variant, LoweredStages], effort: dict[str, Any], say: Say, cache: Cache
) -> list[dict[str, Any]]:
    """Where the time of each network goes, in the runtimes that ``stage_times`` knows."""
    rows = []
    for variant in variants:
        say(f"timing the stages of {variant.network.name}")
        apart = lowered.get(variant)
        measure = partial(measure_stages, variant.network, STAGE_THREADS, LR, SCALE, **effort, lowered=apart)
        rows += cache.fetch(_stages_key(variant, effort), measure)
    return rows


def _is_slow(variant: Variant, networks: Sequence[dict[str, Any]]) -> bool:
    """Whether a pass takes so long that the report leaves its stages to ``edge-scs bench MODEL --stages``."""
    return any(
        network["name"] == variant.network.name and (network["mult_adds_720p"][str(SCALE)] or 0) > SLOW_MULT_ADDS
        for network in networks
    )


def counts(cache: Cache) -> tuple[list[dict[str, Any]], list[Task]]:
    """What every network costs on paper, as ``models_table`` says; if that is not known yet, the task adds it."""
    what = {"networks": "all"}
    known = cache.find(what)
    if known is not None:
        return known, []
    rows: list[dict[str, Any]] = []
    return rows, [Task("every network on paper", _count, lambda result: rows.extend(cache.keep(what, result)))]


def _count(say: Say) -> list[dict[str, Any]]:
    return models_table()


def restorations() -> tuple[dict[Job, Comparison], list[Task]]:
    """Before and after on bundled photographs, by the network that the page shows; the tasks add them."""
    found: dict[Job, Comparison] = {}
    return found, [Task(f"image {job.name}", partial(_restore, job), partial(found.__setitem__, job)) for job in JOBS]


def _restore(job: Job, say: Say) -> Comparison:
    from edge_scs.inference.predictor import Predictor

    return Comparison.of(restore(job, Predictor(load(SHOWN)).enhance), SHOWN)
