"""Writing FCS 3.1: list mode, float32, little endian, one data set."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.header import HEADER_BYTES
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.layout import LAST_HEADER_OFFSET
from treg_gating.sample import Channel, Spillover

__all__ = ["is_own", "write_fcs"]

DEFAULT_RANGE = 262144
ROWS = 1 << 16
_DELIMITERS = "/|\x0c\x1e~!\\^*#%&?"
_OWN = re.compile(
    r"\$(BEGIN|END)(DATA|ANALYSIS|STEXT)|\$(BYTEORD|DATATYPE|MODE|NEXTDATA|PAR|TOT|TIMESTEP|SPILLOVER)|\$P[0-9]+[BEGNRS]"
    r"|\$P[0-9]+DATATYPE|SPILL|SPILLOVER|\$COMP"
)


def is_own(key: str) -> bool:
    """Whether a keyword describes how events are stored, so that the writer sets it itself."""
    return _OWN.fullmatch(key.upper()) is not None


def write_fcs(
    path: str | os.PathLike[str],
    events: NDArray[Any],
    channels: Sequence[Channel],
    *,
    spillover: Spillover | None = None,
    keywords: Mapping[str, str] | None = None,
    timestep: float | None = None,
) -> None:
    """Write events as FCS 3.1 that reads back equal: the same arguments give the same bytes.

    Parameters
    ----------
    path : the file; it appears complete or not at all.
    events : shape (n_events, n_channels), on linear scale, stored as float32; Time in seconds.
    channels : one a column; a channel without range gets 262144, or more where its values need it.
    spillover : written as $SPILLOVER.
    keywords : further keywords, written in capitals; those that describe the data are the writer's own.
    timestep : $TIMESTEP in seconds; Time is stored in these steps. 1 by default, which stores it exactly.

    Raises
    ------
    FCSError : E_WRITE where something would not read back equal.
    OSError : the file cannot be written.
    """
    inspection = Inspection(os.fspath(path))
    values = np.asarray(events)
    _check(values, channels, spillover, timestep, inspection)
    pairs = _pairs(values, channels, spillover, keywords or {}, timestep, inspection)
    head = _head(pairs, values.shape[0] * values.shape[1] * 4, inspection)
    clocks = [i for i, channel in enumerate(channels) if channel.is_time]
    target = os.path.abspath(inspection.path)  # noqa: PTH100
    import tempfile  # not for processes that only read

    fd, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=os.path.dirname(target))  # noqa: PTH120
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(head)
            for first in range(0, len(values), ROWS):
                file.write(_stored(values[first : first + ROWS], clocks, timestep or 1.0, inspection).tobytes())
            file.write(b"00000000")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _stored(rows: NDArray[Any], clocks: Sequence[int], step: float, inspection: Inspection) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        if clocks and step != 1:
            rows = rows.astype(np.float64)
            rows[:, clocks] /= step
        stored = np.ascontiguousarray(rows, dtype="<f4")
        if np.isinf(stored).sum() != np.isinf(rows).sum():
            inspection.refuse("E_WRITE", "a value too large for float32")
    return stored


def _check(
    values: NDArray[Any],
    channels: Sequence[Channel],
    spillover: Spillover | None,
    timestep: float | None,
    inspection: Inspection,
) -> None:
    if values.ndim != 2 or values.shape[1] != len(channels) or not channels:
        inspection.refuse("E_WRITE", f"events of shape {values.shape} for {len(channels)} channels")
    if values.dtype.kind not in "fiu":
        inspection.refuse("E_WRITE", "events that are no numbers", found=str(values.dtype))
    names = [channel.name for channel in channels]
    for name in names:
        if not name or name != name.strip() or "," in name or names.count(name) > 1:
            inspection.refuse(
                "E_WRITE",
                "a channel's name is empty, padded, used twice or holds a comma",
                where="$PnN",
                found=shown(name),
            )
    unknown = [name for name in (spillover.channels if spillover else ()) if name not in names]
    if unknown:
        inspection.refuse("E_WRITE", "the matrix names channels that are not written", found=", ".join(unknown))
    if timestep is not None and not (0 < timestep < math.inf):
        inspection.refuse("E_WRITE", "not a time step", where="$TIMESTEP", found=str(timestep))


def _pairs(
    values: NDArray[Any],
    channels: Sequence[Channel],
    spillover: Spillover | None,
    keywords: Mapping[str, str],
    timestep: float | None,
    inspection: Inspection,
) -> list[tuple[str, str]]:
    """Keywords and values in the order they are written, offsets apart."""
    pairs = [
        ("$BYTEORD", "1,2,3,4"), ("$DATATYPE", "F"), ("$MODE", "L"), ("$NEXTDATA", "0"), ("$PAR", str(len(channels))),
        ("$TOT", str(len(values))), ("$BEGINANALYSIS", "0"), ("$ENDANALYSIS", "0"),
        ("$BEGINSTEXT", "0"), ("$ENDSTEXT", "0"),
    ]  # fmt: skip
    if any(channel.is_time for channel in channels):
        pairs.append(("$TIMESTEP", _number(timestep or 1.0)))
    for i, channel in enumerate(channels, start=1):
        largest = channel.range if channel.range else _range(values[:, i - 1])
        pairs += [(f"$P{i}B", "32"), (f"$P{i}E", "0,0"), (f"$P{i}N", channel.name), (f"$P{i}R", _number(largest))]
        if channel.marker:
            if channel.marker != channel.marker.strip():
                inspection.refuse("E_WRITE", "a marker padded with blanks", where=f"$P{i}S")
            pairs.append((f"$P{i}S", channel.marker))
    if spillover is not None:
        numbers = (_number(value) for value in spillover.matrix.ravel())
        pairs.append(("$SPILLOVER", ",".join([str(len(spillover.channels)), *spillover.channels, *numbers])))
    taken = {key for key, _ in pairs}
    for key, value in keywords.items():
        name = key.upper()
        if is_own(name) or name in taken:
            inspection.refuse("E_WRITE", "a keyword the writer sets itself, or given twice", where=shown(key))
        taken.add(name)
        pairs.append((name, value))
    return pairs


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _range(column: NDArray[Any]) -> float:
    finite = column[np.isfinite(column)] if len(column) else column
    top = math.floor(float(finite.max())) + 1.0 if len(finite) else 0.0
    return max(float(DEFAULT_RANGE), top)


def _head(pairs: list[tuple[str, str]], size: int, inspection: Inspection) -> bytes:
    """HEADER and TEXT, with the offsets of `size` bytes of DATA right behind."""
    delim = _delimiter(pairs, inspection)
    body = delim + "".join(_escape(key, value, delim, inspection) for key, value in pairs)
    begin = end = 0
    while True:
        text = (body + f"$BEGINDATA{delim}{begin}{delim}$ENDDATA{delim}{end}{delim}").encode()
        first = HEADER_BYTES + len(text)
        window = (first, first + size - 1) if size else (0, 0)
        if window == (begin, end):
            break
        begin, end = window
    in_header = window if window[1] <= LAST_HEADER_OFFSET else (0, 0)
    offsets = (HEADER_BYTES, HEADER_BYTES + len(text) - 1, *in_header, 0, 0)
    return ("FCS3.1    " + "".join(f"{offset:8d}" for offset in offsets)).encode() + text


def _delimiter(pairs: list[tuple[str, str]], inspection: Inspection) -> str:
    """One that no keyword and, if possible, no value holds."""
    everything = "".join(key + value for key, value in pairs)
    for delim in _DELIMITERS:
        if delim not in everything:
            return delim
    keys = "".join(key for key, _ in pairs)
    for delim in _DELIMITERS:
        if delim not in keys and not any(
            value.startswith(delim) or value.endswith(delim) or delim + "$" in value for _, value in pairs
        ):
            return delim
    inspection.refuse("E_WRITE", "every possible delimiter occurs in keywords and values")
    return None


def _escape(key: str, value: str, delim: str, inspection: Inspection) -> str:
    if not key or key != key.strip() or not (key.isascii() and key.isprintable()):
        inspection.refuse("E_WRITE", "not a legal keyword", where=shown(key), expected="printable ASCII")
    if not value or "\0" in value or re.search("[\ud800-\udfff]", value):
        inspection.refuse("E_WRITE", "a value that is empty or cannot be encoded", where=shown(key), found=shown(value))
    return key + delim + value.replace(delim, delim + delim) + delim
