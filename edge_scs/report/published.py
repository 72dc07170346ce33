"""What others have published: anchors for a table of their own, never beside what was measured here."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Group:
    """One table of published numbers as its ``source`` prints them; a cell is "" where the source does not say."""

    title: str
    source: str
    columns: list[str]
    rows: list[list[str]]


def published() -> list[Group]:
    """The anchors of ``published.toml``."""
    return [Group(**table) for table in tomllib.loads(_FILE.read_text(encoding="utf-8"))["group"]]
