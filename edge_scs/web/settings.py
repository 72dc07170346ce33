"""How one image is to be restored, as the page says it: JSON into typed fields, the options of ``edge-scs enhance``."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_scs.archive.output_paths import suffix_of
from edge_scs.archive.restore import Wanted
from edge_scs.errors import InputError, did_you_mean
from edge_scs.images import SUFFIXES
from edge_scs.inference.hint_points import Hint, parse_hints
from edge_scs.inference.request import Options

MAX_BYTES = 1 << 20
KEYS = ("scale", "vividness", "restoration", "keep_colour", "hints", "reference", "format")


@dataclass(frozen=True)
class Settings:
    """``scale`` 1 to 8; ``restoration`` 0 to 1, or None where the weights have one end; ``reference`` the number of an
    uploaded one; ``suffix`` of the result, or None for the image's own.
    """

    scale: float
    options: Options
    restoration: float | None = None
    reference: int | None = None
    suffix: str | None = None

    @property
    def wanted(self) -> Wanted:
        """What ``enhance`` calls it: one image from file to file."""
        return Wanted(self.scale, None, self.options)

    def at_size(self, image: tuple[int, int], shown: tuple[int, int]) -> "Settings":
        """For a smaller copy (h, w) of the image (h, w): hints at the same places of it."""
        (h, w), (high, wide) = image, shown
        hints = tuple(
            Hint(max(0.0, (hint.x + 0.5) * wide / w - 0.5), max(0.0, (hint.y + 0.5) * high / h - 0.5), hint.colour)
            for hint in self.options.hints
        )
        return replace(self, options=replace(self.options, hints=hints))


def parse_json(content: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    """A JSON object with no other keys than these. Raises InputError."""
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"settings: not valid JSON ({error})") from error
    if not isinstance(given, dict):
        raise InputError("settings: must be a JSON object")
    for key in given:
        if key not in known:
            raise InputError(f"settings: unknown key {key!r:.40}; {did_you_mean(key, known)}")
    return given


def parse_settings(given: dict[str, Any]) -> Settings:
    """Settings from JSON. Raises InputError, one line that names the key."""
    hints = given.get("hints", [])
    if not isinstance(hints, list) or not all(isinstance(hint, dict) for hint in hints):
        raise InputError('hints: must be a list of {"x": 120, "y": 80, "colour": "#8a1c22"}')
    for hint in hints:
        if set(hint) != {"x", "y", "colour"} or not isinstance(hint["colour"], str):
            raise InputError('hints: must be a list of {"x": 120, "y": 80, "colour": "#8a1c22"}')
    keep, name = given.get("keep_colour", False), given.get("format")
    if not isinstance(keep, bool):
        raise InputError("keep_colour: must be true or false")
    if not isinstance(name, str | None):
        raise InputError("format: must be a name, or null")
    reference = given.get("reference")
    if isinstance(reference, bool) or not isinstance(reference, int | None):
        raise InputError("reference: must be the number of an uploaded one, or null")
    if "scale" not in given:
        raise InputError("scale: is missing; give a magnification")
    restoration = None if given.get("restoration") is None else _number("restoration", given["restoration"])
    points = [Hint(_number("x", hint["x"]), _number("y", hint["y"]), hint["colour"]) for hint in hints]
    options = Options(keep, _number("vividness", given.get("vividness", 1.0)), parse_hints(points))
    return Settings(_number("scale", given["scale"]), options, restoration, reference, suffix_of(name))


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key}: must be a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InputError(f"{key}: must be a number that can be meant") from error


def suffix_for(name: str) -> str:
    """The suffix of an uploaded file's name as far as it means a format, else ""."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ""
