"""Integers against $PnR: bits above the range are a mark that every event carries, or a fault.

The standard has a reader mask integers to the bits that $PnR needs (FCS 3.1, $PnR). Some instruments keep the channel's
or the event's number in the bits above; masking is right there. Where a value has simply outgrown its range, masking
turns the brightest events into dim ones. The two differ: a label stands on every event, in most channels, and hardly
varies; a counter is the same in all channels and goes up by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.inspection import Inspection

if TYPE_CHECKING:
    from treg_gating.fcs.decoder import Decoder

__all__ = ["Ranges"]

Array = NDArray[Any]

MAX_PATTERNS = 4  # of labels in one file
MIN_COUNTED = 8  # events that show a counter


class Ranges:
    """Masks marks, refuses values beyond their range.

    Parameters
    ----------
    decoder : how events are laid out.
    wanted : the columns that are decoded.
    """

    def __init__(self, decoder: Decoder, wanted: Sequence[int], inspection: Inspection) -> None:
        self._decoder = decoder
        self._inspection = inspection
        self._integers = [i for i, parameter in enumerate(decoder.parameters) if parameter.kind == "I"]
        self._bits = {i: self._range_bits(i) for i in self._integers}
        self._rows = [(row, i) for row, i in enumerate(wanted) if i in self._bits]
        self._tops = np.array([2.0 ** self._bits[i] for _, i in self._rows])
        self._patterns: set[bytes] = set()

    def _range_bits(self, i: int) -> int:
        parameter = self._decoder.parameters[i]
        return min(parameter.bits, int(np.ceil(np.log2(parameter.channel.range or 1.0))))

    def enforce(self, rows: Array, part: Array) -> None:
        """Check a chunk of events, `rows` as stored; write masked values into `part`, shape (columns, events)."""
        if not self._rows:
            return
        highest = np.array([part[row].max() for row, _ in self._rows])
        beyond = np.flatnonzero(highest >= self._tops)
        if not len(beyond) and not self._patterns:
            return
        if not self._is_mark(rows):
            row, i = self._rows[int(beyond[0]) if len(beyond) else 0]
            self._inspection.refuse(
                "E_RANGE",
                f"values of {self._decoder.parameters[i].channel.name} lie beyond its range; masking would wrap them",
                where=f"$P{i + 1}R",
                found=f"{part[row].max():.0f}",
                expected=f"below {1 << self._bits[i]}",
            )
        for row, i in self._rows:
            part[row] = self._decoder.column(rows, i) & self._mask(i)

    def _mask(self, i: int) -> np.uint64:
        return np.uint64((1 << self._bits[i]) - 1)

    def _is_mark(self, rows: Array) -> bool:
        """Whether the bits above the ranges are marks of the instrument; then a warning is kept."""
        marks = np.stack([self._decoder.column(rows, i).astype(np.uint64) & ~self._mask(i) for i in self._integers])
        if _is_counter(marks):
            kind = "count the events"
        elif self._is_label(marks):
            kind = "label channels, the same on every event"
        else:
            return False
        self._inspection.warn("W_MASK", f"the bits above $PnR {kind}; masked as the standard says")
        return True

    def _is_label(self, marks: Array) -> bool:
        """On every event, in half the channels, of few patterns in the whole file."""
        patterns = np.unique(marks, axis=1)
        self._patterns |= {pattern.tobytes() for pattern in patterns.T}
        labelled = int(np.count_nonzero(patterns.any(axis=1)))
        everywhere = bool(patterns.any(axis=0).all()) and labelled >= max(2, len(self._integers) / 2)
        return everywhere and len(self._patterns) <= MAX_PATTERNS


def _is_counter(marks: Array) -> bool:
    """The same number in every channel, one step further with every event, back to zero where it is full."""
    if len(marks) < 2 or marks.shape[1] < MIN_COUNTED or (marks != marks[0]).any():
        return False
    steps = np.unique(np.diff(marks[0].astype(np.int64)))
    return len(steps) <= 2 and bool(steps[-1] > 0) and bool((steps[:-1] < 0).all())
