"""The spillover matrix of a file: $SPILLOVER (FCS 3.1), SPILL (BD and others), $COMP (FCS 3.0)."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from treg_gating.errors import CompensationError, FCSError
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.text import Keywords
from treg_gating.sample import Channel, Spillover

__all__ = ["parse_spillover", "read_spillover"]

KEYS = ("$SPILLOVER", "SPILL", "SPILLOVER", "$COMP")
MAX_CHANNELS = 1000


def read_spillover(keywords: Keywords, channels: tuple[Channel, ...], inspection: Inspection) -> Spillover | None:
    """The file's matrix, or None where it has none.

    Raises
    ------
    FCSError : E_SPILLOVER where a matrix is malformed or two of them differ.
    """
    found: list[Spillover] = []
    for key in KEYS:
        if key not in keywords:
            continue
        value = keywords[key].strip()
        if value in {"", "0"}:
            inspection.warn(
                "W_SPILLOVER", f"{key} is {'empty' if not value else 'a matrix of no channels'}; no matrix read"
            )
        elif (matrix := parse_spillover(value, key, channels, inspection)) is not None:
            found.append(matrix)
    for other in found[1:]:
        if other.channels != found[0].channels or not np.array_equal(other.matrix, found[0].matrix):
            inspection.refuse(
                "E_SPILLOVER",
                "two matrices that differ",
                where=f"{found[0].source} and {other.source}",
                expected="one matrix",
            )
    return found[0] if found else None


def parse_spillover(value: str, key: str, channels: tuple[Channel, ...], inspection: Inspection) -> Spillover | None:
    """Parse ``n,name1,…,namen,m11,m12,…,mnn``; None where $COMP does not say which channels it means."""

    def bad(problem: str, found: str, expected: str) -> NoReturn:
        inspection.refuse("E_SPILLOVER", problem, where=key, found=found, expected=expected)

    fields = [field.strip() for field in value.split(",")]
    n = int(fields[0]) if fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 5 else 0
    if not 0 < n <= MAX_CHANNELS:
        bad("the matrix does not begin with its size", shown(fields[0]), f"1 to {MAX_CHANNELS}")
    if key == "$COMP" and len(fields) == 1 + n * n:
        if n != len(channels):
            inspection.warn(
                "W_SPILLOVER", f"$COMP is {n} × {n} without channel names for {len(channels)} channels; not used"
            )
            return None
        fields[1:1] = [channel.name for channel in channels]
    if len(fields) != 1 + n + n * n:
        bad(f"not the number of fields a matrix of {n} channels has", f"{len(fields)} fields", f"{1 + n + n * n}")
    names = tuple(_channel(name, key, channels, inspection) for name in fields[1 : n + 1])
    try:
        numbers = [inspection.number(text, key) for text in fields[n + 1 :]]
        return Spillover(names, np.array(numbers).reshape(n, n), source=key)
    except CompensationError as error:
        bad(str(error), shown(value), "fractions, 1 on the diagonal, distinct channels")
    except FCSError as error:
        bad("an element that is no number", error.found, "decimal numbers separated by commas")


def _channel(name: str, key: str, channels: tuple[Channel, ...], inspection: Inspection) -> str:
    """The $PnN a matrix means by `name`; a unique $PnS is accepted with a warning."""
    if any(channel.name == name for channel in channels):
        return name
    by_marker = [channel.name for channel in channels if channel.marker == name and name]
    if len(by_marker) == 1:
        inspection.warn("W_SPILLOVER", f"{key} names {shown(name)}, the $PnS of {by_marker[0]}; read as that channel")
        return by_marker[0]
    inspection.refuse(
        "E_SPILLOVER",
        "the matrix names a channel the file does not have",
        where=key,
        found=shown(name),
        expected="a $PnN of this file",
    )
    return None
