"""Commands that measure: evaluate, bench, report, models."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_scs.cli import phones
from edge_scs.cli.app import Json, Model, Weights, app, emit, given_command, say
from edge_scs.errors import InputError


@app.command()
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option(help="A benchmark folder of colour images.")],
    scale: Annotated[float, typer.Option(help="Magnification, 1 to 8; LIIF and CiaoSR to 30.")] = 4.0,
    weights: Weights = None,
    int8: Annotated[bool, typer.Option("--int8", help="The quantised network of that name.")] = False,
    reference: Annotated[
        str | None,
        typer.Option(metavar="self|other|FOLDER", help="An image's reference: itself deformed, another one, or files."),
    ] = None,
    border: Annotated[
        str | None,
        typer.Option(metavar="PIXELS|liif", help="Left out at each side; liif: scale + 6, unrounded. Default: scale."),
    ] = None,
    json_: Json = False,
) -> None:
    """PSNR, SSIM and colour by the published protocols.

    Bicubic stands beside every number.
    """
    from edge_scs.api import load_network
    from edge_scs.evaluate import evaluate as measure

    loaded = load_network(model, weights, "int8" if int8 else None)
    result = measure(loaded, data, scale, say=say, lpips=True, border=border, reference=reference)
    if json_:
        emit(result)
        return
    bicubic = result["bicubic"]
    led = f", reference: {reference}" if reference else ""
    print(f"{result['model']} on {result['data']} at x{result['scale']}, {result['images']} images{led}")
    shown = ("psnr_grey", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "ab_error", "colourfulness")
    for key in (*shown, "lpips", "niqe", "frechet"):
        beside = "" if bicubic.get(key) is None else f"  bicubic {bicubic[key]:.4f}"
        print(f"  {key:14s} " + ("-" if result[key] is None else f"{result[key]:.4f}") + beside)
    for key in ("lpips", "frechet"):
        if result[f"{key}_network"]:
            print(f"  {key} by {result[f'{key}_network']}")


@app.command()
def bench(
    subjects: Annotated[list[str], typer.Argument(metavar="MODEL|ARTIFACT...", help="Timed in turn, A B A B.")],
    device: Annotated[str, typer.Option(help="cpu, cuda; a phone: adb, ios.")] = "cpu",
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="How networks run; may be given again: eager, channels_last, bf16, compile, on a CPU executorch and"
            " int8, on a GPU graph, or all. Default eager. A .pte runs in ExecuTorch."
        ),
    ] = None,
    lr: Annotated[str, typer.Option(help="LR size.")] = "320x180",
    scale: Annotated[float, typer.Option(help="Magnification.")] = 4.0,
    reference: Annotated[
        bool, typer.Option("--reference", help="Time networks reference-guided as well, in rows of their own.")
    ] = False,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="CPU threads; may be given again. Default 1, all.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Timed runs of each subject, at least.")] = 20,
    min_seconds: Annotated[float, typer.Option(help="Continue at least this long, for each thread count.")] = 5.0,
    max_seconds: Annotated[float, typer.Option(help="Stop then, for slow subjects; two runs at least.")] = 120.0,
    serial: Annotated[str | None, typer.Option(help="With --device adb: which of several phones.")] = None,
    sustained: Annotated[
        int, typer.Option(min=0, max=60, help="With --device adb: then minutes without a pause, percentiles for each.")
    ] = 0,
    stages: Annotated[bool, typer.Option("--stages", help="Where the time goes instead, stage by stage.")] = False,
    json_: Json = False,
) -> None:
    """Latency and memory, side by side.

    Median, p90 and minimum after a warm-up, memory growth in a fresh process, and ratios within this call.
    """
    if device in phones.DEVICES:
        for name, given in (("stages", stages), ("mode", mode), ("reference", reference)):
            if given:
                raise InputError(f"--{name}: not on a phone, which times artifacts as they are; drop it")
        if sustained and device != "adb":
            raise InputError(f"--sustained: not with --device {device}; the iOS app measures it by itself")
        phones.bench_on_phone(subjects, device, serial, threads[0] if threads else None, runs, json_, sustained)
        return
    if sustained:
        raise InputError(f"--sustained: not with --device {device}; give --device adb, or drop it")
    from edge_scs.imaging.sizes import parse_size
    from edge_scs.measure.latency import all_threads
    from edge_scs.measure.latency import bench as measure
    from edge_scs.measure.measurement import Conditions
    from edge_scs.measure.modes import MODES
    from edge_scs.measure.tables import latency_table, stage_table

    width, height = parse_size(lr)
    size, counts = (height, width), tuple(threads or all_threads(device))
    if stages:
        if reference:
            raise InputError("--reference: stages are timed without one; drop it or --stages")
        found = stages_of(subjects, device, size, scale, counts)
        if json_:
            emit(found)
        else:
            print(stage_table(found["stages"], found["machine"]))
        return
    modes = [m for name in mode or [] for m in (MODES.get(device, ()) if name == "all" else (name,))]
    conditions = Conditions(
        device, size, scale, counts, runs=runs, min_seconds=min_seconds, max_seconds=max_seconds, modes=modes,
        reference=reference,
    )  # fmt: skip
    measured = measure(subjects, conditions, say)
    if json_:
        emit(measured.to_dict())
    else:
        print(latency_table(measured))


def stages_of(
    models: list[str], device: str, lr: tuple[int, int], scale: float, threads: tuple[int, ...]
) -> dict[str, Any]:
    """{"stages": rows of ``measure_stages``, "machine": the roofline peak at the first thread count}."""
    from edge_scs.measure.roofline import machine_peak
    from edge_scs.measure.stage_times import measure_stages
    from edge_scs.weights.loading import load

    if device != "cpu":
        raise InputError(f"--stages --device {device}: stages are timed on the CPU; use --device cpu")
    for model in models:
        if Path(model).suffix == ".pte":
            raise InputError(f"{model}: --stages takes networks, which it lowers itself; name the artifact's network")
    loaded = [load(model, allow_untrained=True) for model in models]
    say("measuring the machine's peak")
    peak = machine_peak(threads[0])
    rows = []
    for network in loaded:
        for count in threads:
            say(f"{network.name}: timing its stages, {count} thread{'' if count == 1 else 's'}")
            rows += measure_stages(network, count, lr, scale)
    return {"stages": rows, "machine": peak}


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report.md, .json and .html.")] = Path("report"),
    device_results: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="Latency JSON of phones, or folders of it.")
    ] = None,
    more_results: Annotated[list[Path] | None, typer.Argument(hidden=True, metavar="FILE...")] = None,
    artifact: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An artifact more, with its manifest; may be given again.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="A network or checkpoint; may be given again.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every network; the full ones run once, for minutes.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="A benchmark folder for PSNR. Default: six bundled photographs.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer runs: a look, not a measurement.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what an earlier report has measured.")] = False,
    json_: Json = False,
) -> None:
    """One page: quality, size, MultAdds and latency.

    Latency on the CPU (eager and ExecuTorch), on a GPU if there is one, and what phones have reported.
    """
    from edge_scs.report.full import full_report
    from edge_scs.report.markdown import render_markdown
    from edge_scs.report.page import EVERY_MODEL

    if every and model:
        raise InputError("--all and --model: take one of them")
    chosen = EVERY_MODEL if every else model
    results, command = [*(device_results or []), *(more_results or [])], given_command()
    try:
        result = full_report(out, results, artifact or [], chosen, data, quick, fresh, command=command, say=say)
    except KeyboardInterrupt:
        say("interrupted; what was done is kept; the same command resumes from there")
        raise typer.Exit(130) from None
    if json_:
        emit(result.to_dict())
    else:
        print(render_markdown(result))
        say(f"written to {out}")


@app.command()
def models(json_: Json = False) -> None:
    """List every network, its costs and its weights.

    Parameters, MultAdds at 720p and receptive field; published numbers beside ours.
    """
    from edge_scs.measure.mult_adds import models_table, models_text

    rows = models_table()
    if json_:
        emit({"models": rows})
    else:
        print(models_text(rows))
