"""Files and members of shards, held as bytes and numbers."""

from pathlib import Path

import numpy as np
import pytest

from edge_scs.data.shards import Member
from edge_scs.data.sources import Source, Sources

MEMBERS = [Member(Path("s.tar"), "in/q.png", 5, 6), Member(Path("t.tar"), "r.png", 7, 8)]


@pytest.mark.parametrize(
    "sources", [[Path("a/x.png"), Path("b/c/y.jpg"), Path("z/ü.png")], [Path("a/x.png"), *MEMBERS]]
)
def test_sources_are_what_was_put_in(sources: list[Source]) -> None:
    held = Sources(sources)
    assert list(held) == sources
    assert held.names() == [source.name for source in sources]
    for chosen in ([0], [2, 0], [1, 2], []):
        assert list(held.take(np.array(chosen, np.int64))) == [sources[i] for i in chosen]
