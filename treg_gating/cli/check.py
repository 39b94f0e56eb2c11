"""`treg-gating check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treg_gating.cli.inputs import input_options, read_inputs

if TYPE_CHECKING:
    from treg_gating.draft.annotate import Remark
    from treg_gating.gating.template import GatingTemplate
    from treg_gating.tube import Tube

_EPILOG = """\b
Examples:
  treg-gating check samples.csv
  treg-gating check samples.xlsx --data /mnt/cytometer/study7 -t treg_surface

\b
Exit codes: 0 nothing found; 3 the sheet or a file has faults; 2 study or template has faults.
A file at fault does not stop 'run': that tube fails with its reason, the others are done.
"""
Fault = tuple[str, str]  # what is wrong, without the file's name, and what to do
_SHEET_FAULTS = 3
_NAMED = 4  # files beside a fault that many have
_WIDEST = 24  # of the column of rows


@click.command("check", epilog=_EPILOG)
@input_options
@click.option(
    "--copy", type=click.Path(path_type=Path, dir_okay=False),
    help="Where the copy with comments goes; without it, beside the sheet, with _checked in its name.",
)  # fmt: skip
def command(
    sheet: Path, data: Path | None, template: str, study_file: Path | None, markers: Path | None, copy: Path | None
) -> int:
    """Check SHEET, study, template and the header of every file; all faults at once, no events read.

    Where something is found, samples_checked.xlsx is a copy of the sheet with a comment on every bad cell.
    """
    from treg_gating.draft.annotate import remark_of
    from treg_gating.errors import SampleSheetError

    try:
        inputs = read_inputs(sheet, data, study_file, markers)
    except SampleSheetError as error:
        remarks = [remark_of(fault) for fault in error.faults]
        _print([(str(remark.row or "header"), remark) for remark in remarks])
        number = f"{len(remarks)} faults" if len(remarks) > 1 else "1 fault"
        click.echo(f"{sheet}: {number}. No file was read; mend the sheet first.")
        if any(fault.where for fault in error.faults):  # else it cannot be read as a table at all
            _copy(copy, sheet, remarks)
        return _SHEET_FAULTS
    from treg_gating.interchange.load import load_gates, what_was_left_out

    gating = load_gates(template)
    for note in (*inputs.notes, *what_was_left_out(gating), *inputs.sheet.warnings, *inputs.study.notes):
        click.echo(f"Note: {note}")
    found = [(tube, fault) for tube in inputs.sheet.tubes if (fault := _fault_of_header(tube, gating))]
    _print(_gathered(found))
    remarks = [_remark([tube], fault) for tube, fault in found]
    tubes, faulty = len(inputs.sheet.tubes), len({remark.row for remark in remarks})
    subjects, visits = len(inputs.sheet.subjects), len(inputs.study.visits)
    click.echo(f"{tubes} tubes, {subjects} subjects, {visits} planned visits, template {gating.name} {gating.version}.")
    has = "file has" if faulty == 1 else "files have"
    click.echo(f"{faulty} {has} faults." if faulty else "Nothing found; ready to run.")
    _copy(copy, sheet, remarks)
    return _SHEET_FAULTS if faulty else 0


def _fault_of_header(tube: Tube, gating: GatingTemplate) -> Fault | None:
    """What the header of one file has against it, and what to do.

    Tubes in which no gate is fitted need not answer the panel.
    """
    from treg_gating.errors import InputError
    from treg_gating.fcs import read_header
    from treg_gating.panel import match_panel
    from treg_gating.tube import Role

    try:
        header = read_header(tube.path, tube.dataset)
        if tube.role in {Role.SAMPLE, Role.CONTROL} or (tube.role is Role.FMO and not gating.imported):
            template = gating.for_file(header, tube.file)
            mapping = {} if template.imported else tube.markers
            match_panel(template.panel, header.channels, mapping, file=tube.file)
    except InputError as error:
        text = str(error).replace(str(tube.path), tube.file)
        name = f"{tube.file}: " if f"{tube.file}: " in text else f"{tube.file}:"
        return text.replace(name, "", 1).removesuffix(f". {error.action}"), error.action
    return None


def _gathered(found: Sequence[tuple[Tube, Fault]]) -> list[tuple[str, Remark]]:
    """Each fault once, with the rows and the files that have it."""
    tubes: dict[Fault, list[Tube]] = {}
    for tube, fault in found:
        tubes.setdefault(fault, []).append(tube)
    return [(_runs(tube.row for tube in those), _remark(those, fault)) for fault, those in tubes.items()]


def _remark(tubes: Sequence[Tube], fault: Fault) -> Remark:
    """A fault with the files that have it; of many files the first are named."""
    from treg_gating.draft.annotate import Remark

    names = ", ".join(tube.file for tube in tubes[:_NAMED])
    if len(tubes) > _NAMED:
        names += f" and {len(tubes) - _NAMED} more"
    problem, action = fault
    return Remark(tubes[0].row, "file", f"{names}: {problem}", action)


def _runs(rows: Iterable[int]) -> str:
    """Numbers as people write them: those that follow each other as a run.

    >>> _runs([2, 3, 4, 7, 9, 10])
    '2 to 4, 7, 9 to 10'
    """
    runs: list[list[int]] = []
    for _, run in groupby(enumerate(sorted(rows)), key=lambda item: item[1] - item[0]):
        runs.append([row for _, row in run])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _copy(copy: Path | None, sheet: Path, remarks: Sequence[Remark]) -> None:
    """Write the copy with comments; also afresh and without any where an older one would still tell of faults."""
    from treg_gating.draft.annotate import write_annotated
    from treg_gating.errors import TregGatingError
    from treg_gating.run.files import replace_file

    path = copy or sheet.with_name(f"{sheet.stem}_checked.xlsx")
    if not sheet.is_file() or not (remarks or path.exists()):
        return
    try:
        replace_file(path, lambda temporary: write_annotated(temporary, sheet, remarks))
    except TregGatingError as error:
        click.echo(f"No copy with comments was made: {str(error).splitlines()[0]}")
        return
    if remarks:
        click.echo(f"The same as comments on the bad cells: {path}")


def _print(remarks: Sequence[tuple[str, Remark]]) -> None:
    """Remarks with their rows: a table on a terminal; the same lines without frame elsewhere, to be searched."""
    if not remarks:
        return
    if sys.stdout.isatty():
        _print_table(remarks)
        return
    places = [_place(rows, remark.column) for rows, remark in remarks]
    width = min(_WIDEST, max(map(len, places)))
    for place, (_, remark) in zip(places, remarks, strict=True):
        first, *more = remark.text.splitlines()
        click.echo(f"{place:<{width}}  {first}")
        for line in more:
            click.echo(f"{'':<{width}}  {line}")


def _place(rows: str, column: str) -> str:
    if rows == "header":
        return rows
    several = "" if rows.isdecimal() else "s"
    return f"row{several} {rows}, {column}" if column else f"row{several} {rows}"


def _print_table(remarks: Sequence[tuple[str, Remark]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("row", "column", "what is wrong", "what to do", show_lines=True)
    for rows, remark in remarks:
        # Text, not markup: a cell may hold square brackets.
        table.add_row(rows, remark.column, Text(remark.problem), Text(remark.action))
    Console().print(table)
