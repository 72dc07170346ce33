"""Parity: does an artifact answer what the eager network answers, on real photographs?

The comparison is with the network as trained, not with the folded module that was lowered, so one number covers
folding, lowering, serialisation and the runtime (for Core ML: the saved graph and weights, see ``mil``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from edge_scs.artifacts.diagnosis import diagnose
from edge_scs.artifacts.manifest import (
    MAX_PSNR_DB,
    Manifest,
    MethodPorts,
    Parity,
    artifact_sha256,
    capped_psnr,
    check_scales,
    read_manifest,
    weights_sha256,
)
from edge_scs.artifacts.presets import LEAST_PSNR_DB, known, load_preset
from edge_scs.artifacts.quantised_network import QuantisedNetwork
from edge_scs.artifacts.runnable import Opened, open_artifact
from edge_scs.color import rgb_to_ycc
from edge_scs.errors import InputError
from edge_scs.images import read_rgb
from edge_scs.models.colour import answer_size
from edge_scs.models.hints import POINT_RADIUS, hint_cells, hint_planes
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
# Magnifications at which a continuous program is compared, on images of this size (LR rows, columns).
CONTINUOUS_SCALES = (1.0, 1.3, 2.0, 2.7, 3.0, 4.0, 5.5, 8.0)
CONTINUOUS_LR = (72, 96)
HINTED = ((0.2, 0.3), (0.5, 0.7), (0.8, 0.5))  # rows and columns of a photograph's hints, as shares of it
FEW = 2  # photographs for the second and later sizes of one artifact


def verify(
    artifact: Path,
    model: Loaded | None = None,
    images: Sequence[Path] | None = None,
    weights: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Parity:
    """Recompute the parity of an artifact from itself and its manifest, anywhere.

    ``model`` or ``weights`` replace the network that the manifest names; ``images`` the embedded photographs. Raises
    InputError: artifact or manifest missing, damaged, edited or not belonging together, or the network's weights not
    found or no longer the same.
    """
    artifact = Path(artifact)
    actual = artifact_sha256(artifact)
    manifest = read_manifest(artifact)
    if actual != manifest.sha256:
        raise InputError(f"{artifact}: differs from its manifest (sha256 {actual[:12]}...); export it again")
    check_scales(manifest)
    check_least(artifact, manifest)
    if model is None:
        model = load_named(artifact, manifest, weights)
    return check_parity(open_artifact(artifact, manifest), manifest, model, images, progress)


def check_least(artifact: Path, manifest: Manifest) -> None:
    """Raise InputError where the manifest asks for less than its preset: it verifies nothing then.

    Of a preset that is not known here, less than ``LEAST_PSNR_DB`` is too little.
    """
    least = load_preset(manifest.preset).min_psnr_db if manifest.preset in known() else LEAST_PSNR_DB
    if not manifest.min_psnr_db >= least:
        raise InputError(
            f"{artifact}: its manifest asks for {manifest.min_psnr_db:g} dB, its preset {manifest.preset} for at least "
            f"{least:g}; it was edited: export again"
        )


def check_parity(
    opened: Opened,
    manifest: Manifest,
    loaded: Loaded,
    images: Sequence[Path] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Parity:
    """The parity of everything that the artifact answers: each method, or the continuous methods together."""
    least = manifest.min_psnr_db
    if manifest.continuous is not None:
        parity = _compare_continuous(opened, loaded, least, images, progress)
        return replace(parity, execution=opened.execution)
    methods = manifest.methods or [MethodPorts("forward", manifest.inputs, manifest.outputs)]
    found: dict[str, Parity] = {}
    for method in methods:
        inputs = {port.name: tuple(port.shape) for port in method.inputs}
        size = (method.outputs[0].shape[2], method.outputs[0].shape[3])
        photographs = list(images or embedded_photographs())[: FEW if found else None]
        found[method.name] = measure(opened.of(method.name), loaded, inputs, size, least, photographs, progress)
    first = next(iter(found.values()))
    worst = min(found.values(), key=lambda parity: -1 if parity.psnr_db is None else parity.psnr_db)
    return replace(
        worst,
        images=first.images,
        per_image=first.per_image,
        max_abs=None if worst.max_abs is None else max(parity.max_abs or 0 for parity in found.values()),
        verdict=opened.verdict if all(parity.passed for parity in found.values()) else "fail",
        flags=list(dict.fromkeys(flag for parity in found.values() for flag in parity.flags)),
        methods={name: parity.psnr_db for name, parity in found.items()},
        execution=opened.execution,
    )


def _compare_continuous(
    opened: Opened,
    loaded: Loaded,
    min_psnr_db: float,
    images: Sequence[Path] | None,
    progress: Callable[[str], None] | None,
) -> Parity:
    """On every photograph two of the magnifications in turn, so that all are seen; chroma by the program as well."""
    assert opened.continuous is not None
    program, h, w = opened.continuous, *CONTINUOUS_LR
    scales = iter(CONTINUOUS_SCALES * 4)
    parities: list[Parity] = []
    per_scale: dict[str, float | None] = {}
    photographs = list(images or embedded_photographs())
    for path in photographs:
        for scale in (next(scales), next(scales)):
            size = (round(h * scale), round(w * scale))

            def run(inputs: Mapping[str, Tensor], size: tuple[int, int] = size) -> Tensor:
                return program.render(inputs["gray"], program.chroma(**inputs), size)

            inputs: dict[str, tuple[int, ...]] = {"gray": (1, 1, h, w)}
            if program.takes_hints:
                inputs["hints"] = (1, 3, *answer_size((h, w)))
            parity = measure(run, loaded, inputs, size, min_psnr_db, [path], progress)
            parities.append(parity)
            per_scale[f"x{scale:g}"] = _worse(parity.psnr_db, per_scale.get(f"x{scale:g}", MAX_PSNR_DB))
    worst = min(parities, key=lambda parity: -1 if parity.psnr_db is None else parity.psnr_db)
    per_image: dict[str, float | None] = {}
    for parity in parities:
        for name, value in parity.per_image.items():
            per_image[name] = _worse(value, per_image.get(name, MAX_PSNR_DB))
    return replace(
        worst,
        images=len(photographs),
        per_image=per_image,
        max_abs=None if worst.max_abs is None else max(parity.max_abs or 0 for parity in parities),
        verdict="pass" if all(parity.passed for parity in parities) else "fail",
        flags=list(dict.fromkeys(flag for parity in parities for flag in parity.flags)),
        methods=per_scale,
    )


def load_named(artifact: Path, manifest: Manifest, weights: Path | None, load: Callable[..., Loaded] = load) -> Loaded:
    """The network that a manifest names. ``load`` is ``weights.loading.load`` or works like it."""
    if weights is not None:
        return load(manifest.model, weights, amount=manifest.restoration)
    if manifest.weights in ("shipped", "untrained"):
        untrained = manifest.weights == "untrained"
        loaded = load(manifest.model, allow_untrained=untrained, amount=manifest.restoration)
    else:
        places = [Path(manifest.weights), artifact.parent / Path(manifest.weights).name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(f"{artifact}: its weights, {manifest.weights}, are not here; give --weights FILE")
        loaded = load(manifest.model, found, amount=manifest.restoration)
    if weights_sha256(loaded.model) != manifest.weights_sha256:
        raise InputError(
            f"{artifact}: was made from other weights of {manifest.model} than {loaded.source}; "
            "give --weights FILE with those, or export again"
        )
    return loaded


def measure(
    run: Run,
    loaded: Loaded,
    inputs: Mapping[str, tuple[int, ...]],
    size: tuple[int, int],
    min_psnr_db: float,
    images: Sequence[Path] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Parity:
    """Parity of ``run`` with the eager network on each photograph; ``inputs``: name -> shape, the small image first.

    The worst photograph decides. A NaN, an infinity or a wrong shape fails, and the first image that is too far off
    is looked at for known faults.
    """
    per_image: dict[str, float | None] = {}
    worst, flags = 0.0, list[str]()
    for path in images or embedded_photographs():
        example = prepare(path, inputs)
        with torch.no_grad():
            expected = eager(loaded, example, size)
        answer = run(example)
        if answer.shape != expected.shape:
            raise InputError(f"the artifact gives shape {tuple(answer.shape)}, the network {tuple(expected.shape)}")
        difference = (answer.double() - expected.double()).abs()
        per_image[path.name] = capped_psnr(difference.square().mean().item())
        worst = max(worst, difference.max().item()) if per_image[path.name] is not None else float("nan")
        here = per_image[path.name]
        if (here is None or here < min_psnr_db) and not flags:
            lr = next(iter(example.values())).shape[-2:]
            flags = diagnose(answer, expected, (lr[0], lr[1]), run, example, getattr(run, "exact", None))
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
        flags=flags,
    )


def _worse(one: float | None, other: float | None) -> float | None:
    """Of two PSNRs the lower one; None, not a number, is worst."""
    return None if one is None or other is None else min(one, other)


def _db(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.1f} dB"


def eager(loaded: Loaded, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    """The network's own answer to an artifact's inputs: the small image first, the others by name."""
    (_, small), *others = inputs.items()
    return loaded.model(small, size, **dict(others))


def prepare(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A photograph as an artifact's inputs: cut to the aspect and made small by Pillow (grey by ``convert("L")`` where
    the network takes one channel); as its own reference it is mirrored, so that positions do not give the colours away.
    Hints are the photograph's own colours at ``HINTED`` places.
    """
    photograph = Image.fromarray(read_rgb(path))
    example = {}
    for name, (_, channels, h, w) in inputs.items():
        if name == "hints":
            small = np.asarray(ImageOps.fit(photograph, (w, h), Image.Resampling.BICUBIC), dtype=np.float32) / 255
            chroma = rgb_to_ycc(torch.from_numpy(small).permute(2, 0, 1))[1:]
            at = [(int(y * h), int(x * w)) for y, x in HINTED]
            cells = hint_cells(torch.tensor([HINTED]), torch.full((1, len(HINTED)), POINT_RADIUS), (h, w))
            example[name] = hint_planes(cells, torch.stack([chroma[:, y, x] for y, x in at])[None])
            continue
        image = ImageOps.mirror(photograph) if name == "reference" else photograph
        image = image.convert("L") if channels == 1 else image
        pixels = np.asarray(ImageOps.fit(image, (w, h), Image.Resampling.BICUBIC), dtype=np.float32) / 255
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
