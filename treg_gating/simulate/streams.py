"""Random streams that are found by name, so that adding one thing never moves another."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["stream"]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The random generator that belongs to `names` under `seed`.

    A stream depends on the seed and its own name only: a further subject, tube or batch leaves every
    other stream, and so every other file, as it was.

    Parameters
    ----------
    seed : the cohort's seed, 0 or larger.
    names : what the stream is for, such as ``("tube", "S03", "Week 12", "sample")``.

    Examples
    --------
    >>> bool(stream(7, "S01").random() == stream(7, "S01").random())
    True
    >>> bool(stream(7, "S01").random() == stream(7, "S02").random())
    False
    """
    # crc32 rather than hash(): hash() of text differs between processes.
    key = tuple(zlib.crc32(f"{type(name).__name__}:{name}".encode()) for name in names)
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))
