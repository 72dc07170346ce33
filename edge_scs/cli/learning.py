"""Commands that make weights: train, qat, import-weights."""

from pathlib import Path
from typing import Annotated

import typer

from edge_scs.cli.app import Json, app, emit, say
from edge_scs.errors import InputError


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, such as edge_scs_m, or a TOML file.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Photographs: a folder or tar shards; again for more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/run"),
    resume: Annotated[bool, typer.Option(help="Resume the run in --out, exactly.")] = False,
    init: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: stage.texture.steps=100.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: as torch likes.")] = 0,
) -> None:
    """Train by a recipe. Many GPUs: accelerate launch -m edge_scs train RECIPE ..."""
    import torch

    from edge_scs.data.agreement import StoppedElsewhere
    from edge_scs.data.index import cache_folder
    from edge_scs.data.photographs import load_photographs
    from edge_scs.evaluate import figures_of
    from edge_scs.recipes import load_recipe
    from edge_scs.training.loop import train as fit
    from edge_scs.training.processes import start_processes

    if threads:
        torch.set_num_threads(threads)
    plan = load_recipe(recipe, set_)
    if not data:
        raise InputError("train: give a folder of photographs with --data")
    try:
        photographs = load_photographs(
            data, plan.min_side, plan.cache_mb, say, *start_processes(),
            min_kb=plan.min_kb, min_colourfulness=plan.min_colourfulness,
            store_mb=plan.store_mb, cache=cache_folder(), verify=plan.verify, mix=plan.mix,
        )  # fmt: skip
        outcome = fit(plan, photographs, out, resume, init, say, figures_of)
    except StoppedElsewhere:  # the process that says why speaks for all
        raise typer.Exit(2) from None
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.first:
        print(outcome.weights)


@app.command()
def qat(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, such as edge_scs_m_qat, or a TOML file.")],
    weights: Annotated[str, typer.Option(help="The float network: a name with shipped weights, or a checkpoint.")],
    data: Annotated[list[Path] | None, typer.Option(help="A folder of photographs; may be given again.")] = None,
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/qat"),
    resume: Annotated[bool, typer.Option(help="Resume the run in --out, exactly.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1. auto: a GPU if there is one.")] = "auto",
    sensitivity: Annotated[bool, typer.Option(help="Only report which parts lose quality in int8, and stop.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a key: steps=0 quantises only.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: as torch likes.")] = 0,
    json_: Json = False,
) -> None:
    """Fine-tune a float network into an int8 one.

    Quantisation-aware training; the result is exported for either target.
    """
    import torch

    from edge_scs import launch
    from edge_scs.data.photographs import load_photographs
    from edge_scs.inference.choice import choose_device
    from edge_scs.quantization.finetune import finetune
    from edge_scs.quantization.recipe import load_qat_recipe
    from edge_scs.quantization.sensitivity import sensitivities, table
    from edge_scs.weights.loading import load

    if threads:
        torch.set_num_threads(threads)
    if launch.processes() > 1:
        if launch.rank():
            raise typer.Exit(2)  # the first one says why
        raise InputError("qat: runs in one process on one device; start it without torchrun or accelerate launch")
    chosen = torch.device(choose_device(device))
    plan = load_qat_recipe(recipe, set_)
    if not data:
        raise InputError("qat: give a folder of photographs with --data")
    loaded, photographs = load(weights, amount=plan.restoration), load_photographs(data, warn=say)
    if sensitivity:
        rows = sensitivities(plan, loaded, photographs, say, chosen)
        if json_:
            emit({"sensitivity": rows})
        else:
            print(table(rows))
        return
    outcome = finetune(plan, loaded, photographs, out, resume, say, chosen)
    if outcome.interrupted:
        raise typer.Exit(130)
    if json_:
        emit({"weights": str(outcome.weights)})
    else:
        print(outcome.weights)


@app.command("import-weights")
def import_weights(
    file: Annotated[Path, typer.Argument(help="An official checkpoint.")],
    as_: Annotated[str, typer.Option("--as", help="Which network it is, such as pcarn_m.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: the name with .safetensors.")] = None,
) -> None:
    """Convert an official checkpoint to safetensors.

    It is loaded without running any of its code.
    """
    from edge_scs.weights.importing import import_weights as convert

    path = out or Path(f"{as_}.safetensors")
    convert(file, as_, path)
    print(path)
