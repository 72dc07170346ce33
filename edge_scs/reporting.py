"""The whole report: exports what phones run, measures it, evaluates it, restores photographs, and writes the page."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_scs.demo import CREDITS, Job, photograph, restore
from edge_scs.evaluate import evaluate
from edge_scs.images import write_image
from edge_scs.report.devices import read_device_result
from edge_scs.report.page import MODELS, make_report
from edge_scs.report.pictures import Comparison
from edge_scs.report.result import Report
from edge_scs.report.rows import SCALE
from edge_scs.weights.loading import Loaded, load, shipped_file

SHOWN = "edge_scs_m"  # restores the photographs of the page
JOBS = (Job("china", 4, False), Job("astronaut", 4, True), Job("flower", 2.5, False), Job("chelsea", 4, False))


def full_report(
    out: Path,
    device_results: Sequence[Path] = (),
    artifacts: Sequence[Path] = (),
    models: Sequence[str] | None = None,
    data: Path | None = None,
    quick: bool = False,
    command: str = "edge-scs report",
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Write report.md, report.json and report.html into ``out``, and what was exported for it into ``out``/artifacts.

    ``models``: names or checkpoints, MODELS by default. Each that can be is exported for ExecuTorch, in float32
    and, where int8 weights are shipped, in int8; ``artifacts`` are added to those. Networks with weights are evaluated
    at x4 on the photographs of ``data``, by default on six that are installed with scikit-image and scikit-learn.
    Raises InputError for what cannot be used; then no report is written.
    """
    from edge_scs.export.pipeline import export_targets
    from edge_scs.quantization.network import load as load_int8

    for path in device_results:
        read_device_result(path)  # what is wrong with it should not come out after minutes of exporting
    loaded = [load(name, allow_untrained=True) for name in models or MODELS]
    exported: list[Path] = []
    trained: list[tuple[Loaded, str]] = []
    for network in loaded:
        precisions = ["fp32"] if network.source != "untrained" else []
        targets = "" if network.description.no_export else "executorch"
        if targets and network.origin == "shipped" and shipped_file(network.name, quantised=True):
            targets += ",xnnpack-int8"
            precisions.append("int8")
        trained += [(network if p == "fp32" else load_int8(network.name), p) for p in precisions]
        if targets:
            quantised = partial(load_int8, network.name)
            manifests = export_targets(network, targets, out / "artifacts", progress=say, quantised=quantised)
            exported += [manifest.path for manifest in manifests if manifest.path]
    return make_report(
        out,
        device_results,
        models or MODELS,
        [*exported, *artifacts],
        evaluated(trained, data, say),
        quick=quick,
        say=say,
        comparisons=restored(say),
        command=command,
    )


def evaluated(
    networks: Iterable[tuple[Loaded, str]], data: Path | None, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Results of ``evaluate`` at x4 with their "precision"; without ``data`` on the bundled photographs."""
    with tempfile.TemporaryDirectory() as temporary:
        if data is None:
            for name in CREDITS:
                write_image(Path(temporary) / f"{name}.png", photograph(name))
        results = []
        for network, precision in networks:
            say(f"evaluating {network.name}, {precision}")
            result = evaluate(network, data or Path(temporary), SCALE, say=say)
            named = str(data) if data else "scikit-image and scikit-learn"
            results.append(result | {"precision": precision, "data": named})
        return results


def restored(say: Callable[[str], None]) -> list[Comparison]:
    """Before and after on bundled photographs, by the network that the page shows."""
    from edge_scs.enhance.predictor import Predictor

    predictor = Predictor(load(SHOWN))
    found = []
    for job in JOBS:
        say(f"restoring {job.name}")
        found.append(restore(job, predictor.enhance).comparison(SHOWN))
    return found
