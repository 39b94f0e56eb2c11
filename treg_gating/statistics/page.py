"""The analysis as one HTML file, one workbook, and a CSV file for each table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from treg_gating.run.files import replace_file, write_bytes
from treg_gating.statistics.analysis import StudyAnalysis
from treg_gating.statistics.figures import adjusted_means, forest, profiles
from treg_gating.statistics.tables import Cell, ResultTable, result_tables

__all__ = ["write_analysis"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid #d8dee4; padding-top: 1rem; }
table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th { background: #f6f8fa; } p.note, p.meta { color: #57606a; font-size: .85rem; margin: .2rem 0; }
svg { max-width: 100%; height: auto; }
</style></head><body>
<h1>{{ title }}</h1>
{% for line in about %}<p class="meta">{{ line }}</p>
{% endfor %}
{% for table in tables %}<section id="{{ table.name }}"><h2>{{ table.title }}</h2>
{% for figure in figures.get(table.name, ()) %}<figure>{{ figure }}</figure>
{% endfor %}
<table><thead><tr>{% for column in table.columns %}<th>{{ column }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}<tr>
{%- for cell in row %}<td{% if cell is number %} class="n"{% endif %}>{{ cell | shown }}</td>
{%- endfor %}</tr>
{% endfor %}</tbody></table>
{% for note in table.notes %}<p class="note">{{ note }}</p>
{% endfor %}</section>
{% endfor %}</body></html>
"""


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
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    drawn = {"primary": (forest(analysis),), "mmrm": (adjusted_means(analysis),), "descriptives": (profiles(analysis),)}
    figures: Mapping[str, list[Markup]] = {
        name: [Markup(svg) for svg in found if svg]  # noqa: S704 (matplotlib escapes text in what it draws)
        for name, found in drawn.items()
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["shown"] = _shown
    return environment.from_string(_PAGE).render(title=title, about=about, tables=tables, figures=figures)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


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
