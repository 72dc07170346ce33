"""The application that commands join, and what they share. stdout is for results, stderr for everything else."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_scs import __version__

app = typer.Typer(
    name="edge-scs",
    help="A small grey photograph in, a large colour one out: restore, train, export, verify and measure.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")]
Model = Annotated[str, typer.Argument(help="A name from `edge-scs models`, or a checkpoint (.safetensors).")]
Restoration = Annotated[
    float | None,
    typer.Option(help="0 (clean images) to 1 (noisy, blurred, compressed ones). Default: 1 if there is one."),
]
Weights = Annotated[Path | None, typer.Option(help="Weights for a model given by name.")]


def say(text: str) -> None:
    """Progress and remarks go to stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def given_command() -> str:
    """The command line as it was given, for what is written down with the results."""
    return shlex.join(["edge-scs", *sys.argv[1:]])


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
