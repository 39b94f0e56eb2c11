"""Rows of the drafted sheet: guesses with their source, gaps with their reason, contradictions left to a person."""

from __future__ import annotations

from treg_gating.draft.guess import draft_sheet
from treg_gating.draft.plan import plan_gaps, study_text
from treg_gating.draft.scan import scan_folder
from treg_gating.study import Study, Visit, read_study


def drafted(folder, study=None):
    draft = draft_sheet(scan_folder(folder), study)
    return draft, {row.file: row.cells for row in draft.rows}


def test_each_guess_says_where_it_comes_from(tube, tmp_path):
    tube("P01_V1_tube1.fcs", **{"$DATE": "05-JAN-2026"})
    draft, cells = drafted(tmp_path)
    assert cells["P01_V1_tube1.fcs"]["subject"].source == "file name 'P01_V1_tube1'"
    assert "role: no word says that it is a control" in draft.rows[0].sources
    assert draft.rows[0].acquired == "2026-01-05"
    assert draft.rows[0].markers == ("CD3", "CD4", "CD25", "CD127", "FOXP3", "Viability")


def test_folders_and_keywords_tell_what_the_name_does_not(tube, tmp_path):
    tube("2024-03-01/P01/Baseline.fcs")
    tube("2024-06-01/Specimen_001_Tube_004.fcs", **{"$SRC": "P02", "TUBE_NAME": "Week 12"})
    _, cells = drafted(tmp_path)
    first, second = cells["2024-03-01/P01/Baseline.fcs"], cells["2024-06-01/Specimen_001_Tube_004.fcs"]
    assert (first["subject"].value, first["subject"].source) == ("P01", "folder 'P01'")
    assert (second["subject"].value, second["visit"].value) == ("P02", "Week 12")
    assert second["visit"].source == "keyword TUBE NAME 'Week 12'"


def test_folders_of_any_name_are_subjects_where_they_set_visits_apart(tube, tmp_path):
    for name in ("Anna K/2024-03-01/Baseline.fcs", "Anna K/raw data/Week 4.fcs", "Bert/Baseline.fcs", "Bert/Kit.fcs"):
        tube(name)
    tube("controls/FMO PE.fcs")
    _, cells = drafted(tmp_path)
    assert {file: cell["subject"].value for file, cell in cells.items()} == {
        "Anna K/2024-03-01/Baseline.fcs": "Anna K", "Anna K/raw data/Week 4.fcs": "Anna K",
        "Bert/Baseline.fcs": "Bert", "Bert/Kit.fcs": "", "controls/FMO PE.fcs": "",
    }  # fmt: skip
    assert cells["Bert/Baseline.fcs"]["subject"].source == "folder 'Bert', as nothing else tells the subject"
    assert "neither name, folder nor keywords" in cells["Bert/Kit.fcs"]["subject"].gap, "no visit: it may be anything"


def test_a_folder_of_all_files_is_no_subject(tube, tmp_path):
    tube("Sicca/Baseline.fcs")
    tube("Sicca/Week 4.fcs")
    _, cells = drafted(tmp_path)
    assert {cell["subject"].value for cell in cells.values()} == {""}


def test_a_name_and_a_keyword_that_disagree_leave_a_gap(tube, tmp_path):
    tube("P01_V1.fcs", **{"$SRC": "P07"})
    _, cells = drafted(tmp_path)
    assert cells["P01_V1.fcs"]["subject"].value == ""
    assert "'P01'" in cells["P01_V1.fcs"]["subject"].gap
    assert "$SRC 'P07'" in cells["P01_V1.fcs"]["subject"].gap


def test_leading_zeros_and_case_are_no_contradiction(tube, tmp_path):
    tube("patient_03 week 4.fcs", **{"$SRC": "Patient 3"})
    _, cells = drafted(tmp_path)
    assert cells["patient_03 week 4.fcs"]["subject"].value == "patient 03"


def test_two_sample_tubes_of_one_visit_wait_for_a_person(tube, tmp_path):
    tube("P01_V1_tube1.fcs")
    tube("P01_V1_tube2.fcs")
    tube("P01_V2_tube1.fcs")
    _, cells = drafted(tmp_path)
    assert [cells[name]["tube_id"].value for name in sorted(cells)] == ["", "", "tube1"]
    assert "2 sample tubes" in cells["P01_V1_tube1.fcs"]["tube_id"].gap


def test_a_dye_of_a_control_is_looked_up_in_the_file(tube, tmp_path):
    tube("FMO PE.fcs")
    tube("Compensation Controls_APC Stained Control_001.fcs")
    tube("FMO Qdot605.fcs")
    _, cells = drafted(tmp_path)
    assert cells["FMO PE.fcs"]["control_for"].value == "FOXP3"
    assert cells["Compensation Controls_APC Stained Control_001.fcs"]["control_for"].value == "APC-A"
    assert "no detector" in cells["FMO Qdot605.fcs"]["control_for"].gap


def test_an_isotype_control_has_no_role(tube, tmp_path):
    tube("Isotype P01 V1.fcs")
    _, cells = drafted(tmp_path)
    assert "'Isotype'" in cells["Isotype P01 V1.fcs"]["role"].gap


def test_days_are_batches_only_where_tubes_share_them(tube, tmp_path):
    for at in range(4):
        tube(f"shared/P0{at}_BL.fcs", **{"$DATE": f"0{1 + at // 2}-MAR-2026"})
        tube(f"alone/P0{at}_BL.fcs", **{"$DATE": f"0{1 + at}-MAR-2026"})
    _, shared = drafted(tmp_path / "shared")
    _, alone = drafted(tmp_path / "alone")
    assert [cells["batch"].value for cells in shared.values()] == ["2026-03-01"] * 2 + ["2026-03-02"] * 2
    assert {cells["batch"].value for cells in alone.values()} == {""}


def test_files_that_cannot_be_read_are_listed_with_their_reason(tube, tmp_path):
    tube("P01_V1.fcs")
    (tmp_path / "P02_V1.fcs").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (tmp_path / " P03.fcs").write_bytes(b"FCS")
    (tmp_path / "._P01_V1.fcs").write_bytes(b"a Mac's own")
    (tmp_path / "notes.txt").write_text("FCS files are here")
    draft, cells = drafted(tmp_path)
    assert list(cells) == ["P01_V1.fcs"]
    found = {file.file: file for file in draft.unreadable}
    assert set(found) == {"P02_V1.fcs", " P03.fcs"}
    assert found["P02_V1.fcs"].code == "E_NOT_FCS"
    assert str(tmp_path) not in found["P02_V1.fcs"].reason


def test_old_files_without_the_ending_are_found(tube, tmp_path):
    tube("Data.001")
    assert [row.file for row in drafted(tmp_path)[0].rows] == ["Data.001"]


def test_a_plan_that_is_there_names_the_visits(tube, tmp_path):
    tube("P01_BL.fcs")
    tube("P01_W99.fcs")
    study = Study(visits=(Visit("Visit 1 (baseline)", 0, baseline=True, synonyms=("Baseline",)),))
    _, cells = drafted(tmp_path, study)
    assert cells["P01_BL.fcs"]["visit"].value == "Visit 1 (baseline)"
    assert "does not plan" in cells["P01_W99.fcs"]["visit"].gap


def test_the_plan_reads_back(tube, tmp_path):
    for visit in ("BL", "W4", "W12"):
        tube(f"P01_{visit}.fcs")
    draft, _ = drafted(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(draft.study), encoding="utf-8")
    study = read_study(tmp_path / "study.toml")
    assert [(visit.name, visit.day) for visit in study.visits] == [("Baseline", 0), ("Week 4", 28), ("Week 12", 84)]
    assert (study.baseline.name, study.endpoint.visit) == ("Baseline", "Week 12")
    assert plan_gaps(draft.study) == []


def test_the_plan_asks_for_what_names_do_not_tell(tube, tmp_path):
    tube("P01_V1.fcs")
    tube("P01_V2.fcs")
    draft, _ = drafted(tmp_path)
    assert plan_gaps(draft.study) == ["the target day of V1", "the target day of V2", "which visit is the baseline"]
    filled = study_text(draft.study).replace("# day = 0  #", "day = 0  #", 1).replace("# day = 0  #", "day = 28  #", 1)
    filled = filled.replace("# baseline = true", "baseline = true")
    (tmp_path / "study.toml").write_text(filled, encoding="utf-8")
    assert [visit.day for visit in read_study(tmp_path / "study.toml").visits] == [0, 28]


def test_reference_folders(shared):
    expected = {"independent_cohort/fcs": (12, 0, 0), "fcs_zoo": (24, 5, None), "flowatlas": (8, 0, None)}
    for name, (readable, left_out, gaps) in expected.items():
        draft, _ = drafted(shared / "data" / name)
        assert (len(draft.rows), len(draft.unreadable)) == (readable, left_out)
        assert gaps is None or draft.gaps == gaps
