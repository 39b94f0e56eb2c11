"""Stretches of events that occur twice in a file, bit for bit: a block written again in the place of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MIX", "Repeats"]

MIX = np.uint32(2654435761)  # spreads small differences over all bits
_ONE_IN_EIGHT = np.uint32(1 << 29)
_MOST = 10_000


class Repeats:
    """Finds two places where the same fingerprints follow each other.

    One event in eight, chosen by its own content, is an anchor; only where two anchors agree are the events that follow
    them compared.

    Parameters
    ----------
    n : number of events.
    run : consecutive equal events that count as a repeat.
    """

    def __init__(self, n: int, run: int) -> None:
        self._prints = np.empty(n, np.uint32)
        self._anchors: list[NDArray[np.intp]] = []
        self._run = run

    def add(self, first: int, prints: NDArray[np.uint32]) -> None:
        """Take the fingerprints of the events from `first`."""
        self._prints[first : first + len(prints)] = prints
        self._anchors.append(np.flatnonzero(prints < _ONE_IN_EIGHT) + first)

    def candidates(self) -> list[tuple[int, int]]:
        """First events of two runs with equal fingerprints; to be compared in full."""
        anchors = np.concatenate(self._anchors)
        anchors = anchors[: np.searchsorted(anchors, len(self._prints) - self._run, "right")]
        keys = self._prints[anchors]
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return []
        anchors = anchors[_among(keys, np.unique(twice))]
        anchors = anchors[np.argsort(self._prints[anchors], kind="stable")]
        first, second = anchors[:-1], anchors[1:]
        for ahead in range(self._run):
            same = self._prints[first + ahead] == self._prints[second + ahead]
            first, second = first[same], second[same]
        return list(zip(first[:_MOST].tolist(), second[:_MOST].tolist(), strict=True))


def _among(keys: NDArray[np.uint32], wanted: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Where `keys` is one of the few that are wanted; their upper halves tell most others apart."""
    upper = np.zeros(1 << 16, dtype=bool)
    upper[wanted >> np.uint32(16)] = True
    at = np.flatnonzero(upper[keys >> np.uint32(16)])
    return at[np.isin(keys[at], wanted)]
