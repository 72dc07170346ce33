"""Latency on an iPhone from a Mac, by coremltools' own remote benchmarker. Written from its source; never run by us.

coremltools 9.0 builds and signs a runner app with Xcode, installs it on the connected iPhone and times predictions
there (``coremltools.models.ml_program.experimental``: ``perf_utils.MLModelBenchmarker``, ``remote_device``). It gives
samples alone, no thermal state, no pipeline: they are shown, not stored. The report takes the sample app's JSON.
"""

import asyncio
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError
from edge_scs.measure.programs import artifact_manifest
from edge_scs.phones.results import statistics

TEAM = "EDGE_SCS_DEVELOPMENT_TEAM"  # the Apple developer team that signs the runner


def measure(artifact: Path, runs: int = 50, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Time an .mlpackage on the one connected iPhone: {"device", "os", "load_ms", "runs", "samples_ms", ...}.

    Raises InputError, with the fix, where there is no Mac, Xcode, team or phone.
    """
    if platform.system() != "Darwin":
        raise InputError("--device ios: needs a Mac with Xcode; elsewhere, take the JSON of the iOS sample app")
    artifact_manifest(artifact)
    if artifact.suffix != ".mlpackage":
        raise InputError(f"{artifact}: iPhones are measured with an .mlpackage; export one with --target coreml")
    if shutil.which("xcrun") is None:
        raise InputError("--device ios: needs Xcode's command line tools (xcode-select --install)")
    if not (team := os.environ.get(TEAM)):
        raise InputError(f"--device ios: set {TEAM} to the Apple developer team that signs the runner app")
    return asyncio.run(_measure(artifact, runs, team, say))


async def _measure(artifact: Path, runs: int, team: str, say: Callable[[str], None]) -> dict[str, Any]:
    try:
        import coremltools as ct
        from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker
        from coremltools.models.ml_program.experimental.remote_device import AppSigningCredentials, Device, DeviceType
    except ImportError as error:
        raise InputError("--device ios: needs coremltools; pip install 'edge-scs[export]'") from error
    phones = Device.get_connected_devices(DeviceType.IPHONE)
    if len(phones) != 1:
        raise InputError(f"--device ios: {len(phones)} iPhones are connected; connect one, in developer mode")
    say(f"building the runner for {phones[0].name}")
    device = await phones[0].prepare_for_model_debugging(credentials=AppSigningCredentials(development_team=team))
    benchmarker = MLModelBenchmarker(model=ct.models.MLModel(str(artifact), skip_model_load=True), device=device)
    load = await benchmarker.benchmark_load(iterations=1)
    say(f"{runs} predictions")
    timed = await benchmarker.benchmark_predict(iterations=runs, warmup=True)
    samples = [float(sample) for sample in timed.samples]
    facts = {"device": phones[0].name, "os": f"iOS {phones[0].os_version}", "load_ms": load.samples[0], "runs": runs}
    return facts | {"samples_ms": samples} | statistics(samples)
