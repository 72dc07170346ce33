"""The exported .pte on an emulated arm64: XNNPACK's arm64 kernels give the network's image. Times mean nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edge_scs.artifacts.verify import embedded_photographs, prepare
from edge_scs.weights.loading import Loaded
from tests.exported import Exported

pytestmark = [pytest.mark.arm64, pytest.mark.slow]
HERE = Path(__file__).parent / "arm64"


@pytest.fixture(scope="module")
def arm64() -> Path:
    """The folder that setup.sh makes."""
    given = os.environ.get("EDGE_SCS_ARM64")
    if not given:
        pytest.skip(f"no arm64 system; run {HERE / 'setup.sh'} DIR, then set EDGE_SCS_ARM64=DIR")
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("qemu-aarch64-static is not installed")
    folder = Path(given).resolve()
    if not (folder / "runner").is_file():
        pytest.skip(f"{folder} lacks the runner; run {HERE / 'setup.sh'} {folder}")
    return folder


def run(arm64: Path, folder: Path, program: Path, method: str, inputs: list[Tensor]) -> np.ndarray:
    site = arm64 / "site"
    libraries = (site / "torch" / "lib", site / "executorch" / "extension" / "pybindings", site / "torch.libs")
    python = next((arm64 / "root").rglob("libpython3.11.so.1.0"))
    given = []
    for index, x in enumerate(inputs):
        path = folder / f"input{index}.raw"
        x.numpy().tofile(path)
        given += [str(path), "x".join(map(str, x.shape))]
    command = ["qemu-aarch64-static", "-L", str(arm64 / "root")]
    command += ["-E", f"LD_PRELOAD={arm64 / 'libpthreadpool_serial.so'}:{python}"]
    command += ["-E", f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}", str(arm64 / "runner")]
    command += [str(program), method, str(folder / "out.raw"), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.fromfile(folder / "out.raw", dtype=np.float32)


def test_the_program_gives_the_networks_image(arm64: Path, tmp_path: Path, pte: Exported, small: Loaded) -> None:
    port = pte.manifest.inputs[0]
    gray = prepare(embedded_photographs()[0], {port.name: tuple(port.shape)})[port.name]
    with torch.no_grad():
        expected = small.model(gray, (96, 128)).numpy()
    answer = run(arm64, tmp_path, pte.path, "forward", [gray]).reshape(expected.shape)
    assert expected.std() > 0.05
    assert np.abs(answer - expected).max() < 1e-4
