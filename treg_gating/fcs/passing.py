"""Several that look at the events of a file while they are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from numpy.typing import NDArray

from treg_gating.fcs.segment import Passing

__all__ = ["in_turn"]


def in_turn(*looking: Passing | None) -> Passing | None:
    """All of them as one, the first first; None where nobody looks."""
    there = [each for each in looking if each is not None]
    return _InTurn(there) if there else None


class _InTurn:
    def __init__(self, looking: Sequence[Passing]) -> None:
        self._looking = looking
        self.channels: Collection[str] = frozenset(name for each in looking for name in each.channels)

    def take(self, first: int, events: NDArray[Any]) -> None:
        for each in self._looking:
            each.take(first, events)
