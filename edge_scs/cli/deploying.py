"""Commands for artifacts: export, verify."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge_scs.cli.app import Json, Model, Restoration, Weights, app, emit, say
from edge_scs.errors import InputError


@app.command()
def export(
    model: Model,
    target: Annotated[
        str, typer.Option(help="executorch, coreml, onnx, litert, all, or a preset: a name or a TOML file.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the artifacts.")] = Path("out"),
    weights: Weights = None,
    scale: Annotated[float | None, typer.Option(help="Magnification instead of the preset's.")] = None,
    lr: Annotated[str | None, typer.Option(help="LR size instead of the preset's, as 320x180.")] = None,
    restoration: Restoration = None,
    json_: Json = False,
) -> None:
    """Export for ExecuTorch or Core ML.

    An artifact is verified against the eager model before it gets its name; its manifest lies beside it.
    """
    from edge_scs.api import load_network
    from edge_scs.lowering.table import render
    from edge_scs.lowering.targets import Refusal, export_all, export_targets
    from edge_scs.quantization.quantised_model import load as load_int8

    find = partial(load_network, model, weights, restoration=restoration)
    loaded, refused = find(), list[Refusal]()
    quantised = partial(load_int8, loaded.name, amount=loaded.restoration)
    if target == "all":
        manifests, refused = export_all(find, out, scale, lr, say, quantised)
    else:
        manifests = export_targets(loaded, target, out, scale, lr, say, quantised)
    if json_:
        emit({"artifacts": [manifest.to_dict() for manifest in manifests], "refused": [vars(r) for r in refused]})
    elif target == "all":
        print(render(manifests, refused))
    else:
        for manifest in manifests:
            print(f"{manifest.path}\n  {manifest.summary()}")
    if not manifests or any(refusal.failed for refusal in refused):
        raise typer.Exit(2)


@app.command()
def verify(
    artifact: Annotated[Path, typer.Argument(help="A .pte or .mlpackage with its manifest beside it.")],
    weights: Annotated[Path | None, typer.Option(help="The weights it was made from, if not the shipped ones.")] = None,
    json_: Json = False,
) -> None:
    """Check an artifact again, anywhere.

    On real photographs, in dB against the eager model.
    """
    from edge_scs import api

    parity = api.verify(artifact, weights=weights)
    if json_:
        emit(parity.to_dict())
    else:
        print(f"{artifact}: {parity.summary()}\n  {parity.execution}")
    if not parity.passed:
        raise InputError(f"{artifact}: does not equal its network any more; export it again")
