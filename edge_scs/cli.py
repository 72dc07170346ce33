"""The command line: every command a few lines that call what is below. Heavy imports stay inside the commands."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_scs import __version__
from edge_scs.errors import InputError

app = typer.Typer(
    name="edge-scs",
    help="A small grey photograph in, a large colour one out: restore, train, export, prove and measure.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
Model = Annotated[str, typer.Argument(help="A name from `edge-scs models`, or a checkpoint (.safetensors).")]
Weights = Annotated[Path | None, typer.Option(help="Weights for a model given by name.")]


def say(text: str) -> None:
    """Progress and remarks go to stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def emit(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=2))


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        print(f"edge-scs {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path("demo")) -> None:
    """The main job on embedded photographs: restore three, export both targets, verify them, report."""
    from edge_scs.demo import run_demo

    run_demo(out, say)


@app.command()
def enhance(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Pictures or folders of pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A picture's name, or a folder.")],
    scale: Annotated[float | None, typer.Option(help="Magnification, 1 to 8, decimals included. Default 4.")] = None,
    size: Annotated[str | None, typer.Option(help="Target size instead of a magnification, as 1280x720.")] = None,
    reference: Annotated[Path | None, typer.Option(help="A colour picture that leads the colours.")] = None,
    keep_colour: Annotated[bool, typer.Option(help="Keep the picture's own colours; enlarge only.")] = False,
    runtime: Annotated[str, typer.Option(help="torch or executorch.")] = "torch",
    artifact: Annotated[Path | None, typer.Option(help="The .pte for --runtime executorch.")] = None,
    model: Annotated[str, typer.Option(help="A name or a checkpoint.")] = "edge_scs_m",
    weights: Weights = None,
    tile: Annotated[int, typer.Option(help="Tile side in LR pixels; 0: the whole picture at once.")] = 256,
) -> None:
    """Restore pictures or folders: grey to colour, small to large. Exit code 3: some could not be read."""
    from edge_scs.enhance.folder import enhance_files
    from edge_scs.enhance.predictor import make_predictor

    predictor = make_predictor(model, weights, runtime, artifact, tile or None)
    summary = enhance_files(inputs, out, predictor, scale, size, reference, keep_colour)
    for path, reason in summary.failed:
        say(f"skipped: {reason if str(path) in reason else f'{path}: {reason}'}")
    say(f"{len(summary.done)} done, {len(summary.failed)} skipped, in {out}")
    if summary.failed:
        raise typer.Exit(3)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe, such as recipes/edge_scs_m.toml.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Photographs: a folder or tar shards; again for more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/run"),
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out, exactly.")] = False,
    init: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: stage.texture.steps=100.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: as torch likes.")] = 0,
) -> None:
    """Train by a recipe. Many GPUs: accelerate launch -m edge_scs train RECIPE ..."""
    import torch

    from edge_scs.data.photographs import load_photographs
    from edge_scs.recipes import load_recipe
    from edge_scs.training.loop import train as fit
    from edge_scs.training.processes import start_processes

    if threads:
        torch.set_num_threads(threads)
    plan = load_recipe(recipe, set_)
    if not data:
        raise InputError("train: give a folder of photographs with --data")
    photographs = load_photographs(data, plan.min_side, plan.cache_mb, say, *start_processes())
    outcome = fit(plan, photographs, out, resume, init, say)
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.first:
        print(outcome.weights)


@app.command()
def qat(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe, such as recipes/edge_scs_m_qat.toml.")],
    weights: Annotated[str, typer.Option(help="The float network: a name with shipped weights, or a checkpoint.")],
    data: Annotated[list[Path] | None, typer.Option(help="A folder of photographs; may be given again.")] = None,
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/qat"),
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out, exactly.")] = False,
    sensitivity: Annotated[bool, typer.Option(help="Only tell which parts suffer from int8, and stop.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: steps=0 quantises only.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: as torch likes.")] = 0,
    json_: Json = False,
) -> None:
    """Quantisation-aware fine-tuning: a float network into an int8 one for both export targets."""
    import torch

    from edge_scs.data.photographs import load_photographs
    from edge_scs.quantization.finetune import finetune
    from edge_scs.quantization.recipe import load_qat_recipe
    from edge_scs.quantization.sensitivity import sensitivities, table
    from edge_scs.weights.loading import load

    if threads:
        torch.set_num_threads(threads)
    plan = load_qat_recipe(recipe, set_)
    if not data:
        raise InputError("qat: give a folder of photographs with --data")
    loaded, photographs = load(weights), load_photographs(data, warn=say)
    if sensitivity:
        rows = sensitivities(plan, loaded, photographs, say)
        if json_:
            emit({"sensitivity": rows})
        else:
            print(table(rows))
        return
    outcome = finetune(plan, loaded, photographs, out, resume, say)
    if outcome.interrupted:
        raise typer.Exit(130)
    if json_:
        emit({"weights": str(outcome.weights)})
    else:
        print(outcome.weights)


@app.command()
def export(
    model: Model,
    target: Annotated[str, typer.Option(help="executorch, coreml, all, or a preset: a name or a TOML file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the artifacts.")] = Path("out"),
    weights: Weights = None,
    scale: Annotated[float | None, typer.Option(help="Magnification instead of the preset's.")] = None,
    lr: Annotated[str | None, typer.Option(help="LR size instead of the preset's, as 320x180.")] = None,
    json_: Json = False,
) -> None:
    """Lower, prove against the eager model, and only then name an artifact; a manifest lies beside it."""
    from edge_scs.export.pipeline import Refusal, export_targets
    from edge_scs.export.table import render
    from edge_scs.quantization.network import load as load_int8
    from edge_scs.weights.loading import is_quantised, load

    loaded = (load_int8 if is_quantised(weights or Path(model)) else load)(model, weights)
    refused: list[Refusal] | None = [] if target == "all" else None
    manifests = export_targets(
        loaded,
        target,
        out,
        scale=scale,
        lr=lr,
        progress=say,
        refused=refused,
        quantised=lambda: load_int8(loaded.name),
    )
    if json_:
        emit({"artifacts": [manifest.to_dict() for manifest in manifests], "refused": [vars(r) for r in refused or []]})
    elif refused is None:
        for manifest in manifests:
            print(f"{manifest.path}\n  {manifest.summary()}")
    else:
        print(render(manifests, refused))
    if any(refusal.failed for refusal in refused or []):
        raise typer.Exit(2)


@app.command()
def verify(
    artifact: Annotated[Path, typer.Argument(help="A .pte or .mlpackage with its manifest beside it.")],
    weights: Annotated[Path | None, typer.Option(help="The weights it was made from, if not the shipped ones.")] = None,
    json_: Json = False,
) -> None:
    """Prove an artifact again, anywhere: on real photographs, in dB against the eager model."""
    from edge_scs.export.manifest import read_manifest
    from edge_scs.export.verify import load_named
    from edge_scs.export.verify import verify as prove
    from edge_scs.quantization.network import load as load_int8

    manifest = read_manifest(artifact)
    model = load_named(artifact, manifest, weights, load_int8) if manifest.precision == "int8" else None
    parity = prove(artifact, model, weights=weights)
    if json_:
        emit(parity.to_dict())
    else:
        print(f"{artifact}: {parity.summary()}\n  {parity.proof}")
    if not parity.passed:
        raise InputError(f"{artifact}: does not equal its network any more; export it again")


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
def inspect(
    model: Model,
    picture: Annotated[Path, typer.Argument(help="The picture to be coloured.")],
    reference: Annotated[Path, typer.Option(help="The colour picture that leads the colours.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The sheet, such as maps.png.")],
    at: Annotated[list[str] | None, typer.Option(help="A pixel of the picture, X,Y; may be given again.")] = None,
    weights: Weights = None,
) -> None:
    """Draw what a referential model looks at: attention maps and valves over the pictures."""
    from edge_scs.inspection import inspect as draw
    from edge_scs.weights.loading import load

    draw(load(model, weights), picture, reference, at or [], out)
    print(out)


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
    device_results: Annotated[list[Path] | None, typer.Option(help="Latency JSON of a phone.")] = None,
    data: Annotated[Path | None, typer.Option(help="A benchmark folder: adds psnr_grey at x4.")] = None,
    quick: Annotated[bool, typer.Option(help="Fewer runs: a look, not a measurement.")] = False,
    json_: Json = False,
) -> None:
    """The table: parameters, size, MultAdds at 720p, latency on CPU (eager, ExecuTorch), GPU and device."""
    from edge_scs.evaluate import evaluate as measure
    from edge_scs.export.pipeline import export_targets
    from edge_scs.report.page import MODELS, make_report
    from edge_scs.weights.loading import load, shipped_file

    loaded = [load(name, allow_untrained=True) for name in MODELS]
    artifacts = [
        manifest.path
        for network in loaded
        for manifest in export_targets(network, "executorch", out / "artifacts", progress=say)
        if manifest.path
    ]
    quality = [measure(x, data, 4, say=say) for x in loaded if data and shipped_file(x.name)]
    result = make_report(out, device_results or [], artifacts=artifacts, quality=quality, quick=quick, say=say)
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


@app.command("import-weights")
def import_weights(
    file: Annotated[Path, typer.Argument(help="An official checkpoint.")],
    as_: Annotated[str, typer.Option("--as", help="Which network it is, such as pcarn_m.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: the name with .safetensors.")] = None,
) -> None:
    """Convert an official checkpoint to safetensors, loaded without running any of its code."""
    from edge_scs.weights.importing import import_weights as convert

    path = out or Path(f"{as_}.safetensors")
    convert(file, as_, path)
    print(path)


# typer carries click inside it or beside it, as its version will: this finds the class either way.
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> None:
    """Run; every expected failure is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except _ClickException as error:
        _fail(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    print("edge-scs: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
