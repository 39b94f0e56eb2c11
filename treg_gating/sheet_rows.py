"""One row of a sample sheet: its cells understood one by one, every fault kept."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.errors import InputError, SampleSheetError
from treg_gating.sheet_beads import BEAD_COLUMNS, read_beads
from treg_gating.sheet_cells import Cell
from treg_gating.sheet_columns import did_you_mean, read_role
from treg_gating.sheet_files import FileFinder
from treg_gating.sheet_markers import parse_inline_mapping, read_marker_mapping
from treg_gating.sheet_table import Row
from treg_gating.study_plan import Study, fold_visit, is_unscheduled
from treg_gating.tube import Role

__all__ = ["Draft", "RowReader"]

_NO_DATES = {"file", "subject", "visit", "control_for", "tube_id"}
_NONE = {"", "-", "–", "na", "n/a", "none"}
# Cells/µL below which a count is taken for one in 10⁹/L, which would be wrong by a thousand.
_TOO_FEW = {"lymphocytes_per_ul": 10, "cd4_per_ul": 3}


@dataclass
class Draft:
    """What a row says, as far as it could be understood."""

    row: int
    file: str = ""
    path: Path | None = None
    subject: str = ""
    visit: str = ""
    batch: str = ""
    role: Role | None = None
    control_for: str = ""
    tube_id: str = ""
    date: str = ""
    day: int | None = None
    dataset: int | None = None
    markers: Mapping[str, str] = field(default_factory=dict)
    lymphocytes_per_ul: float | None = None
    cd4_per_ul: float | None = None
    beads_counted: float | None = None
    beads_added: float | None = None
    blood_ul: float | None = None
    comment: str = ""


@dataclass
class RowReader:
    """Reads the rows of one sheet.

    Parameters
    ----------
    sheet : name of the sheet, for faults.
    files : finds FCS files.
    marker_files : finders for marker tables, in order.
    filled : columns that hold something in at least one row.
    study : planned visits, or None.
    """

    sheet: str
    files: FileFinder
    marker_files: tuple[FileFinder, ...]
    filled: frozenset[str]
    study: Study | None = None
    faults: list[InputError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _spellings: dict[str, str] = field(default_factory=dict)
    _tables: dict[Path, dict[str, str]] = field(default_factory=dict)

    def read(self, row: Row) -> Draft:
        """Understand a row; what cannot be understood becomes a fault."""
        draft = Draft(row.number)
        self._role(row, draft)
        sample = draft.role is Role.SAMPLE
        draft.file = self._text(row, "file", required=True)
        if draft.file:
            found = self.files.find(draft.file, self._where(row, "file"))
            if isinstance(found, InputError):
                self.faults.append(found)
            else:
                draft.path = found
        draft.subject = self._text(row, "subject", required=sample)
        draft.visit = self._visit(row, self._text(row, "visit", required=sample), draft.role)
        draft.batch = self._text(row, "batch", required="batch" in self.filled) or "1"
        draft.tube_id = self._text(row, "tube_id")
        draft.date = self._date(row)
        draft.day = self._whole(row, "day", lowest=None)
        draft.dataset = self._whole(row, "dataset", lowest=1)
        draft.markers = self._markers(row)
        draft.comment = row.cells.get("comment", Cell("")).text
        self._counts(row, draft)
        self._beads(row, draft)
        return draft

    def is_absent(self, row: Row) -> bool:
        """Whether the row names a file that is not there."""
        cell = row.cells.get("file", Cell(""))
        return bool(cell.text) and not cell.problem and self.files.is_absent(cell.text)

    def role_of(self, row: Row) -> Role | None:
        """The row's role alone, reporting nothing."""
        return read_role(row.cells.get("role", Cell("")).text)[0]

    def fault(self, row: int, column: str, problem: str, **details: str) -> None:
        """Keep a fault of one cell."""
        where = f"row {row}, {column}" if column else f"row {row}"
        self.faults.append(InputError(problem, file=self.sheet, where=where, **details))

    def _where(self, row: Row, column: str) -> str:
        return f"row {row.number}, {column}"

    def _text(self, row: Row, column: str, *, required: bool = False) -> str:
        cell = row.cells.get(column, Cell(""))
        if cell.problem:
            self.fault(row.number, column, cell.problem, found=repr(cell.text))
        elif cell.is_date and column in _NO_DATES:
            action = "Format the column as text in Excel and type the value again"
            self.fault(row.number, column, "Excel has made a date of it", found=cell.text, action=action)
        elif re.search(r"[\x00-\x1f\x7f\u2028\u2029]", cell.text):
            self.fault(row.number, column, "line breaks or control characters in the cell", found=repr(cell.text))
        elif required and not cell.text and column in row.cells:  # a column that is not there is told once
            self.fault(row.number, column, "the cell is empty", expected=f"a {column}")
        return cell.text

    def _role(self, row: Row, draft: Draft) -> None:
        inline = ""
        if "role" not in self.filled:
            draft.role = Role.SAMPLE
        elif text := self._text(row, "role", required=True):
            draft.role, inline = read_role(text)
            if draft.role is None:
                known = [role.value for role in Role]
                problem = f"unknown role{did_you_mean(text, known, cutoff=0.6)}"
                self.fault(row.number, "role", problem, found=repr(text), expected=" or ".join(known))
        stated = self._text(row, "control_for")
        if draft.role in {Role.FMO, Role.SINGLE_STAIN}:
            draft.control_for = stated or inline
            self._check_control_for(row, draft, stated, inline)
        elif draft.role is not None and stated.casefold() not in _NONE:
            problem = f"a tube of role {draft.role} is a control for nothing"
            self.fault(row.number, "control_for", problem, found=repr(stated), expected="an empty cell, or role fmo")

    def _check_control_for(self, row: Row, draft: Draft, stated: str, inline: str) -> None:
        if stated and inline and fold_visit(stated) != fold_visit(inline):
            self.fault(row.number, "control_for", f"the role says {inline!r}", found=repr(stated), expected="the same")
        elif draft.control_for.casefold() in _NONE:
            meaning = "left out" if draft.role is Role.FMO else "stained alone"
            expected = f"the marker that is {meaning}, such as FOXP3"
            self.fault(row.number, "control_for", f"empty for a tube of role {draft.role}", expected=expected)

    def _visit(self, row: Row, text: str, role: Role | None) -> str:
        """The planned visit's name, or the first spelling of it in the sheet."""
        if not text:
            return text
        if self.study is None:
            return self._spellings.setdefault(fold_visit(text), text)
        name = self.study.find_visit(text)
        if name is None and is_unscheduled(text):
            return text
        if name is None and role in {Role.SAMPLE, None}:
            names = self.study.visit_names
            problem = f"unknown visit{did_you_mean(text, names, cutoff=0.6)}"
            action = "In study.toml, another spelling belongs into a visit's synonyms, another visit into a [[visit]]"
            self.fault(
                row.number, "visit", problem, found=repr(text), expected="one of " + ", ".join(names), action=action
            )
        elif name is None and role is not Role.CONTROL:
            self.warnings.append(f"Row {row.number}: visit {text!r} of a {role} tube is not planned; it was kept.")
        return name or text

    def _date(self, row: Row) -> str:
        """ISO date, with the time of day where it is given; day.month.year and month/day/year cannot be told apart."""
        text = self._text(row, "date")
        if not text:
            return ""
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            self.fault(row.number, "date", "not an ISO date", found=repr(text), expected="such as 2024-03-31")
            return ""
        has_time = len(text) > len("2024-03-31")
        return moment.isoformat() if has_time else moment.date().isoformat()

    def _number(self, row: Row, column: str) -> float | None:
        cell = row.cells.get(column, Cell(""))
        if cell.number is not None:
            return cell.number
        if not cell.text and not cell.problem:
            return None
        text = cell.text
        if re.fullmatch(r"[+-]?\d{1,3},\d{3}", text):
            problem = "the comma may mean thousands or decimals"
            self.fault(row.number, column, problem, found=repr(text), expected="such as 1834 or 0.85")
            return None
        if re.fullmatch(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", text) and not cell.problem:
            return float(text.replace(",", "."))
        problem = cell.problem or "not a number"
        self.fault(row.number, column, problem, found=repr(text), expected="a number, or an empty cell")
        return None

    def _whole(self, row: Row, column: str, lowest: int | None) -> int | None:
        number = self._number(row, column)
        if number is None:
            return None
        if math.isfinite(number) and float(number).is_integer() and (lowest is None or number >= lowest):
            return int(number)
        expected = "a whole number" if lowest is None else f"a whole number from {lowest}"
        self.fault(row.number, column, "not usable", found=f"{number:g}", expected=expected)
        return None

    def _counts(self, row: Row, draft: Draft) -> None:
        """Absolute counts per µL: positive, plausible, CD4 within the lymphocytes."""
        for column in ("lymphocytes_per_ul", "cd4_per_ul"):
            number = self._number(row, column)
            if number is None:
                continue
            if not (math.isfinite(number) and number > 0):
                expected = "a number above 0 (cells/µL), or an empty cell"
                self.fault(row.number, column, "not a count", found=f"{number:g}", expected=expected)
            elif number < _TOO_FEW[column]:
                expected = f"cells/µL; {number:g} × 10⁹/L would be {number * 1000:g}"
                self.fault(row.number, column, "too few cells", found=f"{number:g}", expected=expected)
            else:
                setattr(draft, column, number)
        lymphocytes, cd4 = draft.lymphocytes_per_ul, draft.cd4_per_ul
        if lymphocytes is not None and cd4 is not None and cd4 > lymphocytes:
            expected = f"at most the lymphocytes, {lymphocytes:g}"
            self.fault(row.number, "cd4_per_ul", "more CD4 cells than lymphocytes", found=f"{cd4:g}", expected=expected)

    def _beads(self, row: Row, draft: Draft) -> None:
        """Counting beads: how many were added to how much blood, and how many were counted."""
        values = {name: self._number(row, name) for name in BEAD_COLUMNS}
        others = {name: getattr(draft, name) for name in _TOO_FEW}

        def report(column: str, problem: str, **details: str) -> None:
            self.fault(row.number, column, problem, **details)

        if read_beads(values, others, report):
            added = values["beads_added"] or (values["beads_per_ul"] or 0) * (values["bead_volume_ul"] or 0)
            draft.beads_counted, draft.beads_added, draft.blood_ul = values["beads_counted"], added, values["blood_ul"]

    def _markers(self, row: Row) -> Mapping[str, str]:
        """The mapping written into the cell, or the one in the table it names."""
        text = self._text(row, "markers")
        if not text:
            return {}
        where = self._where(row, "markers")
        try:
            if "=" in text:
                return parse_inline_mapping(text, self.sheet, where)
            found = _first_found(self.marker_files, lambda finder: finder.find(text, where))
            if isinstance(found, InputError):
                self.faults.append(found)
                return {}
            if found not in self._tables:
                self._tables[found] = {}  # its faults are told once
                self._tables[found] = read_marker_mapping(found)
            return self._tables[found]
        except SampleSheetError as error:
            self.faults.extend(error.faults)
            return {}


def _first_found(finders: tuple[FileFinder, ...], find: Callable[[FileFinder], Path | InputError]) -> Path | InputError:
    """The file from the first folder that has it, else the first folder's fault."""
    answers = [find(finder) for finder in finders]
    return next((answer for answer in answers if isinstance(answer, Path)), answers[0])
