"""Tables as sheets of a workbook: numbers stay numbers, text stays text, the same content gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from treg_gating.tables import WORKBOOK_DATE, Column

__all__ = ["Cell", "Heading", "Line", "Page", "Sheet", "write_workbook"]

Cell = str | int | float | None

_MAX_ROWS = 1_000_000  # Excel has 1,048,576
_MAX_TEXT = 32_000
_SAMPLED = 400  # rows from which the width of a column is told
_NARROWEST, _WIDEST, _DIGEST = 8, 60, 14
_PRINTED = 220  # characters that a printed page can hold beside each other
_YELLOW, _RED = "#FFF2AB", "#F4B6B0"
_FILLS = {"review": _YELLOW, **dict.fromkeys(("failed", "not_estimable", "fail", "to fill in"), _RED)}


@dataclass(frozen=True)
class Sheet:
    """A table with a header that stays in sight.

    Parameters
    ----------
    name : at most 31 characters.
    columns : headers, kinds and meanings; a meaning becomes a comment on the header.
    rows : values by column name; None leaves the cell empty.
    empty : the line that stands where there is no row.
    marked : names of columns whose cells are coloured by their value ("review", "failed", ...).
    """

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Mapping[str, Cell]]
    empty: str = "none"
    marked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """A line in bold on a page."""

    text: str


Line = Heading | Sequence[Cell]


@dataclass(frozen=True)
class Page:
    """Lines of cells without a table's header: a summary, or blocks to be copied.

    Parameters
    ----------
    lines : a heading, or the cells of a line.
    frozen : columns that stay in sight.
    """

    name: str
    lines: Sequence[Line]
    widths: tuple[int, ...] = ()
    frozen: tuple[int, int] = (0, 0)
    formats: Mapping[int, str] = field(default_factory=dict)


def write_workbook(path: Path, title: str, sheets: Sequence[Sheet | Page]) -> None:
    """Write the sheets in their order; text is never run as a formula, a link or a number."""
    import xlsxwriter

    options = {
        "constant_memory": True,  # rows go to disk as they come: a cohort of ten thousand tubes fits
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": title, "created": WORKBOOK_DATE})
        writer = _Writer(book)
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            page.set_landscape()
            page.set_paper(9)  # A4
            page.set_margins(0.4, 0.4, 0.6, 0.6)
            page.set_footer("&L&A&R&P / &N")
            if isinstance(sheet, Sheet):
                writer.table(page, sheet)
            else:
                writer.page(page, sheet)


class _Writer:
    """Writes sheets with the formats of one workbook."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.formats: dict[tuple[str, str], Any] = {}
        self.bold = book.add_format({"bold": True})
        head = {"bold": True, "bottom": 1, "valign": "top", "text_wrap": True, "bg_color": "#F2F2F2"}
        self.heads = {
            True: book.add_format({**head, "align": "left", "indent": 1}),
            False: book.add_format({**head, "align": "right"}),
        }

    def format(self, number: str, fill: str = "") -> Any:
        """The format of a kind of number on a fill."""
        if (number, fill) not in self.formats:
            values: dict[str, Any] = {"num_format": number, "valign": "top", **({"bg_color": fill} if fill else {})}
            if number == "@":
                values.update(align="left", indent=1)  # else it touches the number in the column before it
            self.formats[number, fill] = self.book.add_format(values)
        return self.formats[number, fill]

    def table(self, page: Any, sheet: Sheet) -> None:
        rows = iter(sheet.rows)
        first = list(islice(rows, _SAMPLED))
        for at, column in enumerate(sheet.columns):
            page.set_column(at, at, _width(column, first))
        page.fit_to_pages(-(-sum(_width(column, first) for column in sheet.columns) // _PRINTED), 0)
        for at, column in enumerate(sheet.columns):
            page.write_string(0, at, column.name, self.heads[column.dtype == "text"])
            if column.meaning:
                unit = f" ({column.unit})" if column.unit else ""
                page.write_comment(0, at, column.meaning + unit, {"author": "treg-gating", "x_scale": 2})
        number = 0
        for number, row in enumerate(islice(chain(first, rows), _MAX_ROWS), start=1):
            for at, column in enumerate(sheet.columns):
                value = row.get(column.name)
                fill = _FILLS.get(str(value), "") if column.name in sheet.marked else ""
                self.cell(page, number, at, value, self.format(_number_format(column), fill))
        if number == 0:
            page.write_string(1, 0, sheet.empty)
        elif next(rows, None) is not None:
            page.write_string(number + 1, 0, f"only the first {_MAX_ROWS:,} rows; the other outputs have all")
        page.freeze_panes(1, 1)
        page.repeat_rows(0)
        if number:
            page.autofilter(0, 0, number, len(sheet.columns) - 1)

    def page(self, page: Any, sheet: Page) -> None:
        page.fit_to_pages(1, 0)
        for at, width in enumerate(sheet.widths):
            page.set_column(at, at, width)
        for number, line in enumerate(sheet.lines):
            if isinstance(line, Heading):
                page.write_string(number, 0, line.text, self.bold)
                continue
            for at, value in enumerate(line):
                fill = _FILLS.get(str(value), "")
                kind = sheet.formats.get(at, "@") if isinstance(value, str) else _plain_format(value)
                self.cell(page, number, at, value, self.format(kind, fill))
        page.freeze_panes(*sheet.frozen)

    def cell(self, page: Any, row: int, column: int, value: Cell, style: Any) -> None:
        if value is None or value == "":
            return
        if isinstance(value, str):
            page.write_string(row, column, value if len(value) <= _MAX_TEXT else value[: _MAX_TEXT - 1] + "…", style)
        else:
            page.write_number(row, column, value, style)


def _number_format(column: Column) -> str:
    if column.dtype == "text":
        return "@"
    if column.dtype == "integer":
        return "#,##0"
    return {"%": "0.00", "percentage points": "0.00", "compensated units": "#,##0.0"}.get(column.unit, "0.000")


def _plain_format(value: Cell) -> str:
    return "#,##0" if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else "0.000"


def _width(column: Column, rows: Sequence[Mapping[str, Cell]]) -> int:
    longest = max((_shown_length(row.get(column.name)) for row in rows), default=0)
    widest = _DIGEST if column.name.endswith(("sha256", "hash", "code_version")) else _WIDEST
    return max(_NARROWEST, len(column.name) + 4, min(widest, longest + 2))


def _shown_length(value: Cell) -> int:
    return len(value.split("\n", 1)[0]) if isinstance(value, str) else 9 if value is not None else 0
