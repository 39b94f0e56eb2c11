"""Cells of a CSV or Excel table as text, with the row number that a person sees in the file.

Only the columns that the caller picks are turned into cells; what stands in any other column never enters an object.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from treg_gating.errors import InputError, SampleSheetError
from treg_gating.sheet_cells import Cell, CellReader

__all__ = ["Picker", "Row", "Table", "read_table"]

MAX_BYTES = 50_000_000
_TOO_WIDE = "the row has more cells than the header"

Picker = Callable[[Sequence[str]], Mapping[int, str]]
"""From the header's texts to the columns wanted: index → name."""


@dataclass(frozen=True, slots=True)
class Row:
    """The picked cells of one row, by column; `number` is the line of the file or the row in Excel."""

    number: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """A table as read.

    Parameters
    ----------
    headers : texts of the header row, all columns.
    header_row : its number.
    rows : rows with at least one picked cell filled.
    faults : rows that cannot be read, or do not fit the header.
    notes : how the file was read, where that is not obvious.
    sha256 : digest of the file.
    """

    headers: tuple[str, ...]
    header_row: int
    rows: tuple[Row, ...]
    faults: tuple[InputError, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str = ""


SHEET = "a sample sheet"
_NO_TABLE = re.compile(rb"(\xef\xbb\xbf)?\s*(<|%PDF|FCS\d\.\d)")


def read_table(path: Path, pick: Picker, what: str = SHEET) -> Table:
    """Read the table in `path`: CSV with comma, semicolon or tab, or XLSX, told apart by content.

    Parameters
    ----------
    what : is expected there, in words.

    Raises
    ------
    SampleSheetError : the file cannot be read as a table at all.
    """
    raw = _read_bytes(path, what)
    digest = hashlib.sha256(raw).hexdigest()
    is_workbook = raw.startswith(b"PK\x03\x04")
    if is_workbook:
        from treg_gating.sheet_xlsx import xlsx_rows  # openpyxl takes a quarter of a second to import

        lines, notes = xlsx_rows(path.name, raw)
    elif raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refuse(path.name, "an old Excel file or one with a password", action="Save it as .xlsx, or as CSV")
    elif _NO_TABLE.match(raw):
        problem = "a document such as a FlowJo workspace, or an FCS file, where a table is expected"
        action = f"Give {what} in CSV or XLSX"
        if what == SHEET:
            action = "Draft a sheet with 'treg-gating init FOLDER', or give one of CSV or XLSX"
        raise _refuse(path.name, problem, action=action)
    else:
        text, notes = _decode(path.name, raw)
        lines = _csv_rows(path.name, text)
    table = _assemble(path.name, lines, pick)
    # In a workbook a remark beside the table breaks nothing; in a CSV file it means that a row has slipped.
    faults = [fault for fault in table.faults if not (is_workbook and fault.problem == _TOO_WIDE)]
    return replace(table, faults=tuple(faults), notes=tuple(notes), sha256=digest)


def _assemble(file: str, lines: Iterator[tuple[int, list[CellReader]] | InputError], pick: Picker) -> Table:
    headers: tuple[str, ...] | None = None
    header_row, rows, faults = 0, [], []
    picked: Mapping[int, str] = {}
    for line in lines:
        if isinstance(line, InputError):
            faults.append(line)
            continue
        number, cells = line
        if headers is None:
            texts = [cell().text for cell in cells]
            if any(texts):
                headers, header_row = tuple(texts), number
                picked = pick(texts)
            continue
        row = {name: cells[at]() if at < len(cells) else Cell("") for at, name in picked.items()}
        if any(cell.text or cell.problem for cell in row.values()):
            rows.append(Row(number, row))
        if any(cell().text for cell in cells[len(headers) :]):
            faults.append(
                InputError(
                    _TOO_WIDE,
                    file=file,
                    where=f"row {number}",
                    found=f"{len(cells)} cells",
                    expected=f"at most {len(headers)}",
                    action="A value that holds the separator must stand in double quotes",
                )
            )
    if headers is None:
        if faults:
            raise SampleSheetError(faults)
        raise _refuse(file, "the table is empty", expected="a header row, then one row a tube")
    return Table(headers, header_row, tuple(rows), tuple(faults))


def _refuse(file: str, problem: str, **details: str) -> SampleSheetError:
    return SampleSheetError([InputError(problem, file=file, **details)])


def _read_bytes(path: Path, what: str) -> bytes:
    expected = f"{what} in CSV or XLSX"
    try:
        if not path.exists():
            raise _refuse(str(path), "there is no such file", expected=expected)
        if not path.is_file():
            action = f"Draft one of the files in a folder with 'treg-gating init {path}'" if what == SHEET else ""
            raise _refuse(str(path), "not a file", expected=expected, action=action)
        if path.stat().st_size > MAX_BYTES:
            raise _refuse(str(path), "too large for a table", expected=f"at most {MAX_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise _refuse(str(path), f"cannot be read: {error.strerror}") from None


def _decode(file: str, raw: bytes) -> tuple[str, list[str]]:
    """Text of a CSV file as Excel writes it: UTF-8, UTF-16 with its mark, or Western European (cp1252)."""
    encodings = ["utf-16"] if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        note = f"{file} is not UTF-8; it was read as Western European text (cp1252). Check names with accents."
        return text, [note] if encoding == "cp1252" else []
    raise _refuse(file, "neither a text table nor an Excel file", expected="CSV in UTF-8, or XLSX")


def _csv_rows(file: str, text: str) -> Iterator[tuple[int, list[CellReader]] | InputError]:
    """Rows with the number of the line each begins on, whatever line breaks stand inside quotes."""
    delimiter, skip = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            action = "Look for a double quote that is not closed"
            yield InputError(f"the row cannot be read: {error}", file=file, where=f"row {begins}", action=action)
            return
        if begins > skip:
            yield begins, [_text_reader(value) for value in values]


def _text_reader(value: str) -> CellReader:
    return lambda: Cell(value.strip())


def _delimiter(text: str) -> tuple[str, int]:
    """The separator, by Excel's own ``sep=`` line or the one most frequent in the header; lines to skip."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    stated = re.fullmatch(r"\"?sep=(.)\"?", first.strip("\r\n"), re.IGNORECASE)
    if stated:
        return stated[1], next(at for at, line in enumerate(text.splitlines(), start=1) if line.strip())
    unquoted = re.sub(r'"[^"]*"', "", first)
    return max(",;\t", key=unquoted.count), 0
