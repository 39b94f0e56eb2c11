"""The spillover matrix of a file: $SPILLOVER (FCS 3.1), SPILL (BD and others), $COMP (FCS 3.0)."""

from __future__ import annotations

import re
from typing import NoReturn

import numpy as np

from treg_gating.errors import CompensationError, FCSError
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.text import Keywords
from treg_gating.sample import Channel, Spillover

__all__ = ["parse_spillover", "read_spillover"]

KEYS = ("$SPILLOVER", "SPILL", "SPILLOVER")
MAX_CHANNELS = 1000
_DFC = re.compile(r"\$DFC[0-9]+TO[0-9]+")
_LETTER = re.compile(r"[A-Za-z]")


def read_spillover(keywords: Keywords, channels: tuple[Channel, ...], inspection: Inspection) -> Spillover | None:
    """The file's matrix, or None where it has none.

    Raises
    ------
    FCSError : E_SPILLOVER where a matrix is malformed or two of them differ.
    """
    _warn_of_percentages(keywords, inspection)
    found = [matrix for key in KEYS if (matrix := _read_key(keywords, key, channels, inspection)) is not None]
    if not found and "$COMP" in keywords:
        return _read_key(keywords, "$COMP", channels, inspection)
    for other in found[1:]:
        if other.channels != found[0].channels or not np.array_equal(other.matrix, found[0].matrix):
            where = f"{found[0].source} and {other.source}"
            inspection.refuse("E_SPILLOVER", "two matrices that differ", where=where, expected="one matrix")
    return found[0] if found else None


def _warn_of_percentages(keywords: Keywords, inspection: Inspection) -> None:
    """$DFCiTOj of FCS 2.0 says what the instrument subtracted, or what it should have; it does not say which."""
    said = {key: value for key, value in keywords.items() if key.startswith("$DFC")}
    factors = [key for key, value in said.items() if _DFC.fullmatch(key) and value.strip(" 0.")]
    if factors:
        inspection.warn("W_SPILLOVER", "compensation percentages of FCS 2.0 were not used", ", ".join(factors[:6]))


def _read_key(keywords: Keywords, key: str, channels: tuple[Channel, ...], inspection: Inspection) -> Spillover | None:
    if key not in keywords:
        return None
    value = keywords[key].strip()
    fields = value.split(",")
    if value in {"", "0"}:
        inspection.warn("W_SPILLOVER", "a matrix without channels; none was read", key)
        return None
    if len(fields) > 1 and fields[0] == str(len(fields) - 1) and all(_LETTER.search(field) for field in fields[1:]):
        inspection.warn("W_SPILLOVER", "channels without a matrix; none was read", key)
        return None
    return parse_spillover(value, key, channels, inspection)


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
    """The $PnN a matrix means by `name`; a unique $PnS or a parameter's number is accepted with a warning."""
    if any(channel.name == name for channel in channels):
        return name
    by_marker = [channel.name for channel in channels if channel.marker == name and name]
    if len(by_marker) == 1:
        inspection.warn("W_SPILLOVER", f"{key} names {shown(name)}, the $PnS of {by_marker[0]}; read as that channel")
        return by_marker[0]
    if name.isascii() and name.isdigit() and len(name) < 5 and 0 < int(name) <= len(channels):
        inspection.warn("W_SPILLOVER", "channels are given by their numbers", key)
        return channels[int(name) - 1].name
    inspection.refuse(
        "E_SPILLOVER",
        "the matrix names a channel the file does not have",
        where=key,
        found=shown(name),
        expected="a $PnN of this file",
    )
    return None
