"""Run the small study of a folder with the command line's own way to end; for tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import faulty_pipeline
from conftest import STUDY, SmallTemplate

from treg_gating.cli.exits import run_to_exit_code
from treg_gating.run.child import Limits
from treg_gating.run.cohort import RunOrder, run_cohort
from treg_gating.run.progress import QuietProgress
from treg_gating.samplesheet import read_samplesheet


@click.command()
@click.argument("sheet", type=Path)
@click.argument("out", type=Path)
@click.argument("workers", type=int)
@click.argument("scheduler", default="")
def command(sheet: Path, out: Path, workers: int, scheduler: str) -> int:
    settings = faulty_pipeline.FaultySettings(SmallTemplate(), STUDY)
    tubes = read_samplesheet(sheet, study=STUDY)
    order = RunOrder(
        tubes, settings, out, workers=workers, scheduler=scheduler, limits=Limits(30), pipeline="faulty_pipeline"
    )
    return run_cohort(order, QuietProgress()).exit_code


if __name__ == "__main__":
    sys.exit(run_to_exit_code(command))
