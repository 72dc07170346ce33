"""Colour hints as users give them: points of an image and their colours."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import ImageColor
from torch import Tensor

from edge_scs.color import rgb_to_ycc
from edge_scs.errors import InputError
from edge_scs.models.hints import POINT_RADIUS, hint_cells, hint_planes

NEUTRAL = "neutral"
FORM = "write X,Y=COLOUR, such as 120,80=#8a1c22, 120,80=crimson or 120,80=neutral"
MAX_BYTES = 1 << 20  # of a file of hints
MAX_HINTS = 1000


@dataclass(frozen=True)
class Hint:
    """The colour of what is at pixel (x, y) of the image as it stands upright, counted from the top left corner.

    ``colour`` is "#rrggbb", a CSS name, or "neutral" for grey. Its hue and chroma count; its brightness does not, since
    the image has its own. Raises InputError for a colour that is none.
    """

    x: float
    y: float
    colour: str

    def __post_init__(self) -> None:
        if not all(isinstance(value, int | float) and 0 <= value < float("inf") for value in (self.x, self.y)):
            raise InputError(f"hint {self}: x and y must be pixels from 0 up")
        self.chroma  # noqa: B018 - a wrong colour is refused here

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g}={self.colour}" if isinstance(self.x, int | float) else f"at {self.x!r:.20}"

    @property
    def chroma(self) -> tuple[float, float]:
        """Cb and Cr in [-0.5, 0.5]."""
        if self.colour == NEUTRAL:
            return 0.0, 0.0
        try:
            rgb = ImageColor.getrgb(self.colour)[:3]
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"hint {self}: unknown colour {self.colour!r:.40}; {FORM}") from error
        cb, cr = rgb_to_ycc(torch.tensor(rgb).float().reshape(3, 1, 1) / 255).flatten()[1:].tolist()
        return cb, cr


HintLike = Hint | str | Sequence[Any]


def parse_hint(given: HintLike) -> Hint:
    """A Hint, "X,Y=COLOUR", or (x, y, colour). Raises InputError that says how to write it."""
    if isinstance(given, Hint):
        return given
    if isinstance(given, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*=\s*(\S.*?)\s*", given)
        if match:
            return Hint(float(match[1]), float(match[2]), match[3])
    elif isinstance(given, Sequence) and len(given) == 3:
        return Hint(*given)
    raise InputError(f"hint {given!r:.60}: {FORM}")


def parse_hints(given: Iterable[HintLike]) -> tuple[Hint, ...]:
    """All of them. Raises InputError for one that is wrong, and for more than MAX_HINTS."""
    hints = tuple(parse_hint(one) for one in given)
    if len(hints) > MAX_HINTS:
        raise InputError(f"{len(hints)} hints: give at most {MAX_HINTS}")
    return hints


def read_hints(path: Path) -> tuple[Hint, ...]:
    """A JSON file: a list of {"x": 120, "y": 80, "colour": "#8a1c22"}. Raises InputError naming the file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES >> 10} KB, no file of hints")
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    keys = {"x", "y", "colour"}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(row) == keys for row in rows):
        raise InputError(f'{path}: must be a list of {{"x": 120, "y": 80, "colour": "#8a1c22"}}')
    try:
        return parse_hints([Hint(row["x"], row["y"], row["colour"]) for row in rows])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def check_hints(hints: Sequence[Hint], size: tuple[int, int]) -> None:
    """Raise InputError for a hint that lies outside an image (h, w)."""
    h, w = size
    for hint in hints:
        if not (hint.x < w and hint.y < h):
            raise InputError(f"hint {hint}: lies outside the image, which is {w}x{h}; x goes to {w - 1}, y to {h - 1}")


def planes_of(hints: Sequence[Hint], image: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """Hint planes (1, 3, hc, wc) for an image (h, w) whose colours are answered on ``cells`` = (hc, wc)."""
    if not hints:
        return torch.zeros(1, 3, *cells)
    at = torch.tensor([[(hint.y + 0.5) / image[0], (hint.x + 0.5) / image[1]] for hint in hints])
    covered = hint_cells(at[None], torch.full((1, len(hints)), POINT_RADIUS), cells)
    return hint_planes(covered, torch.tensor([[hint.chroma for hint in hints]]))
