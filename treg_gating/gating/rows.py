"""The events of each population of one tube, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRETCH", "Indices", "PopulationRows", "first_events"]

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

STRETCH = 1 << 18  # events that go through gates together; numpy's own time hardly counts
FEW = 1 / 8  # of the tube's events: their indices take no more memory than a mask


def first_events(n: int) -> Indices:
    """Indices of all events of a stretch, not to be written to; to make them takes as long as many a gate."""
    return _counting(max(n, STRETCH))[:n]


@lru_cache(maxsize=1)
def _counting(n: int) -> Indices:
    counting = np.arange(n)
    counting.flags.writeable = False
    return counting


class PopulationRows(MutableMapping[str, "Indices | None"]):
    """By population the indices of its events, ascending; None where it is not estimable.

    Large populations are kept as masks, and their indices are made when asked for.

    Parameters
    ----------
    n_events : events in the tube.
    masks : of the populations that are there from the beginning, each of shape (n_events,).
    """

    def __init__(self, n_events: int, masks: Mapping[str, Mask] | None = None) -> None:
        self.n_events = n_events
        self._kept: dict[str, Mask | Indices | None] = dict(masks or {})
        self._counts: dict[str, int] = {}  # of masks
        self._last: tuple[Mask, Indices] | None = None  # a gate is fitted, then asked
        self._some: tuple[Mask, int, Indices] | None = None  # one gate asks for several dimensions

    def __getitem__(self, name: str) -> Indices | None:
        kept, last = self._kept[name], self._last
        if kept is None or kept.dtype != np.bool_:
            return kept  # type: ignore[return-value]
        if last is not None and last[0] is kept:
            return last[1]
        rows = np.flatnonzero(kept)
        self._last = kept, rows  # type: ignore[assignment]
        return rows

    def __setitem__(self, name: str, rows: Indices | None) -> None:
        if rows is None or len(rows) <= FEW * self.n_events:
            self._set(name, rows)
        else:
            mask = np.zeros(self.n_events, np.bool_)
            mask[rows] = True
            self.keep(name, mask)
            self._last = mask, rows

    def __delitem__(self, name: str) -> None:
        del self._kept[name]
        self._counts.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._kept  # without making its indices

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def every(self, name: str, step: int) -> Indices:
        """Indices of every `step`-th event: of a large population those that are among every `step`-th of the tube."""
        kept, known = self._kept[name], self._some
        if kept is None or kept.dtype != np.bool_ or step == 1:
            rows = self[name]
            assert rows is not None  # noqa: S101 (asked before)
            return rows[::step]
        if known is not None and known[0] is kept and known[1] == step:
            return known[2]
        some = np.flatnonzero(kept[::step]) * step  # sooner found than all
        self._some = kept, step, some  # type: ignore[assignment]
        return some

    def keep(self, name: str, mask: Mask) -> None:
        """Set the events of a population, which a mask of shape (n_events,) tells."""
        n = int(np.count_nonzero(mask))
        few = n <= FEW * self.n_events
        self._set(name, np.flatnonzero(mask) if few else mask)
        if not few:
            self._counts[name] = n

    def _set(self, name: str, kept: Mask | Indices | None) -> None:
        self._kept[name] = kept
        self._counts.pop(name, None)

    def pass_on(self, name: str, to: str) -> None:
        """Set the events of a population to those of another."""
        self._set(to, self._kept[name])

    def share(self, name: str, other: PopulationRows) -> None:
        """Set the events of a population to what they are in `other`, of the same tube."""
        self._set(name, other._kept[name])
        if name in other._counts:
            self._counts[name] = other._counts[name]

    def few(self, name: str) -> Indices | None:
        """Indices of a small population; None where it is large, and kept as a mask, or not estimable."""
        kept = self._kept[name]
        return None if kept is None or kept.dtype == np.bool_ else kept  # type: ignore[return-value]

    def mask(self, name: str) -> Mask:
        """The same as a mask of shape (n_events,), not to be written to; nothing where it is not estimable."""
        kept = self._kept[name]
        if kept is not None and kept.dtype == np.bool_:
            return kept  # type: ignore[return-value]
        mask = np.zeros(self.n_events, np.bool_)
        if kept is not None:
            mask[kept] = True
        return mask

    def among(self, name: str, some: Indices) -> Mask:
        """Which of some events, shape (n,), are in a population; none where it is not estimable."""
        kept = self._kept[name]
        if kept is None or not len(kept) or not len(some):
            return np.zeros(len(some), np.bool_)
        if kept.dtype == np.bool_:
            return np.asarray(kept[some])
        return np.asarray(kept[np.minimum(np.searchsorted(kept, some), len(kept) - 1)] == some)

    def how_many(self, name: str, some: Indices) -> int:
        """How many of some events are among those of a population; none where it is not estimable."""
        return int(np.count_nonzero(self.among(name, some)))

    def count(self, name: str) -> int | None:
        """How many events there are; None where it is not estimable."""
        kept = self._kept[name]
        if kept is None:
            return None
        if kept.dtype != np.bool_:
            return len(kept)
        if name not in self._counts:
            self._counts[name] = int(np.count_nonzero(kept))
        return self._counts[name]
