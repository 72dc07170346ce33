"""Figures and tables of the documents, from what the repository states: python docs/figures/make.py

Writes docs/images/architecture.svg, docs/images/latency.svg and the results table between its two markers in README.md
and docs/performance.md. ``--check`` only says whether those tables are up to date, with exit code 1 if one is not.
"""

import argparse
import sys
from pathlib import Path

import architecture_drawing
import latency_chart
import results

ROOT = Path(__file__).parents[2]
TABLES = ("README.md", "docs/performance.md")
BEGIN, END = "<!-- results: python docs/figures/make.py -->\n", "<!-- end of results -->\n"


def with_table(text: str) -> str:
    """``text`` with today's table between the markers; ValueError without them."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}{results.table()}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [name for name in TABLES if with_table(text := (ROOT / name).read_text("utf-8")) != text]
    if check:
        if stale:
            print(f"stale: {', '.join(stale)}; run python docs/figures/make.py", file=sys.stderr)
        return bool(stale)
    for name in stale:
        (ROOT / name).write_text(with_table((ROOT / name).read_text("utf-8")), "utf-8")
    architecture_drawing.draw(ROOT / "docs" / "images" / "architecture.svg")
    latency_chart.draw(ROOT / "docs" / "images" / "latency.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
