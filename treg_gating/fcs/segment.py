"""The DATA segment of one data set: where its bytes lie, in which chunks they are read, who looks at them as they pass.

Chunks stay in the processor's cache, so checking, transposing and scaling them costs little more than reading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

from numpy.typing import NDArray

from treg_gating.fcs.decoder import Decoder, Scale, linear_scale
from treg_gating.fcs.glance import Look
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.layout import Layout
from treg_gating.fcs.source import Source
from treg_gating.threads import side_by_side

__all__ = ["Data", "Passing", "taken"]

CHUNK_BYTES = 3 << 20  # read and looked at in one go; large, as threads that take turns in Python wait for each other
FEW_CHUNKS = 4  # not worth a thread

Array = NDArray[Any]
Span = tuple[int, int]


class Passing(Protocol):
    """Work on events that is cheaper while they are in the processor's cache."""

    @property
    def channels(self) -> Collection[str]:
        """The channels ($PnN) that are looked at; all others may pass in the units they are stored in."""

    def take(self, first: int, events: Array) -> object:
        """Look at events from the number `first` on, shape (n, channels), while they pass.

        It may be called in any order and in two threads at once. The events must stay as they are, and must not be
        kept. The file may still be refused when all have passed.
        """


@dataclass(frozen=True)
class Data:
    """The DATA segment of one data set.

    Parameters
    ----------
    source : the file. begin : first byte, from the beginning of the file.
    layout, decoder : how many events, and how they lie.
    step : seconds a tick of Time.
    """

    source: Source
    begin: int
    layout: Layout
    decoder: Decoder
    step: float

    def stored(self, event: int, n: int) -> bytes:
        """Bytes of `n` events from `event` on."""
        size = self.layout.event_bits // 8
        return self.source.peek(self.begin + event * size, n * size)

    def chunks(self) -> list[Span]:
        """Spans of whole events and whole bytes: first event, one past the last.

        The last ones are halves, so that no thread waits long for another. All begin with a
        multiple of 16, by which `Ticks` goes.
        """
        n = self.layout.n_events
        events = max(16, CHUNK_BYTES * 8 // self.layout.event_bits // 64 * 64)
        half, whole = max(16, events // 2 // 16 * 16), max(0, n // events - 2) * events
        starts = [*range(0, whole, events), *range(whole, n, half)]
        return list(pairwise([*starts, n]))

    def fill(self, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        """Read the bytes of the events from `first` to `last` into `view`."""
        self.source.fill(self.begin + first * self.layout.event_bits // 8, view, inspection)

    def scales(self, wanted: Sequence[int]) -> dict[int, Scale]:
        """Columns of the result that have to be scaled, and how."""
        found = {row: linear_scale(self.decoder.parameters[i], self.step) for row, i in enumerate(wanted)}
        return {row: scale for row, scale in found.items() if scale is not None}

    def looked_at(self, wanted: Sequence[int], passing: Passing | None) -> set[int]:
        """Columns of the result that are looked at while they pass."""
        names = () if passing is None else passing.channels
        return {row for row, i in enumerate(wanted) if self.decoder.parameters[i].channel.name in names}

    def clock(self, wanted: Sequence[int]) -> int | None:
        """The column of the result that is Time."""
        return next((row for row, i in enumerate(wanted) if self.decoder.parameters[i].channel.is_time), None)


def taken(
    take: Callable[[Span], Look],
    spans: Sequence[Span],
    *,
    alone: bool,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterable[tuple[Span, Look]]:
    """Spans in the order of the file and what they show; those of a large file in two threads, unless `alone`.

    Of two, the one that finds no span left does `meanwhile`, while the other may still be at its last.
    """
    if alone or len(spans) < FEW_CHUNKS:
        return ((span, take(span)) for span in spans)
    looks: dict[Span, Look] = {}

    def look(span: Span) -> None:
        looks[span] = take(span)

    steps: list[Callable[[], object]] = [*(partial(look, span) for span in spans), meanwhile]
    side_by_side(lambda step: step(), steps)
    return ((span, looks[span]) for span in spans)
