"""Several that look at the events of a file while they are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from numpy.typing import NDArray

from treg_gating.fcs.segment import Passing

__all__ = ["InTurn"]


class InTurn:
    """All that look at passing events, one after the other; as :class:`treg_gating.fcs.segment.Passing`."""

    def __init__(self, parts: Sequence[Passing]) -> None:
        self._parts = parts
        self.channels: Collection[str] = frozenset(name for part in parts for name in part.channels)

    def take(self, first: int, events: NDArray[Any]) -> None:
        """Let all look at the events from the number `first` on."""
        for part in self._parts:
            part.take(first, events)
