"""$DATATYPE A: numbers written as text, in fields of $PnB characters or free, with delimiters between them.

FCS 3.1, $DATATYPE and $PnB: whole numbers, not negative; delimiters are blank, tab, comma, carriage return and line
feed, and several in a row are one, because there is no number without digits. The numbers found are then checked and
scaled as integers of 64 bits are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.data import decode_events
from treg_gating.fcs.decoder import Decoder
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.layout import Layout
from treg_gating.fcs.parameters import FREE, Parameter
from treg_gating.fcs.segment import Data, Passing
from treg_gating.fcs.source import Source
from treg_gating.folding import Extremes

__all__ = ["decode_text", "text_bits"]

Array = NDArray[Any]
Numbers = NDArray[np.uint64]

MAX_DIGITS = 15  # a float64 holds each such number exactly
_BITS = 64
_ZERO, _NINE = b"09"
_BLANK = ord(" ")
_DELIMITERS = b" \t,\r\n"


def text_bits(parameters: Sequence[Parameter], inspection: Inspection) -> int:
    """Bits of an event in fields of characters; 0 where the numbers are free."""
    free = [parameter.bits == FREE for parameter in parameters]
    if any(free) and not all(free):
        inspection.refuse(
            "E_DATATYPE", "some numbers of a fixed width and some of any width", where="$PnB", expected="all * or none"
        )
    return sum(parameter.bits for parameter in parameters)


@dataclass(frozen=True)
class _Numbers(Data):
    """Numbers that were text, to be read like the DATA of a file of integers."""

    numbers: Numbers

    def stored(self, event: int, n: int) -> bytes:
        """Bytes of `n` events from `event` on."""
        return self.numbers[event : event + n].tobytes()

    def fill(self, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        """Copy the events from `first` to `last` into `view`."""
        view[:] = self.numbers[first:last].tobytes()


def decode_text(
    data: Data,
    wanted: Sequence[int],
    digest: Digest,
    inspection: Inspection,
    passing: Passing | None = None,
    *,
    linear: bool = True,
    extremes: Extremes | None = None,
) -> tuple[Array, Array | None]:
    """Read DATA that is text, check it, scale it; as :func:`treg_gating.fcs.data.decode_events`.

    Raises
    ------
    FCSError : E_NUMBER and E_COUNT as well.
    """
    raw = _whole(data.source, data.begin, data.layout, inspection)
    digest.feed(raw)
    parameters, n = data.decoder.parameters, data.layout.n_events
    text = np.frombuffer(raw, np.uint8)
    if parameters[0].bits == FREE:
        numbers = _free(text, n, len(parameters), inspection)
    else:
        numbers = _fields(text, n, [parameter.bits // 8 for parameter in parameters], inspection)
    _check_ranges(numbers, parameters, inspection)
    integers = tuple(replace(parameter, kind="I", bits=_BITS) for parameter in parameters)
    layout = replace(data.layout, event_bits=_BITS * len(integers))
    there = _Numbers(data.source, 0, layout, Decoder(integers, "<"), data.step, numbers.astype("<u8"))
    return decode_events(there, wanted, Digest(0, sha=False), inspection, passing, linear=linear, extremes=extremes)


def _whole(source: Source, begin: int, layout: Layout, inspection: Inspection) -> bytes:
    raw = bytearray(layout.size)
    source.fill(begin, memoryview(raw), inspection)
    return bytes(raw)


def _fields(text: Array, n: int, widths: Sequence[int], inspection: Inspection) -> Numbers:
    """Numbers in fields: blanks may stand before and behind the digits, nothing else anywhere."""
    rows = text.reshape(n, sum(widths))
    numbers = np.zeros((n, len(widths)), np.uint64)
    begin = 0
    for i, width in enumerate(widths):
        field = rows[:, begin : begin + width]
        digit = (field >= _ZERO) & (field <= _NINE)
        before = np.pad(digit, ((0, 0), (1, 0)))[:, :-1]
        bad = ((digit & ~before).sum(axis=1) != 1) | ~(digit | (field == _BLANK)).all(axis=1)
        bad |= (digit & (np.cumsum(field > _ZERO, axis=1) > 0)).sum(axis=1) > MAX_DIGITS
        if bad.any():
            at = int(np.argmax(bad))
            _not_a_number(field[at].tobytes(), f"DATA, event {at + 1}, $P{i + 1}", inspection)
        for place in range(width):
            here = digit[:, place]
            numbers[here, i] = numbers[here, i] * np.uint64(10) + (field[here, place] - _ZERO)
        begin += width
    return numbers


def _free(text: Array, n: int, n_parameters: int, inspection: Inspection) -> Numbers:
    """Numbers with delimiters between them: exactly as many as there are events and parameters."""
    digit = (text >= _ZERO) & (text <= _NINE)
    stray = np.flatnonzero(~digit & ~np.isin(text, np.frombuffer(_DELIMITERS, np.uint8)))
    if len(stray):
        at = int(stray[0])
        _not_a_number(text[max(0, at - 4) : at + 8].tobytes(), f"DATA, byte {at + 1}", inspection)
    edges = np.flatnonzero(np.diff(digit.astype(np.int8), prepend=0, append=0))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if len(starts) != n * n_parameters:
        inspection.refuse(
            "E_COUNT",
            "$TOT events of $PAR numbers are not what DATA holds",
            where="$TOT",
            found=f"{len(starts)} numbers",
            expected=f"{n} × {n_parameters}",
        )
    long = np.flatnonzero(lengths > MAX_DIGITS)
    if len(long):
        at = int(starts[long[0]])
        _not_a_number(text[at : at + int(lengths[long[0]])].tobytes(), f"DATA, byte {at + 1}", inspection)
    numbers = np.zeros(len(starts), np.uint64)
    for place in range(int(lengths.max(initial=0))):
        here = lengths > place
        numbers[here] = numbers[here] * np.uint64(10) + (text[starts[here] + place] - _ZERO)
    return numbers.reshape(n, n_parameters)


def _not_a_number(found: bytes, where: str, inspection: Inspection) -> None:
    inspection.refuse(
        "E_NUMBER",
        "not a whole number written in digits",
        where=where,
        found=shown(found),
        expected=f"up to {MAX_DIGITS} digits",
    )


def _check_ranges(numbers: Numbers, parameters: Sequence[Parameter], inspection: Inspection) -> None:
    """Text has no bits to mask: a number beyond its range is a fault."""
    for i, parameter in enumerate(parameters):
        highest, largest = float(numbers[:, i].max(initial=0)), parameter.channel.range or 1.0
        if highest >= 2.0 ** np.ceil(np.log2(largest)):
            inspection.refuse(
                "E_RANGE",
                f"values of {parameter.channel.name} lie beyond its range",
                where=f"$P{i + 1}R",
                found=f"{highest:.0f}",
                expected=f"below {largest:g}",
            )
