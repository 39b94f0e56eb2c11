"""A small finished run with its files, copied for each test that decides something on it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from treg_gating.gating.results import SampleResult
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings
from treg_gating.report.page import build_report
from treg_gating.run.cohort import RunOrder, run_cohort
from treg_gating.run.decisions import Decision, gate_text, scale_of, value_of
from treg_gating.run.finish import Finished
from treg_gating.run.last import open_last_run
from treg_gating.run.ledger import Ledger
from treg_gating.run.progress import QuietProgress
from treg_gating.run.rerun import rerun
from treg_gating.samplesheet import read_samplesheet
from treg_gating.study import read_study

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_DATA = ROOT / "sample_data"


@dataclass(frozen=True)
class Study:
    """A folder with files, sheet and the results of one run."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "results"

    def run(self) -> Finished:
        study = read_study(self.folder / "study.toml")
        order = RunOrder(
            sheet=read_samplesheet(self.folder / "samples.csv", study=study),
            settings=RunSettings(load_template("treg_foxp3"), study),
            out=self.out,
            workers=0,
            choices={"template": "treg_foxp3"},
        )
        return run_cohort(order, QuietProgress(), {"report.html": build_report})

    def rerun(self, **more: object) -> Finished:
        return rerun(
            self.out,
            load_template("treg_foxp3"),
            QuietProgress(),
            {"report.html": build_report},
            data=self.folder,
            workers=0,
            **more,
        )

    def result(self, tube_id: str) -> SampleResult:
        with open_last_run(self.out) as last:
            return next(sample for sample in last.record.samples if sample.tube_id == tube_id)

    def decision(self, tube_id: str, population: str, action: str, **more: object) -> Decision:
        """A complete decision on what the last run shows."""
        result = self.result(tube_id)
        gate = next((gate.gate for gate in result.gates if gate.population == population), None)
        known = {
            "name": "A. Reviewer", "reason": "", "replaced": gate_text(gate), "sha256": result.sha256,
            "template_sha256": load_template("treg_foxp3").sha256, "scale": scale_of(result),
            "value": value_of(result, "treg", "cd4_t"), "run": "test",
        }  # fmt: skip
        return Decision(tube_id, population, action, **{**known, **more})

    def decide(self, *decisions: Decision) -> None:
        with Ledger(self.out) as ledger:
            for decision in decisions:
                ledger.decide(decision)

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def row(self, tube_id: str) -> dict[str, str]:
        return next(row for row in self.rows("endpoint.csv") if row["tube_id"] == tube_id)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two subjects of the sample data, run once."""
    folder = tmp_path_factory.mktemp("reviewed")
    with (SAMPLE_DATA / "samples.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["subject"] in {"S01", "S02"}]
    (folder / "fcs").mkdir()
    for row in rows:
        shutil.copy(SAMPLE_DATA / row["file"], folder / row["file"])
    shutil.copy(SAMPLE_DATA / "study.toml", folder)
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    study = Study(folder)
    study.run()
    return study


@pytest.fixture
def study(finished_once: Study, tmp_path: Path) -> Study:
    """The same in a folder of its own. The files are those of the first: a test that changes one copies it."""
    copy = tmp_path / "study"
    shutil.copytree(finished_once.folder, copy)
    return Study(copy)


@pytest.fixture
def moved() -> Callable[[SampleResult, float], object]:
    """The FOXP3 threshold of a tube, moved by so many gate units."""
    from dataclasses import replace

    def move(result: SampleResult, by: float) -> object:
        gate = next(gate.gate for gate in result.gates if gate.population == "treg")
        return replace(gate, low=gate.low + by)

    return move
