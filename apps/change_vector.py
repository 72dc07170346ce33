"""Change one number of a golden vector, in place: ``change_vector.py FILE``. The tests that read it have to notice."""

import json
import sys
from pathlib import Path
from typing import Any

# Where an expected answer stands in each file, and what it becomes.
CHANGES: dict[str, tuple[list[Any], Any]] = {
    "tiling": (["cases", 2, "starts", 1], 2),
    "blending": (["cases", 0, "argb", 0], "ff000000"),
    "packing": (["grey", 1], 30),
    "shrinking": (["cases", 0, "small", 0], "ff000000"),
    "statistics": (["cases", 1, "p90_ms"], 2.5),
    "psnr": (["cases", 1, "db"], 4.1),
    "latency": (["cases", 0, "document", "median_ms"], 4.2),
    "sustained": (["cases", 0, "minutes", 0, "p90_ms"], 12188.5),
    "json": (["read", 0, "value", "a", 1], -2.25),
    "manifest": (["readable", 0, "reads", "min_psnr_db"], 81.0),
}


def change(path: Path) -> None:
    table = json.loads(path.read_text(encoding="utf-8"))
    *places, last = (where := CHANGES[path.stem])[0]
    place = table
    for key in places:
        place = place[key]
    assert place[last] != where[1], f"{path}: is that already"
    place[last] = where[1]
    path.write_text(json.dumps(table), encoding="utf-8")


if __name__ == "__main__":
    change(Path(sys.argv[1]))
