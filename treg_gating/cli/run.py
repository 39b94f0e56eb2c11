"""`treg-gating run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from treg_gating.cli.exits import EXIT_CODES
from treg_gating.cli.inputs import input_options, read_inputs
from treg_gating.cli.running import RunOptions, mail_at_the_end, processes_ahead, run_inputs, run_options

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


@click.command("run", epilog=_EPILOG)
@input_options
@click.option("--arrived-only", is_flag=True, help="Leave out rows whose file is not there yet, and say how many.")
@run_options
def command(
    sheet: Path,
    data: Path | None,
    template: str,
    study_file: Path | None,
    markers: Path | None,
    arrived_only: bool,
    **options: Any,
) -> int:
    """Process every tube of SHEET (CSV or XLSX) and leave tables and a report.

    Leaves in the output folder: report.html (open it first), results.xlsx, endpoint.csv (one row per subject and
    visit), miflowcyt.xlsx, populations.parquet, gates.csv, manifest.json, summary.json, run.log.jsonl and
    ledger.sqlite, from which all of them can be made again.
    """
    chosen = RunOptions(**options)
    with mail_at_the_end(chosen.mail) as mail, processes_ahead(sheet, chosen):
        # Sheet and study first: their faults must not wait for heavy imports.
        inputs = read_inputs(sheet, data, study_file, markers, arrived_only=arrived_only)
        return run_inputs(inputs, template, chosen, mail)
