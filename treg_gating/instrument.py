"""What a file says of the instrument that wrote it: for a laboratory's records and MIFlowCyt. Nobody's name is kept."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from treg_gating.sample import Channel

__all__ = ["CHANNEL_SETTINGS", "acquired_on", "instrument_settings"]

CHANNEL_SETTINGS = {
    "V": "detector voltage, V",
    "G": "gain",
    "F": "optical filter",
    "L": "excitation wavelength, nm",
    "O": "excitation power, mW",
    "T": "detector type",
    "R": "range",
    "E": "amplification",
}
_WHOLE = (
    "$CYT",
    "$CYTSN",
    "CYTNUM",
    "CREATOR",
    "$SYS",
    "CYTOMETER CONFIG NAME",
    "THRESHOLD",
    "$TR",
    "$VOL",
    "$TIMESTEP",
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LASER = re.compile(r"#?LASER\d+(NAME|COLOR|ASF|DELAY|POWER|WAVELENGTH)")


def instrument_settings(
    keywords: Mapping[str, str], channels: Sequence[Channel], used: Sequence[str]
) -> dict[str, str]:
    """Settings of the instrument, and of the channels in use as ``"PE-A $PnV"``.

    Parameters
    ----------
    keywords : of the file, in upper case. channels : all of the file, in its order. used : $PnN of those in use.
    """
    names = [*_WHOLE, *sorted(name for name in keywords if _LASER.fullmatch(name))]
    found = {name: keywords[name].strip() for name in names if keywords.get(name, "").strip()}
    for number, channel in enumerate(channels, start=1):
        if channel.name not in used:
            continue
        for letter in CHANNEL_SETTINGS:
            value = keywords.get(f"$P{number}{letter}", "").strip()
            if value:
                found[f"{channel.name} $Pn{letter}"] = value
    return found


def acquired_on(date: str) -> str:
    """ISO form of $DATE where its month is named; else the text as it stands.

    >>> acquired_on("05-JAN-2026"), acquired_on("2013-Jul-19"), acquired_on("1/2/2020")
    ('2026-01-05', '2013-07-19', '1/2/2020')
    """
    text = date.strip()
    match = re.fullmatch(r"(\d{1,4})[-\s/.]([A-Za-z]{3})[a-z]*[-\s/.](\d{1,4})", text)
    if not match or match[2].lower() not in _MONTHS:
        return text
    first, last = match[1], match[3]
    year, day = (first, last) if len(first) == 4 else (last, first)
    if len(year) != 4:
        return text
    try:
        return dt.date(int(year), _MONTHS.index(match[2].lower()) + 1, int(day)).isoformat()
    except ValueError:
        return text
