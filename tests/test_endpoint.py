"""The endpoint table on tubes that can be checked with a finger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from treg_gating.endpoint import endpoint_table, other_tubes
from treg_gating.gating.results import Flag, FlagLevel, PopulationCount, SampleResult
from treg_gating.run.record import TemplateSummary
from treg_gating.samplesheet import Role, Tube
from treg_gating.study import Endpoint, Limits, Study, Visit
from treg_gating.tables import ENDPOINT, names

PLAN = TemplateSummary("treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %")
VISITS = (Visit("Baseline", 0, (-14, 0), baseline=True), Visit("Week 12", 84, (-7, 7)))
STUDY = Study(visits=VISITS)


def tube(name: str, visit: str = "Baseline", **more: Any) -> Tube:
    return Tube(name, f"{name}.fcs", Path(f"/data/{name}.fcs"), more.pop("subject", "001"), visit, "B1", **more)


def result(name: str, treg: int | None = 100, cd4: int | None = 2000, **more: Any) -> SampleResult:
    reason = "" if treg is not None else "no acceptable cut"
    counts = (
        PopulationCount("live", "root", 4000, 5000),
        PopulationCount("cd4_t", "live", cd4, 4000, "ok" if cd4 is not None else "not_estimable", "no CD4 peak"),
        PopulationCount("cd25_cd127low", "cd4_t", 160, cd4),
        PopulationCount("treg", "cd25_cd127low", treg, 160, "ok" if treg is not None else "not_estimable", reason,
                        {"CD25": 3210.98765, "FOXP3": 543.2}),
    )  # fmt: skip
    values: dict[str, Any] = {
        "status": "done",
        "counts": counts,
        "gate_interval": {"treg": (4.5, 5.75)},
        "sha256": "a" * 64,
    }
    return SampleResult(name, f"{name}.fcs", "001", "Baseline", "B1", "sample", **{**values, **more})


def table(*pairs: tuple[Tube, SampleResult], study: Study = STUDY) -> list[dict[str, Any]]:
    return endpoint_table({t.tube_id: r for t, r in pairs}, [t for t, _ in pairs], study, PLAN, "0.1.0+x")


def test_a_row_by_hand():
    row = table((tube("A"), result("A")))[0]
    assert list(row) == list(names(ENDPOINT))
    assert row["treg_pct_of_cd4"] == 5.0  # 100 of 2000
    assert (row["treg_pct_of_cd4_low"], row["treg_pct_of_cd4_high"]) == (4.12812, 6.04441)  # scipy.stats.binomtest
    assert (row["treg_gate_low"], row["treg_gate_high"]) == (4.5, 5.75)
    assert row["counting_cv_pct"] == 9.74679  # 100 √(.95 / 100)
    assert row["treg_pct_of_lymphocytes"] == 2.5  # 100 of 4000
    assert row["surface_treg_pct_of_cd4"] == 8.0  # 160 of 2000
    assert row["foxp3_purity_pct"] == 62.5  # 100 of 160
    assert (row["cd25_mfi_treg"], row["foxp3_mfi_treg"]) == (3210.99, 543.2)
    assert (row["status"], row["reason"], row["flags"]) == ("ok", "", "")
    assert (row["template"], row["template_sha256"], row["code_version"]) == ("treg_foxp3 1.0", "f" * 64, "0.1.0+x")


def test_every_planned_visit_is_a_row_and_change_is_from_baseline():
    rows = table(
        (tube("A"), result("A")), (tube("B", "Week 12"), result("B", treg=150)), (tube("C", subject="2"), result("C"))
    )
    assert [(row["subject"], row["visit"], row["status"]) for row in rows] == [
        ("001", "Baseline", "ok"), ("001", "Week 12", "ok"), ("2", "Baseline", "ok"), ("2", "Week 12", "missing"),
    ]  # fmt: skip
    assert (rows[1]["change_from_baseline"], rows[1]["ratio_to_baseline"]) == (2.5, 1.5)
    assert rows[0]["change_from_baseline"] is None
    assert rows[3]["reason"] == "no tube of this visit in the sample sheet"
    assert rows[3]["treg_pct_of_cd4"] is None


def test_a_failed_tube_is_no_zero():
    failed = result("A", status="failed", code="E_NOT_FCS", reason="not an FCS file", counts=())
    rows = table((tube("A"), failed), (tube("B", "Week 12"), result("B")))
    assert (rows[0]["status"], rows[0]["reason"]) == ("failed", "[E_NOT_FCS] not an FCS file")
    assert rows[0]["treg_pct_of_cd4"] is None
    assert rows[0]["n_treg"] is None
    assert rows[1]["change_from_baseline"] is None
    assert rows[1]["treg_pct_of_cd4"] == 5.0


@pytest.mark.parametrize(
    ("treg", "cd4", "reason"),
    [(None, 2000, "treg: no acceptable cut"), (100, None, "cd4_t: no CD4 peak"), (0, 0, "no event in cd4_t")],
)
def test_not_estimable_is_empty_with_its_reason(treg, cd4, reason):
    row = table((tube("A"), result("A", treg=treg, cd4=cd4)))[0]
    assert (row["status"], row["reason"]) == ("not_estimable", reason)
    assert row["treg_pct_of_cd4"] is None
    assert row["treg_pct_of_cd4_high"] is None


@pytest.mark.parametrize(
    ("treg", "status", "value"),
    [(19, "not_estimable", None), (20, "review", 1.0), (49, "review", 2.45), (50, "ok", 2.5)],
)
def test_few_events_are_flagged_and_very_few_not_reported(treg, status, value):
    row = table((tube("A"), result("A", treg=treg)))[0]
    assert (row["status"], row["treg_pct_of_cd4"]) == (status, value)
    assert row["n_treg"] == treg
    assert ("FEW_TREG" in row["flags"]) is (treg < 50)
    assert row["treg_pct_of_cd4_high"] > 0


def test_a_real_zero_is_zero_with_its_interval_where_the_study_reports_it():
    row = table((tube("A"), result("A", treg=0)), study=Study(visits=VISITS, limits=Limits(count_report=0)))[0]
    assert row["treg_pct_of_cd4"] == 0.0
    assert row["treg_pct_of_cd4_low"] == 0.0
    assert row["treg_pct_of_cd4_high"] == pytest.approx(0.191705, abs=1e-6)  # 3.8415 / 2003.8415
    assert row["flags"] == "FEW_TREG"
    assert row["status"] == "review"


def test_flags_decide_the_status():
    note, look, fail = (Flag(level.upper(), level, f"a {level} flag") for level in FlagLevel)
    assert table((tube("A"), result("A", flags=(note,))))[0]["status"] == "ok"
    reviewed = table((tube("A"), result("A", flags=(note, look, look))))[0]
    assert (reviewed["status"], reviewed["flags"]) == ("review", "NOTE;REVIEW")
    assert reviewed["treg_pct_of_cd4"] == 5.0
    failed = table((tube("A"), result("A", flags=(look, fail))))[0]
    assert (failed["status"], failed["reason"], failed["treg_pct_of_cd4"]) == ("not_estimable", "a fail flag", None)


def test_of_several_tubes_the_nearest_to_the_target_then_the_later():
    def chosen(*days: int | None) -> dict[str, Any]:
        pairs = [(tube(f"T{i}", "Week 12", day=day), result(f"T{i}")) for i, day in enumerate(days)]
        return table(*pairs)[1]

    assert chosen(80, 85, 90)["tube_id"] == "T1"
    assert chosen(82, 86)["tube_id"] == "T1"  # equally near: the later
    assert chosen(86, 82)["tube_id"] == "T0"
    assert chosen(None, None)["tube_id"] == "T1"
    assert chosen(80, 85)["selection"] == (
        "1 of 2 tubes: day 85 is nearest to the target day 84, the later of equals; not counted: T0"
    )


def test_a_tube_with_a_value_goes_before_a_nearer_one_without():
    failed = result("T0", status="failed", counts=(), reason="broken")
    row = table((tube("T0", "Week 12", day=84), failed), (tube("T1", "Week 12", day=90), result("T1")))[1]
    assert (row["tube_id"], row["status"]) == ("T1", "ok")
    assert row["selection"].startswith("1 of 2 tubes: the only one with a value")


def test_the_later_date_counts_where_there_are_no_days():
    early, late = tube("A", date="2026-03-01"), tube("B", date="2026-03-09")
    assert table((late, result("B")), (early, result("A")))[0]["tube_id"] == "B"
    assert "collected last (2026-03-09)" in table((late, result("B")), (early, result("A")))[0]["selection"]


def test_a_tube_outside_every_window_is_not_counted_and_said():
    rows = table((tube("A"), result("A")), (tube("B", "Week 12", day=60), result("B")))
    assert rows[1]["status"] == "missing"
    assert rows[1]["reason"] == "tube B of day 60 is outside the window of Week 12"


def test_the_day_tells_the_visit_where_sheet_and_window_disagree():
    rows = table((tube("A", "Baseline", day=85), result("A")))
    assert rows[0]["status"] == "missing"
    assert (rows[1]["tube_id"], rows[1]["status"]) == ("A", "review")
    assert rows[1]["reason"] == "the sheet says Baseline, day 85 lies in the window of Week 12"


def test_controls_take_no_part():
    rows = table((tube("A"), result("A")), (tube("D", role=Role.CONTROL, subject="donor"), result("D")))
    assert {row["subject"] for row in rows} == {"001"}


def test_exact_interval_on_request():
    study = Study(visits=VISITS, endpoint=Endpoint(interval="clopper_pearson"))
    row = table((tube("A"), result("A")), study=study)[0]
    assert (row["treg_pct_of_cd4_low"], row["treg_pct_of_cd4_high"]) == (4.08643, 6.04817)


def test_order_of_tubes_does_not_matter():
    pairs = [(tube(f"T{i}", "Week 12", day=day), result(f"T{i}")) for i, day in enumerate((80, 84, 84, 90))]
    picked = {table(*order)[1]["tube_id"] for order in (pairs, pairs[::-1]) if order}
    assert picked <= {"T1", "T2"}


@pytest.mark.parametrize(
    ("counts", "value", "source"),
    [
        ({"cd4_per_ul": 800.0}, 40.0, "cd4_per_ul"),  # 5 % of 800
        ({"lymphocytes_per_ul": 1500.0}, 37.5, "lymphocytes_per_ul"),  # 2.5 % of 1500
        ({"cd4_per_ul": 800.0, "lymphocytes_per_ul": 1500.0}, 40.0, "cd4_per_ul"),
        ({}, None, None),
    ],
)
def test_cells_per_microlitre_rest_on_the_sheets_count(counts, value, source):
    row = table((tube("A", **counts), result("A")))[0]
    assert (row["treg_per_ul"], row["absolute_from"]) == (value, source)


def test_too_few_to_report_gives_no_absolute_count_either():
    row = table((tube("A", cd4_per_ul=800.0), result("A", treg=10)))[0]
    assert row["status"] == "not_estimable"
    assert row["treg_per_ul"] is None


def test_tubes_that_do_not_count_are_listed_with_their_reason():
    pairs = [
        (tube("A", day=0), result("A")),
        (tube("B", "Week 12", day=84), result("B")),
        (tube("C", "Week 12", day=86), result("C", treg=150)),
        (tube("D", "Week 12", day=120), result("D", treg=10)),
    ]
    results = {t.tube_id: r for t, r in pairs}
    found = other_tubes(results, [t for t, _ in pairs], STUDY, PLAN)
    assert [(row["tube_id"], row["why_not_counted"], row["treg_pct_of_cd4"]) for row in found] == [
        ("C", "tube B counts for Week 12", 7.5),
        ("D", "tube D of day 120 is outside the window of Week 12", None),
    ]
    counted = {row["tube_id"] for row in table(*pairs)}
    assert counted == {"A", "B"}
    assert [(row["day"], row["status"]) for row in found] == [(86, "ok"), (120, "not_estimable")]
