"""The Python interface, all of it in ``import edge_scs``; the command line is a thin layer over it."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from edge_scs.archive.folder import RunOptions, Summary, enhance_files
from edge_scs.archive.output_paths import suffix_of
from edge_scs.archive.restore import MAX_OUTPUT_PIXELS, Wanted, finished
from edge_scs.archive.workers import threads_each
from edge_scs.artifacts.manifest import Manifest, Parity
from edge_scs.errors import InputError, did_you_mean
from edge_scs.images import to_eight_bits
from edge_scs.imaging.arrays import ImageArray, check_image
from edge_scs.imaging.scans import read_reference, read_scan
from edge_scs.imaging.sizes import check_scale, parse_size, target_size
from edge_scs.inference.choice import choose_device, make_predictor
from edge_scs.inference.engine import Engine
from edge_scs.inference.monochrome import NO_COLOUR, is_monochrome
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options, Request
from edge_scs.quantization import quantised_model as quantised
from edge_scs.weights import loading
from edge_scs.weights.loading import Loaded

ImageLike = str | Path | Image.Image | ImageArray
PRECISIONS = ("float32", "int8")
Say = Callable[[str], None]


class Model:
    """A network, or an exported program, that restores images. ``load`` makes one."""

    def __init__(self, name: str, precision: str, make: Callable[..., Engine], engine: Engine | None = None):
        self.name, self.precision = name, precision
        self.make = make  # an engine like this one, for another process
        self.engine = make() if engine is None else engine

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.precision})"

    def enhance(
        self,
        image: ImageLike,
        scale: float | None = None,
        *,
        size: str | tuple[int, int] | None = None,
        reference: ImageLike | None = None,
        **options: Any,
    ) -> Image.Image:
        """Restore one image: grey to colour, small to large.

        ``image`` and ``reference`` are a path, a PIL image or an array, uint8 or uint16, (h, w) or (h, w, 3), in sRGB.
        ``scale`` is the magnification, 1 to 8, by default the model's own (4); ``size`` (width, height) or "1280x720"
        replaces it. ``options`` are the fields of ``edge_scs.inference.request.Options``, such as ``keep_colour=True``.

        Returns an 8-bit sRGB image of mode RGB, upright; RGBA for a file with transparency. To keep 16 bits, profile
        and metadata, write a file with ``edge_scs.enhance``. Raises InputError, one line, for an image that cannot be
        read, and for a size, reference or option that the model cannot serve.

        >>> import edge_scs, numpy as np
        >>> grey = np.full((24, 32), 100, np.uint8)
        >>> edge_scs.load("edge_scs_s").enhance(grey, size=(64, 48)).size
        (64, 48)
        """
        wanted = Options.of(options)
        if isinstance(size, str):
            size = parse_size(size)
        if scale is not None and size is not None:
            raise InputError("scale and size exclude each other: give one of them")
        if size is None:
            check_scale(scale := self.engine.default_scale if scale is None else scale)
        self.engine.check_options(wanted, reference is not None, scale)
        guide = None if reference is None else _pixels(reference, reading=read_reference)
        if guide is not None and is_monochrome(guide):
            warnings.warn(f"the reference {NO_COLOUR}", stacklevel=2)
            guide = None
        if isinstance(image, str | Path):
            scan = replace(
                read_scan(Path(image), wanted.keep_colour, scale, size, MAX_OUTPUT_PIXELS), profile=None
            )  # in sRGB, not in the file's own colour space
            strips = self.engine.strips(Request(scan.pixels, scan.size, guide, wanted))
            return _to_pil(np.concatenate(list(finished(strips, scan))))
        pixels = _pixels(image)
        hr = target_size((pixels.shape[0], pixels.shape[1]), scale, size)
        return _to_pil(self.engine.enhance(pixels, hr, guide, **options))


def load(
    model: str | Path = "edge_scs_m",
    *,
    weights: str | Path | None = None,
    precision: str | None = None,
    device: str = "auto",
    tile: int | None = 256,
    restoration: float | None = None,
) -> Model:
    """Load a network by name (``edge-scs models``), a checkpoint (.safetensors), or an exported program (.pte).

    ``weights``: a file for a network given by name. ``precision``: "float32" or "int8", by default what the file holds,
    and float32 for a name. ``device``: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1". ``tile``: its side in
    LR pixels, None for the whole image at once. ``restoration``: 0 for clean images to 1 for degraded ones, by default
    what suits images of unknown origin, where the weights have a restoring end. Raises InputError for what does not
    exist or does not go together.

    >>> import edge_scs
    >>> edge_scs.load("edge_scs_m", precision="int8")
    Model('edge_scs_m', int8)
    >>> edge_scs.load("edge_scs_mm")
    Traceback (most recent call last):
    edge_scs.errors.InputError: edge_scs_mm: no such model or checkpoint; did you mean edge_scs_m?
    """
    name = str(model)
    if precision not in (None, *PRECISIONS):
        raise InputError(f"precision {precision}: {did_you_mean(str(precision), PRECISIONS)}")
    if name.endswith(".pte"):
        if weights is not None or precision is not None or restoration is not None:
            raise InputError(f"{name}: a program has its weights, precision and restoration; leave them out")
        return Model(name, "as exported", partial(make_engine, name, runtime="executorch", artifact=Path(name)))
    file = None if weights is None else Path(weights)
    precision = precision or ("int8" if loading.is_quantised(file or Path(name)) else "float32")
    return Model(
        name, precision, partial(make_engine, name, file, precision, tile=tile, device=device, restoration=restoration)
    )


def make_engine(
    model: str,
    weights: Path | None = None,
    precision: str | None = None,
    *,
    runtime: str = "torch",
    artifact: Path | None = None,
    tile: int | None = 256,
    device: str = "auto",
    threads: int | None = None,
    restoration: float | None = None,
) -> Engine:
    """The engine that runs a network; ``make_predictor``, with int8 networks in torch besides."""
    if runtime == "torch" and artifact is None and precision != "float32":
        network = load_network(model, weights, precision, restoration)
        if threads is not None:
            torch.set_num_threads(threads)
        return Predictor(network, tile, choose_device(device))
    return make_predictor(model, weights, runtime, artifact, tile, device, threads, restoration)


def load_network(
    model: str, weights: Path | None = None, precision: str | None = None, restoration: float | None = 0.0
) -> Loaded:
    """The network itself, float or int8: ``precision``, or what the file holds. Raises InputError like ``load``.

    ``restoration`` is that of ``load``; benchmarks are measured at 0, the clean end.
    """
    int8 = precision == "int8" or (precision is None and loading.is_quantised(weights or Path(model)))
    return (quantised.load if int8 else loading.load)(model, weights, amount=restoration)


def enhance(
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    model: str | Path | Model = "edge_scs_m",
    scale: float | None = None,
    size: str | tuple[int, int] | None = None,
    reference: str | Path | None = None,
    format: str | None = None,
    quality: int | None = None,
    max_output_pixels: int | None = MAX_OUTPUT_PIXELS,
    overwrite_sources: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: bool = False,
    say: Say = lambda text: None,
    **options: Any,
) -> Summary:
    """Restore image files and folders: depth, transparency, profile and metadata are kept.

    ``out`` is a file for one image, else a folder. ``options`` and sizes are those of ``Model.enhance``; the others are
    those of ``edge-scs enhance``. Returns what was done and what could not be. Raises InputError, one line, if nothing
    can be done, and for a single image that cannot be read.

    >>> import edge_scs, tempfile, pathlib
    >>> from PIL import Image
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("L", (32, 24), 128).save(folder / "old.png")
    >>> summary = edge_scs.enhance(folder / "old.png", folder / "large.png", model="edge_scs_s", scale=2)
    >>> [path.name for path in summary.done], Image.open(folder / "large.png").size
    (['large.png'], (64, 48))
    """
    size = parse_size(size) if isinstance(size, str) else size
    run = RunOptions(
        Wanted(scale, size, Options.of(options), quality, max_output_pixels),
        None if reference is None else Path(reference),
        suffix=suffix_of(format), overwrite_sources=overwrite_sources, resume=resume, dry_run=dry_run, jobs=jobs,
        progress=progress,
    )  # fmt: skip
    model = model if isinstance(model, Model) else load(model)
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    return enhance_files(
        paths, Path(out), model.engine, run, make=partial(model.make, threads=threads_each(jobs)), say=say
    )


def export(
    model: str | Path,
    target: str | Path = "executorch",
    out: str | Path = "out",
    *,
    weights: str | Path | None = None,
    scale: float | None = None,
    lr: str | None = None,
    restoration: float | None = None,
    say: Say | None = None,
) -> Manifest:
    """Export a network: an artifact in the folder ``out``, verified against the network before it gets its name.

    ``target``: "executorch", "coreml", a preset's name or a TOML file, one of them. ``scale`` and ``lr`` ("320x180")
    replace the preset's. ``restoration`` is that of ``load``. Returns the manifest, which lies beside the artifact
    (``manifest.path``). Raises InputError
    for what cannot be exported, and when the parity check fails; then nothing is written.
    """
    from edge_scs.lowering.targets import export_targets

    if "," in str(target) or str(target) == "all":
        raise InputError(f"target {target}: give one target a call; `edge-scs export` takes several")
    file = None if weights is None else Path(weights)
    network = load_network(str(model), file, restoration=restoration)
    (manifest,) = export_targets(
        network,
        str(target),
        Path(out),
        scale,
        lr,
        say,
        quantised=partial(quantised.load, network.name, amount=network.restoration),
    )
    return manifest


def verify(artifact: str | Path, *, weights: str | Path | None = None, say: Say | None = None) -> Parity:
    """Check an artifact again, anywhere: on bundled photographs, in dB against the network that it was made from.

    ``weights``: the file that it was made from, if not the shipped one. Returns the parity, whose ``passed`` is the
    verdict. Raises InputError when the artifact, its manifest or its network is missing, damaged or another one.
    """
    from edge_scs.artifacts import verify as checking
    from edge_scs.artifacts.manifest import read_manifest

    path, file = Path(artifact), None if weights is None else Path(weights)
    manifest = read_manifest(path)
    network = checking.load_named(path, manifest, file, quantised.load) if manifest.precision == "int8" else None
    return checking.verify(path, network, weights=file, progress=say)


def _pixels(image: ImageLike, reading: Callable[[Path], ImageArray] | None = None) -> ImageArray:
    """An array that engines accept. A path is read by ``reading``."""
    if isinstance(image, str | Path):
        assert reading is not None
        return reading(Path(image))
    if isinstance(image, Image.Image):
        return np.asarray(to_eight_bits(Path("image"), ImageOps.exif_transpose(image), {}))
    if not isinstance(image, np.ndarray):
        raise InputError(f"image of type {type(image).__name__}: give a path, a PIL image or a numpy array")
    check_image(image)
    return image


def _to_pil(pixels: ImageArray) -> Image.Image:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(pixels)
