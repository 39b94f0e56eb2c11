"""Stretches of events that occur twice in a file, bit for bit: a block written again in the place of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST", "SEEN", "Events", "Prints", "Repeats",
    "are_neighbours", "fingerprints", "runs_around", "telling_words", "word_pairs",
]  # fmt: skip

SEEN = 256  # events that show which words of an event vary

_MIX = np.uint64(0x9E3779B97F4A7C15)  # spreads small differences over the upper bits; odd, so that only 0 becomes 0
_ONE_IN_EIGHT = np.uint16(1 << 13)  # of the upper quarter
_UPPER = 3 if np.little_endian else 0  # quarter of a fingerprint: the one that differs most
_KEY = np.uint64(29)  # an anchor's fingerprint begins with three zeros; the 32 bits behind them are its key
MOST = 10_000  # candidates that are looked at

Prints = NDArray[np.uint64]
Keys = NDArray[np.uint32]
Events = NDArray[np.intp]  # by their numbers


def telling_words(rows: NDArray[np.uint8], near: int | None = None) -> tuple[int, ...]:
    """Which 32-bit words of an event tell it from others.

    Two neighbours where each is another in all of the events, or one of them is and the other is read anyway and
    varies; else the three that vary most, or two that are enough.

    Parameters
    ----------
    rows : bytes of the first events, shape (events, multiple of 4).
    near : a word that is read anyway; of several neighbours those with it, or next to it, are taken.
    """
    columns = rows[:SEEN].view(np.uint32).T
    variety = cache(lambda word: len(set(columns[word].tolist())))
    telling = cache(lambda word: variety(word) == SEEN or (word == near and variety(word) > 1))
    for word in sorted(range(len(columns) - 1), key=lambda word: abs(2 * (word - (near or 0)) + 1)):
        if telling(word) and telling(word + 1):
            return word, word + 1
    order = sorted(range(len(columns)), key=variety)
    enough = [variety(word) for word in order[-2:]] == [SEEN, SEEN]
    return tuple(order[-2:] if enough else order[-3:])


def are_neighbours(words: Sequence[int]) -> bool:
    """Whether these are two words that lie beside each other."""
    return len(words) == 2 and words[1] == words[0] + 1


def word_pairs(rows: NDArray[np.uint8], word: int) -> Prints:
    """Two neighbouring words of every event, the first of which is `word`, as one number."""
    pairs = np.empty(len(rows), np.uint64)
    # Eight bytes that may lie at any multiple of four: complex64 is the type that is copied at once there.
    pairs.view(np.complex64)[:] = np.ndarray((len(rows),), np.complex64, rows, 4 * word, (rows.strides[0],))
    return pairs


def fingerprints(
    rows: NDArray[np.uint8],
    chosen: Sequence[int],
    kept: tuple[int, NDArray[np.float32]] | None = None,
    restored: Mapping[int, NDArray[Any]] = MappingProxyType({}),
) -> Prints:
    """A number an event: equal events have equal ones, and an event of zeros has 0.

    Parameters
    ----------
    rows : bytes of the events, shape (events, multiple of 4).
    chosen : the words that tell an event from others.
    kept : which of two neighbouring words is wanted itself, and where it is written, as the float it is.
    restored : words that no longer stand in `rows`, by their place.
    """
    if are_neighbours(chosen):
        prints = word_pairs(rows, chosen[0])
        for word in restored.keys() & set(chosen):
            prints.view(np.uint32)[word - chosen[0] :: 2] = restored[word].view(np.uint32)
        if kept is not None:
            kept[1][:] = prints.view(np.float32)[kept[0] :: 2]
    else:
        words = rows.view(np.uint32).T
        columns = [restored[i].view(np.uint32) if i in restored else words[i] for i in chosen]
        prints = columns[0].astype(np.uint64)
        for column in columns[1:]:
            prints *= _MIX
            prints += column
    prints *= _MIX
    return prints


class Repeats:
    """Finds two places where the same fingerprints follow each other.

    One event in eight, chosen by its own content, is an anchor; only where two anchors agree are the events around
    them compared. A repeat without an anchor is overlooked: 12 % of those of 16 events, 0.5 % of 40, 0.02 % of 64.

    Parameters
    ----------
    n : number of events.
    run : consecutive equal events that count as a repeat.
    words : which words of an event its fingerprint is made of.
    clock_word : which of two neighbouring words is Time as this computer reads it; None where it is none of them.
    """

    def __init__(self, n: int, run: int, words: Sequence[int] = (), clock_word: int | None = None) -> None:
        self._words, self._clock_word = words, clock_word
        self.tells_time = clock_word is not None
        self._n, self._quarters = n, np.empty(n, np.uint16)
        self._keys: list[tuple[int, Keys]] = []
        self._run = run

    def take(
        self,
        first: int,
        rows: NDArray[np.uint8],
        time: NDArray[Any] | None = None,
        restored: Mapping[int, NDArray[Any]] = MappingProxyType({}),
    ) -> Prints:
        """Take events as they are stored, from `first`, and write their `time` where this `tells_time`.

        Returns
        -------
        Numbers that are 0 for events of zeros.
        """
        kept = None if time is None or self._clock_word is None else (self._clock_word, time)
        prints = fingerprints(rows, self._words, kept, restored)
        self.add(first, prints)
        return prints

    def add(self, first: int, prints: Prints) -> None:
        """Take the fingerprints of the events from `first`; several threads may bring theirs, in any order."""
        quarters = self._quarters[first : first + len(prints)]
        quarters[:] = prints.view(np.uint16)[_UPPER::4]
        self._keys.append((first, (prints[np.flatnonzero(quarters < _ONE_IN_EIGHT)] >> _KEY).astype(np.uint32)))

    def candidates(self) -> list[tuple[int, int]]:
        """First events of two runs with equal fingerprints; to be compared in full."""
        keys = np.concatenate([keys for _, keys in sorted(self._keys, key=itemgetter(0))])
        ordered = np.sort(keys)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return []
        agreeing = np.flatnonzero(np.isin(keys, twice))
        anchors, keys = np.flatnonzero(self._quarters < _ONE_IN_EIGHT)[agreeing], keys[agreeing]
        order = np.argsort(keys, kind="stable")
        pairs = order[np.flatnonzero(keys[order][1:] == keys[order][:-1])[:, None] + [0, 1]]
        first, second = anchors[pairs].T
        return runs_around(self._quarters.__getitem__, self._n, first, second, self._run)


def runs_around(
    marks_of: Callable[[Events], NDArray[np.uint16]], n: int, first: Events, second: Events, run: int
) -> list[tuple[int, int]]:
    """Where runs of `run` marks or more begin that are the same around `first` as around `second`, of each pair.

    Parameters
    ----------
    marks_of : gives one of each event, by their numbers; events that are the same have the same.
    n : number of events.
    """

    def agree(step: int) -> NDArray[np.bool_]:
        inside = (first + step >= 0) & (second + step < n)
        alike: NDArray[np.bool_] = marks_of((first + step) * inside) == marks_of((second + step) * inside)
        return alike & inside

    def reach(direction: int) -> NDArray[np.intp]:
        going, reached = np.ones(len(first), bool), np.zeros(len(first), np.intp)
        for distance in range(1, run + 1):
            going &= agree(direction * distance)
            reached += going
        return reached

    near = agree(1) | agree(-1)
    first, second = first[near], second[near]
    if not len(first):
        return []
    ahead, behind = reach(1), reach(-1)
    long = 1 + ahead + behind >= run
    first, second = ((anchor - behind)[long][:MOST].tolist() for anchor in (first, second))
    return list(zip(first, second, strict=True))
