"""Ours beside official PCARN-M on the same images and the same turns: quality and eager latency, one table.

    python benchmarks/side_by_side.py --data BENCH/B100 --peer PCARN-M-L1.pth --ours edge_scs_m

Quality is ``psnr_grey``: both get the same grey LR images. Latency is 320x180 to 1280x720, the two taking turns.
Add .pte artifacts with --artifacts to time deployments in the same turns. --json prints everything that was measured.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from edge_scs.errors import InputError
from edge_scs.evaluate import evaluate
from edge_scs.measure.latency import bench
from edge_scs.measure.measurement import Conditions
from edge_scs.measure.mult_adds import model_row
from edge_scs.weights.importing import import_weights
from edge_scs.weights.loading import Loaded, load


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a benchmark folder, such as B100")
    parser.add_argument("--peer", type=Path, required=True, help="the official PCARN-M checkpoint (.pth)")
    parser.add_argument("--ours", default="edge_scs_m", help="a model's name or a checkpoint")
    parser.add_argument("--scales", type=int, nargs="+", default=[4], choices=[2, 3, 4])
    parser.add_argument("--artifacts", nargs="*", default=[], help=".pte files to time as well")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def quality(networks: list[Loaded], data: Path, scales: list[int]) -> list[dict[str, object]]:
    """Results of ``evaluate`` for every network and scale."""
    results = []
    for network in networks:
        for scale in scales:
            say(f"{network.name} at x{scale}")
            results.append(evaluate(network, data, scale, say=say))
    return results


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        peer = import_weights(options.peer, "pcarn_m", Path(folder) / "pcarn_m.safetensors")
        networks = [peer, load(options.ours)]
        measured = quality(networks, options.data, options.scales)
        subjects = [network.source for network in networks] + list(options.artifacts)
        timed = bench(subjects, Conditions(threads=options.threads, runs=options.runs), say)
    costs = [model_row(network) for network in networks]
    if options.json:
        print(json.dumps({"quality": measured, "costs": costs, "latency": timed.to_dict()}, indent=2))
        return
    for row in measured:
        print(f"{row['model']:12s} x{row['scale']}  psnr_grey {row['psnr_grey']:.3f} dB  {row['images']} images")
    for row in costs:
        print(
            f"{row['name']:12s} {row['params']:,} parameters, {row['mult_adds_720p']['4'] / 1e9:.2f} G MultAdds at x4"
        )
    for result in timed.results:
        name = Path(result.subject).name
        print(f"{name:44s} {result.runtime:10s} {result.threads} threads  {result.median_ms:8.1f} ms")
    for ratio in timed.ratios:
        names = f"{Path(ratio.subject).name} / {Path(ratio.to).name}"
        print(f"{names}: {ratio.median:.3f} of its time ({ratio.min:.3f} to {ratio.max:.3f}), {ratio.threads} threads")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        say(f"side_by_side: {error}")
        sys.exit(2)
