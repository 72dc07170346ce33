"""Manifests for the apps' tests: readable ones and what they say, and ones that must be refused with a reason."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema

import edge_scs.artifacts.manifest
from edge_scs.artifacts.manifest import Manifest, MethodPorts, Parity, Port, read_manifest
from edge_scs.errors import InputError

Document = dict[str, Any]
SCHEMA = json.loads(edge_scs.artifacts.manifest.SCHEMA.read_text(encoding="utf-8"))
KEYS = ("artifact", "target", "backend", "preset", "precision", "model", "sha256", "min_psnr_db", "golden", "halo")


def document() -> Document:
    return {"readable": _readable(), "refused": _refused()}


def _readable() -> list[Document]:
    cases = []
    for name, manifest in _manifests().items():
        table = manifest.to_dict()
        jsonschema.validate(table, SCHEMA)
        text = json.dumps(table)
        assert _why(text) is None, name
        reads = {key: table[key] for key in KEYS}
        reads["parity_db"] = table["parity"]["psnr_db"]
        reads["verdict"] = table["parity"]["verdict"]
        reads["continuous"] = table["continuous"] is not None
        methods = [
            {"name": m["name"], "scale": m["scale"], "inputs": _ports(m["inputs"]), "outputs": _ports(m["outputs"])}
            for m in table["methods"]
        ]
        cases.append({"name": name, "text": text, "reads": reads | {"methods": methods}})
    later = json.loads(cases[0]["text"]) | {"added_later": {"a": [1]}}
    return [*cases, cases[0] | {"name": "a key of a later version", "text": json.dumps(later)}]


def _ports(ports: list[Document]) -> list[Document]:
    return [{key: port[key] for key in ("name", "shape", "dtype")} for port in ports]


def _manifests() -> dict[str, Manifest]:
    gray = Port("gray", [1, 1, 180, 320], "float32")
    reference = Port("reference", [1, 3, 128, 128], "float32")
    hints = Port("hints", [1, 3, 45, 80], "float32")
    rgb = Port("rgb", [1, 3, 720, 1280], "float32")
    image_in, image_out = Port("gray", [1, 1, 180, 320], "image"), Port("rgb", [1, 3, 720, 1280], "image")
    x2 = MethodPorts("x2_640x360", [Port("gray", [1, 1, 360, 640], "float32")], [rgb], 2.0, 1.0)
    halves = MethodPorts("forward", [gray], [Port("rgb", [1, 3, 450, 800], "float32")], 2.5, 1.0)
    tile = Port("gray", [1, 1, 256, 256], "float32", [1, 1, 1, 1])
    colour = MethodPorts("colour", [Port("gray", [1, 1, 512, 512], "float32", [1, 1, 32, 32])], [], None, 0.9)
    colour.outputs.append(Port("chroma", [1, 2, 128, 128], "float32"))
    encode = MethodPorts("encode", [tile], [Port("features", [1, 24, 256, 256], "float32")], None, 1.0)
    weights = Port("rows", [128, 130], "float32", [1, 2])
    grid = Port("grid", [1, 16, 130, 130], "float32", [1, 16, 2, 2])
    decode = MethodPorts("decode", [grid, weights], [Port("rgb", [1, 3, 128, 128], "float32")], None, 1.0)
    with_hints = MethodPorts("colour", [*colour.inputs], colour.outputs, None, 0.9)
    with_hints.inputs.append(Port("hints", [1, 3, 128, 128], "float32", [1, 3, 8, 8]))
    facts = {"halo": 22, "tile": 256, "chunk": 128, "colour_side": 240, "colour_grid_sides": [32, 512]}
    facts |= {"scales": [1.0, 8.0], "shuffle_scales": [2, 3, 4]}
    return {
        "one size": _manifest([MethodPorts("forward", [gray], [rgb], 4.0, 1.0)]),
        "with a reference": _manifest([MethodPorts("forward", [gray, reference], [rgb], 4.0, 1.0)]),
        "with hints": _manifest([MethodPorts("forward", [gray, hints], [rgb], 4.0, 1.0)]),
        "with a reference and hints": _manifest([MethodPorts("forward", [gray, reference, hints], [rgb], 4.0, 1.0)]),
        "Core ML with hints": _manifest(
            [MethodPorts("main", [image_in, hints], [image_out], 4.0)],
            artifact="m.mlpackage", target="coreml", preset="coreml-image", backend="mlprogram", precision="fp16",
            minimum_target="iOS17", halo=None,
        ),
        "continuous with hints": _manifest(
            [with_hints, encode, decode], preset="xnnpack-continuous", continuous=facts
        ),
        "several sizes": _manifest([MethodPorts("forward", [gray], [rgb], 4.0, 1.0), x2], preset="xnnpack-sizes"),
        "a broken scale": _manifest([halves], scale=2.5),
        "continuous": _manifest([colour, encode, decode], preset="xnnpack-continuous", continuous=facts),
        "not run here": _manifest(
            [MethodPorts("forward", [gray], [rgb], 4.0, 1.0)],
            preset="vulkan-fp16", backend="vulkan", precision="fp16", verdict="not run here",
        ),
        "Core ML": _manifest(
            [MethodPorts("main", [image_in], [image_out], 4.0)],
            artifact="m.mlpackage", target="coreml", preset="coreml-image", backend="mlprogram", precision="fp16",
            minimum_target="iOS17", halo=None,
        ),
    }  # fmt: skip


def _manifest(methods: list[MethodPorts], verdict: str = "pass", **changes: Any) -> Manifest:
    table: Document = {
        "artifact": "m.pte", "target": "executorch", "model": "edge_scs_m", "scale": 4.0, "bytes": 5157888,
        "sha256": "0123456789abcdef" * 4, "delegated_share": None, "mult_adds": 9_000_000_000, "params": 1_286_000,
        "preset": "xnnpack-fp32", "precision": "fp32", "weights": "shipped", "weights_sha256": "ab" * 32,
        "min_psnr_db": 80.0, "backend": "xnnpack", "halo": 22, "golden": "m.pte.golden",
        "versions": {"edge_scs": "0.1.0", "python": "3.11", "torch": "2.13.0"},
        "parity": Parity("eager", 132.8, 1e-6, 6, verdict, 80.0, {"chelsea": 132.8}, "run", {"forward": 132.8}),
    }  # fmt: skip
    return Manifest(**(table | {"inputs": methods[0].inputs, "outputs": methods[0].outputs} | changes), methods=methods)


def _refused() -> list[Document]:
    good = _manifests()["one size"].to_dict()
    cases = [
        {"name": "empty", "text": "", "mentions": "JSON"},
        {"name": "cut short", "text": json.dumps(good)[:500], "mentions": "JSON"},
        {"name": "a list", "text": "[]", "mentions": "manifest"},
    ]
    for key in ("artifact", "target", "model", "sha256", "backend", "methods", "min_psnr_db"):
        cases.append(_case(f"without {key}", good, key, [key]))
    for key, value in [
        ("target", "tflite"), ("sha256", "abc"), ("sha256", 5), ("artifact", None), ("methods", []), ("model", 3),
        ("halo", -1), ("min_psnr_db", "80"), ("manifest_version", 3),
    ]:  # fmt: skip
        cases.append(_case(f"{key} is {value!r}", good, key, [key], value))
    for name, where, value in [
        ("an empty side", ["inputs", 0, "shape"], [1, 1, 0, 320]),
        ("a side of text", ["inputs", 0, "shape"], [1, 1, "180", 320]),
        ("a broken side", ["inputs", 0, "shape"], [1, 1, 180.5, 320]),
        ("a scalar shape", ["inputs", 0, "shape"], 4),
        ("a type unknown", ["outputs", 0, "dtype"], "float64"),
        ("no inputs", ["inputs"], []),
        ("a port without a name", ["inputs", 0, "name"], None),
    ]:
        mention = "inputs" if name == "no inputs" else str(where[-1])
        cases.append(_case(name, good, mention, ["methods", 0, *where], value))
    for case in cases:
        assert _why(case["text"]) is not None, case["name"]
    return cases


def _case(name: str, good: Document, mentions: str, where: list[Any], *value: Any) -> Document:
    """A manifest with one value changed, or left out where none is given."""
    table = copy.deepcopy(good)
    place: Any = table
    for key in where[:-1]:
        place = place[key]
    if value:
        place[where[-1]] = value[0]
    else:
        del place[where[-1]]
    return {"name": name, "text": json.dumps(table), "mentions": mentions}


def _why(text: str) -> str | None:
    """Why the package's reader refuses a manifest, or None."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "m.pte"
        artifact.with_name("m.pte.json").write_text(text, encoding="utf-8")
        try:
            read_manifest(artifact)
        except InputError as error:
            return str(error)
    return None
