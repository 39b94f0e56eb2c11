"""`treg-gating check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treg_gating.cli.inputs import input_options, read_inputs

if TYPE_CHECKING:
    from treg_gating.errors import InputError
    from treg_gating.gating.template import GatingTemplate
    from treg_gating.samplesheet import Tube

_EPILOG = """\b
Examples:
  treg-gating check samples.csv
  treg-gating check samples.xlsx --data /mnt/cytometer/study7 -t treg_surface

\b
Exit codes: 0 nothing found; 3 the sheet or a file has faults; 2 study or template has faults.
A file at fault does not stop 'run': that tube fails with its reason, the others are done.
"""
_SHEET_FAULTS = 3


@dataclass(frozen=True)
class _Finding:
    where: str
    problem: str


@click.command("check", epilog=_EPILOG)
@input_options
def command(sheet: Path, data: Path | None, template: str, study_file: Path | None, markers: Path | None) -> int:
    """Check SHEET, study, template and the header of every file; all faults at once, no events read."""
    from treg_gating.errors import SampleSheetError

    try:
        inputs = read_inputs(sheet, data, study_file, markers)
    except SampleSheetError as error:
        _print([_of_sheet(fault) for fault in error.faults])
        click.echo(f"{sheet}: {len(error.faults)} faults. Nothing was read; mend the sheet first.")
        return _SHEET_FAULTS
    from treg_gating.interchange.load import load_gates, what_was_left_out

    gating = load_gates(template)
    for note in (*inputs.notes, *what_was_left_out(gating), *inputs.sheet.warnings, *inputs.study.notes):
        click.echo(f"Note: {note}")
    findings = [found for tube in inputs.sheet.tubes for found in _header_findings(tube, gating)]
    _print(findings)
    tubes, faulty = len(inputs.sheet.tubes), len({found.where for found in findings})
    subjects, visits = len(inputs.sheet.subjects), len(inputs.study.visits)
    click.echo(f"{tubes} tubes, {subjects} subjects, {visits} planned visits, template {gating.name} {gating.version}.")
    click.echo(f"{faulty} files have faults." if faulty else "Nothing found; ready to run.")
    return _SHEET_FAULTS if faulty else 0


def _of_sheet(fault: InputError) -> _Finding:
    words = [fault.problem]
    if fault.found:
        words.append(f"found {fault.found}")
    if fault.expected:
        words.append(f"expected {fault.expected}")
    if fault.action:
        words.append(fault.action)
    return _Finding(fault.where or fault.file, "; ".join(words))


def _header_findings(tube: Tube, gating: GatingTemplate) -> Iterator[_Finding]:
    """What the header of one file has against it. Tubes that are not gated need not answer the panel."""
    from treg_gating.errors import InputError
    from treg_gating.fcs import read_header
    from treg_gating.panel import match_panel
    from treg_gating.samplesheet import Role

    try:
        header = read_header(tube.path, tube.dataset)
        if tube.role in {Role.SAMPLE, Role.CONTROL}:
            template = gating.for_file(header, tube.file)
            mapping = {} if template.imported else tube.markers
            match_panel(template.panel, header.channels, mapping, file=tube.file)
    except InputError as error:
        yield _Finding(f"row {tube.row}", str(error))


def _print(findings: Sequence[_Finding]) -> None:
    """A table on a terminal; the same lines without frame elsewhere, so that they can be searched."""
    if not findings:
        return
    width = max(len(found.where) for found in findings)
    for found in findings:
        first, *more = found.problem.splitlines()
        click.echo(f"{found.where:<{width}}  {first}")
        for line in more:
            click.echo(f"{'':<{width}}  {line}")
