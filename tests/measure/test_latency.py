"""Timing: honest subjects in processes of their own, taking turns; figures by hand; failures in one line."""

import json
from pathlib import Path

import pytest
from torch.utils.flop_counter import FlopCounterMode

from edge_scs.artifacts.manifest import Port
from edge_scs.errors import InputError
from edge_scs.measure import latency
from edge_scs.measure.latency import bench, pairwise, summary
from edge_scs.measure.latency_worker import Subject, memory_mb, reference_size
from edge_scs.measure.measurement import Conditions, LeftOut, Measurement
from edge_scs.measure.modes import Unavailable, runtime_of
from edge_scs.measure.programs import arena_bytes
from edge_scs.measure.tables import latency_table
from tests.manifests import manifest

KEYS = {
    "subject", "mode", "runtime", "device", "threads", "lr", "hr", "reference", "warmup", "runs", "median_ms", "p90_ms",
    "min_ms", "spread", "noisy", "cpu_ms", "measured", "rss_growth_mb", "peak_growth_mb", "cuda_peak_mb", "arena_mb",
}  # fmt: skip


def test_summary_by_hand():
    figures = {"runs": 3, "median_ms": 2.0, "p90_ms": 3.0, "min_ms": 1.0, "spread": 1.0, "noisy": True}
    assert summary([3.0, 1.0, 2.0]) == figures
    many = summary([float(i) for i in range(101, 121)])
    assert many == {
        "runs": 20, "median_ms": 110.5, "p90_ms": 118.0, "min_ms": 101.0, "spread": 0.154, "noisy": False,
    }  # fmt: skip


def test_ratios_are_taken_turn_by_turn():
    # The machine slowed down threefold in the last turn; the ratio did not change.
    assert pairwise([10.0, 10.0, 30.0], [5.0, 5.0, 15.0]) == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert pairwise([1.0, 2.0, 9.0], [1.0, 1.0, 3.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


class FakeWorker:
    """Answers without a process; ``log`` keeps the order of runs."""

    log: list[str] = []  # noqa: RUF012

    def __init__(self, subject: str, mode: str, guided: bool = False):
        self.subject, self.mode, self.guided = subject, mode, guided

    def send(self, request: dict) -> None:
        FakeWorker.log.append(f"sent to {self.subject}")
        self.request = request

    def receive(self) -> dict:
        return self.ask(self.request)

    def ask(self, request: dict) -> dict:
        if request["do"] == "load":
            FakeWorker.log.append(f"loaded {self.subject}")
            if self.mode == "compile" and "hard" in self.subject:
                raise Unavailable("no compiler")
            lr = [18, 32] if self.subject.endswith("pte") else request["lr"]
            hr = [720, 1280] if "other" not in self.subject else [1, 1]
            if request["reference"] and "sr" in self.subject:
                raise Unavailable("it has no reference branch")
            guide = [128, 128] if self.guided else None
            return {"runtime": runtime_of(self.mode), "lr": lr, "hr": hr, "reference": guide}
        if request["do"] == "threads":
            return {"warmup": 2, "rss_growth_mb": 1.0, "peak_growth_mb": 2.0, "cuda_peak_mb": None}
        FakeWorker.log.append(self.subject)
        return {"ms": float(len(self.subject)) + (self.mode == "compile") + 2 * self.guided, "cpu_ms": 1.0}

    def close(self) -> None:
        FakeWorker.log.append(f"closed {self.subject}")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(latency, "Worker", FakeWorker)
    monkeypatch.setattr(latency, "arena_bytes", lambda path: 2_000_000)
    monkeypatch.setattr(FakeWorker, "log", [])
    return FakeWorker.log


def test_subjects_take_turns_and_are_closed(fake):
    bench(["a", "b"], Conditions(runs=3))
    assert fake[:4] == ["sent to a", "sent to b", "loaded a", "loaded b"]  # they load at the same time
    assert fake[4:10] == ["a", "b", "a", "b", "a", "b"]
    assert sorted(fake[10:]) == ["closed a", "closed b"]


def test_pairs_count_their_own_seconds_however_many_run_together(fake):
    """1 and 2 ms are a pair's 3 ms a turn: 34 turns for 0.1 seconds, whoever else takes part."""
    for subjects in (["a", "bb"], ["a", "bb", "c" * 60, "d" * 70]):
        runs = [row.runs for row in bench(subjects, Conditions(runs=1000, max_seconds=0.1, paired=True)).results]
        assert runs == [34] * len(subjects)
    assert bench(["a" * 10], Conditions(runs=1000, max_seconds=0.1, paired=True)).results[0].runs == 10
    assert bench(["a", "bb"], Conditions(runs=5, max_seconds=0.1, paired=True)).results[0].runs == 5
    assert bench(["a" * 900, "bb"], Conditions(runs=5, max_seconds=0.1, paired=True)).results[0].runs == 2


def test_turns_end_when_time_is_up_but_not_before_the_second(fake):
    assert bench(["a"], Conditions(runs=50, max_seconds=0)).results[0].runs == 2
    assert bench(["a"], Conditions(runs=1, max_seconds=0)).results[0].runs == 1
    assert bench(["a"], Conditions(runs=1, min_seconds=0.05)).results[0].runs > 1


def test_results_come_in_the_order_given(fake):
    result = bench(["b", "a"], Conditions(threads=(1, 2), runs=2))
    assert [(r.subject, r.threads) for r in result.results] == [("b", 1), ("b", 2), ("a", 1), ("a", 2)]
    assert all(set(r) == KEYS for r in result.to_dict()["results"])
    assert result.results[0].lr == (180, 320)


def test_ratios_are_to_the_first_and_to_the_first_of_the_runtime(fake):
    ratios = bench(["a", "bb", "c.pte", "dd.pte", "other"], Conditions(runs=1)).ratios
    assert [(r.subject, r.to, r.median) for r in ratios] == [
        ("bb", "a", 2.0),
        ("c.pte", "a", 5.0),
        ("dd.pte", "a", 6.0),
        ("dd.pte", "c.pte", 1.2),
    ]


def test_networks_run_in_every_mode_and_artifacts_in_their_own(fake):
    said: list[str] = []
    result = bench(["a", "hard", "c.pte"], Conditions(runs=1, modes=("eager", "compile")), said.append)
    rows = [(r.subject, r.mode, r.runtime, r.median_ms, r.arena_mb) for r in result.results]
    assert rows == [
        ("a", "eager", "eager", 1.0, None),
        ("a", "compile", "compiled", 2.0, None),
        ("hard", "eager", "eager", 4.0, None),
        ("c.pte", "executorch", "executorch", 5.0, 2.0),
    ]
    assert result.left_out == (LeftOut("hard", "compile", "no compiler"),)
    assert "hard: left out compile: no compiler" in said
    first = fake.index("a")
    assert "closed hard" in fake[:first]  # what could not be had is gone before anything is timed
    assert "closed hard" in fake[first:]  # the eager one
    assert [(r.subject, r.mode, r.to, r.to_mode) for r in result.ratios] == [
        ("a", "compile", "a", "eager"),
        ("hard", "eager", "a", "eager"),
        ("c.pte", "executorch", "a", "eager"),
    ]
    assert "against a" in latency_table(result)
    assert "- hard, compile: no compiler" in latency_table(result)


def test_results_of_training_are_told_apart_by_their_runs(fake):
    text = latency_table(
        bench(["runs/a/weights.safetensors", "runs/b/weights.safetensors", "x/m.safetensors"], Conditions(runs=1))
    )
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == [
        "| a/weights.safetensors",
        "| b/weights.safetensors",
        "| m.safetensors",
    ]


def test_a_subject_may_name_its_own_mode(fake):
    result = bench(["a:compile", "b"], Conditions(runs=1, modes=("bf16",)))
    assert [(r.subject, r.mode) for r in result.results] == [("a", "compile"), ("b", "bf16")]


def test_reference_guided_runs_stand_beside_the_automatic_ones(fake):
    result = bench(["a", "sr"], Conditions(runs=1, reference=True))
    rows = [(r.subject, r.reference, r.median_ms) for r in result.results]
    assert rows == [("a", None, 1.0), ("a", (128, 128), 3.0), ("sr", None, 2.0)]
    ratios = [(r.subject, r.reference, r.to, r.to_reference, r.median) for r in result.ratios]
    assert ratios == [("a", (128, 128), "a", None, 3.0), ("sr", None, "a", None, 2.0)]
    assert result.left_out == (LeftOut("sr", "eager", "it has no reference branch"),)
    lines = latency_table(result).splitlines()
    assert [line.split(" | ")[1:2] + line.split(" | ")[7:8] for line in lines[2:5]] == [
        ["eager", "-"],
        ["eager, reference", "0.33x (0.33 to 0.33)"],
        ["eager", "0.50x (0.50 to 0.50)"],
    ]


def test_a_reference_changes_what_is_run():
    """The guided run has more to compute: its reference passes the encoder too."""
    subject = Subject()
    ran = []
    for reference in (False, True):
        answer = subject.load("edge_scs_s", "eager", "cpu", [16, 16], 4, reference)
        assert answer["reference"] == ([128, 128] if reference else None)
        with FlopCounterMode(display=False) as counter:
            subject.run()
        ran.append(counter.get_total_flops())
    assert ran[1] > 1.3 * ran[0]
    with pytest.raises(Unavailable, match="no reference branch"):
        subject.load("pcarn_m", "eager", "cpu", [16, 16], 4, reference=True)


def test_nothing_left_to_time(fake):
    with pytest.raises(InputError, match="hard: no compiler"):
        bench(["hard"], Conditions(runs=1, modes=("compile",)))


def test_a_slow_subject_needs_no_warm_up(monkeypatch):
    subject, ran = Subject(), []

    def timed(method: str) -> dict[str, float]:
        ran.append(method)
        return {"ms": 6000.0 + len(ran)}

    monkeypatch.setattr(subject, "timed", timed)
    assert subject.threads(1, warmup=3)["warmup"] == 0
    assert ran == ["forward"]
    assert [subject.run("part_0")["ms"], subject.run()["ms"], subject.run()["ms"]] == [6002.0, 6001.0, 6003.0]
    assert subject.threads(2, warmup=0)["warmup"] == 0
    assert subject.run()["ms"] == 6004.0
    subject.threads(1, warmup=1)
    subject.threads(1, warmup=0)  # forgets the run of before
    assert subject.run()["ms"] == 6006.0


def test_what_may_have_compiled_is_no_measurement(monkeypatch):
    subject, ran = Subject(), []
    monkeypatch.setattr(subject, "_load_network", lambda *_: {})
    monkeypatch.setattr(subject, "timed", lambda method: ran.append(1) or {"ms": 6000.0 / len(ran)})
    for mode, device in (("compile", "cpu"), ("eager", "cuda")):
        ran.clear()
        subject.load("a", mode, device, [8, 8], 4)
        assert subject.threads(1, warmup=3)["warmup"] == 1
        assert subject.run()["ms"] == 3000.0


def test_a_quick_subject_warms_up(monkeypatch):
    subject, ran = Subject(), []
    monkeypatch.setattr(subject, "timed", lambda method: ran.append(1) or {"ms": 10.0})
    assert subject.threads(1, warmup=3)["warmup"] == len(ran) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": []}, "nothing to time"),
        ({"subjects": ["edge_scs_s"], "device": "adb"}, "cpu or cuda"),
        ({"subjects": ["edge_scs_s"], "threads": (0,)}, "at least 1"),
        ({"subjects": ["edge_scs_s"], "runs": 0}, "at least 1"),
        ({"subjects": ["edge_scs_s"], "lr": (0, 3)}, "at least 1"),
        ({"subjects": ["edge_scs_s"], "modes": ("graph",)}, "--mode graph: unknown on cpu"),
        ({"subjects": ["a.mlpackage"]}, r"a\.mlpackage"),
    ],
)
def test_bad_requests(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        bench(arguments.pop("subjects"), Conditions(**arguments))
    assert "\n" not in str(caught.value)


def test_no_cuda(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        bench(["edge_scs_s"], Conditions("cuda"))


def test_memory_is_seen():
    before, _ = memory_mb()
    block = bytearray(b"x" * 150_000_000)
    now, peak = memory_mb()
    assert now - before > 100
    assert peak >= now
    del block


@pytest.mark.parametrize(
    ("subject", "scale", "message"),
    [("pcarn_m", 2.5, "x2, x3 or x4"), ("pcarn_x", 4, "did you mean"), ("nowhere.pte", 4, "export it first")],
)
def test_subjects_that_cannot_be_loaded(subject, scale, message):
    with pytest.raises(InputError, match=message):
        Subject().load(subject, "eager", "cpu", [8, 8], scale)


def test_a_real_subject_in_a_process_of_its_own():
    result = bench(["edge_scs_s"], Conditions(lr=(8, 12), scale=2.5, warmup=1, runs=2))
    (row,) = result.results
    assert (row.runtime, row.lr, row.hr, row.runs) == ("eager", (8, 12), (20, 30), 2)
    assert 0 < row.min_ms <= row.median_ms <= row.p90_ms
    assert row.peak_growth_mb > 1
    assert Measurement.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


def test_an_error_in_the_process_arrives_in_one_line(tmp_path: Path):
    broken = tmp_path / "broken.pte"
    broken.write_bytes(b"no program at all" * 10)
    with pytest.raises(InputError, match=r"broken\.pte") as caught:
        bench([str(broken)], Conditions(runs=1))
    assert "\n" not in str(caught.value)


def test_a_process_that_dies(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(InputError, match=r"edge_scs_s: stopped .*exit 1"):
        bench(["edge_scs_s"], Conditions(runs=1))


@pytest.mark.parametrize("ports", [["gray"], ["gray", "hints"], ["gray", "reference"], ["gray", "reference", "hints"]])
def test_a_port_for_hints_is_no_reference(tmp_path: Path, ports: list[str]):
    sizes = {"gray": [24, 32], "reference": [128, 128], "hints": [45, 60]}
    path = tmp_path / "a.pte"
    manifest(path, inputs=[Port(name, [1, 3, *sizes[name]], "float32") for name in ports])
    guide = reference_size(path, [sizes[name] for name in ports])
    assert guide == (sizes["reference"] if "reference" in ports else None)


@pytest.mark.slow
def test_an_artifact(tmp_path: Path):
    exir = pytest.importorskip("executorch.exir")
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    net = torch.nn.Sequential(torch.nn.Conv2d(1, 12, 3, padding=1), torch.nn.PixelShuffle(2)).eval()
    program = torch.export.export(net, (torch.rand(1, 1, 6, 8),), strict=False)
    edge = exir.to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path = tmp_path / "toy.pte"
    path.write_bytes(edge.to_executorch().buffer)
    measured = bench([str(path)], Conditions(threads=(1,), runs=3, reference=True))
    (row,) = measured.results
    assert (row.runtime, row.lr, row.hr, row.reference) == ("executorch", (6, 8), (12, 16), None)
    assert "as it was exported" in measured.left_out[0].reason
    assert row.median_ms > 0
    # Without a manifest the plan is read from the program: at least the images in and out.
    assert arena_bytes(path) >= 4 * (48 + 3 * 192)


@pytest.mark.slow
def test_what_this_runtime_cannot_do_is_one_line(tmp_path: Path):
    pytest.importorskip("executorch.exir")
    import torch

    from edge_scs.lowering.executorch import lower_methods
    from edge_scs.lowering.methods import Method

    method = Method(torch.nn.Conv2d(1, 4, 3).eval(), {"x": torch.rand(1, 1, 6, 8)})
    for_phones, unfinished = tmp_path / "vulkan.pte", tmp_path / "unfinished.pte"
    for_phones.write_bytes(lower_methods({"forward": method}, "vulkan").content)
    unfinished.write_bytes(lower_methods({"colour": method}).content)
    for path, says in ((for_phones, "cannot run it here"), (unfinished, "manifest")):
        with pytest.raises(InputError, match=rf"{path.name}.*{says}") as caught:
            bench([str(path)], Conditions(runs=1))
        assert "\n" not in str(caught.value)
