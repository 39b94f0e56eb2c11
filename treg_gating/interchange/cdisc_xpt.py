"""SAS transport files, version 5: everything is checked before a byte is written, and the clock stays out.

pyreadstat, which writes the format, cuts labels at 40 characters without a word, takes values that the format's readers
refuse, and stamps the time of writing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, StudyError
from treg_gating.interchange.cdisc_variables import DatasetPlan, Variable
from treg_gating.run.files import replace_file

__all__ = ["Record", "check_records", "fix_stamps", "write_xpt"]

Record = Mapping[str, str | float | int | None]

MAX_TEXT, MAX_NAME, MAX_LABEL = 200, 8, 40
_STAMP = re.compile(rb"\d{2}[A-Z]{3}\d{2}:\d{2}:\d{2}:\d{2}")
_STAMP_PLACES = (144, 160, 464, 480)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LIMITS = {"CPTESTCD": 8, "CPTEST": 40, "QNAM": 8, "QLABEL": 40, "PARAMCD": 8}


def check_records(plan: DatasetPlan, records: Sequence[Record]) -> None:
    """Names, labels, text and numbers against what the format and the agencies take.

    Raises
    ------
    StudyError : every fault with data set, record and variable.
    """
    faults: list[InputError] = []
    for variable in plan.variables:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable.name) or len(variable.name) > MAX_NAME:
            faults.append(InputError("a variable's name does not fit", file=plan.name, found=variable.name))
        if not variable.label.isascii() or not 0 < len(variable.label) <= MAX_LABEL:
            faults.append(InputError("a variable's label does not fit", file=plan.name, found=variable.label))
    seen: dict[tuple[object, ...], int] = {}
    for number, record in enumerate(records, start=1):
        for variable in plan.variables:
            problem, expected = _problem(variable, record.get(variable.name))
            if problem:
                shown = repr(record.get(variable.name))[:80]
                where = f"record {number}, {variable.name}"
                faults.append(InputError(problem, file=plan.name, where=where, found=shown, expected=expected))
        key = tuple(record.get(name) for name in plan.keys)
        if seen.setdefault(key, number) != number:
            problem = f"the same key as record {seen[key]}"
            faults.append(InputError(problem, file=plan.name, where=f"record {number}", found=repr(key)[:160]))
    if faults:
        raise StudyError(faults)


def _problem(variable: Variable, value: object) -> tuple[str, str]:
    if variable.kind == "Num":
        if value is None:
            return ("is empty", "a number") if variable.core == "Req" else ("", "")
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return ("", "") if number else ("is no finite number", "a number, or nothing")
    if value is None or value == "":
        return ("is empty", "a text") if variable.core == "Req" else ("", "")
    if not isinstance(value, str):
        return "is no text", "a text"
    if not value.isascii() or not value.isprintable():
        return "has characters beyond printable ASCII", "letters, digits and signs of ASCII (rename it in the study)"
    limit = _LIMITS.get(variable.name, MAX_TEXT)
    return ("is too long", f"at most {limit} characters") if len(value) > limit else ("", "")


def write_xpt(path: Path, plan: DatasetPlan, records: Sequence[Record], created: str) -> None:
    """Write one data set; equal records give equal bytes.

    Parameters
    ----------
    created : when the run ended, UTC ISO 8601; stamped in place of the clock.

    Raises
    ------
    StudyError : a value does not fit; nothing is written.
    InputError : pyreadstat is not installed.
    """
    check_records(plan, records)
    try:
        import pyreadstat
    except ImportError:
        problem = "pyreadstat is not installed"
        raise InputError(problem, action="Install it: pip install 'treg-gating[cdisc]'") from None
    import pandas as pd

    columns: dict[str, Any] = {}
    for variable in plan.variables:
        values = [record.get(variable.name) for record in records]
        if variable.kind == "Num":
            columns[variable.name] = pd.Series([math.nan if v is None else float(v) for v in values], dtype="float64")
        else:
            columns[variable.name] = pd.Series(["" if v is None else v for v in values], dtype="object")
    frame = pd.DataFrame(columns)
    labels: list[str | None] = [variable.label for variable in plan.variables]

    def write(temporary: Path) -> None:
        pyreadstat.write_xport(
            frame, str(temporary), file_label=plan.label, column_labels=labels, table_name=plan.name,
            file_format_version=5,
        )  # fmt: skip
        temporary.write_bytes(fix_stamps(temporary.read_bytes(), created))

    replace_file(path, write)


def fix_stamps(content: bytes, created: str) -> bytes:
    """The file with the time of the run in place of the time of writing."""
    when = datetime.fromisoformat(created)
    stamp = f"{when.day:02d}{_MONTHS[when.month - 1]}{when.year % 100:02d}:{when:%H:%M:%S}".encode("ascii")
    fixed = bytearray(content)
    for place in _STAMP_PLACES:
        if not _STAMP.fullmatch(bytes(fixed[place : place + 16])):
            msg = f"no time stamp at byte {place}: pyreadstat writes another layout than this version knows"
            raise RuntimeError(msg)
        fixed[place : place + 16] = stamp
    return bytes(fixed)
