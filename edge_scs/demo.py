"""The main job on bundled photographs (``samples``): restore, export, verify, report."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_scs.images import write_image
from edge_scs.report.comparison import Comparison
from edge_scs.samples import Job, Picture, Restored, restore

MODEL = "edge_scs_m"
ROW_HEIGHT = 320  # pixels of a row in the sheet
JOBS = (Job("china", 4, False), Job("flower", 2.5, False), Job("astronaut", 4, True))


def run_demo(out: Path, say: Callable[[str], None]) -> None:
    """Write ``out``/pictures, sheet.png, artifacts, report; print where everything lies.

    Raises InputError when ``out`` cannot be written or an artifact is not equal to the network.
    """
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.inference.predictor import Predictor
    from edge_scs.lowering.pipeline import export_model
    from edge_scs.report.page import make_report
    from edge_scs.weights.loading import load

    begun = time.monotonic()
    loaded = load(MODEL, amount=None)  # restored as users' images are
    predictor = Predictor(loaded)
    rows = []
    for job in JOBS:
        rows.append(restore(job, predictor.enhance, out / "pictures"))
        say(f"{job.name}: {job.title}")
    write_image(out / "sheet.png", sheet(rows))

    artifacts, summaries = [], []
    for preset in ("xnnpack-fp32", "coreml-fp16"):
        manifest = export_model(loaded, load_preset(preset), out / "artifacts", progress=say)
        artifacts.append(out / "artifacts" / manifest.artifact)
        summaries.append(manifest.summary())
    executable = [artifact for artifact in artifacts if artifact.suffix == ".pte"]
    make_report(
        out / "report",
        artifacts=executable,
        threads=(1,),
        quick=True,
        say=say,
        comparisons=[Comparison.of(row, MODEL) for row in rows],
        command="edge-scs demo",
    )

    print(f"restored   {out / 'sheet.png'}  (one by one in {out / 'pictures'})")
    for artifact, summary in zip(artifacts, summaries, strict=True):
        print(f"verified   {artifact}  {summary}")
    print(f"report     {out / 'report' / 'report.html'}")
    say(f"{time.monotonic() - begun:.0f} seconds")


def sheet(rows: list[Restored], height: int = ROW_HEIGHT) -> Picture:
    """Before and after side by side: what went in (at its own size, and enlarged plainly), what came out, the truth."""
    gap, caption = 12, 26
    font = ImageFont.load_default(size=17)
    bands = []
    for row in rows:
        h, w = row.truth.shape[:2]
        width = round(w * height / h)
        before = Image.fromarray(row.lr).resize((width, height), Image.Resampling.NEAREST).convert("RGB")
        if row.reference is not None:
            inset = Image.fromarray(row.reference).resize((96, 96))
            before.paste(inset, (width - 104, height - 104))
        cells = [before, *(Image.fromarray(p).resize((width, height)) for p in (row.answer, row.truth))]
        captions = (f"in: grey {row.lr.shape[1]}x{row.lr.shape[0]}", f"out: {w}x{h}, {row.job.title}", "the photograph")
        band = Image.new("RGB", (3 * width + 4 * gap, height + caption + gap), "white")
        pen = ImageDraw.Draw(band)
        for column, (cell, text) in enumerate(zip(cells, captions, strict=True)):
            left = gap + column * (width + gap)
            band.paste(cell, (left, caption))
            pen.text((left, 3), text, fill="black", font=font)
        bands.append(band)
    page = Image.new("RGB", (max(b.width for b in bands), sum(b.height for b in bands)), "white")
    top = 0
    for band in bands:
        page.paste(band, (0, top))
        top += band.height
    return np.array(page)
