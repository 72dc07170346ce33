"""Parity: does an artifact answer what the eager network answers, on real photographs?

The comparison is with the network as trained, not with the folded module that was lowered, so one number covers
folding, lowering, serialisation and the runtime (for Core ML: the saved graph and weights, see ``mil``).
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.export.deploy import QuantisedNetwork
from edge_scs.export.manifest import (
    Manifest,
    Parity,
    artifact_sha256,
    capped_psnr,
    read_manifest,
    weights_sha256,
)
from edge_scs.images import read_rgb
from edge_scs.weights.loading import Loaded, load

REFERENCE = "eager PyTorch, float32"
INT8_REFERENCE = "the converted int8 network in PyTorch"
# Photographs that the wheels of scikit-image and scikit-learn bring along: (package, path inside it).
EMBEDDED = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
Run = Callable[[Mapping[str, Tensor]], Tensor]


def verify(
    artifact: Path,
    model: Loaded | None = None,
    images: Sequence[Path] | None = None,
    weights: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Parity:
    """Recompute the parity of an artifact from itself and its manifest, anywhere.

    ``model`` or ``weights`` replace the network that the manifest names; ``images`` the embedded photographs. Raises
    InputError: artifact or manifest missing, damaged or not belonging together, or the network's weights not found or
    no longer the same.
    """
    artifact = Path(artifact)
    actual = artifact_sha256(artifact)
    manifest = read_manifest(artifact)
    if actual != manifest.sha256:
        raise InputError(f"{artifact}: differs from its manifest (sha256 {actual[:12]}...); export it again")
    if model is None:
        model = load_named(artifact, manifest, weights)
    inputs = {port.name: tuple(port.shape) for port in manifest.inputs}
    size = (manifest.outputs[0].shape[2], manifest.outputs[0].shape[3])
    run = open_artifact(artifact, manifest.target)
    return measure(run, model, inputs, size, manifest.min_psnr_db, images, progress)


def load_named(artifact: Path, manifest: Manifest, weights: Path | None, load: Callable[..., Loaded] = load) -> Loaded:
    """The network that a manifest names. ``load`` is ``weights.loading.load`` or works like it."""
    if weights is not None:
        return load(manifest.model, weights)
    if manifest.weights in ("shipped", "untrained"):
        loaded = load(manifest.model, allow_untrained=manifest.weights == "untrained")
    else:
        places = [Path(manifest.weights), artifact.parent / Path(manifest.weights).name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(f"{artifact}: its weights, {manifest.weights}, are not here; give --weights FILE")
        loaded = load(manifest.model, found)
    if weights_sha256(loaded.model) != manifest.weights_sha256:
        raise InputError(
            f"{artifact}: was made from other weights of {manifest.model} than {loaded.source}; "
            "give --weights FILE with those, or export again"
        )
    return loaded


def open_artifact(artifact: Path, target: str) -> Run:
    """A function from named float32 inputs to the RGB output, float32. Raises InputError when it cannot be loaded."""
    if target == "executorch":
        from edge_scs.export.executorch import PteProgram

        program = PteProgram(artifact)
        return lambda inputs: program.run(list(inputs.values()))[0]
    if target == "coreml":
        from edge_scs.export.mil import MilProgram

        package = MilProgram(artifact)
        return lambda inputs: next(iter(package.run(inputs).values()))
    raise InputError(f"{artifact}: its manifest names the target {target!r}; known: executorch, coreml")


def measure(
    run: Run,
    loaded: Loaded,
    inputs: Mapping[str, tuple[int, ...]],
    size: tuple[int, int],
    min_psnr_db: float,
    images: Sequence[Path] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Parity:
    """Parity of ``run`` with the eager network on each photograph; ``inputs``: name -> shape, the small picture first.

    The worst photograph decides. A NaN, an infinity or a wrong shape fails.
    """
    per_image: dict[str, float | None] = {}
    worst = 0.0
    for path in images or embedded_photographs():
        example = prepare(path, inputs)
        with torch.no_grad():
            expected = loaded.model(*_eager_arguments(example, size))
        answer = run(example)
        if answer.shape != expected.shape:
            raise InputError(f"the artifact gives shape {tuple(answer.shape)}, the network {tuple(expected.shape)}")
        difference = (answer.double() - expected.double()).abs()
        per_image[path.name] = capped_psnr(difference.square().mean().item())
        worst = max(worst, difference.max().item()) if per_image[path.name] is not None else float("nan")
        if progress is not None:
            progress(f"{path.name}: {_db(per_image[path.name])}")
    measured = [value for value in per_image.values() if value is not None]
    broken = len(measured) < len(per_image)
    passed = not broken and bool(measured) and min(measured) >= min_psnr_db
    return Parity(
        reference=INT8_REFERENCE if isinstance(loaded.model, QuantisedNetwork) else REFERENCE,
        psnr_db=None if broken else round(min(measured), 2),
        max_abs=None if broken else worst,
        images=len(per_image),
        verdict="pass" if passed else "fail",
        min_psnr_db=min_psnr_db,
        per_image={name: value if value is None else round(value, 2) for name, value in per_image.items()},
    )


def _db(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.1f} dB"


def _eager_arguments(example: Mapping[str, Tensor], size: tuple[int, int]) -> list[object]:
    small, *reference = example.values()
    return [small, size, *reference]


def prepare(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A photograph as an artifact's inputs: cut to the aspect and made small by Pillow (grey by ``convert("L")`` where
    the network takes one channel); as its own reference it is mirrored, so that positions do not give the colours away.
    """
    photograph = Image.fromarray(read_rgb(path))
    example = {}
    for name, (_, channels, h, w) in inputs.items():
        picture = ImageOps.mirror(photograph) if name == "reference" else photograph
        picture = picture.convert("L") if channels == 1 else picture
        pixels = np.asarray(ImageOps.fit(picture, (w, h), Image.Resampling.BICUBIC), dtype=np.float32) / 255
        example[name] = torch.from_numpy(pixels.reshape(h, w, channels)).permute(2, 0, 1)[None].contiguous()
    return example


def embedded_photographs() -> list[Path]:
    """The photographs in the installed wheels. Raises InputError when none is found."""
    found = []
    for package, name in EMBEDDED:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None and (Path(spec.origin).parent / name).is_file():
            found.append(Path(spec.origin).parent / name)
    if not found:
        raise InputError("scikit-image: its photographs are not installed; give photographs to compare on")
    return found
