"""CDISC data sets of a run by hand, and what comes back from the transport files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from treg_gating.endpoint import endpoint_table
from treg_gating.errors import InputError, StudyError
from treg_gating.gating.gates import Interval, Rectangle
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.interchange import cdisc
from treg_gating.interchange.cdisc_define import write_define_workbook
from treg_gating.interchange.cdisc_markers import gate_definition, marker_string, sublineage
from treg_gating.interchange.cdisc_variables import ADTREG, CP, SUPPCP
from treg_gating.interchange.cdisc_xpt import check_records, fix_stamps, write_xpt
from treg_gating.run.record import RunRecord, TemplateRow, TemplateSummary
from treg_gating.samplesheet import Tube
from treg_gating.study import Study, Visit

CREATED = "2026-01-05T10:11:12Z"
ROWS = (
    TemplateRow("live", "clean", ("Viability",), "-", "valley"),
    TemplateRow("t_cells", "live", ("CD3",), "+", "valley"),
    TemplateRow("cd4_t", "t_cells", ("CD4",), "+", "valley"),
    TemplateRow("cd25_cd127low", "cd4_t", ("CD25", "CD127"), "+", "aligned_mixture"),
    TemplateRow("treg", "cd25_cd127low", ("FOXP3",), "+", "aligned_mixture"),
    TemplateRow("naive_treg", "treg", ("CD45RA",), "+", "valley"),
    TemplateRow("effector_treg", "treg", (), "", "combine", "treg & !naive_treg"),
    TemplateRow("hladr_treg", "treg", ("HLA-DR",), "+", "valley"),
)
PLAN = TemplateSummary("treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %", ROWS)
STUDY = Study(
    id="NCT05605665",
    visits=(Visit("Baseline", 0, (-14, 0), baseline=True), Visit("Week 12", 84, (-7, 7))),
)


def gates(stained: bool) -> tuple[FittedGate, ...]:
    made = []
    for row in ROWS:
        status, gate = GateStatus.FITTED, None
        if len(row.dims) == 2:
            gate = Rectangle(row.dims, (0.5, 0.0), (1.0, 0.4))
        elif row.dims:
            gate = Interval(row.dims, 0.5, math.inf)
        if row.population == "hladr_treg" and not stained:
            status, gate = GateStatus.NOT_STAINED, None
        expression = row.args if row.method == "combine" else ""
        made.append(FittedGate(row.population, row.parent, row.sign, gate, status, "rule", expression=expression))
    return tuple(made)


def result(tube_id: str, treg: int | None = 100, stained: bool = False) -> SampleResult:
    n = {"live": 4000, "t_cells": 2500, "cd4_t": 2000, "cd25_cd127low": 160, "treg": treg}
    n |= {"naive_treg": 30, "effector_treg": 70, "hladr_treg": 25 if stained else None}
    parents = {row.population: row.parent for row in ROWS}
    mfi = {"treg": {"CD25": 3210.5}}
    counts = []
    for name, k in n.items():
        status = "ok" if k is not None else "not_estimable"
        mfis = mfi.get(name, {})
        counts.append(PopulationCount(name, parents[name], k, n.get(parents[name]), status, "no cut", mfis))
    return SampleResult(
        tube_id, f"{tube_id}.fcs", "001", "", "B1", "sample", "done", counts=tuple(counts), gates=gates(stained)
    )


def given(*pairs: tuple[Tube, SampleResult], study: Study = STUDY, **more: Any) -> cdisc.CdiscInput:
    tubes = tuple(tube for tube, _ in pairs)
    rows = endpoint_table({tube.tube_id: found for tube, found in pairs}, tubes, study, PLAN, "0.1.0+x")
    record = RunRecord("t", CREATED, "0.1.0+x", PLAN, samples=tuple(found for _, found in pairs), endpoint=tuple(rows))
    return cdisc.CdiscInput(record, study, tubes, **more)


def tube(name: str, visit: str, subject: str = "001", **more: Any) -> Tube:
    return Tube(name, f"{name}.fcs", Path(f"/data/{name}.fcs"), subject, visit, "B1", **more)


@pytest.fixture
def two_visits() -> cdisc.CdiscInput:
    return given(
        (tube("A", "Baseline", date="2026-01-05", day=-1, cd4_per_ul=800.0), result("A")),
        (tube("B", "Week 12", date="2026-03-30", day=84), result("B", treg=220)),
    )


def test_the_primary_record_by_hand(two_visits):
    record = cdisc.cp_records(two_visits)[0]
    assert {name: record[name] for name in ("STUDYID", "DOMAIN", "USUBJID", "CPSEQ", "CPREFID")} == {
        "STUDYID": "NCT05605665", "DOMAIN": "CP", "USUBJID": "NCT05605665-001", "CPSEQ": 1, "CPREFID": "A",
    }  # fmt: skip
    assert (record["CPTESTCD"], record["CPTEST"]) == ("TLHRTLH", "TLym Help Reg/TLym Help")
    assert record["CPMRKSTR"] == "CD3+CD4+CD25hiCD127loFOXP3+Viability-/CD3+CD4+Viability-"
    assert record["CPGATDEF"] == "Viability-|CD3+|CD4+|CD25hiCD127lo|FOXP3+"
    assert (record["CPORRES"], record["CPORRESU"], record["CPSTRESC"], record["CPSTRESN"]) == ("5", "%", "5", 5.0)
    assert (record["CPRESTYP"], record["CPLOBXFL"], record["CPSPEC"]) == ("NUMBER FRACTION", "Y", "BLOOD")
    assert (record["CPDTC"], record["CPDY"], record["VISITNUM"], record["VISITDY"]) == ("2026-01-05", -1, 1, 1)
    assert record["CPANMETH"] == "treg-gating 0.1.0+x, template treg_foxp3 1.0"


def test_every_test_of_a_tube(two_visits):
    records = [r for r in cdisc.cp_records(two_visits) if r["CPREFID"] == "A"]
    found = {(r["CPTESTCD"], r["CPSBMRKS"]): (r.get("CPSTRESN"), r.get("CPORRESU")) for r in records}
    assert found == {
        ("TLHRTLH", ""): (5.0, "%"),
        ("TLYHR", ""): (40.0, "10^6/L"),  # 5 % of 800 cells/µL
        ("TLYHRLY", ""): (2.5, "%"),
        ("THRLY", ""): (4.0, "%"),
        ("TLYHTLY", ""): (80.0, "%"),
        ("CD25X", ""): (3210.5, "MdFI"),
        ("TLHRSP", "CD45RA+"): (30.0, "%"),
        ("TLHRSP", "CD45RA-"): (70.0, "%"),
    }


def test_there_is_no_day_zero(two_visits):
    days = {r["CPREFID"]: (r["CPDY"], r["VISITDY"]) for r in cdisc.cp_records(two_visits)}
    assert days == {"A": (-1, 1), "B": (85, 85)}


def test_a_tube_without_a_value_is_not_done_with_its_reason():
    records = cdisc.cp_records(given((tube("A", "Baseline"), result("A", treg=None))))
    assert len(records) == 1
    assert records[0]["CPSTAT"] == "NOT DONE"
    assert records[0]["CPREASND"] == "not_estimable: treg: no cut"
    assert records[0].get("CPORRES") is None
    assert records[0]["CPLOBXFL"] == ""
    check_records(CP, records)


def test_a_failed_tube_is_not_done():
    failed = replace(result("A"), status="failed", reason="not an FCS file – 200 µL", counts=(), gates=())
    record = cdisc.cp_records(given((tube("A", "Baseline"), failed)))[0]
    assert (record["CPSTAT"], record["CPREASND"]) == ("NOT DONE", "failed: not an FCS file - 200 uL")


def test_markers_carry_no_hyphen_and_only_what_was_stained():
    stained = result("A", stained=True)
    assert marker_string(stained, "hladr_treg", beyond="treg") == "HLADR+"
    assert sublineage(stained, "effector_treg", "treg") == "CD45RA-"
    assert sublineage(result("A"), "hladr_treg", "treg") == ""
    assert gate_definition(stained, "cd4_t") == "Viability-|CD3+|CD4+"
    assert gate_definition(stained, "effector_treg").endswith("|FOXP3+|CD45RA-")


def test_marker_strings_follow_the_guide(two_visits):
    """SDTMIG 3.4, CP, assumptions 6b and 7b: the marker measured and its unit come first, viability last."""
    strings = {(r["CPTESTCD"], r["CPSBMRKS"]): r["CPMRKSTR"] for r in cdisc.cp_records(two_visits)}
    treg = "CD3+CD4+CD25hiCD127loFOXP3+Viability-"
    assert strings["CD25X", ""] == f"CD25 MdFI {treg}"
    assert strings["TLYHRLY", ""] == f"{treg}/Viability-"
    assert strings["TLYHR", ""] == treg
    assert strings["TLHRSP", "CD45RA+"] == f"CD3+CD4+CD25hiCD127loFOXP3+CD45RA+Viability-/{treg}"


def test_a_denominator_of_scatter_alone_says_so():
    """Lymphocytes without a viability dye have no marker; the guide's examples write FSC SSC."""
    found = result("A")
    scatter = Rectangle(("FSC-A", "SSC-A"), (0.2, 0.0), (0.8, 0.5))
    lymphocytes = FittedGate("lymphocytes", "clean", "+", scatter, GateStatus.FITTED, "rule")
    gates_ = [replace(g, parent="lymphocytes") if g.population == "t_cells" else g for g in found.gates]
    counts = [replace(c, population="lymphocytes") if c.population == "live" else c for c in found.counts]
    found = replace(found, counts=tuple(counts), gates=(lymphocytes, *(g for g in gates_ if g.population != "live")))
    records = cdisc.cp_records(given((tube("A", "Baseline"), found)))
    record = next(r for r in records if r["CPTESTCD"] == "TLYHRLY")
    assert record["CPMRKSTR"] == "CD3+CD4+CD25hiCD127loFOXP3+/FSC SSC"


def test_supplemental_events_point_at_their_record(two_visits):
    cp = cdisc.cp_records(two_visits)
    rows = cdisc.suppcp_records(two_visits, cp)
    first = [(r["IDVARVAL"], r["QNAM"], r["QVAL"]) for r in rows[:2]]
    assert first == [("1", "CPNUMEVT", "100"), ("1", "CPDENEVT", "2000")]
    assert {r["IDVARVAL"] for r in rows} <= {str(r["CPSEQ"]) for r in cp}
    # Absolute counts and intensities are no shares: no denominator is told.
    assert not [r for r in rows if r["IDVARVAL"] == "2"]


def test_adtreg_by_hand(two_visits):
    cp = cdisc.cp_records(two_visits)
    rows = cdisc.adtreg_records(two_visits, cp, {"001": "LD-IL2"}, ("Rapamycin", "LD-IL2"))
    by = {(r["PARAMCD"], r["AVISIT"]): r for r in rows}
    assert set(by) == {
        ("TREGCD4", "Baseline"), ("TREGCD4", "Week 12"), ("LTREGCD4", "Baseline"), ("LTREGCD4", "Week 12"),
        ("TREGABS", "Baseline"),
    }  # fmt: skip
    week12 = by["TREGCD4", "Week 12"]
    assert (week12["AVAL"], week12["BASE"], week12["CHG"], week12["R2BASE"]) == (11.0, 5.0, 6.0, 2.2)
    assert (week12["TRTP"], week12["TRTPN"], week12["CRIT1FL"]) == ("LD-IL2", 2, "Y")
    assert (week12["AWTARGET"], week12["AWLO"], week12["AWHI"]) == (85, 78, 92)
    source = next(r for r in cp if r["CPSEQ"] == week12["SRCSEQ"])
    assert source["CPSTRESN"] == week12["AVAL"]
    assert by["LTREGCD4", "Week 12"]["CHG"] == pytest.approx(math.log(2.2))
    assert by["TREGCD4", "Baseline"]["ABLFL"] == "Y"
    assert by["TREGCD4", "Baseline"]["CHG"] is None
    check_records(ADTREG, rows)


def test_a_subject_without_an_arm_is_refused(two_visits):
    with pytest.raises(StudyError, match="'001' has no arm"):
        cdisc.adtreg_records(two_visits, cdisc.cp_records(two_visits), {}, ("A", "B"))


def test_a_study_without_an_id_is_refused(two_visits):
    with pytest.raises(InputError, match="has no id"):
        cdisc.cp_records(replace(two_visits, study=replace(STUDY, id="")))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CPTESTCD", "TOOLONGCD", "too long"),
        ("CPREFID", "x" * 201, "too long"),
        ("VISIT", "基线", "beyond printable ASCII"),
        ("CPREFID", "a\nb", "beyond printable ASCII"),
        ("USUBJID", "", "is empty"),
        ("CPSEQ", None, "is empty"),
        ("CPSTRESN", float("inf"), "no finite number"),
        ("CPORRES", 5.0, "is no text"),
    ],
)
def test_what_the_format_would_spoil_is_refused_before_writing(two_visits, tmp_path, name, value, problem):
    records = [{**r} for r in cdisc.cp_records(two_visits)]
    records[1][name] = value
    with pytest.raises(StudyError, match=f"record 2, {name}.*{problem}"):
        write_xpt(tmp_path / "cp.xpt", CP, records, CREATED)
    assert not (tmp_path / "cp.xpt").exists()


def test_the_same_key_twice_is_refused(two_visits):
    records = cdisc.cp_records(two_visits)
    with pytest.raises(StudyError, match="same key as record 1"):
        check_records(CP, [*records, records[0]])


@pytest.mark.parametrize("plan", [CP, SUPPCP, ADTREG], ids=lambda plan: plan.name)
def test_names_and_labels_fit_the_format(plan):
    check_records(plan, [])
    assert len({variable.name for variable in plan.variables}) == len(plan.variables)
    assert set(plan.keys) <= {variable.name for variable in plan.variables}


@pytest.fixture
def files(two_visits, tmp_path) -> dict[str, tuple[Any, list[dict[str, Any]], Path]]:
    pytest.importorskip("pyreadstat", reason="pyreadstat is not installed (extra 'cdisc')")
    cp = cdisc.cp_records(two_visits)
    adtreg = cdisc.adtreg_records(two_visits, cp, {"001": "LD-IL2"}, ("LD-IL2",))
    made = {}
    for plan, records in ((CP, cp), (SUPPCP, cdisc.suppcp_records(two_visits, cp)), (ADTREG, adtreg)):
        path = tmp_path / f"{plan.name.lower()}.xpt"
        write_xpt(path, plan, records, CREATED)
        made[plan.name] = (plan, records, path)
    return made


@pytest.mark.parametrize("name", ["CP", "SUPPCP", "ADTREG"])
@pytest.mark.parametrize("reader", ["pyreadstat", "pandas"])
def test_files_read_back_equal(files, name, reader):
    plan, records, path = files[name]
    if reader == "pandas":
        import pandas as pd

        frame = pd.read_sas(path, format="xport", encoding="ascii")
    else:
        import pyreadstat

        frame, meta = pyreadstat.read_xport(str(path))
        assert meta.table_name == plan.name
        assert meta.file_label == plan.label
        assert meta.column_labels == [variable.label for variable in plan.variables]
    assert list(frame.columns) == [variable.name for variable in plan.variables]
    assert len(frame) == len(records)
    for number, record in enumerate(records):
        for variable in plan.variables:
            written, read = record.get(variable.name), frame[variable.name].iloc[number]
            if variable.kind == "Num":
                assert (math.isnan(read) and written is None) or read == pytest.approx(written, rel=1e-14)
            else:
                assert ("" if isinstance(read, float) else read) == (written or "")


def test_a_rerun_gives_the_same_bytes(files, tmp_path, monkeypatch):
    plan, records, path = files["CP"]
    first = path.read_bytes()
    assert first[144:160] == b"05JAN26:10:11:12"
    again = tmp_path / "again.xpt"
    write_xpt(again, plan, records, CREATED)
    assert again.read_bytes() == first
    with pytest.raises(RuntimeError, match="another layout"):
        fix_stamps(b"x" * 800, CREATED)


def test_the_define_workbook_names_every_variable_and_test(files, tmp_path):
    from openpyxl import load_workbook

    path = tmp_path / "define_metadata.xlsx"
    write_define_workbook(path, {f"{name.lower()}.xpt": (plan, records) for name, (plan, records, _) in files.items()})
    book = load_workbook(path)
    assert [row[0].value for row in book["Datasets"].iter_rows(min_row=2)] == ["CP", "SUPPCP", "ADTREG"]
    variables = {(row[1].value, row[2].value): row[5].value for row in book["Variables"].iter_rows(min_row=2)}
    assert len(variables) == sum(len(plan.variables) for plan in (CP, SUPPCP, ADTREG))
    assert variables["CP", "CPTESTCD"] == 7
    assert "CPTESTCD EQ TLHRTLH" in {row[1].value for row in book["Values"].iter_rows(min_row=2)}


def test_rules_that_hold_for_every_findings_domain(two_visits):
    failed = result("C", treg=None)
    more = given(
        (tube("A", "Baseline", date="2026-01-05", day=-1), result("A")),
        (tube("B", "Week 12", date="2026-03-30", day=84), result("B", treg=220)),
        (tube("C", "Baseline", subject="002", day=0), failed),
    )
    records = [*cdisc.cp_records(two_visits), *cdisc.cp_records(more)]
    for record in records:
        done = not record.get("CPSTAT")
        # A result, or NOT DONE with its reason; never both, never neither.
        assert bool(record.get("CPORRES")) == done
        assert bool(record.get("CPSTRESC")) == done
        assert (record.get("CPSTRESN") is not None) == done
        assert bool(record.get("CPREASND")) == (not done)
        assert record["CPLOBXFL"] in {"", "Y"}
        assert record["CPDY"] != 0
        assert record["VISITDY"] != 0
    for pair in (("CPTESTCD", "CPTEST"), ("VISIT", "VISITNUM")):
        assert len({record[pair[0]] for record in records}) == len(
            {(record[pair[0]], record[pair[1]]) for record in records}
        )
    by_subject: dict[object, list[object]] = {}
    for record in cdisc.cp_records(more):
        by_subject.setdefault(record["USUBJID"], []).append(record["CPSEQ"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_subject.values())
    subjects = [record["USUBJID"] for record in cdisc.cp_records(more)]
    assert "NCT05605665-002" in subjects
