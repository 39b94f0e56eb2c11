"""Run the small study of a folder, as the command line would; for tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path

import faulty_pipeline
from conftest import STUDY, SmallTemplate

from treg_gating.run.child import Limits
from treg_gating.run.cohort import RunOrder, run_cohort
from treg_gating.run.progress import QuietProgress
from treg_gating.samplesheet import read_samplesheet

if __name__ == "__main__":
    sheet, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = faulty_pipeline.FaultySettings(SmallTemplate(), STUDY)
    tubes = read_samplesheet(sheet, study=STUDY)
    order = RunOrder(tubes, settings, out, workers=workers, limits=Limits(30), pipeline="faulty_pipeline")
    sys.exit(run_cohort(order, QuietProgress()).exit_code)
