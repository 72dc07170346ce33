"""The network behind the page, at every amount of restoration that somebody has chosen lately."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edge_scs.imaging.sizes import MAX_SCALE, MIN_SCALE
from edge_scs.inference.engine import Engine
from edge_scs.inference.predictor import Predictor
from edge_scs.weights.restoration import restoring_file

# Of one network, 6 MB each: a slider passes many amounts, and a queue may need several.
_KEPT = 6
Make = Callable[[float | None], Engine]


@dataclass(frozen=True)
class Abilities:
    """What the page offers. ``restoration``: where its slider begins, or None where there is nothing to choose.

    ``scales``: the magnifications to choose from, or None for any from ``smallest`` to ``largest``.
    """

    model: str
    hints: bool
    reference: bool
    restoration: float | None
    scale: float
    smallest: float
    largest: float
    scales: list[float] | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Engines:
    """``make`` gives the network at an amount of restoration; None is the default one of its weights."""

    def __init__(self, make: Make):
        self._make, self._lock = make, Lock()
        self._first = make(None)
        self._made: OrderedDict[float | None, Engine] = OrderedDict({None: self._first})
        self.abilities = _abilities(self._first)

    def at(self, restoration: float | None) -> Engine:
        """The engine, from those at hand or made now. Raises InputError for an amount that the weights do not have."""
        with self._lock:
            if restoration == self.abilities.restoration:
                restoration = None
            engine = self._made.pop(restoration, None) or self._make(restoration)
            self._made[restoration] = engine
            for other in [key for key in self._made if key is not None][: max(0, len(self._made) - _KEPT)]:
                del self._made[other]
            return engine


def _abilities(engine: Engine) -> Abilities:
    if not isinstance(engine, Predictor):
        takes = engine.takes_hints, engine.takes_reference
        return Abilities(engine.name, *takes, None, engine.default_scale, MIN_SCALE, MAX_SCALE, None)
    loaded, about = engine.loaded, engine.loaded.description
    two_ends = "quantised" not in loaded.spec and restoring_file(Path(loaded.source)) is not None
    low, high = about.continuous or (min(about.scales), max(about.scales))
    return Abilities(
        loaded.name, engine.takes_hints, engine.takes_reference, loaded.restoration if two_ends else None,
        engine.default_scale, max(MIN_SCALE, low), min(MAX_SCALE, high),
        None if about.continuous else [float(scale) for scale in about.scales],
    )  # fmt: skip
