"""Signals inside a block: they wait, or stop it in good order, and afterwards do what they did before."""

import signal
import threading

import pytest

from edge_scs.interrupts import SIGNALS, handled, interruptible, stop_on_signals, uninterrupted


@pytest.fixture(autouse=True)
def _as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_reaches_the_handler_and_no_one_else(number: signal.Signals) -> None:
    seen: list[int] = []
    with handled(seen.append):
        signal.raise_signal(number)
    assert seen == [number]


def test_sigterm_ends_a_block_through_its_finally_clauses() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)


def test_what_must_not_be_interrupted_ends_first() -> None:
    done: list[int] = []

    def work() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


def test_the_first_signal_requests_a_stop_and_the_second_stops_at_once() -> None:
    with stop_on_signals() as stopping:
        assert not stopping()
        signal.raise_signal(signal.SIGTERM)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_in_another_thread_nothing_changes() -> None:
    handlers: list[object] = []

    def work() -> None:
        with uninterrupted():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
