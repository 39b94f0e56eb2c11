"""Compensation: undo the spillover of dyes into each other's detectors, and read and write matrices.

The events of a sample are rows of what the detectors saw, ``raw = true @ spillover``; so ``true = raw @ inverse``
(Bagwell & Adams 1993). The inverse is that of the small matrix, in float64.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import CompensationError
from treg_gating.sample import EventState, Sample, Spillover

__all__ = ["check_matrix", "compensate", "read_spillover_csv", "write_spillover_csv"]

CHUNK = 1 << 13
MAX_CSV_BYTES = 1 << 24
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def compensate(sample: Sample, spillover: Spillover | None, channels: Sequence[str] | None = None) -> Sample:
    """Compensate the detectors that a matrix names; every other column stays as it is.

    Parameters
    ----------
    sample : raw events.
    spillover : the matrix; the sample must have all of its channels.
    channels : detectors of the matrix that are needed. The others of the matrix are then left out of the result, so
        that no raw value passes for a compensated one. All by default.

    Returns
    -------
    Sample : state compensated, events of the same type, column-major.

    Raises
    ------
    CompensationError : no matrix, the sample is not raw, or a channel is unknown.
    """
    if spillover is None:
        msg = f"{_name(sample)}: no spillover matrix to compensate with; give one as CSV or from controls"
        raise CompensationError(msg)
    check_matrix(sample, spillover, channels or ())
    names = sample.channel_names
    needed = [name for name in names if name in (spillover.channels if channels is None else channels)]
    kept = [i for i, name in enumerate(names) if name in needed or name not in spillover.channels]
    columns = _unmix(sample, spillover, needed, kept)
    result = sample if len(kept) == len(names) else _narrow(sample, kept)
    return result.with_events(columns.T, EventState.COMPENSATED)


def check_matrix(sample: Sample, spillover: Spillover, channels: Sequence[str]) -> None:
    """Refuse, with a CompensationError, what cannot be compensated with this matrix."""
    if sample.state is not EventState.RAW:
        msg = f"{_name(sample)}: its events are {sample.state} already; expected raw events"
        raise CompensationError(msg)
    names = sample.channel_names
    unknown = [name for name in spillover.channels if name not in names]
    if unknown:
        msg = (
            f"{_name(sample)}: the matrix from {spillover.source or 'memory'} names {', '.join(unknown)}; "
            f"the sample has {', '.join(names)}"
        )
        raise CompensationError(msg)
    outside = [name for name in channels if name not in spillover.channels]
    if outside:
        msg = f"{', '.join(outside)} asked for, but not in the matrix ({', '.join(spillover.channels)})"
        raise CompensationError(msg)


def _name(sample: Sample) -> str:
    return sample.path or "sample"


def _narrow(sample: Sample, kept: Sequence[int]) -> Sample:
    from dataclasses import replace

    return replace(sample, events=sample.events[:, kept], channels=tuple(sample.channels[i] for i in kept))


def _unmix(
    sample: Sample, spillover: Spillover, needed: Sequence[str], kept: Sequence[int]
) -> NDArray[np.floating[Any]]:
    """Columns `kept` as rows, shape (len(kept), n_events); those `needed` compensated chunk by chunk in float64."""
    names = sample.channel_names
    sources = [names.index(name) for name in spillover.channels]
    weights = spillover.inverse[:, [spillover.channels.index(name) for name in needed]].T
    place = {column: row for row, column in enumerate(kept)}
    targets = [place[names.index(name)] for name in needed]
    out = np.empty((len(kept), sample.n_events), sample.events.dtype)
    for row, column in enumerate(kept):
        if row not in targets:
            out[row] = sample.events[:, column]
    for first in range(0, sample.n_events, CHUNK):
        raw = sample.events[first : first + CHUNK, sources].T.astype(np.float64)
        out[targets, first : first + raw.shape[1]] = weights @ raw
    return out


def read_spillover_csv(path: str | os.PathLike[str]) -> Spillover:
    """Read a matrix from a table: a header of detectors, one row a dye, with or without a first column of row names.

    Raises
    ------
    CompensationError : names file, row, what was found and what was expected.
    """
    file = os.fspath(path)
    rows = _rows(file)
    header, body = rows[0][1], rows[1:]
    n = len(body)
    if n == 0:
        msg = f"{file}: no rows below the header; expected one a detector"
        raise CompensationError(msg)
    named = all(not _NUMBER.fullmatch(fields[0]) for _, fields in body)
    detectors = header[1:] if named and len(header) == len(body[0][1]) else header
    if len(detectors) != n:
        msg = f"{file}: {n} rows for {len(detectors)} detectors in the header; expected a square matrix"
        raise CompensationError(msg)
    matrix = np.array([_numbers(file, line, fields[1:] if named else fields, n) for line, fields in body])
    if named:
        matrix = matrix[_row_order(file, [fields[0] for _, fields in body], detectors)]
    try:
        return Spillover(tuple(detectors), matrix, source=file)
    except CompensationError as error:
        msg = f"{file}: {error}"
        raise CompensationError(msg) from None


def _rows(file: str) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, with their line numbers, fields without blanks around them."""
    try:
        if Path(file).stat().st_size > MAX_CSV_BYTES:
            msg = f"{file}: larger than {MAX_CSV_BYTES} bytes; expected a small table"
            raise CompensationError(msg)
        text = Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise CompensationError(msg) from error
    except UnicodeDecodeError:
        msg = f"{file}: not UTF-8 text; save the table as CSV (UTF-8)"
        raise CompensationError(msg) from None
    if "\0" in text:
        msg = f"{file}: zero bytes; expected a text table"
        raise CompensationError(msg)
    first = text.split("\n", 1)[0]
    separator = next((mark for mark in (",", "\t", ";") if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [
            (reader.line_num, [field.strip() for field in fields]) for fields in reader if any(map(str.strip, fields))
        ]
    except csv.Error as error:
        msg = f"{file}:{reader.line_num}: {error}"
        raise CompensationError(msg) from None
    if not rows:
        msg = f"{file}: empty; expected a header of detectors"
        raise CompensationError(msg)
    return rows


def _numbers(file: str, line: int, fields: Sequence[str], n: int) -> list[float]:
    if len(fields) != n:
        msg = f"{file}:{line}: {len(fields)} values; expected {n}"
        raise CompensationError(msg)
    for column, field in enumerate(fields, start=1):
        if not _NUMBER.fullmatch(field):
            msg = f"{file}:{line}: value {column} is {field[:40]!r}; expected a number with a decimal point"
            raise CompensationError(msg)
    return [float(field) for field in fields]


def _row_order(file: str, rows: Sequence[str], detectors: Sequence[str]) -> list[int]:
    """For every detector the row of its name."""
    if sorted(rows) != sorted(detectors):
        odd = sorted(set(rows) ^ set(detectors)) or sorted(name for name in rows if list(rows).count(name) > 1)
        msg = f"{file}: row names and header differ in {', '.join(odd)}; expected the same detectors in both"
        raise CompensationError(msg)
    return [list(rows).index(name) for name in detectors]


def write_spillover_csv(path: str | os.PathLike[str], spillover: Spillover) -> None:
    """Write a matrix with row names, so that :func:`read_spillover_csv` gives it back equal."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["", *spillover.channels])
    for name, row in zip(spillover.channels, spillover.matrix, strict=True):
        writer.writerow([name, *(repr(float(value)) for value in row)])
    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_text(buffer.getvalue(), encoding="utf-8")
    temporary.replace(target)
