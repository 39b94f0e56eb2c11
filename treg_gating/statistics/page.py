"""The analysis as one HTML file, one workbook, and a CSV file for each table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from treg_gating.run.files import replace_file, write_bytes
from treg_gating.statistics.analysis import StudyAnalysis
from treg_gating.statistics.figures import adjusted_means, forest, profiles
from treg_gating.statistics.tables import Cell, ResultTable, result_tables

__all__ = ["write_analysis"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

_HEADINGS = {
    "low_95": "95 % from", "high_95": "to", "p_adjusted": "adjusted p", "pct": "%", "pct_low_95": "95 % from",
    "pct_high_95": "to", "sd": "SD", "q1": "Q1", "q3": "Q3", "geometric_cv_pct": "geometric CV, %",
    "treg_pct_of_cd4": "Treg of CD4 T, %", "n_cd4_t": "n CD4 T", "n_treg": "n Treg", "rho": "ρ", "tube_id": "tube",
}  # fmt: skip
"""Headings on the page, where a column's name in the CSV file is not the word a reader expects."""


def write_analysis(folder: Path, analysis: StudyAnalysis, about: Sequence[str]) -> tuple[str, ...]:
    """Write statistics.html, statistics.xlsx and one CSV a table.

    Parameters
    ----------
    folder : must exist.
    about : sentences on where the numbers come from.

    Returns
    -------
    Names of the files.

    Raises
    ------
    DiskError : files that were there before are untouched or whole.
    """
    tables = result_tables(analysis)
    title = f"Analysis after unblinding: {analysis.study.title or analysis.study.id or 'study'}"
    written = ["statistics.html", "statistics.xlsx"]
    for table in tables:
        write_bytes(folder / f"{table.name}.csv", _csv(table))
        written.append(f"{table.name}.csv")
    replace_file(folder / "statistics.xlsx", lambda temporary: _workbook(temporary, title, about, tables))
    write_bytes(folder / "statistics.html", _html(title, analysis, about, tables).encode())
    return tuple(written)


def _html(title: str, analysis: StudyAnalysis, about: Sequence[str], tables: Sequence[ResultTable]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    at = analysis.study.endpoint.visit
    drawn = {
        "primary": (f"Ratios of the arms at {at} by every analysis, with 95 % intervals; as in the table", forest),
        "mmrm": ("Adjusted geometric means of each arm by visit, with 95 % intervals", adjusted_means),
        "descriptives": ("Every subject's values over the visits, one panel an arm", profiles),
    }
    figures: Mapping[str, list[tuple[str, Markup]]] = {
        name: [(words, Markup(svg))]  # noqa: S704 (matplotlib escapes text in what it draws)
        for name, (words, draw) in drawn.items()
        if (svg := draw(analysis))
    }
    environment = Environment(
        loader=PackageLoader("treg_gating.statistics", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(shown=_shown, heading=_heading, groups=_groups)
    environment.globals["numeric"] = _numeric
    page = environment.get_template("statistics.html.j2")
    return page.render(title=title, about=about, tables=tables, figures=figures)


def _heading(column: str) -> str:
    return _HEADINGS.get(column, column.replace("_", " "))


def _numeric(table: ResultTable, at: int) -> bool:
    """Whether a column holds numbers alone; they stand to the right, with their heading."""
    cells = [row[at] for row in table.rows if row[at] is not None]
    return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def _groups(table: ResultTable) -> list[list[tuple[Cell, ...]]]:
    """Rows that follow each other with the same first cell, which then stands once."""
    return [list(rows) for _, rows in groupby(table.rows, key=itemgetter(0))]


def _shown(cell: Cell, column: str) -> str:
    """A cell as a reader expects it: p values to three digits, a minus that is one."""
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    if column in {"p", "p_adjusted"}:
        return "<0.0001" if cell < 1e-4 else f"{cell:.3g}"
    return f"{cell:.4g}".replace("-", "−")


def _csv(table: ResultTable) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_safe(cell) for cell in row] for row in table.rows)
    return out.getvalue().encode()


def _safe(cell: Cell) -> str:
    """Text that a spreadsheet would run as a formula is led by an apostrophe; numbers never are."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
    return repr(cell)


def _workbook(path: Path, title: str, about: Sequence[str], tables: Sequence[ResultTable]) -> None:
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font

    book = Workbook()
    first = book.active
    first.title = "about"
    for line in (title, *about):
        first.append([line])
    for table in tables:
        sheet = book.create_sheet(table.name[:31])
        sheet.append([table.title])
        sheet["A1"].font = Font(bold=True)
        sheet.append(list(table.columns))
        for cell in sheet[2]:
            cell.font = Font(bold=True)
        for number, row in enumerate(table.rows, start=3):
            for column, value in enumerate(row, start=1):
                cell = sheet.cell(number, column)
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value
                if isinstance(value, str):
                    cell.data_type = "s"  # text stays text, also where it begins with =
        for at, note in enumerate(table.notes, start=len(table.rows) + 4):
            sheet.cell(at, 1, note)
        sheet.freeze_panes = "A3"
        for column, name in enumerate(table.columns, start=1):
            longest = max([len(name), *(len(str(row[column - 1] or "")) for row in table.rows)])
            sheet.column_dimensions[sheet.cell(2, column).column_letter].width = min(60, longest + 2)
    book.save(path)
