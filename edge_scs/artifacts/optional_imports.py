"""Keeping the converters' chatter away from stdout, where ``--json`` prints one object and nothing else."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from edge_scs.errors import InputError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what is written to stdout and stderr, by Python or by native libraries, and warnings and log lines.

    Redirects the process's file descriptors 1 and 2, so nothing else should print meanwhile. Exceptions pass.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    disabled = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(open(os.devnull, "w"))
        for descriptor in (1, 2):
            stack.enter_context(_redirected(descriptor, sink.fileno()))
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        stack.callback(logging.disable, disabled)
        yield


@contextlib.contextmanager
def _redirected(descriptor: int, to: int) -> Iterator[None]:
    try:
        saved = os.dup(descriptor)
    except OSError:  # closed already: nothing can be written there
        yield
        return
    os.dup2(to, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


def require(*modules: str) -> list[ModuleType]:
    """Import converter modules silently. Raises InputError when the export extra is not installed."""
    try:
        with quiet():
            return [import_module(module) for module in modules]
    except ImportError as error:
        package = modules[0].split(".")[0]
        raise InputError(f"{package}: cannot be imported ({error}); run: pip install 'edge-scs[export]'") from error
