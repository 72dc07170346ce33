"""Models for the sample apps: exported, verified, and placed into an app's resources, each in a folder of its own.

``<resources>/<name>/`` holds the artifact, its manifest, ``<artifact>.golden/<method>/*.png`` for the app's self-test,
and ``prepared.json``: what the model was made from and the sha256 of every file. A model whose ``prepared.json`` is
still true is kept as it is.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_scs.artifacts.golden import golden_path
from edge_scs.artifacts.manifest import Manifest, manifest_path, read_manifest, weights_sha256
from edge_scs.artifacts.presets import Preset, load_preset
from edge_scs.errors import InputError
from edge_scs.interrupts import uninterrupted
from edge_scs.lowering.methods import check
from edge_scs.lowering.pipeline import artifact_name, export_model, versions
from edge_scs.lowering.publishing import alone
from edge_scs.lowering.targets import network_for
from edge_scs.weights.loading import Loaded

# A clone's apps/ folder, beside the package. An installed package has none: apps are built in a clone.
FOLDER = Path(__file__).parents[2] / "apps"
RESOURCES = {"android": "android/app/src/main/assets/models", "ios": "ios/App/Resources/Models"}
GUIDED = ":reference"  # after a preset's name: with the second input
# What each app shows when nobody chooses. Android: the fast one, the exact one, three magnifications in one file, one
# that takes a reference, one for any size and magnification. Not vulkan-fp16: the default AAR has no such delegate, its
# self-test would only fail. iOS: pixel buffers first, exact tensors, int8 (does the Neural Engine gain by it?), a
# reference, and several sizes, which the app leaves out before iOS 18. A .pte needs the ExecuTorch package, added by
# hand, so none is in that list.
CHOICE = {
    "android": ("xnnpack-int8", "xnnpack-fp32", "xnnpack-sizes", "xnnpack-fp32" + GUIDED, "xnnpack-continuous"),
    "ios": ("coreml-image", "coreml-fp16", "coreml-w8a8", "coreml-image" + GUIDED, "coreml-sizes"),
}
# What an app can run at all: (target, backend).
RUNS = {
    "android": {("executorch", "xnnpack"), ("executorch", "vulkan")},
    "ios": {("coreml", "mlprogram"), ("executorch", "xnnpack"), ("executorch", "coreml")},
}
RECORD = "prepared.json"


@dataclass(frozen=True)
class Prepared:
    """One model in an app: where it lies, and whether it was there already."""

    app: str
    folder: Path
    kept: bool
    manifest: Manifest

    def to_dict(self) -> dict[str, Any]:
        return {
            "app": self.app,
            "folder": str(self.folder),
            "kept": self.kept,
            "artifact": self.manifest.artifact,
            "preset": self.manifest.preset,
            "bytes": self.manifest.bytes,
            "sha256": self.manifest.sha256,
        }


def prepare_apps(
    loaded: Loaded,
    apps: Sequence[str],
    presets: Sequence[str] = (),
    folder: Path = FOLDER,
    quantised: Callable[[], Loaded] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Prepared]:
    """Put models into the resources of the named apps ("android", "ios"), in the order chosen.

    ``presets`` replace an app's ``CHOICE``: names or TOML files, each with ":reference" after it if it shall take one.
    ``quantised`` finds the network for presets of precision "int8". Everything is checked before the first export; a
    model appears in its final folder whole or not at all, and other models there are left alone. Raises InputError: no
    apps folder, an unknown preset, one that the app cannot run or the network cannot do, a failed parity.
    """
    say = progress or (lambda message: None)
    plans: list[tuple[str, Preset, Loaded]] = []
    for app in apps:
        check_app(app, folder)
        for spec in presets or CHOICE[app]:
            preset = _preset(spec, app)
            network = network_for(preset, loaded, quantised)
            check(network, preset)
            plans.append((app, preset, network))
    return [_prepare(app, preset, network, folder / RESOURCES[app], say) for app, preset, network in plans]


def check_app(app: str, folder: Path = FOLDER) -> None:
    """Raise InputError unless ``folder`` holds the sources of this sample app."""
    if not (folder / app).is_dir():
        why = "the sample apps are in the repository, not in the installed package"
        raise InputError(f"{folder / app}: no such app; {why}; run this in a clone, or give --into CLONE/apps")


def others(prepared: Sequence[Prepared]) -> list[Path]:
    """Models that lie beside the prepared ones and that an app would show as well."""
    folders = {model.folder.parent for model in prepared}
    mine = {model.folder for model in prepared}
    return sorted(path for f in folders for path in f.iterdir() if (path / RECORD).is_file() and path not in mine)


def _preset(spec: str, app: str) -> Preset:
    name, guided = spec.removesuffix(GUIDED), spec.endswith(GUIDED)
    preset = load_preset(name)
    if guided:
        preset = preset.replace(reference=True)
    if (preset.target, preset.backend) not in RUNS[app]:
        kinds = " or ".join(sorted(f"{backend} ({target})" for target, backend in RUNS[app]))
        raise InputError(f"preset {name}: the {app} app runs {kinds}, not {preset.backend}; choose another preset")
    if preset.continuous and guided:
        raise InputError(f"preset {name}: the apps drive it without a reference; drop {GUIDED}")
    return preset


def _prepare(app: str, preset: Preset, loaded: Loaded, resources: Path, say: Callable[[str], None]) -> Prepared:
    artifact = artifact_name(loaded.name, preset)
    final = resources / Path(artifact).stem
    source = _source(preset, loaded)
    if _is_current(final, source):
        say(f"{final.name}: up to date")
        return Prepared(app, final, True, read_manifest(final / artifact))
    try:
        resources.mkdir(parents=True, exist_ok=True)
        # Beside the resources, not in them: a build meanwhile, or after a crash, must not pack half a model.
        workshop = Path(tempfile.mkdtemp(prefix=f".{final.name}-", suffix=".partial", dir=resources.parent))
    except OSError as error:
        raise InputError(f"{resources}: cannot be written ({error.strerror}); check its permissions") from error
    try:
        manifest = export_model(loaded, preset, workshop / "export", say)
        model = workshop / "model"
        model.mkdir()
        for path in (workshop / "export" / artifact, manifest_path(workshop / "export" / artifact)):
            os.replace(path, model / path.name)
        golden = golden_path(workshop / "export" / artifact)
        # The apps compare images; the same as float32 numbers is several times as large.
        shutil.copytree(golden, model / golden.name, ignore=shutil.ignore_patterns("*.npz"))
        record = {"from": source, "files": _digests(model)}
        (model / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _place(model, final, workshop)
        return Prepared(app, final, False, dataclasses.replace(manifest, path=final / artifact))
    except OSError as error:
        raise InputError(f"{final}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _source(preset: Preset, loaded: Loaded) -> dict[str, Any]:
    """All that decides what an export gives, as JSON keeps it."""
    source = {
        "model": loaded.name,
        "weights_sha256": weights_sha256(loaded.model),
        "preset": dataclasses.asdict(preset),
        "versions": versions(preset.target),
    }
    return json.loads(json.dumps(source))


def _is_current(folder: Path, source: dict[str, Any]) -> bool:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record["from"] == source and record["files"] == _digests(folder)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file but the record and what the system hides there (.DS_Store)."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD and not path.name.startswith(".")
    }


def _place(model: Path, final: Path, workshop: Path) -> None:
    """Rename a whole model to its final folder; an older one steps aside first and comes back if that fails."""
    aside = workshop / "replaced"
    with alone(final.parent), uninterrupted():
        if final.exists():
            os.replace(final, aside)
        try:
            os.replace(model, final)
        except OSError:
            if aside.exists():
                os.replace(aside, final)
            raise
