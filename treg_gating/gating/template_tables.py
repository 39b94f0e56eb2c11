"""The CSV tables of a template, row by row, with the line each row stands on."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from treg_gating.errors import InputError

__all__ = ["COLUMNS", "Row", "read_table", "suggestion"]

COLUMNS: dict[str, tuple[str, ...]] = {
    "panel": ("marker", "synonyms", "transform", "args", "required", "channel"),
    "gates": ("population", "parent", "dims", "sign", "method", "args", "share", "fallback"),
    "endpoints": ("endpoint", "numerator", "denominator", "unit", "primary"),
}
"""Columns of every table; ``channel`` may be left out."""

OPTIONAL = frozenset({"channel"})


@dataclass(frozen=True)
class Row:
    """One row of a table with its place in the file."""

    file: str
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def fault(self, problem: str, *, found: str = "", expected: str = "", action: str = "") -> InputError:
        """A fault on this row."""
        return InputError(problem, file=self.file, where=str(self.line), found=found, expected=expected, action=action)


def read_table(path: Path, faults: list[InputError]) -> list[Row]:
    """Rows of one table; what is wrong with its form goes into `faults`. Blank lines and # lines are passed over."""
    wanted = COLUMNS[path.stem]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(InputError(f"cannot be read: {error}", file=str(path)))
        return []
    rows: list[Row] = []
    header: list[str] | None = None
    for line, values in _lines(path, text, faults):
        if not any(values) or values[0].startswith("#"):
            continue
        if header is None:
            header = [value.lower() for value in values]
            found = _header_faults(path, line, header, wanted)
            faults.extend(found)
            if found:
                return []  # every row would be at fault for the same reason
            continue
        if len(values) > len(header):
            msg = f"{len(values)} cells under {len(header)} columns (a comma inside a cell needs quotation marks)"
            faults.append(InputError(msg, file=str(path), where=str(line)))
        rows.append(Row(str(path), line, dict(zip(header, values, strict=False))))
    if not rows:
        faults.append(InputError("holds no rows", file=str(path), expected=", ".join(wanted)))
    return rows


def _lines(path: Path, text: str, faults: list[InputError]) -> Iterator[tuple[int, list[str]]]:
    """Cells of every line with its number, as an editor counts; a cell does not run over lines."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if line.lstrip().startswith("#"):
            continue  # a comment may hold anything
        try:
            for cells in csv.reader([line], strict=True):
                yield number, [cell.strip() for cell in cells]
        except csv.Error as error:
            msg = f"cannot be read as comma-separated cells ({error}); is a quotation mark left open?"
            faults.append(InputError(msg, file=str(path), where=str(number), found=repr(line[:60])))


def _header_faults(path: Path, line: int, header: list[str], wanted: Iterable[str]) -> list[InputError]:
    missing = [name for name in wanted if name not in header and name not in OPTIONAL]
    if missing and len(header) == 1 and ";" in header[0]:
        msg = "cells are separated by semicolons"
        return [InputError(msg, file=str(path), where=str(line), expected="commas (the cells hold semicolons)")]
    unknown = [name for name in header if name not in wanted]
    twice = sorted({name for name in header if header.count(name) > 1})
    faults = [InputError(f"column {name!r} is missing", file=str(path), where=str(line)) for name in missing]
    faults += [InputError(f"column {name!r} stands twice", file=str(path), where=str(line)) for name in twice]
    for name in unknown:
        msg = f"unknown column {name!r}"
        faults.append(InputError(msg, file=str(path), where=str(line), action=suggestion(name, wanted)))
    return faults


def suggestion(name: str, known: Iterable[str]) -> str:
    """'did you mean …?' or nothing."""
    near = get_close_matches(name, list(known), 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else ""
