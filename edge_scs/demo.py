"""The main job on bundled photographs (``samples``): restore, export, verify, report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_scs.images import write_image
from edge_scs.report.comparison import Comparison
from edge_scs.samples import OLD, ImageArray, Job, Restored, photograph, restore

MODEL = "edge_scs_m"
ROW_HEIGHT = 320  # pixels of a row in the sheet
# What the report compares: in one runtime, in both precisions, beside the network that others have published.
TIMED = (
    ("pcarn_m", "xnnpack-fp32"), ("edge_scs_m", "xnnpack-fp32"), ("edge_scs_m", "xnnpack-int8"),
    ("edge_scs_s", "xnnpack-fp32"), ("edge_scs_s", "xnnpack-int8"),
)  # fmt: skip
BASELINE = "pcarn_m"
JOBS = (Job("china", 4, False), Job("flower", 2.5, False), Job("astronaut", 4, True))
OLD_SCALE = 4


@dataclass
class Row:
    """Three images of one shape, and what is written over each."""

    cells: list[Image.Image]
    captions: list[str]


def run_demo(out: Path, say: Callable[[str], None]) -> None:
    """Write ``out``/images, sheet.png, artifacts, report; print where everything lies.

    Raises InputError when ``out`` cannot be written or an artifact is not equal to the network.
    """
    from edge_scs.artifacts.presets import load_preset
    from edge_scs.inference.predictor import Predictor
    from edge_scs.lowering.pipeline import export_model
    from edge_scs.quantization.quantised_model import load as load_int8
    from edge_scs.report.page import Findings, Timing, make_report
    from edge_scs.weights.loading import load

    begun = time.monotonic()
    loaded = load(MODEL, amount=None)  # restored as users' images are
    predictor = Predictor(loaded)
    old = restore_old(predictor.enhance, out / "images")
    say(f"{OLD}: a photograph of 1863, automatic, x{OLD_SCALE}")
    rows = []
    for job in JOBS:
        rows.append(restore(job, predictor.enhance, out / "images"))
        say(f"{job.name}: {job.title}")
    write_image(out / "sheet.png", sheet([old, *map(row_of, rows)]))

    artifacts, summaries = [], []
    for name, preset in (*TIMED, (MODEL, "coreml-fp16")):
        quantised = load_preset(preset).precision == "int8"
        network = load_int8(name, amount=None) if quantised else load(name, allow_untrained=True, amount=None)
        manifest = export_model(network, load_preset(preset), out / "artifacts", progress=say)
        artifacts.append(out / "artifacts" / manifest.artifact)
        summaries.append(manifest.summary())
    findings = Findings(comparisons=[Comparison.of(row, MODEL) for row in rows], command="edge-scs demo")
    timing = Timing(models=(BASELINE,), artifacts=artifacts, threads=(1,), eager=False, max_seconds=30.0)
    make_report(out / "report", timing, findings, say)

    print(f"restored   {out / 'sheet.png'}  (one by one in {out / 'images'})")
    for artifact, summary in zip(artifacts, summaries, strict=True):
        print(f"verified   {artifact}  {summary}")
    print(f"report     {out / 'report' / 'report.html'}")
    say(f"{time.monotonic() - begun:.0f} seconds")


def restore_old(enhance: Callable[..., ImageArray], folder: Path) -> Row:
    """The old photograph restored and enlarged, written to ``folder``, beside its plain enlargement."""
    gray = np.array(Image.fromarray(photograph(OLD)).convert("L"))
    h, w = gray.shape
    size = (OLD_SCALE * h, OLD_SCALE * w)
    answer = enhance(gray, size, None)
    write_image(folder / f"{OLD}-grey.png", gray)
    write_image(folder / f"{OLD}-x{OLD_SCALE}.png", answer)
    plain = Image.fromarray(gray).convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC)
    return Row(
        [Image.fromarray(gray).convert("RGB"), Image.fromarray(answer), plain],
        [f"in: a photograph of 1863, {w}x{h}", f"out: {size[1]}x{size[0]}, automatic, x{OLD_SCALE}", "bicubic"],
    )


def row_of(restored: Restored) -> Row:
    """What went in, at its own size with the reference in its corner, what came out, and the photograph."""
    h, w = restored.truth.shape[:2]
    before = Image.fromarray(restored.lr).resize((w, h), Image.Resampling.NEAREST).convert("RGB")
    if restored.reference is not None:
        side = round(0.3 * h)
        before.paste(Image.fromarray(restored.reference).resize((side, side)), (w - side, h - side))
    return Row(
        [before, Image.fromarray(restored.answer), Image.fromarray(restored.truth)],
        [
            f"in: grey {restored.lr.shape[1]}x{restored.lr.shape[0]}",
            f"out: {w}x{h}, {restored.job.title}",
            "the photograph",
        ],
    )


def sheet(rows: list[Row], height: int = ROW_HEIGHT) -> ImageArray:
    """Rows of three images of one height, with their captions: uint8 RGB."""
    gap, caption = 12, 26
    font = ImageFont.load_default(size=17)
    bands = []
    for row in rows:
        width = round(row.cells[1].width * height / row.cells[1].height)
        band = Image.new("RGB", (3 * width + 4 * gap, height + caption + gap), "white")
        pen = ImageDraw.Draw(band)
        for column, (cell, text) in enumerate(zip(row.cells, row.captions, strict=True)):
            left = gap + column * (width + gap)
            kind = Image.Resampling.NEAREST if cell.width < width else Image.Resampling.BICUBIC
            band.paste(cell.resize((width, height), kind), (left, caption))
            pen.text((left, 3), text, fill="black", font=font)
        bands.append(band)
    page = Image.new("RGB", (max(b.width for b in bands), sum(b.height for b in bands)), "white")
    top = 0
    for band in bands:
        page.paste(band, (0, top))
        top += band.height
    return np.array(page)
