"""The whole export: fold, lower, prove, and only then give the artifact its name."""

import copy
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge_scs import __version__
from edge_scs.errors import InputError
from edge_scs.export.deploy import deploy
from edge_scs.export.manifest import Manifest, Port, artifact_bytes, artifact_sha256, manifest_path, weights_sha256
from edge_scs.export.presets import Preset, load_preset
from edge_scs.export.verify import measure, open_artifact
from edge_scs.models.registry import Description
from edge_scs.weights.loading import Loaded

SUFFIXES = {"executorch": ".pte", "coreml": ".mlpackage"}
PACKAGES = {"executorch": ("torch", "executorch", "torchao"), "coreml": ("torch", "coremltools")}


def export_model(
    loaded: Loaded,
    preset: Preset,
    out_dir: Path,
    progress: Callable[[str], None] | None = None,
    module: nn.Module | None = None,
) -> Manifest:
    """Write ``<out_dir>/<artifact_name>`` and its manifest; returns the manifest.

    The artifact is made and verified in a temporary folder inside ``out_dir`` and renamed only when its parity passes,
    so its final name never shows anything else; an older artifact of that name is replaced then. ``module`` is lowered
    in place of the deployed network when it has been quantised already (precision "int8").

    Raises InputError: a size, scale or reference the network does not do, an unwritable folder, a converter that is
    missing or refuses, a failed verdict. Nothing is left behind then.
    """
    say = progress or (lambda message: None)
    example = example_inputs(loaded.description, preset)
    if module is None and preset.precision == "int8":
        raise InputError(f"preset {preset.name}: int8 cannot be made yet; use fp32 or fp16")
    deployed = deploy(loaded.model, (preset.lr[0], preset.lr[1]), preset.size, preset.reference)
    final = Path(out_dir) / artifact_name(loaded.name, preset)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{final.stem}-", suffix=".partial", dir=final.parent))
    except OSError as error:
        raise InputError(f"{out_dir}: cannot be written ({error.strerror}); choose another output folder") from error
    try:
        artifact = workshop / final.name
        say(f"lowering {loaded.name} for {preset.name}")
        built = _build(module or deployed, example, artifact, loaded, preset)
        say(f"verifying {final.name}")
        run = open_artifact(artifact, preset.target)
        shapes = {name: tuple(x.shape) for name, x in example.items()}
        parity = measure(run, loaded, shapes, preset.size, preset.min_psnr_db, progress=say)
        if not parity.passed:
            got = "NaN or infinity" if parity.psnr_db is None else f"{parity.psnr_db} dB"
            raise InputError(
                f"{final.name}: parity failed: {got} against the network, {preset.min_psnr_db:g} dB needed by preset "
                f"{preset.name}; nothing was written"
            )
        dtype = "float16" if preset.target == "coreml" and preset.precision != "fp32" else "float32"
        manifest = Manifest(
            artifact=final.name,
            target=preset.target,
            model=loaded.name,
            scale=preset.scale,
            inputs=[Port(name, list(x.shape), dtype) for name, x in example.items()],
            outputs=[Port("rgb", [1, 3, *preset.size], dtype)],
            bytes=artifact_bytes(artifact),
            sha256=artifact_sha256(artifact),
            delegated_share=built.delegated_share,
            parity=parity,
            versions=versions(preset.target),
            mult_adds=mult_adds(loaded.model, example, preset.size),
            params=sum(p.numel() for p in deployed.parameters()),
            preset=preset.name,
            precision=preset.precision,
            weights=loaded.origin,
            weights_sha256=weights_sha256(loaded.model),
            min_psnr_db=preset.min_psnr_db,
            non_delegated=built.non_delegated,
            arena_bytes=built.arena_bytes,
        )
        manifest.write(artifact)
        _publish(artifact, final)
        return replace(manifest, path=final)
    except OSError as error:
        raise InputError(f"{final}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def export_targets(
    loaded: Loaded,
    targets: str,
    out_dir: Path,
    scale: float | None = None,
    lr: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Manifest]:
    """Export for each of ``targets``: targets, preset names or TOML files, with commas between them.

    ``scale`` and ``lr`` ("WIDTHxHEIGHT") replace the presets' values. Every preset is checked before the first is
    exported. Raises InputError like ``load_preset`` and ``export_model``.
    """
    changes: dict[str, object] = {}
    if scale is not None:
        changes["scale"] = float(scale)
    if lr is not None:
        width, _, height = lr.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise InputError(f"lr {lr}: write the small picture's size as WIDTHxHEIGHT, for example 320x180")
        changes["lr"] = [int(height), int(width)]
    presets = [load_preset(target.strip()).replace(**changes) for target in targets.split(",")]
    for preset in presets:
        example_inputs(loaded.description, preset)
    return [export_model(loaded, preset, out_dir, progress) for preset in presets]


def artifact_name(model: str, preset: Preset) -> str:
    """For example ``edge_scs_m_x4_180x320_xnnpack-fp32.pte``; a referential one says ``_ref`` after the size."""
    mode = "_ref" if preset.reference else ""
    lr = f"{preset.lr[0]}x{preset.lr[1]}"
    return f"{model}_x{preset.scale:g}_{lr}{mode}_{preset.name}{SUFFIXES[preset.target]}"


def example_inputs(description: Description, preset: Preset) -> dict[str, Tensor]:
    """Seeded inputs by name, the small picture first. Raises InputError for what the network cannot do."""
    if description.no_export:
        raise InputError(f"{description.name}: cannot be exported: {description.no_export}; use it with PyTorch")
    if preset.reference and not description.reference:
        raise InputError(f"{description.name}: takes no reference; use a preset with reference = false")
    if not description.enlarges(preset.scale):
        raise InputError(f"{description.name}: cannot enlarge x{preset.scale:g}; it does {description.magnifications}")
    random = torch.Generator().manual_seed(0)
    grey = description.input == "grey"
    example = {"gray" if grey else "rgb_lr": torch.rand(1, 1 if grey else 3, *preset.lr, generator=random)}
    if preset.reference:
        example["reference"] = torch.rand(1, 3, preset.reference_side, preset.reference_side, generator=random)
    return example


def mult_adds(model: nn.Module, example: dict[str, Tensor], size: tuple[int, int]) -> int:
    """Multiply-accumulates of convolutions and matrix products in one eager forward (interpolation counts as none)."""
    small, *reference = example.values()
    model = copy.deepcopy(model).to("meta")  # shapes only: no arithmetic is done
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(small.to("meta"), size, *(x.to("meta") for x in reference))
    return counter.get_total_flops() // 2


def versions(target: str) -> dict[str, str]:
    found = {"edge_scs": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES[target]:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class _Built:
    delegated_share: float | None
    non_delegated: list[str]
    arena_bytes: int | None


def _build(module: nn.Module, example: dict[str, Tensor], artifact: Path, loaded: Loaded, preset: Preset) -> _Built:
    if preset.target == "coreml":
        from edge_scs.export import coreml

        size = f"{preset.lr[0]}x{preset.lr[1]} to {preset.size[0]}x{preset.size[1]}"
        description = f"{loaded.name}: {'small grey' if 'gray' in example else 'small'} picture to large RGB, {size}"
        coreml.convert(module, example, artifact, description, preset.precision, preset.minimum_target)
        return _Built(None, [], None)
    from edge_scs.export import executorch

    lowered = executorch.lower(module, list(example.values()))
    if lowered.delegated_share < preset.min_delegated_share:
        raise InputError(
            f"{loaded.name}: {lowered.delegated_share:.0%} of its operators reach {preset.backend}, preset "
            f"{preset.name} needs {preset.min_delegated_share:.0%}; left over: {', '.join(lowered.non_delegated)}"
        )
    with open(artifact, "wb") as file:
        file.write(lowered.content)
        file.flush()
        os.fsync(file.fileno())
    return _Built(lowered.delegated_share, lowered.non_delegated, lowered.arena_bytes)


def _publish(artifact: Path, final: Path) -> None:
    """Move a proven artifact and its manifest to their final names; a folder cannot be replaced in one step, so the
    older one steps aside first and comes back if the new one cannot be moved in.
    """
    aside = artifact.with_name("replaced")
    manifest_path(final).unlink(missing_ok=True)  # never an old manifest beside a new artifact
    if final.exists():
        os.replace(final, aside)
    try:
        os.replace(artifact, final)
    except OSError:
        if aside.exists():
            os.replace(aside, final)
        raise
    os.replace(manifest_path(artifact), manifest_path(final))
