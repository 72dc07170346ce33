"""Many images through one process, ten of a hundred broken: does memory stay flat?

    python benchmarks/soak.py --count 500

Prints one JSON object: resident memory in MB after each fifth of the run, and the time.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from edge_scs.archive.folder import RunOptions, enhance_files
from edge_scs.archive.restore import Wanted
from edge_scs.inference.predictor import Predictor
from edge_scs.weights.loading import load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fuzz.mixed import write_mixed


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--side", type=int, default=64, help="pixels a side of most images")
    options = parser.parse_args()
    predictor = Predictor(load("edge_scs_s"))
    memory, done, begun = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for part in range(5):
            source, out = Path(folder, f"in{part}"), Path(folder, f"out{part}")
            count = options.count // 5
            write_mixed(source, good=count - count // 10, broken=count // 10, side=options.side)
            summary = enhance_files([source], out, predictor, RunOptions(Wanted(scale=2.0), progress=False))
            done += len(summary.done)
            memory.append(round(resident_mb()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    figures = {"images": options.count, "done": done, "resident_mb": memory, "peak_mb": round(peak)}
    print(json.dumps(figures | {"seconds": round(time.monotonic() - begun)}))


if __name__ == "__main__":
    main()
