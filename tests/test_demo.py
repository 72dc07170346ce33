"""The demo's photographs come without a download, and its whole run (slow) leaves what it prints."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_scs.demo import JOBS, TIMED, restore_old, row_of, sheet
from edge_scs.samples import photograph, restore


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_jobs_make_a_small_grey_image_of_a_real_photograph(job, tmp_path):
    asked = []

    def enhance(grey, size, reference):
        asked.append((grey.shape, size, reference is not None))
        return np.zeros((*size, 3), np.uint8)

    row = restore(job, enhance, tmp_path)
    truth = photograph(job.name)
    (lr, size, led), h, w = asked[0], *truth.shape[:2]
    assert truth.std() > 20
    assert size == (h, w)
    assert lr == (round(h / job.scale), round(w / job.scale))
    assert led == job.referential
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {f"{job.name}-grey.png", f"{job.name}-x{job.scale:g}.png"}
    page = sheet([row_of(row), row_of(row)], height=100)
    assert page.shape[1] == 3 * round(w * 100 / h) + 48
    assert page.dtype == np.uint8


def test_the_old_photograph_is_enlarged_beside_its_plain_enlargement(tmp_path):
    assert photograph("lincoln").std() > 20
    row = restore_old(lambda gray, size, reference: np.zeros((*size, 3), np.uint8), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"lincoln-grey.png", "lincoln-x4.png"}
    assert row.cells[1].size == row.cells[2].size == (640, 640)
    assert sheet([row], height=100).shape == (138, 348, 3)


@pytest.mark.slow
def test_the_demo_leaves_what_it_prints(tmp_path):
    begun = time.monotonic()
    command = [sys.executable, "-m", "edge_scs", "demo", "--out", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr
    print(f"{time.monotonic() - begun:.0f} seconds")
    manifests = [json.loads(path.read_text()) for path in sorted((tmp_path / "artifacts").glob("*.json"))]
    parity = {(m["model"], m["preset"]): m["parity"] for m in manifests}
    assert {*TIMED, ("edge_scs_m", "coreml-fp16")} == set(parity)
    assert parity["edge_scs_m", "xnnpack-fp32"]["psnr_db"] >= 80
    assert parity["edge_scs_m", "coreml-fp16"]["psnr_db"] >= 50
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["rows"]
    assert {row["runtime"] for row in rows} == {"executorch"}
    assert all(row["faster"]["1"] > 1 for row in rows if row["model"] != "pcarn_m")
    assert all((tmp_path / "artifacts" / m["artifact"]).exists() for m in manifests)
    assert {p.suffix for p in (tmp_path / "report").iterdir()} >= {".md", ".json", ".html"}
    assert (tmp_path / "sheet.png").stat().st_size > 100_000
