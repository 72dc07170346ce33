"""Side by side, each suite in one interleaved call: the tables of docs/performance.md and docs/log/performance.md.

    python benchmarks/latency.py targets        # the speed and size that this project promises, at one thread
    python benchmarks/latency.py networks       # ours beside PCARN, PCARN-M and EDSR in ExecuTorch
    python benchmarks/latency.py eager          # the same and SCSNet in PyTorch
    python benchmarks/latency.py precision      # float against int8
    python benchmarks/latency.py threads        # one thread against all
    python benchmarks/latency.py modes          # every way to run one network
    python benchmarks/latency.py stages         # where the time goes, beside this machine's roofline peak
    python benchmarks/latency.py cuda           # a GPU's rows

320x180 to 1280x720. Networks without shipped weights run with random ones, which costs the same.
"""

import argparse
import sys

from edge_scs.errors import InputError
from edge_scs.measure.latency import all_threads, bench
from edge_scs.measure.machine import environment
from edge_scs.measure.measurement import Conditions
from edge_scs.measure.roofline import machine_peak
from edge_scs.measure.stage_times import measure_stages
from edge_scs.measure.tables import latency_table, stage_table
from edge_scs.weights.loading import load

OURS = ["edge_scs_m", "edge_scs_s"]
# Suite -> subjects, modes, whether all threads are measured as well.
SUITES: dict[str, tuple[list[str], tuple[str, ...], bool]] = {
    "targets": (
        ["pcarn_m:executorch", "edge_scs_m:executorch", "edge_scs_s:executorch", "edge_scs_m:int8", "scsnet:eager"],
        (),
        False,
    ),
    "networks": (["pcarn_m", *OURS, "pcarn", "edsr"], ("executorch",), False),
    "eager": (["pcarn_m", *OURS, "pcarn", "edsr", "scsnet"], ("eager",), False),
    "precision": (OURS, ("executorch", "int8"), False),
    "threads": (["pcarn_m:executorch", *(f"{name}:executorch" for name in OURS), "edge_scs_m:int8"], (), True),
    "modes": (["edge_scs_m", "pcarn_m"], ("eager", "channels_last", "bf16", "compile", "executorch", "int8"), False),
}
CUDA = ["pcarn_m", *OURS, "pcarn", "edsr", "scsnet"]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=[*SUITES, "stages", "cuda"])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--max-seconds", type=float, default=180.0)
    parser.add_argument("--models", nargs="+", default=["pcarn_m", *OURS], help="for the suite stages")
    options = parser.parse_args()
    e = environment()
    print(
        f"`python benchmarks/latency.py {' '.join(sys.argv[1:])}`, {e['date']}, {e['cuda'] or e['processor']}, "
        f"{e['cores']} cores, load {e['load']}, torch {e['torch']}, executorch {e['executorch']}\n"
    )
    if options.suite == "stages":
        rows = []
        for name in options.models:
            say(name)
            rows += measure_stages(load(name, allow_untrained=True), runs=options.runs, max_seconds=options.max_seconds)
        print(stage_table(rows, machine_peak()))
        return
    if options.suite == "cuda":
        modes = ("eager", "channels_last", "bf16", "compile", "graph")
        measured = bench(CUDA, Conditions("cuda", runs=options.runs, max_seconds=options.max_seconds, modes=modes), say)
    else:
        subjects, modes, scaled = SUITES[options.suite]
        threads = all_threads() if scaled else (1,)
        conditions = Conditions(threads=threads, runs=options.runs, max_seconds=options.max_seconds, modes=modes)
        measured = bench(subjects, conditions, say)
    print(latency_table(measured))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        say(f"latency: {error}")
        sys.exit(2)
