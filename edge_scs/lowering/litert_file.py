"""LiteRT: the deployed network as one .tflite file, for Android's and other runtimes of that format. An optional extra.

``litert_torch`` makes it from a ``torch.export`` graph. The file has one signature, ``serving_default``, whose inputs
``args_0``, ``args_1``, ... are the manifest's in their order, and whose output is ``output_0``.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from edge_scs.artifacts.optional_imports import quiet
from edge_scs.lowering.methods import Method, UnsupportedError

NEEDS = ("litert_torch", "ai_edge_litert")


def convert(method: Method, path: Path) -> None:
    """Write a method of one size as ``path``.

    Raises UnsupportedError when the extra is not installed, or the converter refuses.
    """
    for package in NEEDS:
        if find_spec(package) is None:
            raise UnsupportedError(f"{package}: is not installed; run: pip install 'edge-scs[litert]'")
    try:
        with quiet():
            os.environ.setdefault("JAX_PLATFORMS", "cpu")  # its own look-up of accelerators takes seconds
            import litert_torch

            litert_torch.convert(method.module.eval(), tuple(method.inputs.values())).export(str(path))
    except Exception as error:  # its exceptions have no common type but Exception
        why = "".join(str(error).strip().splitlines()[:1])
        raise UnsupportedError(f"{type(method.module).__name__}: litert_torch cannot convert it ({why})") from error
