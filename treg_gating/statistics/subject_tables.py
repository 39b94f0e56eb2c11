"""Tables that a person hands in for the analysis: one row a subject (or a subject's visit), faults by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.errors import InputError, SampleSheetError, StudyError
from treg_gating.sheet_columns import did_you_mean, fold_header
from treg_gating.sheet_table import Row, Table, read_table

__all__ = ["SubjectTable", "read_subject_table"]


@dataclass
class SubjectTable:
    """A table being read.

    Parameters
    ----------
    file : its name, for faults. rows : with the wanted columns. columns : those that are there.
    """

    file: str
    rows: tuple[Row, ...]
    columns: frozenset[str]
    sha256: str
    faults: list[InputError] = field(default_factory=list)

    def fault(self, row: Row | None, problem: str, *, found: str = "", expected: str = "", action: str = "") -> None:
        """Note a fault; `row` tells where."""
        where = f"row {row.number}" if row is not None else "header"
        self.faults.append(
            InputError(problem, file=self.file, where=where, found=found, expected=expected, action=action)
        )

    def text(self, row: Row, column: str) -> str:
        """The text of a cell; a cell that Excel may show otherwise is a fault."""
        cell = row.cells.get(column)
        if cell is None:
            return ""
        if cell.problem:
            self.fault(row, f"{column}: {cell.problem}", found=cell.text)
        return cell.text

    def finish(self) -> None:
        """Raise StudyError with every fault, if there is one."""
        if self.faults:
            raise StudyError(self.faults)


def read_subject_table(
    path: Path, wanted: Mapping[str, Sequence[str]], required: Sequence[str], what: str
) -> SubjectTable:
    """Read the wanted columns of a CSV or XLSX table; other columns are not looked at.

    Parameters
    ----------
    wanted : column → other names it may have.
    required : columns that must be there.
    what : the table in words, for messages.

    Raises
    ------
    StudyError : the file cannot be read, or a column is missing.
    """
    by_fold = {fold_header(name): column for column, names in wanted.items() for name in (column, *names)}
    doubled: list[str] = []
    headers: list[str] = []

    def pick(found: Sequence[str]) -> Mapping[int, str]:
        picked: dict[int, str] = {}
        headers.extend(found)
        for at, header in enumerate(found):
            column = by_fold.get(fold_header(header))
            if column in picked.values():
                doubled.append(header)
            elif column is not None:
                picked[at] = column
        return picked

    table = _read(path, pick, what)
    columns = frozenset(column for header in headers if (column := by_fold.get(fold_header(header))) is not None)
    read = SubjectTable(path.name, table.rows, columns, table.sha256, list(table.faults))
    for header in doubled:
        read.fault(None, "two columns mean the same", found=repr(header), expected="one of them")
    for column in required:
        if column not in columns:
            near = did_you_mean(column, headers)
            read.fault(None, f"the {what} has no column {column!r}{near}", found=", ".join(map(repr, headers)))
    read.finish()
    return read


def _read(path: Path, pick: Callable[[Sequence[str]], Mapping[int, str]], what: str) -> Table:
    try:
        return read_table(path, pick, f"the {what}")
    except SampleSheetError as error:
        raise StudyError(error.faults) from None
