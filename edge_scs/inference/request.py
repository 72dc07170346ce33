"""What is requested of an engine: an image, its target size, a reference, and options."""

from dataclasses import dataclass, field, fields
from typing import Any

from edge_scs.errors import InputError, did_you_mean
from edge_scs.imaging.arrays import ImageArray
from edge_scs.inference.hint_points import Hint, parse_hints

MAX_VIVIDNESS = 1.5


@dataclass(frozen=True)
class Options:
    """How an image is restored, whatever its size: the keyword arguments of ``edge_scs.enhance``.

    A new option is a field here, and an option of the command line; engines read it from the request, and refuse in
    ``check`` what they cannot serve.
    """

    keep_colour: bool = False  # keep the image's own colours: enlarge only
    vividness: float = 1.0  # of the result's colours, 0 to 1.5: 0 is grey, 1 as the network gives them
    hints: tuple[Hint, ...] = ()  # colours that are known, at points of the image; "120,80=#8a1c22" will do

    def __post_init__(self) -> None:
        object.__setattr__(self, "hints", parse_hints(self.hints))
        if not 0 <= self.vividness <= MAX_VIVIDNESS:
            raise InputError(f"vividness {self.vividness:g}: choose 0 (grey) to {MAX_VIVIDNESS:g}; 1 is as trained")

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Options":
        """Options from keyword arguments. Raises InputError that names an unknown one."""
        known = [f.name for f in fields(cls)]
        for key in given:
            if key not in known:
                raise InputError(f"unknown option {key!r}; {did_you_mean(key, known)}")
        return cls(**given)


@dataclass(frozen=True)
class Request:
    """``image`` (h, w) or (h, w, 3), uint8 or uint16; ``size`` (H, W) of the result; ``reference`` RGB of any size."""

    image: ImageArray
    size: tuple[int, int]
    reference: ImageArray | None = None
    options: Options = field(default_factory=Options)
