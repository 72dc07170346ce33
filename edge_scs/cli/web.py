"""The page in the browser: web."""

from importlib import import_module
from typing import Annotated

import typer

from edge_scs.cli.app import Weights, app, say
from edge_scs.errors import InputError

EXTRA = ("anyio", "starlette", "uvicorn")


@app.command()
def web(
    port: Annotated[int, typer.Option(help="1 to 65535; 0: a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="The address to listen at; others than loopback are open to all.")] = (
        "127.0.0.1"
    ),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    model: Annotated[str, typer.Option(help="A name or a checkpoint.")] = "edge_scs_m",
    weights: Weights = None,
    tile: Annotated[int, typer.Option(min=0, help="Tile side in LR pixels; 0: the whole image at once.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1. auto: a GPU if there is one.")] = "auto",
) -> None:
    """Restore photographs in the browser, with colour hints; nothing leaves this machine."""
    for name in EXTRA:
        try:
            import_module(name)
        except ImportError as error:
            raise InputError(f"web: {name} cannot be imported ({error}); run: pip install 'edge-scs[web]'") from error
    from edge_scs.web.server import serve

    serve(model, weights, host=host, port=port, device=device, tile=tile or None, open_browser=browser, say=say)
