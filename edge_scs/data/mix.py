"""Shares of folders: how likely a photograph is to be drawn, by the folder that it comes from."""

import math
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_scs.data.shards import Member
from edge_scs.data.sources import Source
from edge_scs.errors import InputError


def chances_of(sources: Sequence[Source], folders: Sequence[Path], mix: Mapping[str, float]) -> NDArray[np.float64]:
    """``Photographs.chances`` by the shares of ``folders`` in ``mix``, whatever they add up to.

    Raises InputError naming what is wrong in ``mix``.
    """
    given = [str(folder) for folder in folders]
    shares = dict[str, float]()
    for key, share in mix.items():
        named = [text for text in given if key in (text, os.path.basename(text))]
        if len(named) != 1:
            raise InputError(
                f"mix: {key} is {'no' if not named else 'more than one'} --data; it has {', '.join(given)}"
            )
        if not (math.isfinite(share) and share > 0):
            raise InputError(f"mix.{key}: is {share:g}; choose a share above 0")
        shares[named[0]] = share
    for text in given:
        if text not in shares:
            raise InputError(f"mix: lacks {text}; give each --data a share")
    whole = [os.path.abspath(text) for text in given]
    folder_of = np.empty(len(sources), np.int64)
    for number, source in enumerate(sources):
        place = os.path.abspath(source.shard if isinstance(source, Member) else source)
        folder_of[number] = next(
            i
            for i, text in enumerate(whole)
            if place == text or place.startswith(f"{text.rstrip(os.sep)}{os.sep}") or fnmatch(place, text)
        )
    counts = np.bincount(folder_of, minlength=len(given))
    if not counts.all():
        raise InputError(f"mix: {given[int(np.argmin(counts))]} has no usable photograph; leave it out")
    return np.cumsum(np.array([shares[text] for text in given])[folder_of] / counts[folder_of])
