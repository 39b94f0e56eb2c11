"""`treg-gating check`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
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
_SHEET_FAULTS = 3


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
        _print(remarks)
        number = f"{len(remarks)} faults" if len(remarks) > 1 else "1 fault"
        click.echo(f"{sheet}: {number}. No file was read; mend the sheet first.")
        if any(fault.where for fault in error.faults):  # else it cannot be read as a table at all
            _copy(copy, sheet, remarks)
        return _SHEET_FAULTS
    from treg_gating.interchange.load import load_gates, what_was_left_out

    gating = load_gates(template)
    for note in (*inputs.notes, *what_was_left_out(gating), *inputs.sheet.warnings, *inputs.study.notes):
        click.echo(f"Note: {note}")
    remarks = [found for tube in inputs.sheet.tubes for found in _header_findings(tube, gating)]
    _print(remarks)
    tubes, faulty = len(inputs.sheet.tubes), len({remark.row for remark in remarks})
    subjects, visits = len(inputs.sheet.subjects), len(inputs.study.visits)
    click.echo(f"{tubes} tubes, {subjects} subjects, {visits} planned visits, template {gating.name} {gating.version}.")
    click.echo(f"{faulty} files have faults." if faulty else "Nothing found; ready to run.")
    _copy(copy, sheet, remarks)
    return _SHEET_FAULTS if faulty else 0


def _header_findings(tube: Tube, gating: GatingTemplate) -> Iterator[Remark]:
    """What the header of one file has against it. Tubes that are not gated need not answer the panel."""
    from treg_gating.draft.annotate import Remark
    from treg_gating.errors import InputError
    from treg_gating.fcs import read_header
    from treg_gating.panel import match_panel
    from treg_gating.tube import Role

    try:
        header = read_header(tube.path, tube.dataset)
        if tube.role in {Role.SAMPLE, Role.CONTROL}:
            template = gating.for_file(header, tube.file)
            mapping = {} if template.imported else tube.markers
            match_panel(template.panel, header.channels, mapping, file=tube.file)
    except InputError as error:
        yield Remark(tube.row, "file", str(error).replace(str(tube.path), tube.file))


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


def _print(remarks: Sequence[Remark]) -> None:
    """A table on a terminal; the same lines without frame elsewhere, so that they can be searched."""
    if not remarks:
        return
    if sys.stdout.isatty():
        _print_table(remarks)
        return
    places = [_place(remark) for remark in remarks]
    width = max(map(len, places))
    for place, remark in zip(places, remarks, strict=True):
        first, *more = remark.text.splitlines()
        click.echo(f"{place:<{width}}  {first}")
        for line in more:
            click.echo(f"{'':<{width}}  {line}")


def _place(remark: Remark) -> str:
    if not remark.row:
        return "header"
    return f"row {remark.row}, {remark.column}" if remark.column else f"row {remark.row}"


def _print_table(remarks: Sequence[Remark]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("row", "column", "what is wrong", "what to do", show_lines=True)
    for remark in remarks:
        row = str(remark.row) if remark.row else "header"
        # Text, not markup: a cell may hold square brackets.
        table.add_row(row, remark.column, Text(remark.problem), Text(remark.action))
    Console().print(table)
