"""Commands for images: demo, enhance, inspect."""

from pathlib import Path
from typing import Annotated

import typer

from edge_scs.cli.app import Model, Restoration, Weights, app, say


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path("demo")) -> None:
    """Try everything on bundled photographs.

    Restores four, exports the network for both targets, verifies that, and writes a report.
    """
    from edge_scs.demo import run_demo

    run_demo(out, say)


@app.command()
def enhance(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="Images or folders of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A file for one image, or a folder.")],
    scale: Annotated[float | None, typer.Option(help="Magnification, 1 to 8, decimals included. Default 4.")] = None,
    size: Annotated[str | None, typer.Option(help="Target size instead of a magnification, as 1280x720.")] = None,
    reference: Annotated[Path | None, typer.Option(help="A colour image that guides the colours.")] = None,
    hint: Annotated[
        list[str] | None, typer.Option(help="A known colour, X,Y=#8a1c22, X,Y=crimson or X,Y=neutral; again for more.")
    ] = None,
    hints: Annotated[Path | None, typer.Option(help="A JSON file of hints: [{x, y, colour}, ...].")] = None,
    keep_colour: Annotated[
        bool, typer.Option(help="Keep the image's own colours; enlarge only. RGB networks give grey without it.")
    ] = False,
    restoration: Restoration = None,
    vividness: Annotated[float, typer.Option(help="Strength of the colours, 0 to 1.5; 0: grey.")] = 1.0,
    runtime: Annotated[str, typer.Option(help="torch or executorch.")] = "torch",
    artifact: Annotated[Path | None, typer.Option(help="The .pte for --runtime executorch.")] = None,
    model: Annotated[str, typer.Option(help="A name or a checkpoint.")] = "edge_scs_m",
    weights: Weights = None,
    tile: Annotated[int, typer.Option(help="Tile side in LR pixels; 0: the whole image at once.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1. auto: a GPU if there is one.")] = "auto",
    format_: Annotated[
        str | None, typer.Option("--format", help="png, jpeg, webp or tiff; default: as it was.")
    ] = None,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="JPEG and WebP; default 95.")] = None,
    max_output_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger results.")] = 200_000_000,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; with 2 or more a crash costs one image.")] = 1,
    resume: Annotated[bool, typer.Option(help="Pass over what an earlier run with these settings settled.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done and do nothing.")] = False,
    overwrite_sources: Annotated[bool, typer.Option(help="Allow results to take their sources' places.")] = False,
) -> None:
    """Restore images or folders: grey to colour, small to large. Exit code 3: some could not be done."""
    from functools import partial

    from edge_scs import api
    from edge_scs.archive.ranks import is_main
    from edge_scs.files import printable
    from edge_scs.inference.hint_points import parse_hints, read_hints

    known = (*parse_hints(hint or []), *(read_hints(hints) if hints else ()))
    make = partial(
        api.make_engine,
        model,
        weights,
        runtime=runtime,
        artifact=artifact,
        tile=tile or None,
        device=device,
        restoration=restoration,
    )
    summary = api.enhance(
        inputs, out, model=api.Model(model, "", make), scale=scale, size=size, reference=reference,
        keep_colour=keep_colour, vividness=vividness, hints=known, format=format_, quality=quality,
        max_output_pixels=max_output_pixels,
        overwrite_sources=overwrite_sources, resume=resume, dry_run=dry_run, jobs=jobs, progress=True, say=say,
    )  # fmt: skip
    for path, target, (h, w) in summary.planned:
        print(f"{printable(path)} -> {printable(target)} {w}x{h}")
    if is_main():
        say("\n".join(summary.remarks(out, dry_run)))
    if summary.failed:
        raise typer.Exit(3)


@app.command()
def inspect(
    model: Model,
    image: Annotated[Path, typer.Argument(help="The image to be coloured.")],
    reference: Annotated[Path, typer.Option(help="The colour image that guides the colours.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The sheet, such as maps.png.")],
    at: Annotated[list[str] | None, typer.Option(help="A pixel of the image, X,Y; may be given again.")] = None,
    weights: Weights = None,
) -> None:
    """Draw the attention maps and gates of a referential model."""
    from edge_scs.inspection import inspect as draw
    from edge_scs.weights.loading import load

    draw(load(model, weights), image, reference, at or [], out)
    print(out)
