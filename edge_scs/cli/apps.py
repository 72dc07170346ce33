"""Commands for the sample apps: apps prepare."""

from pathlib import Path
from typing import Annotated

import typer

from edge_scs.cli.app import Json, Weights, app, emit, say

apps = typer.Typer(help="The sample apps in apps/: put models into them.", rich_markup_mode=None)
app.add_typer(apps, name="apps")


@apps.callback()
def group() -> None:
    """Put models into the sample apps of apps/."""


@apps.command()
def prepare(
    android: Annotated[bool, typer.Option("--android", help="Only the Android app.")] = False,
    ios: Annotated[bool, typer.Option("--ios", help="Only the iOS app.")] = False,
    preset: Annotated[
        list[str] | None,
        typer.Option(help="Instead of the app's own choice: a preset, or preset:reference. May be given again."),
    ] = None,
    model: Annotated[str, typer.Option(help="A name or a checkpoint.")] = "edge_scs_m",
    weights: Weights = None,
    into: Annotated[Path | None, typer.Option(help="Another apps folder than this clone's.")] = None,
    json_: Json = False,
) -> None:
    """Export models into the apps' resources.

    Each is verified, and comes with its manifest and a golden pair.
    """
    from edge_scs.api import load_network
    from edge_scs.lowering.apps import FOLDER, check_app, others, prepare_apps
    from edge_scs.quantization.quantised_model import load as load_int8

    chosen = [name for name, wanted in (("android", android), ("ios", ios)) if wanted] or ["android", "ios"]
    for name in chosen:
        check_app(name, into or FOLDER)
    loaded = load_network(model, weights, restoration=None)
    prepared = prepare_apps(
        loaded,
        chosen,
        preset or (),
        into or FOLDER,
        quantised=lambda: load_int8(loaded.name, amount=loaded.restoration),
        progress=say,
    )
    for path in others(prepared):
        say(f"{path}: stays in the app as well; remove the folder if it shall not")
    if json_:
        emit({"models": [made.to_dict() for made in prepared]})
        return
    for made in prepared:
        print(f"{made.folder}{' (kept)' if made.kept else ''}\n  {made.manifest.summary()}")
