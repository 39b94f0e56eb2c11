"""Whether DATA can be what an instrument wrote: every check of values, in one pass beside decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.glance import LARGEST, SMALLEST, Interest, Look, look
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.repeats import SEEN, Repeats, are_neighbours, telling_words
from treg_gating.fcs.ticks import Ticks, ticking_words
from treg_gating.threads import side_by_side

if TYPE_CHECKING:
    from treg_gating.fcs.decoder import Decoder

__all__ = ["Checks", "longest_zero_run"]

Array = NDArray[Any]

IMPLAUSIBLE_SHARE = 0.01
BACKWARD_SHARE = 0.01
RUN = 16  # events; a lost page of 4 KiB holds at least so many of up to 240 bytes
PAGE = 4096
SAMPLED = 16384
EXACT = 2.0**53


def run_limit(event_bytes: int) -> int:
    """All-zero events in a row that are refused: 16, or fewer where a page holds fewer."""
    limit = RUN
    while limit > 2 and limit > PAGE // event_bytes - 1:
        limit //= 2
    return limit


def longest_zero_run(zero: NDArray[np.bool_], carried: int) -> tuple[int, int]:
    """Longest run of True, and the one at the end; `carried` True values stand before the first."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.ones(carried, int), zero.astype(int), [0]))))
    if not len(edges):
        return 0, 0
    runs = edges[1::2] - edges[::2]
    return int(runs.max()), int(runs[-1]) if zero[-1] else 0


class Checks:
    """Looks at every chunk as it passes, judges at the end.

    Chunks may be looked at in several threads at once; what they show is taken note of in the order of the file.

    Parameters
    ----------
    decoder : how events are laid out.
    wanted : the columns that are decoded; runs and repeats are looked for in whole events whatever they are.
    n_events : number of events to come.
    peek : bytes of so many events from one on, as stored.
    whole : all events are at hand for :meth:`judge`, and the columns of `kept` as they were stored.
    """

    def __init__(
        self,
        decoder: Decoder,
        wanted: Sequence[int],
        n_events: int,
        peek: Callable[[int, int], bytes],
        inspection: Inspection,
        *,
        whole: bool = False,
    ) -> None:
        self._parameters = [decoder.parameters[i] for i in wanted]
        self._n = n_events
        self._peek = peek
        self._inspection = inspection
        self._extremes: list[tuple[Array, Array]] = []
        self._varying = np.zeros(len(wanted)), np.ones(len(wanted))  # stand for extremes of which nothing is told
        self._sampled = self._implausible = 0
        self._nonfinite = np.zeros(len(wanted), np.intp)
        self._float_rows = [row for row, p in enumerate(self._parameters) if p.kind != "I"]
        self._zeros = 0
        self._last_time = -np.inf
        self._backward = 0
        event_bytes = max(1, sum(p.bits for p in decoder.parameters) // 8)
        clock = next((row for row, p in enumerate(self._parameters) if p.channel.is_time), None)
        floats = np.array(self._float_rows, np.intp)
        stride = max(1, n_events // SAMPLED)
        self._interest = Interest(floats, decoder.floats, stride, run_limit(event_bytes), clock)
        self._everything = set(wanted) == set(range(len(decoder.parameters)))
        self._repeats: Repeats | Ticks | None = None
        if decoder.floats and n_events >= 2 * RUN:
            self._seen = np.frombuffer(peek(0, min(SEEN, n_events)), np.uint8).reshape(-1, event_bytes)
            self._place = None if clock is None else sum(p.bits for p in decoder.parameters[: wanted[clock]]) // 32
            self._readable = clock is not None and decoder.uniform == np.float32
            by_tick = whole and self._readable and self._place is not None
            words = ticking_words(self._seen, self._place or 0, RUN) if by_tick else None
            self._repeats = self._anchors() if words is None else Ticks(n_events, RUN, *words)
        self.kept = frozenset({clock} if clock is not None and isinstance(self._repeats, Ticks) else ())

    def _anchors(self) -> Repeats:
        words = telling_words(self._seen, self._place)
        known = self._readable and are_neighbours(words) and self._place in words
        return Repeats(self._n, RUN, words, words.index(self._place) if known else None)

    def look(
        self,
        first: int,
        rows: Array,
        part: Array,
        kept: Mapping[int, Array] = MappingProxyType({}),
        ends: tuple[float, float] | None = None,
    ) -> Look:
        """What the chunk that begins with event `first` shows, as stored and as decoded: :func:`glance.look`."""
        return look(self._interest, self._repeats, first, rows, part, kept, ends)

    def seek(self) -> None:
        """Look for repeats in what was looked at; any thread that has nothing else to do may."""
        if isinstance(self._repeats, Ticks):
            self._repeats.seek()

    def note(self, first: int, shown: Look) -> None:
        """Take note of what the chunk that begins with event `first` shows; in the order of the file."""
        self._extremes.append(self._varying if shown.extremes is None else shown.extremes)
        self._sampled += shown.sampled
        self._implausible += shown.implausible
        if shown.nonfinite is not None:
            self._nonfinite += shown.nonfinite
        self._note_zeros(first, shown.empty)
        if shown.time is not None:
            begin, end, backward = shown.time
            self._backward += backward + int(begin < self._last_time)
            self._last_time = end

    def _note_zeros(self, first: int, empty: Array | None) -> None:
        if empty is None:
            self._zeros = 0
            return
        longest, self._zeros = longest_zero_run(empty, self._zeros)
        if longest >= self._interest.zeros:
            self._inspection.refuse(
                "E_ZERO_RUN",
                "all values of consecutive events are zero",
                where=f"DATA, event {first + 1} or later",
                found=f"{longest} events of zeros in a row",
                expected=f"fewer than {self._interest.zeros}",
            )

    def judge(self, events: Array | None = None, kept: Mapping[int, Array] = MappingProxyType({})) -> None:
        """Refuse or warn, when all chunks have passed.

        Parameters
        ----------
        events : shape (n_events, columns), as they lie in the file but for columns that were scaled.
        kept : those columns, and what this asked for, as they were.
        """
        if self._n == 0:
            return
        lows, highs = zip(*self._extremes, strict=True)
        self._low, self._high = np.min(lows, axis=0), np.max(highs, axis=0)
        self._judge_magnitudes()
        self._judge_integers()
        self._judge_nonfinite()
        self._judge_time()
        self._judge_repeats(events, kept)

    def _judge_magnitudes(self) -> None:
        if self._implausible > IMPLAUSIBLE_SHARE * self._sampled:
            self._inspection.refuse(
                "E_VALUES",
                "values no instrument writes; the byte order or an offset is wrong, or a channel holds none",
                where="DATA",
                found=f"{self._implausible} of {self._sampled} values looked at",
                expected=f"magnitudes between {SMALLEST:g} and {LARGEST:g}, at most {IMPLAUSIBLE_SHARE:.0%} beyond",
            )
        peak = np.fmax(np.abs(self._low), np.abs(self._high))
        for row in self._float_rows:
            if LARGEST < peak[row] < np.inf:
                self._inspection.warn("W_MAGNITUDE", f"{self._name(row)} holds a value of {peak[row]:.3g}")

    def _judge_integers(self) -> None:
        for row, parameter in enumerate(self._parameters):
            if parameter.kind != "I":
                continue
            largest, highest = parameter.channel.range or 0.0, self._high[row]
            if highest > EXACT:
                self._inspection.refuse(
                    "E_RANGE", f"values of {self._name(row)} that no float64 holds exactly", found=f"{highest:.0f}"
                )
            if highest >= largest:
                text = f"{self._name(row)} reaches {highest:.0f} with a $PnR of {largest:g}"
                self._inspection.warn("W_RANGE", text)

    def _judge_nonfinite(self) -> None:
        for row, bad in enumerate(self._nonfinite):
            if bad == self._n:
                self._inspection.refuse("E_VALUES", f"{self._name(row)} holds no finite value", where="DATA")
            if bad:
                self._inspection.warn("W_NONFINITE", f"{self._name(row)} holds {bad} NaN or infinite values")
            elif self._low[row] == self._high[row] and self._n >= RUN:
                self._inspection.warn("W_CONSTANT", f"{self._name(row)} holds the one value {self._low[row]:g}")

    def _judge_time(self) -> None:
        if self._backward > BACKWARD_SHARE * self._n:
            self._inspection.refuse(
                "E_TIME",
                "Time runs backwards",
                where="DATA",
                found=f"{self._backward} of {self._n} steps",
                expected=f"at most {BACKWARD_SHARE:.0%}",
            )
        if self._backward:
            self._inspection.warn(
                "W_TIME", f"Time runs backwards {self._backward} times: joined acquisitions or a clock that wrapped"
            )

    def _judge_repeats(self, events: Array | None, kept: Mapping[int, Array]) -> None:
        if self._everything and self._n >= RUN and (self._low == self._high).all():
            self._inspection.refuse("E_REPEATED", "all events are the same", where="DATA", found=f"{self._n} events")
        for first, second in self._candidates(events, kept):
            if self._peek(first, RUN) == self._peek(second, RUN):
                self._inspection.refuse(
                    "E_REPEATED",
                    "consecutive events occur twice, bit for bit",
                    where=f"DATA, event {second + 1}",
                    found=f"the {RUN} events from {first + 1}",
                )

    def _candidates(self, events: Array | None, kept: Mapping[int, Array]) -> list[tuple[int, int]]:
        """Where repeats may begin."""
        if self._repeats is None:
            return []
        if isinstance(self._repeats, Repeats):
            return self._repeats.candidates()
        assert events is not None  # noqa: S101 (those who ask for ticks have them)
        (clock,) = self.kept
        upwards = not self._backward and not self._nonfinite[clock]
        found = self._repeats.candidates(kept[clock]) if upwards else None
        if found is None:
            anchors, rows = self._anchors(), events.view(np.uint8)

            def take(part: slice) -> None:
                anchors.take(part.start, rows[part], restored={row: column[part] for row, column in kept.items()})

            side_by_side(take, [slice(first, first + SAMPLED) for first in range(0, self._n, SAMPLED)])
            found = anchors.candidates()
        return found

    def _name(self, row: int) -> str:
        return self._parameters[row].channel.name
