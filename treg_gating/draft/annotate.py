"""A copy of a sample sheet with a comment on every bad cell, for people who mend sheets in a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treg_gating.errors import InputError
from treg_gating.sheet_columns import column_of, is_treatment
from treg_gating.sheet_table import read_table

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["Remark", "remark_of", "write_annotated"]

_WORKBOOK = b"PK\x03\x04"
_RED = "F4B6B0"


@dataclass(frozen=True, slots=True)
class Remark:
    """What is wrong with a cell.

    Parameters
    ----------
    row : as in Excel, or the line of a CSV file; 0 for the header.
    column : its name here; empty for the whole row.
    problem : what is wrong, in words.
    action : what was expected, and what to do; may be empty.
    """

    row: int
    column: str
    problem: str
    action: str = ""

    @property
    def text(self) -> str:
        """Both, as one text."""
        return ". ".join(part for part in (self.problem, self.action) if part)


def remark_of(fault: InputError) -> Remark:
    """The remark that a fault of the sheet makes.

    >>> remark_of(InputError("unknown role", where="row 5, role", found="'smaple'", expected="sample or fmo"))
    Remark(row=5, column='role', problem="unknown role; found 'smaple'", action='Expected sample or fmo')
    """
    place = re.fullmatch(r"row (\d+)(?:, (\w+))?", fault.where)
    problem = f"{fault.problem}; found {fault.found}" if fault.found else fault.problem
    action = ". ".join(filter(None, (f"Expected {fault.expected}" if fault.expected else "", fault.action)))
    return Remark(int(place[1]) if place else 0, (place[2] or "") if place else "", problem, action)


def write_annotated(path: Path, sheet: Path, remarks: Sequence[Remark]) -> None:
    """Write the copy.

    Parameters
    ----------
    path : the copy, XLSX. sheet : the sheet, CSV or XLSX, with a header row.

    Raises
    ------
    SampleSheetError : the sheet cannot be read as a table.
    """
    raw = sheet.read_bytes()
    book, page, header_row = _copy_of_workbook(raw) if raw.startswith(_WORKBOOK) else _copy_of_csv(sheet)
    columns: dict[str, int] = {}
    for cell in page[header_row]:
        name = column_of(str(cell.value)) if cell.value is not None else None
        if name:
            columns.setdefault(name, cell.column)
    by_cell: dict[tuple[int, int], list[str]] = {}
    for remark in remarks:
        place = (remark.row or header_row, columns.get(remark.column, columns.get("file", 1)))
        by_cell.setdefault(place, []).append(remark.text)
    for (row, column), texts in by_cell.items():
        _mark(page.cell(row, column), "\n".join(dict.fromkeys(texts)))
    book.save(path)


def _copy_of_workbook(raw: bytes) -> tuple[Any, Worksheet, int]:
    import io
    import warnings

    import openpyxl

    from treg_gating.sheet_xlsx import samples_title

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of extensions that it does not copy
        book = openpyxl.load_workbook(io.BytesIO(raw))
    page = book[samples_title([sheet.title for sheet in book.worksheets])]
    book.active = book.worksheets.index(page)
    filled = (row[0].row for row in page.iter_rows() if any(str(cell.value or "").strip() for cell in row))
    return book, page, next(filled, 1)


def _copy_of_csv(sheet: Path) -> tuple[Any, Worksheet, int]:
    """The cells as text; those of a column that tells the treatment are not read, so they are not copied."""
    import openpyxl

    table = read_table(sheet, _all_but_treatment)
    book = openpyxl.Workbook()
    page = book.active
    page.title = "samples"
    for column, header in enumerate(table.headers, start=1):
        _write_text(page.cell(table.header_row, column), header)
    for row in table.rows:
        for name, cell in row.cells.items():
            _write_text(page.cell(row.number, int(name)), cell.text)
    for cells in page.iter_cols():
        longest = max(len(str(cell.value or "")) for cell in cells)
        page.column_dimensions[cells[0].column_letter].width = min(60, longest + 3)
    page.freeze_panes = page.cell(table.header_row + 1, 1)
    return book, page, table.header_row


def _all_but_treatment(headers: Sequence[str]) -> dict[int, str]:
    return {at: str(at + 1) for at, name in enumerate(headers) if not is_treatment(name)}


def _write_text(cell: Any, text: str) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)
    cell.data_type, cell.number_format = "s", "@"


def _mark(cell: Any, text: str) -> None:
    from openpyxl.comments import Comment
    from openpyxl.styles import PatternFill

    comment = Comment(text, "treg-gating check")
    comment.width, comment.height = 360, 40 + 18 * (len(text) // 50 + text.count("\n") + 1)
    cell.comment = comment
    cell.fill = PatternFill("solid", start_color=_RED)
