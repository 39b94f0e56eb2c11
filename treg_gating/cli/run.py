"""`treg-gating run`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from treg_gating.cli.exits import EXIT_CODES
from treg_gating.cli.inputs import input_options, read_inputs

_EPILOG = f"""\b
Examples:
  treg-gating run sample_data/samples.csv
  treg-gating run samples.xlsx --data /mnt/cytometer/study7 -o results_july
  treg-gating run samples.csv -t treg_pregated --markers markers.csv
  treg-gating run samples.csv -t workspace.wsp
  treg-gating run samples.csv --scheduler tls://head-node:8786
  treg-gating run samples.csv --new-only --quiet

A run that was stopped goes on where it was: give the same command again. A file, row or setting that changed is
computed anew, with everything that rests on it, and nothing else. A new template is a new run: it wants another
folder.

{EXIT_CODES}
"""


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a run that `watch` takes too."""
    options = (
        click.option(
            "--out",
            "-o",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("results"),
            show_default=True,
            help="Folder for tables, report and the ledger; made if it is not there.",
        ),
        click.option(
            "--new-only",
            is_flag=True,
            help="Work on new tubes alone; finished ones keep their results to the digit, and the run says so.",
        ),
        click.option(
            "--workers", type=click.IntRange(min=0), help="Processes; one a core by default. 0: all in this process."
        ),
        click.option("--scheduler", default="", help="Address of a Dask scheduler that is there already."),
        click.option(
            "--spillover",
            type=click.Path(path_type=Path),
            help="CSV with a spillover matrix for every tube.",
        ),
        click.option(
            "--matrix-order",
            default="controls,csv,file",
            show_default=True,
            help="Which spillover matrix is chosen, the first there is: from the batch's single stains, --spillover, "
            "the file.",
        ),
        click.option(
            "--tube-seconds",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="A tube that takes longer has failed.",
        ),
        click.option(
            "--tube-memory",
            type=click.FloatRange(min=0),
            default=0.0,
            help="MB; a tube that takes more has failed. 0: no limit.",
        ),
        click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong; the log has everything."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("run", epilog=_EPILOG)
@input_options
@run_options
def command(
    sheet: Path,
    data: Path | None,
    template: str,
    study_file: Path | None,
    markers: Path | None,
    out: Path,
    new_only: bool,
    workers: int | None,
    scheduler: str,
    spillover: Path | None,
    matrix_order: str,
    tube_seconds: float,
    tube_memory: float,
    quiet: bool,
) -> int:
    """Process every tube of SHEET (CSV or XLSX) and leave tables and a report.

    Leaves in the output folder: report.html (open it first), endpoint.csv (one row per subject and visit),
    populations.parquet, gates.csv, summary.json, run.log.jsonl and ledger.sqlite, from which all of them can be
    made again.
    """
    # Sheet and study first: their faults must not wait for heavy imports.
    inputs = read_inputs(sheet, data, study_file, markers)
    from treg_gating.compensation import read_spillover_csv
    from treg_gating.interchange.load import load_gates, what_was_left_out
    from treg_gating.logicle_widths import settle_widths
    from treg_gating.matrices import from_controls, odd_files, parse_order
    from treg_gating.pipeline import RunSettings
    from treg_gating.report.page import build_report
    from treg_gating.run.child import Limits
    from treg_gating.run.cohort import RunOrder, run_cohort
    from treg_gating.run.plan import check_endpoint
    from treg_gating.run.progress import open_progress

    gating = load_gates(template)
    check_endpoint(inputs.study, gating)
    # The matrix is known by its file's name; where that file lies must not change a result.
    matrix = replace(read_spillover_csv(spillover), source=spillover.name) if spillover else None
    matrix_choice = parse_order(matrix_order)
    wanted = "controls" in matrix_choice and gating.compensation == "file"
    matrices, said = from_controls(inputs.sheet.tubes) if wanted else ({}, ())
    if matrix is None and gating.compensation == "file" and "file" in matrix_choice:
        said = (*said, *odd_files(inputs.sheet.tubes, matrices))
    settings = RunSettings(
        template=gating, study=inputs.study, spillover=matrix, matrices=matrices, order=matrix_choice
    )
    settings, estimated = settle_widths(settings, inputs.sheet.tubes)
    notes = (*inputs.notes, *what_was_left_out(gating), *said, *estimated)
    order = RunOrder(
        sheet=inputs.sheet,
        settings=settings,
        out=out,
        workers=workers,
        scheduler=scheduler,
        limits=Limits(tube_seconds, tube_memory),
        notes=notes,
        new_only=new_only,
        choices={
            "spillover": spillover.name if spillover else "each file's own",
            "matrix_order": ",".join(matrix_choice),
            "template": template,
            **({"logicle_widths": dict(settings.widths)} if settings.widths else {}),
        },
    )
    progress = open_progress(quiet=quiet)
    try:
        for note in (*notes, *inputs.sheet.warnings, *inputs.study.notes):
            progress.say(f"Note: {note}")
        finished = run_cohort(order, progress, build_report)
    finally:
        progress.close()
    if not quiet:
        click.echo("\n".join(finished.lines))
    return finished.exit_code
