"""The sample sheet: which file is whose tube. Every fault at once, with its row.

CSV (comma, semicolon or tab; UTF-8, UTF-16 or Western European) or XLSX. Columns: file, subject, visit; optional
batch, role, control_for, tube_id, date, day, dataset, markers, absolute counts, beads, comment; all
their names: :data:`treg_gating.sheet_columns.COLUMNS`. Text stays text. A column that tells the treatment is set aside:
its cells are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from treg_gating.errors import InputError, SampleSheetError
from treg_gating.sheet_checks import check_rows, name_tubes
from treg_gating.sheet_columns import COLUMNS, HeaderReading
from treg_gating.sheet_files import FileFinder
from treg_gating.sheet_markers import parse_inline_mapping, read_marker_mapping
from treg_gating.sheet_rows import Draft, RowReader
from treg_gating.sheet_table import Table, read_table
from treg_gating.study_plan import Study
from treg_gating.tube import Role, SampleSheet, Tube

__all__ = [
    "COLUMNS",
    "Role",
    "SampleSheet",
    "Tube",
    "parse_inline_mapping",
    "read_marker_mapping",
    "read_samplesheet",
]


def read_samplesheet(
    path: str | Path,
    *,
    data_dir: str | Path | None = None,
    study: Study | None = None,
    arrived_only: bool = False,
) -> SampleSheet:
    """Read and check a sample sheet; no event of any file is read.

    Parameters
    ----------
    path : CSV or XLSX.
    data_dir : folder below which the files lie; without it, the sheet's own folder.
    study : planned visits; a sample at any other visit is a fault. Without it, spellings that differ in case and
        blanks are one visit.
    arrived_only : leave out rows whose file is not there yet; ``absent`` names them.

    Raises
    ------
    SampleSheetError : ``faults`` holds every fault in the order of the rows.
    """
    sheet = Path(path)
    root = _data_root(sheet, data_dir)
    header = HeaderReading(sheet.name, required=("file",))
    table = read_table(sheet, header.pick)
    reader = _reader(sheet, root, table, study)
    _require_columns(header, table, reader)
    absent = [row for row in table.rows if arrived_only and reader.is_absent(row)]
    drafts = [reader.read(row) for row in table.rows if row not in absent]
    check_rows(drafts, reader.fault)
    faults = [*header.faults, *_in_order((*table.faults, *reader.faults))]
    if not table.rows and not faults:
        faults.append(InputError("the sheet lists no tube", file=sheet.name, expected="a row a tube"))
    if absent and not drafts and not faults:
        faults.append(InputError("no file of the sheet is there yet", file=sheet.name, expected=f"files below {root}"))
    if faults:
        raise SampleSheetError(faults)
    names, renamed = name_tubes(drafts)
    return SampleSheet(
        tubes=tuple(_tube(draft, name) for draft, name in zip(drafts, names, strict=True)),
        path=sheet,
        set_aside=tuple(header.set_aside),
        warnings=(*table.notes, *header.warnings, *_defaults(reader.filled), *reader.warnings, *renamed),
        sha256=table.sha256,
        absent=tuple(row.cells["file"].text for row in absent),
    )


def _data_root(sheet: Path, data_dir: str | Path | None) -> Path:
    if data_dir is None:
        return sheet.parent
    root = Path(data_dir)
    if not root.is_dir():
        raise SampleSheetError([InputError("the data folder does not exist", file=str(root), expected="a folder")])
    return root


def _reader(sheet: Path, root: Path, table: Table, study: Study | None) -> RowReader:
    filled = frozenset(name for row in table.rows for name, cell in row.cells.items() if cell.text or cell.problem)
    files = FileFinder(root, sheet.name)
    beside = FileFinder(sheet.parent, sheet.name)
    return RowReader(sheet.name, files, (beside, files), filled, study)


def _require_columns(header: HeaderReading, table: Table, reader: RowReader) -> None:
    """Subject and visit are needed as soon as one tube is a sample."""
    roles = {reader.role_of(row) for row in table.rows}
    if "role" not in reader.filled or Role.SAMPLE in roles:
        header.require("subject", "visit", headers=table.headers)


def _in_order(faults: Sequence[InputError]) -> list[InputError]:
    def row(fault: InputError) -> int:
        digits = fault.where.removeprefix("row ").split(",")[0]
        return int(digits) if digits.isdecimal() else 0

    return sorted(faults, key=row)


def _tube(draft: Draft, name: str) -> Tube:
    values = {item.name: getattr(draft, item.name) for item in fields(draft)}
    return Tube(**{**values, "tube_id": name})


def _defaults(filled: frozenset[str]) -> list[str]:
    notes = []
    if "role" not in filled:
        notes.append("The sheet has no roles: every tube is a sample.")
    if "batch" not in filled:
        notes.append("The sheet has no batches: all tubes are batch '1'.")
    return notes
