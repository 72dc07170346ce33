"""Float, quantised only (PTQ) and fine-tuned (QAT) side by side: the tables of docs/log/quantisation.md.

    python benchmarks/quantization.py edge_scs_m --ptq runs/m_ptq/int8.safetensors --bench DIR

DIR holds the benchmark folders (B100, Set14). MODEL is a name or a float checkpoint; ``--qat`` is a quantised one (by
default the shipped one of that name). Quality is by the evaluator's protocol in the converted int8 network, which the
.pte equals as its parity says; time is ExecuTorch's at one thread, all in turn.
"""

import argparse
import tempfile
from pathlib import Path

from edge_scs.evaluate import evaluate
from edge_scs.lowering.targets import export_targets
from edge_scs.measure.latency import bench
from edge_scs.measure.measurement import Conditions
from edge_scs.quantization.quantised_model import load as load_int8
from edge_scs.weights.loading import Loaded, load


def silent(line: str) -> None:
    pass


def quality(networks: dict[str, Loaded], bench_folder: Path, sets: list[str], scales: list[int]) -> None:
    for name in sets:
        for scale in scales:
            print(f"\n| {name} x{scale} | psnr_grey | psnr_rgb |\n|---|---|---|")
            for kind, network in networks.items():
                try:
                    result = evaluate(network, bench_folder / name, scale, say=silent)
                except Exception as error:
                    print(f"| {kind} | {error} | |", flush=True)
                    continue
                print(f"| {kind} | {result['psnr_grey']:.3f} | {result['psnr_rgb']:.3f} |", flush=True)


def cost(networks: dict[str, Loaded], runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for kind, network in networks.items():
            preset = "xnnpack-fp32" if kind == "float" else "xnnpack-int8"
            (manifest,) = export_targets(network, preset, Path(folder) / kind)
            paths[kind] = manifest
        result = bench([str(manifest.path) for manifest in paths.values()], Conditions(runs=runs))
    print("\n| .pte, 320x180 x4, 1 thread | bytes | parity, dB | median ms | times faster | RSS growth, MB |")
    print("|---|---|---|---|---|---|")
    ratios = {ratio.subject: 1 / ratio.median for ratio in result.ratios}
    for (kind, manifest), row in zip(paths.items(), result.results, strict=True):
        parity = manifest.parity.psnr_db if manifest.parity else None
        faster = f"{ratios[row.subject]:.2f}" if row["subject"] in ratios else ""
        cells = [kind, f"{manifest.bytes:,}", parity, f"{row.median_ms:.0f}", faster, f"{row.rss_growth_mb:.0f}"]
        print("| " + " | ".join(map(str, cells)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--ptq", type=Path, help="a quantised checkpoint made with --set steps=0")
    parser.add_argument("--qat", type=Path, help="the fine-tuned one; default: the shipped one")
    parser.add_argument("--bench", type=Path, help="without it only size and time are measured")
    parser.add_argument("--sets", nargs="+", default=["B100", "Set14"])
    parser.add_argument("--scales", nargs="+", type=int, default=[4])
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    networks = {"float": load(options.model)}
    if options.ptq:
        networks["PTQ"] = load_int8(str(options.ptq))
    networks["QAT"] = load_int8(str(options.qat)) if options.qat else load_int8(networks["float"].name)
    if options.bench:
        quality(networks, options.bench, options.sets, options.scales)
    cost(networks, options.runs)


if __name__ == "__main__":
    main()
