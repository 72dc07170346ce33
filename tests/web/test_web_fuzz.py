"""Mutated images through the page's server: shown and restored, or refused in one line; it answers the next one.

``pytest -m fuzz tests/web`` sends 2,000 (FUZZ_COUNT changes that); by default a few dozen.
"""

import os
from pathlib import Path

import pytest
from fuzz.mixed import GOOD, write_good
from fuzz.mutate import mutate

from edge_scs.archive.folder import UNFORESEEN

COUNT = int(os.environ.get("FUZZ_COUNT", "2000"))
MAX_PIXELS = 250_000  # files are on trial, not the network's patience


@pytest.mark.parametrize("count", [60, pytest.param(COUNT, marks=pytest.mark.fuzz)])
def test_mutated_uploads(tmp_path: Path, served, session, count: int, capfd: pytest.CaptureFixture[str]) -> None:
    originals = [write_good(tmp_path / "good", kind, 0, side=10) for kind in GOOD if "\n" not in kind]
    sources = [(path.read_bytes(), path.suffix) for path in originals]
    page, fates = session(), {"restored": 0, "not restored": 0, "refused": 0}
    for seed in range(count):
        content, suffix = sources[seed % len(sources)]
        path = tmp_path / f"mutated{suffix}"
        path.write_bytes(mutate(content, seed))
        answer = page.send(path)
        if answer.status != 200:
            assert answer.status == 422, (seed, answer.content)
            assert answer.message.startswith(path.name), seed
            assert str(served.folder) not in answer.message
            assert UNFORESEEN not in answer.message
            fates["refused"] += 1
            continue
        image = answer.json()
        number = image["number"]
        if image["width"] * image["height"] <= MAX_PIXELS:
            shown = page.call("POST", f"images/{number}/preview?kind=colours", page.settings())
            assert shown.status == 200, (seed, shown.content)
            if seed % 10 == 0:
                page.call("POST", f"images/{number}/job", page.settings())
                job = page.ended(number)
                assert job["state"] in ("done", "failed")
                assert UNFORESEEN not in job["message"]
                fates["restored" if job["state"] == "done" else "not restored"] += 1
        page.call("DELETE", f"images/{number}")
    assert page.call("GET", "state").json() == {"images": {}}
    with capfd.disabled():
        print(f"\n{count} mutated uploads: {fates}")
    assert fates["refused"]
    assert fates["restored"]
