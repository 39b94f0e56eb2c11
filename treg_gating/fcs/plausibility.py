"""Whether DATA can be what an instrument wrote: every check of values, in one pass beside decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.repeats import MIX, Repeats

if TYPE_CHECKING:
    from treg_gating.fcs.decoder import Decoder

__all__ = ["Checks", "longest_zero_run"]

Array = NDArray[Any]

LARGEST = 1e15
SMALLEST = 1e-20
IMPLAUSIBLE_SHARE = 0.01
BACKWARD_SHARE = 0.01
RUN = 16  # events; a lost page of 4 KiB holds at least so many of up to 240 bytes
PAGE = 4096
SAMPLED = 16384
EXACT = 2.0**53
FOLD = 64  # events
SEEN = 256  # events that show which words of an event vary


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


def _folded(part: Array) -> tuple[Array, Array] | None:
    """Events as long rows, which the processor goes through many at a time, and the last ones; None where few."""
    events = part.T
    whole = len(events) // FOLD * FOLD
    if not whole or not events.flags.c_contiguous:
        return None
    return events[:whole].reshape(-1, FOLD * len(part)), events[whole - FOLD :]


def extremes(part: Array) -> tuple[Array, Array]:
    """Smallest and largest value of every column, `part` of shape (columns, events); NaN where there is one."""
    if (halves := _folded(part)) is None:
        return part.min(axis=1), part.max(axis=1)
    folded, rest = halves
    low = np.minimum(folded.min(axis=0).reshape(FOLD, -1).min(axis=0), rest.min(axis=0))
    high = np.maximum(folded.max(axis=0).reshape(FOLD, -1).max(axis=0), rest.max(axis=0))
    return low, high


def _harmless(part: Array) -> bool:
    """Whether no value is NaN, infinite or beyond `LARGEST`; a no may be wrong. One sum of squares tells.

    Rounded, such a sum is still no less than any of its terms.
    """
    squares = [np.vecdot(values, values) for values in _folded(part) or ()]
    return bool(squares) and all((sums < LARGEST**2 / 2).all() for sums in squares)


def _extremes_that_matter(part: Array, sample: Array) -> tuple[Array, Array]:
    """:func:`extremes`, of the sample only where that answers as well: harmless values, no column constant."""
    low, high = sample.min(axis=1), sample.max(axis=1)
    return (low, high) if (low < high).all() and _harmless(part) else extremes(part)


def _all_show_something(rows: Array, every: int) -> bool:
    """Whether none of these events is all zeros, one in so many looked at; its last word alone, mostly, says so."""
    whole = rows.shape[1] % 4 == 0 and rows.flags.c_contiguous
    return (whole and bool(rows.view(np.uint32)[::every, -1].all())) or bool(rows[::every].any(axis=1).all())


def _direction(time: Array) -> tuple[float, float, int]:
    """First and last value, and the steps backwards between them."""
    return float(time[0]), float(time[-1]), int(np.count_nonzero(time[1:] < time[:-1]))


def telling_words(rows: Array) -> list[int]:
    """The three 32-bit words of an event that vary most, two where every event has its own of each.

    `rows` are bytes, shape (events, multiple of 4).
    """
    words = rows[:SEEN].view(np.uint32)
    variety = [len(np.unique(column)) for column in words.T]
    order = sorted(range(len(variety)), key=variety.__getitem__)
    enough = len(words) == SEEN and [variety[i] for i in order[-2:]] == [SEEN, SEEN]
    return order[-2:] if enough else order[-3:]


def fingerprints(rows: Array, chosen: Sequence[int]) -> NDArray[np.uint32]:
    """A number an event: equal events have equal ones."""
    words = rows.view(np.uint32)
    prints = words[:, chosen[0]].copy()
    for i in chosen[1:]:
        prints *= MIX
        prints += words[:, i]
    prints *= MIX
    return prints


@dataclass(frozen=True, slots=True)
class Look:
    """What one chunk of events shows.

    Parameters
    ----------
    low, high : of every decoded column; of `sample` where it varies in every column and no value is beyond `LARGEST`.
    nonfinite : NaN and infinite values by column; None where there is none.
    sample : some events, shape (columns, n).
    empty : mask of events that are all zeros; None where no run of them can begin or go on.
    time : first and last value of Time, and how often it runs backwards between them; None without Time.
    prints : fingerprints of the events; None where repeats are not looked for.
    """

    low: Array
    high: Array
    nonfinite: Array | None
    sample: Array
    empty: Array | None
    time: tuple[float, float, int] | None
    prints: Array | None


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
        self._samples: list[Array] = []
        self._nonfinite = np.zeros(len(wanted), np.intp)
        self._float_rows = [row for row, p in enumerate(self._parameters) if p.kind != "I"]
        self._stride = max(1, n_events // SAMPLED)
        self._zeros = 0
        self._clock = next((row for row, p in enumerate(self._parameters) if p.channel.is_time), None)
        self._last_time = -np.inf
        self._backward = 0
        event_bytes = max(1, sum(p.bits for p in decoder.parameters) // 8)
        floats = all(p.kind != "I" for p in decoder.parameters)
        self._all_floats = floats
        self._limit = run_limit(event_bytes)
        self._repeats = Repeats(n_events, RUN) if floats and n_events >= 2 * RUN else None
        self._words: list[int] = []
        if self._repeats is not None:
            seen = min(SEEN, n_events)
            self._words = telling_words(np.frombuffer(peek(0, seen), np.uint8).reshape(-1, event_bytes))
        self._everything = set(wanted) == set(range(len(decoder.parameters)))

    def look(self, rows: Array, part: Array) -> Look:
        """What a chunk shows: `rows` as stored, `part` as decoded and not yet scaled, shape (columns, events)."""
        sample = part[:, :: self._stride].copy()
        low, high = _extremes_that_matter(part, sample) if self._all_floats else extremes(part)
        finite = np.isfinite(low.sum() + high.sum())
        suspect = not (_all_show_something(rows, self._limit) and rows[0].any() and rows[-1].any())
        return Look(
            low,
            high,
            None if finite else np.count_nonzero(~np.isfinite(part), axis=1),
            sample,
            np.logical_not(rows.any(axis=1)) if suspect else None,
            None if self._clock is None else _direction(part[self._clock].copy()),
            fingerprints(rows, self._words) if self._repeats is not None else None,
        )

    def note(self, first: int, look: Look) -> None:
        """Take note of what the chunk that begins with event `first` shows; in the order of the file."""
        self._lows.append(look.low)
        self._highs.append(look.high)
        self._samples.append(look.sample)
        if look.nonfinite is not None:
            self._nonfinite += look.nonfinite
        self._note_zeros(first, look.empty)
        if look.time is not None:
            begin, end, backward = look.time
            self._backward += backward + int(begin < self._last_time)
            self._last_time = end
        if self._repeats is not None and look.prints is not None:
            self._repeats.add(first, look.prints)

    def _note_zeros(self, first: int, empty: Array | None) -> None:
        if empty is None:
            self._zeros = 0
            return
        longest, self._zeros = longest_zero_run(empty, self._zeros)
        if longest >= self._limit:
            self._inspection.refuse(
                "E_ZERO_RUN",
                "all values of consecutive events are zero",
                where=f"DATA, event {first + 1} or later",
                found=f"{longest} events of zeros in a row",
                expected=f"fewer than {self._limit}",
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
        size = np.abs(np.concatenate(self._samples, axis=1)[self._float_rows])
        implausible = int(np.count_nonzero(~(size <= LARGEST) | ((size < SMALLEST) & (size > 0))))
        if implausible > IMPLAUSIBLE_SHARE * size.size:
            self._inspection.refuse(
                "E_VALUES",
                "values no instrument writes; the byte order or an offset is wrong, or a channel holds none",
                where="DATA",
                found=f"{implausible} of {size.size} values looked at",
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
