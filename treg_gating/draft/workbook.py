"""The drafted sheet as a workbook: drop-downs, yellow for guesses, red for gaps, and a sheet that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from treg_gating.draft.guess import Draft, DraftRow, Guess
from treg_gating.sheet_columns import HELPER_SHEETS, INFO_PREFIX
from treg_gating.tables import WORKBOOK_DATE
from treg_gating.tube import Role

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

__all__ = ["write_draft"]

_WIDTHS = {
    "file": 44, "subject": 14, "visit": 14, "batch": 18, "role": 13, "control_for": 13, "tube_id": 14, "date": 12,
    "day": 7, "dataset": 9, "lymphocytes_per_ul": 19, "cd4_per_ul": 12, "comment": 24,
}  # fmt: skip
_OPTIONAL = ("date", "day", "lymphocytes_per_ul", "cd4_per_ul", "comment")
_INFO = {"events": 10, "acquired": 20, "instrument": 24, "markers": 40, "where the guesses come from": 60}
_SPARE_ROWS = 200  # empty rows that keep the format and the drop-downs, for tubes added by hand
_YELLOW, _RED, _GREY = "#FFF2AB", "#F4B6B0", "#F2F2F2"

_EXPLAINED: tuple[tuple[str, str, str], ...] = (
    ("file", "always", "The FCS file, below the folder that was scanned. Delete a row to leave its file out."),
    ("subject", "samples", "The person, as in the other tables of the study. Text stays text: 001 is not 1."),
    ("visit", "samples", "The planned visit; the list offers those of study.toml. A new one belongs there first."),
    ("batch", "all or none", "Tubes stained and acquired together. Gates are compared within and between batches."),
    (
        "role",
        "always",
        "sample: counted for the endpoint. control: the control donor's tube of a batch. fmo: one marker left out. "
        "single_stain and unstained: for the spillover matrix.",
    ),
    ("control_for", "fmo, single_stain", "The marker that is left out (fmo), or stained alone (marker or detector)."),
    ("tube_id", "where two", "Needed only where one subject and visit has two sample tubes; else the file's name."),
    ("date", "", "Day of the collection, such as 2024-03-31; not the day of acquisition."),
    ("day", "", "Study day of the collection: says in which visit window the tube lies, and which of two counts."),
    ("dataset", "if several", "Number of the data set in a file that holds several (from 1)."),
    ("lymphocytes_per_ul", "", "Lymphocytes per µL of blood from the haematology analyser, for absolute Treg counts."),
    ("cd4_per_ul", "", "CD4 T cells per µL, for the same; goes before lymphocytes."),
    ("comment", "", "Anything; it is kept with the tube."),
    ("info: ...", "", "Read from the files to help you. These columns are not read back: change them as you like."),
)


def write_draft(path: Path, draft: Draft, folder: str) -> None:
    """Write samples.xlsx.

    Parameters
    ----------
    folder : the folder that was scanned, for the sheet that explains.
    """
    import xlsxwriter

    explained, left_out, listed = HELPER_SHEETS
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": "Sample sheet, drafted by treg-gating init", "created": WORKBOOK_DATE})
        formats = _formats(book)
        columns = _columns(draft)
        samples = book.add_worksheet("samples")
        _samples(samples, draft, columns, formats)
        _explain(book.add_worksheet(explained), folder, formats)
        if draft.unreadable:
            _unreadable(book.add_worksheet(left_out), draft, formats)
        lists = book.add_worksheet(listed)
        lists.hide()
        _drop_downs(samples, lists, draft, columns)


def _formats(book: Any) -> dict[str, Any]:
    body = {"num_format": "@", "valign": "top"}
    return {
        "head": book.add_format({"bold": True, "bottom": 1, "valign": "top", "text_wrap": True}),
        "info head": book.add_format({"bold": True, "bottom": 1, "valign": "top", "bg_color": _GREY}),
        "text": book.add_format(body),
        "guess": book.add_format({**body, "bg_color": _YELLOW, "border": 1, "border_color": "#D9D9D9"}),
        "gap": book.add_format({**body, "bg_color": _RED, "border": 1, "border_color": "#D9D9D9"}),
        "filled": book.add_format({"bg_color": "#FFFFFF"}),
        "info": book.add_format({**body, "font_color": "#595959", "bg_color": _GREY}),
        "info number": book.add_format({"num_format": "#,##0", "font_color": "#595959", "bg_color": _GREY, **_top()}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
        "bold": book.add_format({"bold": True, "valign": "top", "font_size": 14}),
    }


def _top() -> dict[str, str]:
    return {"valign": "top"}


def _columns(draft: Draft) -> list[str]:
    several = any(row.cells["dataset"].gap for row in draft.rows)
    columns = ["file", "subject", "visit", "batch", "role", "control_for", "tube_id"]
    return [*columns, *(["dataset"] if several else []), *_OPTIONAL]


def _samples(sheet: Worksheet, draft: Draft, columns: list[str], formats: dict[str, Any]) -> None:
    for at, name in enumerate(columns):
        sheet.set_column(at, at, _WIDTHS[name], formats["text"])
        sheet.write_string(0, at, name, formats["head"])
    for at, (name, width) in enumerate(_INFO.items(), start=len(columns)):
        sheet.set_column(at, at, width)
        sheet.write_string(0, at, f"{INFO_PREFIX} {name}", formats["info head"])
    for number, row in enumerate(draft.rows, start=1):
        sheet.write_string(number, 0, row.file, formats["text"])
        for at, name in enumerate(columns[1:], start=1):
            _cell(sheet, number, at, row.cells.get(name, Guess()), formats)
        _info(sheet, number, len(columns), row, formats)
    sheet.freeze_panes(1, 1)
    sheet.autofilter(0, 0, max(1, len(draft.rows)), len(columns) + len(_INFO) - 1)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.print_area(0, 0, max(1, len(draft.rows)), len(columns) - 1)


def _cell(sheet: Worksheet, row: int, column: int, guess: Guess, formats: dict[str, Any]) -> None:
    if guess.value:
        sheet.write_string(row, column, guess.value, formats["guess"])
    elif guess.gap:
        sheet.write_blank(row, column, None, formats["gap"])
        size = {"x_scale": 2.2, "y_scale": 1.0}
        sheet.write_comment(row, column, guess.gap, {"author": "treg-gating", **size})
        # The red goes away by itself as soon as something is written.
        rule = {"type": "no_blanks", "format": formats["filled"]}
        sheet.conditional_format(row, column, row, column, rule)


def _info(sheet: Worksheet, row: int, start: int, tube: DraftRow, formats: dict[str, Any]) -> None:
    sheet.write_number(row, start, tube.events, formats["info number"])
    texts = (tube.acquired, tube.instrument, ", ".join(tube.markers), tube.sources)
    for at, text in enumerate(texts, start=start + 1):
        sheet.write_string(row, at, text[:32_000], formats["info"])


def _drop_downs(samples: Worksheet, lists: Worksheet, draft: Draft, columns: list[str]) -> None:
    markers = sorted({name for row in draft.rows for name in row.markers}, key=str.casefold)
    offered = {"role": [str(role) for role in Role], "visit": list(draft.study.visit_names), "control_for": markers}
    for at, (name, values) in enumerate(offered.items()):
        lists.write_string(0, at, name)
        for row, value in enumerate(values, start=1):
            lists.write_string(row, at, value)
        if not values:
            continue
        letter, column = "ABC"[at], columns.index(name)
        rule = {
            "validate": "list",
            "source": f"=lists!${letter}$2:${letter}${len(values) + 1}",
            "error_type": "stop" if name == "role" else "warning",
            "error_title": name,
            "error_message": "Not in the list." if name == "role" else "Not in the list. Use it all the same?",
        }
        samples.data_validation(1, column, len(draft.rows) + _SPARE_ROWS, column, rule)


def _explain(sheet: Worksheet, folder: str, formats: dict[str, Any]) -> None:
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 18)
    sheet.set_column(2, 2, 100)
    sheet.write_string(0, 0, "How to fill in the sheet 'samples'", formats["bold"])
    steps = (
        f"Drafted from the FCS files below {folder}; their headers were read, no events.",
        "Yellow is a guess: its source stands in the last column. Look at each; change what is wrong.",
        "Red is a gap: only you know. Point at the cell to see why it is red. It turns white when you write in it.",
        "Grey was read from the files and is not read back.",
        "Save, then:  treg-gating check samples.xlsx   and, when it finds nothing,   treg-gating run samples.xlsx",
        "No column for the treatment: the arm list is a file of its own, read only after unblinding.",
    )
    for at, step in enumerate(steps, start=2):
        sheet.write_string(at, 0, step)
    start = len(steps) + 3
    for column, head in enumerate(("column", "needed for", "what it means")):
        sheet.write_string(start, column, head, formats["head"])
    for at, line in enumerate(_EXPLAINED, start=start + 1):
        sheet.set_row(at, 15 * (1 + len(line[2]) // 105))
        for column, text in enumerate(line):
            sheet.write_string(at, column, text, formats["wrap"])
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _unreadable(sheet: Worksheet, draft: Draft, formats: dict[str, Any]) -> None:
    for at, (head, width) in enumerate((("file", 50), ("code", 16), ("why it was left out", 110))):
        sheet.set_column(at, at, width)
        sheet.write_string(0, at, head, formats["head"])
    for row, file in enumerate(draft.unreadable, start=1):
        for at, text in enumerate((file.file, file.code, file.reason)):
            sheet.write_string(row, at, text, formats["wrap"])
    note = "A tube of the study that stands here: mend the file, or add it as a row, and the run lists it as failed."
    sheet.write_string(len(draft.unreadable) + 2, 0, note)
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
