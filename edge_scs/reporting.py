"""The whole report: exports what phones run, measures it, evaluates it, restores photographs, and writes the page."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from edge_scs.demo import CREDITS, Job, photograph, restore
from edge_scs.errors import InputError
from edge_scs.evaluate import evaluate
from edge_scs.export.manifest import artifact_sha256, read_manifest, weights_sha256
from edge_scs.images import find_images, write_image
from edge_scs.report.cache import Cache
from edge_scs.report.devices import read_device_result
from edge_scs.report.mult_adds import models_table
from edge_scs.report.page import MODELS, make_report
from edge_scs.report.pictures import Comparison
from edge_scs.report.result import Report
from edge_scs.report.roofline import machine_peak
from edge_scs.report.rows import LR, SCALE
from edge_scs.report.stage_times import measure_stages
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
    made again that are proven, and of the same weights and versions. Raises InputError for what cannot be used; then no
    report is written.
    """
    device_results = _unfolded(device_results)
    for path in device_results:
        read_device_result(path)  # what is wrong with it should not come out after minutes of exporting
    cache = Cache(out / "cache", fresh)
    variants = [variant for name in models or MODELS for variant in _variants(load(name, allow_untrained=True))]
    exported = [_export(network, PRESETS[p], out / "artifacts", say) for network, p in variants if _exports(network)]
    trained = [(network, precision) for network, precision in variants if network.source != "untrained"]
    return make_report(
        out,
        device_results,
        models or MODELS,
        [*exported, *artifacts],
        evaluated(trained, data, say, cache),
        quick=quick,
        say=say,
        comparisons=restored(say),
        stages=staged([network for network, precision in variants if precision == "fp32"], quick, say, cache),
        machine_peak=cache.fetch({"machine_peak": STAGE_THREADS}, partial(machine_peak, STAGE_THREADS)),
        command=command,
        cache=cache,
        networks=cache.fetch({"networks": "all"}, models_table),
    )


def _unfolded(paths: Sequence[Path]) -> list[Path]:
    """Folders replaced by the JSON files in them. Raises InputError for a folder without any."""
    found = []
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no latency JSON in this folder; name one with some")
        found += files
    return found


def _variants(network: Loaded) -> list[tuple[Loaded, str]]:
    """A network in float32, and in int8 if such weights are shipped."""
    from edge_scs.quantization.network import load as load_int8

    found = [(network, "fp32")]
    if network.origin == "shipped" and shipped_file(network.name, quantised=True):
        found.append((load_int8(network.name), "int8"))
    return found


def _exports(network: Loaded) -> bool:
    return network.description.enlarges(SCALE) and not network.description.no_export


def _export(network: Loaded, preset_name: str, folder: Path, say: Callable[[str], None]) -> Path:
    """The artifact of a preset: an earlier report's, if weights, versions and file are the same, else a new one."""
    from edge_scs.export.pipeline import artifact_name, export_model, versions
    from edge_scs.export.presets import load_preset

    preset = load_preset(preset_name)
    path = folder / artifact_name(network.name, preset)
    with suppress(InputError):
        manifest = read_manifest(path)
        made_from = (weights_sha256(network.model), versions(preset.target), artifact_sha256(path))
        same = made_from == (manifest.weights_sha256, manifest.versions, manifest.sha256)
        if same and manifest.parity is not None and manifest.parity.passed:
            say(f"proven before: {path.name}")
            return path
    export_model(network, preset, folder, progress=say)
    return path


def evaluated(
    networks: Iterable[tuple[Loaded, str]], data: Path | None, say: Callable[[str], None], cache: Cache
) -> list[dict[str, Any]]:
    """Results of ``evaluate`` at x4 with their "precision"; without ``data`` on the bundled photographs."""
    with tempfile.TemporaryDirectory() as temporary:
        if data is None:
            for name in CREDITS:
                write_image(Path(temporary) / f"{name}.png", photograph(name))
        folder = data or Path(temporary)
        pictures = [hashlib.sha256(path.read_bytes()).hexdigest() for path in find_images([folder])]
        results = []
        for network, precision in networks:
            say(f"evaluating {network.name}, {precision}")
            what = {"weights": weights_sha256(network.model), "pictures": pictures}
            result = cache.fetch({"quality": what}, partial(evaluate, network, folder, SCALE, say=say))
            named = str(data) if data else "scikit-image and scikit-learn"
            results.append(result | {"precision": precision, "data": named})
        return results


def staged(networks: Iterable[Loaded], quick: bool, say: Callable[[str], None], cache: Cache) -> list[dict[str, Any]]:
    """Where the time of each network goes, in the runtimes that ``stages`` knows."""
    effort: dict[str, Any] = {"runs": 2, "max_seconds": 5.0} if quick else {"runs": 3, "max_seconds": 5.0}
    rows = []
    for network in networks:
        say(f"stages of {network.name}")
        measure = partial(measure_stages, network, STAGE_THREADS, LR, SCALE, **effort)
        rows += cache.fetch({"stages": network.name, "weights": weights_sha256(network.model)} | effort, measure)
    return rows


def restored(say: Callable[[str], None]) -> list[Comparison]:
    """Before and after on bundled photographs, by the network that the page shows."""
    from edge_scs.enhance.predictor import Predictor

    predictor = Predictor(load(SHOWN))
    found = []
    for job in JOBS:
        say(f"restoring {job.name}")
        found.append(restore(job, predictor.enhance).comparison(SHOWN))
    return found
