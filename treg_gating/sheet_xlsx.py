"""Cells of an Excel workbook as text: what a person sees, or a reason why it cannot be told."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import openpyxl

from treg_gating.errors import InputError, SampleSheetError
from treg_gating.sheet_cells import Cell, CellReader
from treg_gating.sheet_columns import HELPER_SHEETS

__all__ = ["samples_title", "shown_number", "xlsx_rows"]

MAX_UNPACKED = 200_000_000
_SHEET_NAMES = ("samples", "sample sheet", "samplesheet", "tubes")
_DAMAGE = (
    *(zipfile.BadZipFile, KeyError, ValueError, TypeError, IndexError, AttributeError, OSError, EOFError),
    *(SyntaxError, zlib.error, NotImplementedError),  # XML parse errors are SyntaxErrors
)


def xlsx_rows(file: str, raw: bytes) -> tuple[Iterator[tuple[int, list[CellReader]] | InputError], list[str]]:
    """Rows of the sheet called "samples", else of the first one, and notes on how it was read.

    Raises
    ------
    SampleSheetError : damaged, protected, or not a workbook.
    """
    _check_package(file, raw)
    try:
        rows, title, others = _load(raw, formulas=True)
        formulas = any(cell.data_type == "f" for row in rows for cell in row)
        values = _load(raw, formulas=False)[0] if formulas else rows
    except _DAMAGE as error:
        problem = f"the Excel file cannot be read ({type(error).__name__})"
        raise SampleSheetError([InputError(problem, file=file, action="Open and save it in Excel again")]) from None
    notes = [f"{file}: read from the sheet {title!r}; it also has {', '.join(others)}."] if others else []
    return _rows(rows, values), notes


def samples_title(titles: Sequence[str]) -> str:
    """Of a workbook's sheets the one called "samples", else the first."""
    named = [title for title in titles if title.strip().casefold() in _SHEET_NAMES]
    return (named or titles)[0]


def _check_package(file: str, raw: bytes) -> None:
    """Refuse what a workbook never holds and an attack may: entities, and more than can be meant."""
    problem = ""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as package:
            if sum(item.file_size for item in package.infolist()) > MAX_UNPACKED:
                problem = f"the Excel file unpacks to more than {MAX_UNPACKED // 1_000_000} MB"
            else:
                for item in package.infolist():
                    if item.filename.lower().endswith((".xml", ".rels")):
                        part = package.read(item)
                        if b"<!DOCTYPE" in part or b"<!ENTITY" in part or part[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                            problem = f"the Excel file's part {item.filename} declares XML entities"
    except _DAMAGE as error:
        problem = f"the Excel file is damaged ({error})"
    except RuntimeError:  # zipfile's word for a password
        problem = "the Excel file has a password"
    if problem:
        raise SampleSheetError([InputError(problem, file=file, action="Save it in Excel again, or as CSV")])


def _load(raw: bytes, *, formulas: bool) -> tuple[list[tuple[Any, ...]], str, list[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of drop-downs and styles it would not write back
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=not formulas)
        try:
            titles = [sheet.title for sheet in book.worksheets]
            title = samples_title(titles)
            sheet = book[title]
            sheet.reset_dimensions()  # some writers state a wrong extent
            return (
                list(sheet.iter_rows()),
                title,
                [repr(other) for other in titles if other not in {title, *HELPER_SHEETS}],
            )
        finally:
            book.close()


def _rows(rows: list[tuple[Any, ...]], values: list[tuple[Any, ...]]) -> Iterator[tuple[int, list[CellReader]]]:
    for number, (row, stored) in enumerate(zip(rows, values, strict=True), start=1):
        yield number, [_reader(cell, value) for cell, value in zip(row, stored, strict=True)]


def _reader(cell: Any, stored: Any) -> CellReader:
    return lambda: _cell(cell, stored)


def _cell(cell: Any, stored: Any) -> Cell:
    """Text of a cell; `stored` is the same cell with a formula's last result."""
    value = stored.value
    if cell.data_type == "f" and value is None:
        return Cell(
            "", problem="a formula whose result is not stored; open and save the file in Excel, or type the value"
        )
    if value is None:
        return Cell("")
    if stored.data_type == "e":
        return Cell(str(value), problem="an Excel error")
    if isinstance(value, bool):
        return Cell(str(value).upper())
    if isinstance(value, int | float):
        text, problem = shown_number(value, stored.number_format or "General")
        return Cell(text, float(value), problem)
    if isinstance(value, dt.datetime):
        at_midnight = value.time() == dt.time()
        text = value.date().isoformat() if at_midnight else value.isoformat(timespec="seconds")
        return Cell(text, is_date=True)
    if isinstance(value, dt.date | dt.time):
        return Cell(value.isoformat(), is_date=True)
    if isinstance(value, dt.timedelta):
        return Cell(str(value), problem="a duration")
    return Cell(str(value).strip())


def shown_number(value: float, number_format: str) -> tuple[str, str]:
    """The text that Excel shows for a number, and why it may differ.

    >>> shown_number(1, "General"), shown_number(1, "000"), shown_number(7, '"S-"000')
    (('1', ''), ('001', ''), ('S-007', ''))
    """
    plain = str(int(value)) if float(value).is_integer() else format(value, ".15g")
    shown = re.sub(r"\[[^\]]*\]", "", number_format.split(";")[0]).strip()
    if abs(value) >= 1e15:
        return plain, "a number of more than 15 digits, of which Excel keeps only 15; format the column as text"
    if shown in {"General", "@", ""}:
        return plain, ""
    decimals = re.fullmatch(r"(#,##)?0(?:\.(0+))?", shown)
    if decimals:
        text = f"{value:.{len(decimals[2] or '')}f}"
        same = float(text) == value
        return (text, "") if same else (plain, f"Excel shows {text} and stores {plain}; format the column as text")
    padded = _padded(value, shown)
    if padded is None:
        return plain, f"stored as {plain} and shown by the number format {number_format!r}; format the column as text"
    return padded, ""


def _padded(value: float, shown: str) -> str | None:
    """Digits put into a format of zeros, number signs and literal text; None for any other format."""
    tokens = re.findall(r'"[^"]*"|\\.|[-+/ ():_.]|[0#]|.', shown)
    if any(re.fullmatch(r'"[^"]*"|\\.|[-+/ ():]|[0#]', token) is None for token in tokens):
        return None
    if value < 0 or not float(value).is_integer() or "0" not in tokens:
        return None
    places = [at for at, token in enumerate(tokens) if token in {"0", "#"}]
    digits = str(int(value)).rjust(len(places))
    surplus = len(digits) - len(places)
    out = [token[1:-1] if token.startswith('"') else token[-1] for token in tokens]
    for order, at in enumerate(places):
        digit = digits[: surplus + 1] if order == 0 else digits[surplus + order]
        out[at] = digit if digit.strip() else ("0" if tokens[at] == "0" else "")
    return "".join(out)
