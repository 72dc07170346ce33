"""Signals that would end the process, handled for the length of a block and as before after it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handled(handler: Callable[[int], None], numbers: tuple[int, ...] = SIGNALS) -> Iterator[None]:
    """Call ``handler`` with the number of a signal that comes inside the block, instead of what it did before.

    Only the main thread may say so; in another thread, where signals do not arrive, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, _: handler(number)) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the block as SIGINT does: through the finally clauses, so that nothing unfinished stays."""

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    with handled(interrupt, (signal.SIGTERM,)):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is left; then they do what they did before."""
    pending: list[int] = []
    with handled(pending.append):
        yield
    for number in dict.fromkeys(pending):
        signal.raise_signal(number)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM request a stop, which the block asks for; a second one stops at once."""
    given: list[int] = []

    def request(number: int) -> None:
        if given:
            raise KeyboardInterrupt
        given.append(number)

    with handled(request):
        yield lambda: bool(given)
