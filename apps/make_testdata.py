"""Golden vectors for the phone apps: what the package computes, written down once and read by three languages.

``python apps/make_testdata.py`` writes ``apps/testdata/*.json``, the same bytes every time. The README there says what
each file holds and how near an answer has to be.
"""

import json
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import trim_mean

from edge_scs.artifacts.manifest import capped_psnr
from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.imaging.arrays import as_grey, shrink_reference, to_image, to_tensor
from edge_scs.inference.fixed_program import FixedPredictor
from edge_scs.inference.tiles import fixed_axis
from edge_scs.phones import results

sys.path.insert(0, str(Path(__file__).parent))
import manifest_cases

FOLDER = Path(__file__).parent / "testdata"
CPU = torch.device("cpu")
Document = dict[str, Any]


def tiling() -> Document:
    """Where the tiles of one axis start, and how much each weighs at every HR pixel."""
    cases = []
    plans = [
        (10, 16, "2", 3), (16, 16, "2", 3), (17, 16, "2", 3), (40, 16, "2", 3), (41, 24, "3", 0), (100, 64, "1", 22),
        (95, 32, "4", 12), (60, 20, "5/2", 2), (61, 20, "5/2", 2), (33, 4, "3/2", 1), (50, 7, "7/5", 1), (9, 2, "8", 0),
    ]  # fmt: skip
    for lr, tile, ratio, halo in plans:
        found = fixed_axis(lr, tile, Fraction(ratio), halo)
        case: Document = {"lr": lr, "tile": tile, "hr_tile": int(tile * Fraction(ratio)), "halo": halo}
        if found is None:
            cases.append(case | {"refused": True})
            continue
        starts, weights = found
        placed = [int(start * Fraction(ratio)) for start in starts]
        cases.append(case | {"starts": starts, "hr_starts": placed, "weights": [floats(row) for row in weights]})
    # The shipped artifacts' own axes with photographs of usual sizes: the places alone.
    for lr, tile, hr in [(4032, 320, 1280), (3024, 180, 720), (640, 320, 1280), (481, 180, 720), (500, 320, 960)]:
        found = fixed_axis(lr, tile, Fraction(hr, tile), 22)
        assert found is not None
        places = {"starts": found[0], "hr_starts": [int(start * Fraction(hr, tile)) for start in found[0]]}
        cases.append({"lr": lr, "tile": tile, "hr_tile": hr, "halo": 22} | places)
    return {"tolerance": 1e-6, "cases": cases}


class _Rule:
    """In place of a network: grey repeated, and tinted by the number of the call, so that blending shows."""

    def __init__(self, hr: tuple[int, int]):
        self.hr, self.calls = hr, 0

    def run(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        grey = inputs[0][0, 0]
        rows = torch.arange(self.hr[0]) * grey.shape[0] // self.hr[0]
        cols = torch.arange(self.hr[1]) * grey.shape[1] // self.hr[1]
        large = grey[rows][:, cols]
        tint = self.calls % 4 / 4
        self.calls += 1
        return [torch.stack([large, large * 0.5 + tint * 0.5, 1 - large])[None]]


def blending() -> Document:
    """Whole images through tiles: continued borders, blended overlaps, cut to size."""
    cases = []
    for (h, w), tile, ratio, halo in [
        ((5, 7), (8, 12), Fraction(2), 3), ((8, 12), (8, 12), Fraction(2), 3), ((9, 30), (8, 12), Fraction(2), 1),
        ((21, 19), (12, 10), Fraction(3, 2), 1), ((52, 40), (40, 36), Fraction(1), 3),
    ]:  # fmt: skip
        grey = np.random.default_rng(h * w).integers(0, 256, (h, w), np.uint8)
        hr = (int(tile[0] * ratio), int(tile[1] * ratio))
        size = (round(h * ratio), round(w * ratio))
        rgb = np.zeros((*size, 3), np.float32)
        for start, strip in _driver(tile, hr, ratio, halo)._rows(grey, [], None, None):
            rows = slice(start, min(start + len(strip), size[0]))
            rgb[rows] = strip[: rows.stop - start, : size[1]]
        levels = to_image(torch.from_numpy(rgb).permute(2, 0, 1)[None])
        case = {"lr": [h, w], "tile": tile, "hr_tile": hr, "halo": halo, "size": size, "grey": grey.ravel().tolist()}
        cases.append(case | {"argb": words(levels)})
    return {"tolerance_levels": 0, "cases": cases}


def _driver(tile: tuple[int, int], hr: tuple[int, int], ratio: Fraction, halo: int) -> FixedPredictor:
    """The package's driver with the rule in place of an artifact."""
    predictor = FixedPredictor.__new__(FixedPredictor)
    predictor.lr, predictor.hr, predictor.ratios = tile, hr, (ratio, ratio)
    predictor.__dict__ |= {"halo": halo, "program": _Rule(hr)}
    return predictor


def packing() -> Document:
    """Pixels to numbers and back: luma, tensors, colour spaces, rounding."""
    rng = np.random.default_rng(7)
    corners = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)] + [(1, 2, 3), (127, 128, 129)]
    pixels = np.concatenate([np.array(corners, np.uint8), rng.integers(0, 256, (54, 3), np.uint8)])[None]
    tensor = to_tensor(pixels, CPU)
    # Halves, just beside them, and beyond the range: where rounding could differ.
    edges = [-1.0, -0.001, 0.0, 0.25, 1.0, 1.001, 7.5] + [(n + 0.5) / 255 for n in range(0, 255, 17)]
    values = np.array([*edges, *rng.uniform(-0.05, 1.05, 96 - len(edges))], np.float32).reshape(1, 3, 1, 32)
    ycc = np.stack([rng.uniform(0, 1, 32), *rng.uniform(-0.5, 0.5, (2, 32))]).astype(np.float32).reshape(1, 3, 1, 32)
    rgb = ycc_to_rgb(torch.from_numpy(ycc))
    return {
        "tolerance": 1e-6,
        "argb": words(pixels),
        "grey": as_grey(pixels).ravel().tolist(),
        "grey_tensor": floats(to_tensor(as_grey(pixels), CPU)),
        "rgb_tensor": floats(tensor),
        "ycc_tensor": floats(rgb_to_ycc(tensor)),
        "planes": floats(values),
        "planes_argb": words(to_image(torch.from_numpy(values))),
        "ycc": floats(ycc),
        "ycc_rgb": floats(rgb),
        "ycc_argb": words(to_image(rgb)),
    }


def shrinking() -> Document:
    """A reference to the size the network takes: Pillow's bicubic, which looks at all pixels it averages.

    To one level: Pillow rounds between its two passes, and chooses their order by the sizes.
    """
    cases = []
    for (h, w), size in [((9, 13), (4, 4)), ((4, 5), (8, 8)), ((16, 16), (16, 16)), ((31, 7), (5, 6))]:
        image = np.random.default_rng(h).integers(0, 256, (h, w, 3), np.uint8)
        cases.append({"from": [h, w], "to": size, "argb": words(image), "small": words(shrink_reference(image, size))})
    return {"tolerance_levels": 1, "cases": cases}


def statistics() -> Document:
    """Times in ms to what is reported; numpy and scipy say the same as the package."""
    rng = random.Random(3)
    samples = [[5.0], [2.0, 1.0], [3.5, 1.25, 2.0], [4.25, 4.0, 5.5, 4.125], [float(n) for n in range(10, 0, -1)]]
    samples += [[round(rng.lognormvariate(3, 0.4), 6) for _ in range(count)] for count in (11, 19, 50, 101)]
    cases = []
    for times in samples:
        ours = results.statistics(times)
        theirs = [np.median(times), np.percentile(times, 90, method="inverted_cdf"), trim_mean(times, 0.1)]
        assert np.allclose([ours[key] for key in ("median_ms", "p90_ms", "trimmed_mean_ms")], theirs, rtol=1e-12)
        cases.append({"samples_ms": times} | ours)
    return {"tolerance": 1e-9, "cases": cases}


def psnr() -> Document:
    """Two images of 8 bits over RGB, peak 255: dB, 200 for equal ones."""
    first = np.random.default_rng(1).integers(0, 256, (3, 4, 3), np.uint8)
    others = [first, 255 - first, np.clip(first.astype(int) + 1, 0, 255).astype(np.uint8)]
    cases = [{"argb": words(other), "db": capped_psnr(_mse(first, other))} for other in others]
    return {"tolerance": 1e-9, "argb": words(first), "cases": cases}


def _mse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2) / 255**2)


def latency() -> Document:
    """What was measured, and the document that says so, by edge_scs/phones/latency.schema.json."""
    schema = json.loads(results.SCHEMA.read_text(encoding="utf-8"))
    example = schema["examples"][0]
    android: Document = {
        "emulated": False, "device": "Google Pixel 9", "soc": "Google Tensor G4", "threads": None, "warmup": 1,
        "backends": [], "samples_ms": [12.5, 11.75, 13.0], "thermal_after": "unknown", "pipeline_ms": 20.25,
    }  # fmt: skip
    ios: Document = android | {
        "app": {"name": "org.edgescs", "version": "0.1.0", "platform": "ios"}, "device": "iPhone17,1", "soc": None,
        "os": "iOS 18.1", "runtime": "coreml", "runtime_version": None, "compute_units": "cpu_and_neural_engine",
        "backends": ["CPU", "Neural Engine"], "thermal_before": "nominal", "thermal_after": "fair", "compile_ms": 60.25,
        "build_type": "release", "low_power_mode": True, "memory": {"before_mb": 40.0, "peak_mb": 95.5},
        "placement": [
            {"device": "neural_engine", "operations": 3, "cost_share": 0.875, "types": {"conv": 2, "relu": 1}},
            {"device": "cpu", "operations": 1, "cost_share": 0.125, "types": {"softmax": 1}},
        ],
        "sustained": None,
    }  # fmt: skip
    android |= dict.fromkeys(("cached_load_ms", "low_power_mode", "memory", "sustained")) | {"build_type": "debug"}
    return {"tolerance": 0.002, "cases": [_latency_case(schema, example | changes) for changes in ({}, android, ios)]}


def _latency_case(schema: Document, measured: Document) -> Document:
    samples = measured["samples_ms"]
    derived = results.statistics(samples) | {"schema_version": results.SCHEMA_VERSION, "runs": len(samples)}
    document = {key: (measured | derived)[key] for key in schema["required"]}
    jsonschema.validate(document, schema)
    return {"measured": {key: value for key, value in measured.items() if key not in derived}, "document": document}


def sustained() -> Document:
    """Runs by the minute in which they ended, and each minute's percentiles (nearest rank), by numpy.

    ``ended_ms`` counts from the first run's start; a run that ends at 60000 belongs to the second minute.
    """
    rng = random.Random(5)
    times = [[round(rng.lognormvariate(9, 0.5), 3) for _ in range(60)], [59_999.5, 0.5, 59_000.25], [150_000.0, 1.0]]
    cases = []
    for taken in times:
        ended = np.cumsum(taken)
        minutes = []
        for number in range(int(ended[-1] // 60_000) + 1):
            own = np.array(taken)[ended // 60_000 == number]
            minute: Document = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "max_ms"))
            if len(own):
                minute = {
                    f"p{share}_ms": float(np.percentile(own, share, method="inverted_cdf")) for share in (50, 90, 99)
                } | {"max_ms": float(own.max())}
            minutes.append({"runs": len(own)} | minute)
        cases.append({"samples_ms": taken, "ended_ms": [round(float(end), 3) for end in ended], "minutes": minutes})
    return {"tolerance": 1e-9, "cases": cases}


def json_texts() -> Document:
    """JSON that must be read, as what, and JSON that must be refused."""
    read = [
        '{"a": [1, -2.5, 1e3, true, false, null], "b": {}}',
        '" \\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\ud83d\\ude00 é 😀"',
    ]
    read += [" [ ] ", "0", "-0.5e-3", "123456789012", '{"": ""}', '"\\u0000"', "[" * 60 + "]" * 60]
    refused = ["", " ", "{", "[1,]", '{"a":1,}', '{"a" 1}', "{'a':1}", "nul", "NaN", "Infinity", "01", "1.", ".5", "+1"]
    refused += ["1 2", '"\n"', '"\\x"', '"\\u12"', '"open', "[1 2]", '{"a":1 "b":2}']
    strict = ['{"a":1,"a":2}', "[" * 2000 + "]" * 2000, "\ufeff1"]
    return {"read": [{"text": t, "value": json.loads(t)} for t in read], "refused": refused, "strict": strict}


def floats(values: Any) -> list[float]:
    """float32 numbers by their shortest decimal, which reads back as the same float32."""
    return [float(str(value)) for value in np.asarray(values, np.float32).ravel()]


def words(rgb: NDArray[np.uint8]) -> list[str]:
    """uint8 (h, w, 3) -> "aarrggbb" of every pixel, opaque."""
    return [f"ff{r:02x}{g:02x}{b:02x}" for r, g, b in rgb.reshape(-1, 3).tolist()]


def text_of(document: Document) -> str:
    """JSON with one line a key, and one line a case."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            body = ",\n".join("  " + _compact(item) for item in value)
            lines.append(f'"{key}": [\n{body}\n]')
        else:
            lines.append(f'"{key}": {_compact(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=True)


def documents() -> dict[str, str]:
    """Every file's name and text."""
    made = {
        "tiling": tiling(), "blending": blending(), "packing": packing(), "shrinking": shrinking(),
        "statistics": statistics(), "psnr": psnr(), "latency": latency(), "sustained": sustained(),
        "json": json_texts(), "manifest": manifest_cases.document(),
    }  # fmt: skip
    return {f"{name}.json": text_of(document) for name, document in made.items()}


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{FOLDER / name}: {len(text)} bytes")
