"""Which visit is a subject's baseline, and visits that nobody planned; the same in table, statistics and CDISC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.endpoint import endpoint_table, other_tubes
from treg_gating.errors import SampleSheetError, StudyError
from treg_gating.gating.results import PopulationCount, SampleResult
from treg_gating.interchange import cdisc
from treg_gating.run.record import RunRecord, TemplateSummary
from treg_gating.samplesheet import Tube, read_samplesheet
from treg_gating.statistics.arms import ArmList
from treg_gating.statistics.trial import trial_of_values
from treg_gating.study import Endpoint, Study, Visit, default_study, read_study

PLAN = TemplateSummary("treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %")
VISITS = (Visit("Screening", -21, (-7, 7)), Visit("Baseline", 0, (-3, 0), baseline=True), Visit("Week 12", 84, (-7, 7)))
TREG = {
    "A": {"Screening": 80, "Baseline": 100, "Week 12": 200},
    "B": {"Screening": 50, "Baseline": None, "Week 12": 150},
}


def study(rule: str) -> Study:
    return Study(id="NCT1", visits=VISITS, endpoint=Endpoint(visit="Week 12", baseline_rule=rule))


def table(rule: str) -> tuple[list[dict[str, Any]], list[Tube], dict[str, SampleResult]]:
    tubes, results = [], {}
    for subject, visits in TREG.items():
        for visit, k in visits.items():
            name = f"{subject}{visit}"
            tubes.append(Tube(name, f"{name}.fcs", Path("/x.fcs"), subject, visit, "B1"))
            counts = (
                PopulationCount("cd4_t", "root", 2000, 4000),
                PopulationCount("treg", "cd4_t", k, 2000, "ok" if k else "not_estimable", "no cut"),
            )
            results[name] = SampleResult(
                name, f"{name}.fcs", subject, visit, "B1", "sample", "done", counts=counts, n_events=4000
            )
    return endpoint_table(results, tubes, study(rule), PLAN), tubes, results


@pytest.mark.parametrize(("rule", "of_b", "ratio_of_b"), [("visit", None, None), ("last_evaluable", "Screening", 3.0)])
def test_the_table(rule: str, of_b: str | None, ratio_of_b: float | None) -> None:
    rows = {(row["subject"], row["visit"]): row for row in table(rule)[0]}
    assert rows["A", "Week 12"]["baseline_from"] == "Baseline"
    assert rows["A", "Week 12"]["ratio_to_baseline"] == 2.0
    assert rows["B", "Week 12"]["baseline_from"] == of_b
    assert rows["B", "Week 12"]["ratio_to_baseline"] == ratio_of_b
    assert rows["A", "Baseline"]["change_from_baseline"] is None


@pytest.mark.parametrize(("rule", "of_b"), [("visit", None), ("last_evaluable", 2.5)])
def test_statistics_take_the_same_baseline(rule: str, of_b: float | None) -> None:
    values = {(s, v): (k and k / 20) for s, visits in TREG.items() for v, k in visits.items()}
    arms = ArmList(("X", "Y"), {"A": "X", "B": "Y"}, {}, "arms.csv", "0" * 64)
    trial = trial_of_values(values, {}, ("A", "B"), arms, study(rule))
    np.testing.assert_array_equal(trial.baseline, [5.0, np.nan if of_b is None else of_b])
    assert trial.visits == ("Week 12",)
    # What is flagged at the visit that served leaves the baseline with it.
    assert np.isnan(trial.without(frozenset({("B", "Screening")})).baseline[1])


@pytest.mark.parametrize(
    ("rule", "flagged"), [("visit", {("A", "Baseline")}), ("last_evaluable", {("A", "Baseline"), ("B", "Screening")})]
)
def test_cdisc_flags_the_same_baseline(rule: str, flagged: set[tuple[str, str]]) -> None:
    rows, tubes, results = table(rule)
    record = RunRecord(
        "t", "2026-01-05T10:11:12Z", "0.1.0", PLAN, samples=tuple(results.values()), endpoint=tuple(rows)
    )
    given = cdisc.CdiscInput(record, study(rule), tuple(tubes))
    cp = cdisc.cp_records(given)
    found = {(str(r["USUBJID"])[-1], r["VISIT"]) for r in cp if r["CPLOBXFL"] == "Y"}
    assert found == flagged
    analysed = cdisc.adtreg_records(given, cp, {"A": "X", "B": "Y"}, ("X", "Y"))
    assert {(str(r["SUBJID"]), r["AVISIT"]) for r in analysed if r["ABLFL"] == "Y"} == flagged
    ratios = {r["SUBJID"]: r["R2BASE"] for r in analysed if r["PARAMCD"] == "TREGCD4" and r["AVISIT"] == "Week 12"}
    assert ratios == {"A": 2.0, "B": 3.0 if rule == "last_evaluable" else None}


def test_the_rule_is_read_and_checked(tmp_path: Path) -> None:
    text = '[endpoint]\nvisit = "W12"\nbaseline_rule = "{}"\n[[visit]]\nname = "BL"\nday = 0\nbaseline = true\n'
    text += '[[visit]]\nname = "W12"\nday = 84\n'
    path = tmp_path / "study.toml"
    path.write_text(text.format("last_evaluable"))
    assert read_study(path).endpoint.baseline_rule == "last_evaluable"
    path.write_text(text.format("last_evaluabel"))
    with pytest.raises(StudyError, match=r"line 3, \[endpoint\] baseline_rule: .*last_evaluable"):
        read_study(path)


@pytest.mark.parametrize("planned", [True, False])
def test_unscheduled_tubes_are_taken_and_listed(tmp_path: Path, planned: bool) -> None:
    rows = [("a", "Baseline"), ("b", "Unscheduled 1"), ("c", "Week 12"), ("d", "UNSCHEDULED-2")]
    for name, _ in rows:
        (tmp_path / f"{name}.fcs").write_bytes(name.encode())
    sheet = tmp_path / "samples.csv"
    sheet.write_text("file,subject,visit\n" + "".join(f"{name}.fcs,A,{visit}\n" for name, visit in rows))
    plan = study("visit") if planned else None
    tubes = read_samplesheet(sheet, study=plan).tubes
    plan = plan or default_study([tube.visit for tube in tubes])
    assert "Unscheduled 1" not in plan.visit_names
    counts = (PopulationCount("cd4_t", "root", 2000, 4000), PopulationCount("treg", "cd4_t", 100, 2000))
    results = {
        t.tube_id: SampleResult(t.tube_id, t.file, "A", t.visit, "1", "sample", "done", counts=counts) for t in tubes
    }
    listed = other_tubes(results, tubes, plan, PLAN)
    assert [(row["visit"], row["treg_pct_of_cd4"]) for row in listed] == [
        ("Unscheduled 1", 5.0),
        ("UNSCHEDULED-2", 5.0),
    ]
    assert all("is not planned" in str(row["why_not_counted"]) for row in listed)
    assert {row["visit"] for row in endpoint_table(results, tubes, plan, PLAN)} == set(plan.visit_names)


def test_any_other_name_is_still_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.fcs").write_bytes(b"a")
    (tmp_path / "samples.csv").write_text("file,subject,visit\na.fcs,A,Wek 12\n")
    with pytest.raises(SampleSheetError, match="did you mean 'Week 12'"):
        read_samplesheet(tmp_path / "samples.csv", study=study("visit"))
