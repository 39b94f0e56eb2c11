"""What several commands take alike: sheet, data folder, study, template, marker table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from treg_gating.study import Study
    from treg_gating.tube import SampleSheet

__all__ = ["Inputs", "gating_options", "input_options", "read_inputs"]

DEFAULT_TEMPLATE = "treg_foxp3"

_PATH = click.Path(path_type=Path)


def input_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `run` and `check` share."""
    function = gating_options(function)
    function = click.option(
        "--data", type=_PATH, help="Folder below which the files lie; without it, the sheet's own."
    )(function)
    return click.argument("sheet", type=_PATH)(function)


def gating_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what tells how tubes are gated: template, study, markers."""
    options = (
        click.option(
            "--template",
            "-t",
            default=DEFAULT_TEMPLATE,
            show_default=True,
            help="Gating template: a name that 'treg-gating templates' lists, a folder, or gates made elsewhere: "
            "a FlowJo workspace (.wsp), Gating-ML (.xml), or either kept by 'templates import' (.gates.json).",
        ),
        click.option(
            "--study",
            "study_file",
            type=_PATH,
            help="study.toml with visits, windows and limits; without it, the one beside the sheet, if there is one.",
        ),
        click.option(
            "--markers",
            type=_PATH,
            help="Table (channel, marker), or FlowJo workspace (.wsp), for files whose channels have no names; "
            "the sheet's own column goes first.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Parameters
    ----------
    notes : sentences the run must say about where study and markers came from.
    """

    sheet: SampleSheet
    study: Study
    notes: tuple[str, ...]


def read_inputs(
    sheet: Path, data: Path | None, study_file: Path | None, markers: Path | None, *, arrived_only: bool = False
) -> Inputs:
    """Read study, sheet and marker table, in this order.

    Parameters
    ----------
    arrived_only : leave out rows whose file is not there yet.

    Raises
    ------
    SampleSheetError, StudyError : with every fault.
    """
    from treg_gating.samplesheet import read_samplesheet
    from treg_gating.study import default_study, read_study

    beside = sheet.parent / "study.toml"
    notes: list[str] = []
    if study_file is None and beside.is_file():
        study_file = beside
        notes.append(f"Study read from {beside.name} beside the sheet.")
    study = read_study(study_file) if study_file is not None else None
    found = read_samplesheet(sheet, data_dir=data, study=study, arrived_only=arrived_only)
    if found.absent:
        notes.append(f"{len(found.absent)} rows of the sheet are left out: their files are not there yet.")
    if markers is not None:
        found, note = _with_markers(found, markers)
        notes.append(note)
    if found.set_aside:
        notes.append(f"Not read, because they tell the treatment: column {', '.join(map(repr, found.set_aside))}.")
    return Inputs(found, study or default_study(found.visits), tuple(notes))


def _with_markers(sheet: SampleSheet, markers: Path) -> tuple[SampleSheet, str]:
    """The sheet with marker names from a table or a workspace, and a sentence that says so."""
    from treg_gating.samplesheet import read_marker_mapping

    if markers.suffix.lower() == ".wsp":
        from treg_gating.interchange.load import markers_by_file

        tables = markers_by_file(markers, {tube.tube_id: tube.path for tube in sheet.tubes})
        note = f"Markers of {len(tables)} of {len(sheet.tubes)} files read from {markers.name}."
    else:
        table = read_marker_mapping(markers)
        tables = {tube.tube_id: dict(table) for tube in sheet.tubes}
        note = f"Markers of {len(table)} channels read from {markers.name}."
    tubes = tuple(replace(t, markers={**tables.get(t.tube_id, {}), **t.markers}) for t in sheet.tubes)
    return replace(sheet, tubes=tubes), note
