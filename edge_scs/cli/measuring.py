"""Commands that make figures: evaluate, bench, report, models."""

from pathlib import Path
from typing import Annotated

import typer

from edge_scs.cli.app import Json, Model, Weights, app, emit, say, spoken_command


@app.command()
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option(help="A benchmark folder of colour pictures.")],
    scale: Annotated[float, typer.Option(help="Magnification, 1 to 8.")] = 4.0,
    weights: Weights = None,
    int8: Annotated[bool, typer.Option("--int8", help="The quantised network of that name.")] = False,
    json_: Json = False,
) -> None:
    """PSNR and SSIM by the published protocols, with bicubic beside them."""
    from edge_scs.evaluate import evaluate as measure
    from edge_scs.quantization.network import load as load_int8
    from edge_scs.weights.loading import is_quantised, load

    quantised = int8 or is_quantised(weights or Path(model))
    result = measure((load_int8 if quantised else load)(model, weights), data, scale, say=say, lpips=True)
    if json_:
        emit(result)
        return
    bicubic = result["bicubic"]
    print(f"{result['model']} on {result['data']} at x{result['scale']}, {result['images']} pictures")
    for key in ("psnr_grey", "psnr_y", "ssim_y", "psnr_rgb", "colourfulness", "lpips"):
        beside = "" if bicubic.get(key) is None else f"  bicubic {bicubic[key]:.4f}"
        print(f"  {key:14s} " + ("-" if result[key] is None else f"{result[key]:.4f}") + beside)
    if result["lpips_network"]:
        print(f"  lpips by {result['lpips_network']}")


@app.command()
def bench(
    subjects: Annotated[list[str], typer.Argument(metavar="MODEL|ARTIFACT...", help="Timed in turn, A B A B.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    lr: Annotated[str, typer.Option(help="LR size.")] = "320x180",
    scale: Annotated[int, typer.Option(help="Magnification.")] = 4,
    threads: Annotated[list[int] | None, typer.Option(help="CPU threads; may be given again. Default 1.")] = None,
    runs: Annotated[int, typer.Option(help="Timed runs of each subject.")] = 20,
    json_: Json = False,
) -> None:
    """Latency with warm-up: median, p90, minimum, memory growth in a fresh process, and ratios within this call."""
    from edge_scs.enhance.sizes import parse_size
    from edge_scs.report.latency import bench as measure

    width, height = parse_size(lr)
    result = measure(subjects, device, (height, width), scale, tuple(threads or [1]), runs=runs, say=say)
    if json_:
        emit(result)
        return
    for row in result["results"]:
        print(
            f"{row['subject']:40s} {row['runtime']:10s} {row['threads']} threads"
            f"  median {row['median_ms']:8.1f} ms  p90 {row['p90_ms']:8.1f} ms"
        )


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report.md, .json and .html.")] = Path("report"),
    device_results: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="Latency JSON of phones, or folders of it.")
    ] = None,
    more_results: Annotated[list[Path] | None, typer.Argument(hidden=True, metavar="")] = None,
    artifact: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An artifact more, with its manifest; may be given again.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="A network or checkpoint; may be given again.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A benchmark folder for PSNR. Default: six bundled photographs.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Fewer runs: a look, not a measurement.")] = False,
    json_: Json = False,
) -> None:
    """The table: parameters, size, MultAdds at 720p, latency on CPU (eager, ExecuTorch), GPU and device."""
    from edge_scs.reporting import full_report

    result = full_report(
        out,
        [*(device_results or []), *(more_results or [])],
        artifact or [],
        model,
        data,
        quick,
        command=spoken_command(),
        say=say,
    )
    if json_:
        emit(result.to_dict())
    else:
        print(result.markdown)
        say(f"written to {out}")


@app.command()
def models(json_: Json = False) -> None:
    """Every network: parameters, MultAdds at 720p, receptive field, weights, published figures beside ours."""
    from edge_scs.report.mult_adds import models_table, published_line

    rows = models_table()
    if json_:
        emit({"models": rows})
        return
    print(f"{'model':14s} {'params':>10s} {'x2':>8s} {'x3':>8s} {'x4':>8s} {'field':>6s}  weights")
    for row in rows:
        adds = row["mult_adds_720p"]
        giga = " ".join("      - " if adds[s] is None else f"{adds[s] / 1e9:7.2f}G" for s in ("2", "3", "4"))
        print(f"{row['name']:14s} {row['params']:10,d} {giga} {row['receptive_field']:6d}  {row['weights'] or '-'}")
        if row["params_automatic"] != row["params"]:
            print(f"{'':14s} {row['params_automatic']:10,d} without a reference")
        if published := published_line(row):
            print(f"{'':14s} published: {published}")
