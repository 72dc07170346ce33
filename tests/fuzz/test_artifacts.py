"""Mutated .pte and .mlpackage files: loaded, or refused in one line. Each in a process of its own, because the readers
of a .pte are native code: a crash there is counted and shown, not hidden.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz.mutate import mutate

from edge_scs.errors import InputError

COUNT = int(os.environ.get("FUZZ_ARTIFACTS", "300"))


def fate(read: Callable[[], object]) -> str:
    """What became of a reader in a process of its own: "read", "refused", "wrong: ..." or "died: signal"."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            read()
            answer = "read"
        except InputError:
            answer = "refused"
        except BaseException as error:
            answer = f"wrong: {type(error).__name__}: {error}"
        os.write(theirs, answer.encode()[:4000])
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return answer or f"died: signal {os.WTERMSIG(status)}"


@pytest.mark.fuzz
@pytest.mark.parametrize("target", ["executorch", "coreml"])
def test_mutated_artifacts(tmp_path: Path, target: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("executorch" if target == "executorch" else "coremltools")
    from edge_scs.artifacts.manifest import read_manifest
    from edge_scs.artifacts.runnable import open_artifact
    from edge_scs.lowering.targets import export_targets
    from edge_scs.weights.loading import load

    loaded = load("edge_scs_s", allow_untrained=True)
    artifact = export_targets(loaded, target, tmp_path, scale=2, lr="48x32")[0].path
    assert artifact is not None
    manifest = read_manifest(artifact)
    file = artifact if artifact.is_file() else next(artifact.rglob("*.mlmodel"))
    content, fates = file.read_bytes(), Counter[str]()
    for seed in range(COUNT):
        # Weights are most of a program and anything goes there: edits belong where the structure is.
        head, tail = content[:40_000], content[40_000:]
        file.write_bytes(mutate(head, seed) + tail)
        fates[fate(lambda: open_artifact(artifact, manifest))] += 1
    shutil.rmtree(artifact, ignore_errors=True)
    with capfd.disabled():
        print(f"\n{target}: {dict(fates)}")
    assert not [name for name in fates if name.startswith("wrong")]
