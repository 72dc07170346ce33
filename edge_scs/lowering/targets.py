"""Which presets a command names, which network each takes, and all of them on all cores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from edge_scs.artifacts.manifest import Manifest
from edge_scs.artifacts.presets import Preset, known, load_preset
from edge_scs.artifacts.quantised_network import QuantisedNetwork
from edge_scs.errors import InputError
from edge_scs.lowering.methods import UnsupportedError, check
from edge_scs.lowering.pipeline import export_model
from edge_scs.side_by_side import Say, Task, run_side_by_side
from edge_scs.weights.loading import Loaded

Finder = Callable[[], Loaded]


@dataclass(frozen=True)
class Refusal:
    """A preset that a network was not exported for, and why, in one line.

    ``failed``: it should have been. Otherwise the network or the converter cannot do it, which is an answer too.
    """

    preset: str
    reason: str
    failed: bool


def export_targets(
    loaded: Loaded,
    targets: str,
    out_dir: Path,
    scale: float | None = None,
    lr: str | None = None,
    progress: Say | None = None,
    quantised: Finder | None = None,
) -> list[Manifest]:
    """Export for each of ``targets``, one after the other: targets, preset names or TOML files, with commas between.

    ``scale`` and ``lr`` ("WIDTHxHEIGHT") replace the presets' values. ``quantised`` finds the network for presets of
    precision "int8", if ``loaded`` is none. Every preset is checked before the first is exported. Raises InputError
    like ``load_preset`` and ``export_model``.
    """
    changes, jobs = _changes(scale, lr), []
    quantised = cache(quantised) if quantised else None  # one network for all: its int8 graphs are kept with it
    for preset in [load_preset(target.strip()) for target in targets.split(",")]:
        if changes and (preset.sizes or preset.continuous):
            raise InputError(f"preset {preset.name}: names its sizes itself; drop --scale and --lr")
        preset = preset.replace(**changes)
        network = network_for(preset, loaded, quantised)
        check(network, preset)
        jobs.append((network, preset))
    return [export_model(network, preset, out_dir, progress) for network, preset in jobs]


def export_all(
    find: Finder,
    out_dir: Path,
    scale: float | None = None,
    lr: str | None = None,
    progress: Say | None = None,
    quantised: Finder | None = None,
) -> tuple[list[Manifest], list[Refusal]]:
    """Export the network that ``find`` loads for every shipped preset, side by side.

    Each process loads it for itself, so ``find`` and ``quantised`` must be such as can be pickled; arguments otherwise
    as in ``export_targets``. Presets that name their sizes themselves are left out where ``scale`` or ``lr`` is given.
    What fails or does not fit ends no other preset: it is a Refusal, in the order of the presets like the manifests.
    """
    changes = _changes(scale, lr)
    if not known():
        raise InputError("--target all: this installation has no presets; install edge-scs again")
    presets = [preset for preset in map(load_preset, known()) if not (changes and (preset.sizes or preset.continuous))]
    # The int8 presets go first, and to one process: making the int8 graph takes longest, and they share it.
    shared = [preset.replace(**changes) for preset in presets if preset.precision == "int8"]
    alone = [preset.replace(**changes) for preset in presets if preset.precision != "int8"]
    results: dict[str, Manifest | Refusal] = {}
    tasks = [
        Task(", ".join(p.name for p in group), partial(_export, find, quantised, group, out_dir), results.update)
        for group in [shared, *([preset] for preset in alone)]
        if group
    ]
    run_side_by_side(tasks, progress or _silent)
    ordered = [results[preset.name] for preset in presets]
    return [r for r in ordered if isinstance(r, Manifest)], [r for r in ordered if isinstance(r, Refusal)]


def _export(
    find: Finder, quantised: Finder | None, presets: Sequence[Preset], out_dir: Path, say: Say
) -> dict[str, Manifest | Refusal]:
    loaded, results = find(), dict[str, Manifest | Refusal]()
    quantised = cache(quantised) if quantised else None
    for preset in presets:
        try:
            results[preset.name] = export_model(network_for(preset, loaded, quantised), preset, out_dir, say)
        except InputError as error:
            results[preset.name] = Refusal(preset.name, str(error), failed=not isinstance(error, UnsupportedError))
            say(f"{preset.name}: {error}")
    return results


def network_for(preset: Preset, loaded: Loaded, quantised: Finder | None) -> Loaded:
    """``loaded``, or what ``quantised`` finds for a preset of precision "int8" (or UnsupportedError)."""
    if preset.precision != "int8" or isinstance(loaded.model, QuantisedNetwork) or quantised is None:
        return loaded
    try:
        return quantised()
    except InputError as error:
        raise UnsupportedError(str(error)) from error


def _changes(scale: float | None, lr: str | None) -> dict[str, object]:
    changes: dict[str, object] = {} if scale is None else {"scale": float(scale)}
    if lr is not None:
        width, _, height = lr.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise InputError(f"lr {lr}: write the small image's size as WIDTHxHEIGHT, for example 320x180")
        changes["lr"] = [int(height), int(width)]
    return changes


def _silent(line: str) -> None:
    pass
