"""LiteRT: the deployed network as one .tflite file, for Android's and other runtimes of that format. An optional extra.

``litert_torch`` makes it from a ``torch.export`` graph. The file has one signature, ``serving_default``, whose inputs
``args_0``, ``args_1``, ... are the manifest's in their order, and whose output is ``output_0``.
"""

import os
from pathlib import Path

from edge_scs.lowering.extras import converting
from edge_scs.lowering.methods import Method

NEEDS = ("litert_torch", "ai_edge_litert")


def convert(method: Method, path: Path) -> None:
    """Write a method of one size as ``path``.

    Raises UnsupportedError when the extra is not installed, or the converter refuses.
    """
    with converting(method, "litert_torch", "litert", NEEDS):
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # its own look-up of accelerators takes seconds
        import litert_torch

        litert_torch.convert(method.module.eval(), tuple(method.inputs.values())).export(str(path))
