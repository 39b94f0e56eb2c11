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
    """

    def __init__(
        self,
        decoder: Decoder,
        wanted: Sequence[int],
        n_events: int,
        peek: Callable[[int, int], bytes],
        inspection: Inspection,
    ) -> None:
        self._parameters = [decoder.parameters[i] for i in wanted]
        self._n = n_events
        self._peek = peek
        self._inspection = inspection
        self._lows: list[Array] = []
        self._highs: list[Array] = []
        self._sampled = self._implausible = 0
        self._nonfinite = np.zeros(len(wanted), np.intp)
        self._float_rows = [row for row, p in enumerate(self._parameters) if p.kind != "I"]
        self._zeros = 0
        self._last_time = -np.inf
        self._backward = 0
        event_bytes = max(1, sum(p.bits for p in decoder.parameters) // 8)
        self._repeats = Repeats(n_events, RUN) if decoder.floats and n_events >= 2 * RUN else None
        clock = next((row for row, p in enumerate(self._parameters) if p.channel.is_time), None)
        words: tuple[int, ...] = ()
        clock_word = None
        if self._repeats is not None:
            place = None if clock is None else sum(p.bits for p in decoder.parameters[: wanted[clock]]) // 32
            seen = np.frombuffer(peek(0, min(SEEN, n_events)), np.uint8).reshape(-1, event_bytes)
            words = telling_words(seen, place)
            if place is not None and decoder.uniform == np.float32 and are_neighbours(words) and place in words:
                clock_word = words.index(place)
        floats = np.array(self._float_rows, np.intp)
        stride = max(1, n_events // SAMPLED)
        self._interest = Interest(floats, decoder.floats, stride, run_limit(event_bytes), clock, words, clock_word)
        self._everything = set(wanted) == set(range(len(decoder.parameters)))

    def look(self, first: int, rows: Array, part: Array, kept: Mapping[int, Array] = MappingProxyType({})) -> Look:
        """What the chunk that begins with event `first` shows, as stored and as decoded: :func:`glance.look`."""
        return look(self._interest, self._repeats, first, rows, part, kept)

    def note(self, first: int, shown: Look) -> None:
        """Take note of what the chunk that begins with event `first` shows; in the order of the file."""
        self._lows.append(shown.low)
        self._highs.append(shown.high)
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

    def judge(self) -> None:
        """Refuse or warn, when all chunks have passed."""
        if self._n == 0:
            return
        self._low, self._high = np.min(self._lows, axis=0), np.max(self._highs, axis=0)
        self._judge_magnitudes()
        self._judge_integers()
        self._judge_nonfinite()
        self._judge_time()
        self._judge_repeats()

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

    def _judge_repeats(self) -> None:
        if self._everything and self._n >= RUN and (self._low == self._high).all():
            self._inspection.refuse("E_REPEATED", "all events are the same", where="DATA", found=f"{self._n} events")
        for first, second in self._repeats.candidates() if self._repeats is not None else ():
            if self._peek(first, RUN) == self._peek(second, RUN):
                self._inspection.refuse(
                    "E_REPEATED",
                    "consecutive events occur twice, bit for bit",
                    where=f"DATA, event {second + 1}",
                    found=f"the {RUN} events from {first + 1}",
                )

    def _name(self, row: int) -> str:
        return self._parameters[row].channel.name
