"""What a name says, for names as laboratories give them."""

from __future__ import annotations

import pytest

from treg_gating.draft.names import natural_key, read_words
from treg_gating.samplesheet import Role


@pytest.mark.parametrize(
    ("name", "subject", "visit"),
    [
        ("S01_Baseline", "S01", "Baseline"),
        ("P01_V1_tube1", "P01", "V1"),
        ("P01V1", "P01", "V1"),
        ("Patient 3 week 12", "Patient 3", "Week 12"),
        ("S01_Baseline_PanelT_001", "S01", "Baseline"),
        ("PT-0001_W04", "PT-0001", "Week 4"),
        ("01-003_wk12_Treg", "01-003", "Week 12"),
        ("SJS012 BL", "SJS012", "Baseline"),
        ("Pat07 d28", "Pat07", "Day 28"),
        ("20240301_P05_wk4_003", "P05", "Week 4"),
        ("05MAR2024 P05 12 weeks", "P05", "Week 12"),
        ("HC03 screening", "HC03", "Screening"),
        ("Donor A week 0", "Donor A", "Week 0"),
        ("AB-12 Month 6", "AB-12", "Month 6"),
        ("412C_BM_032", "412C", ""),
        ("Specimen_001_Tube_004", "", ""),
        ("HTS_Specimen_001_D6_D06", "", ""),
        ("2024-03-01", "", ""),
        ("CD25_IL2", "", ""),
    ],
)
def test_subject_and_visit(name, subject, visit):
    words = read_words(name)
    assert (words.subject, words.visit) == (subject, visit)


@pytest.mark.parametrize(
    ("name", "role", "control_for"),
    [
        ("FMO_FOXP3_B1", Role.FMO, "FOXP3"),
        ("P01_W12_CD25-FMO", Role.FMO, "CD25"),
        ("FMO_CD45 RA", Role.FMO, "CD45 RA"),
        ("fluorescence minus one IL-7R", Role.FMO, "IL-7R"),
        ("CONTROL_B1", Role.CONTROL, ""),
        ("412C_unstained_raw", Role.UNSTAINED, ""),
        ("Compensation Controls_Unstained Control", Role.UNSTAINED, ""),
        ("Compensation Controls_APC Stained Control_001", Role.SINGLE_STAIN, "APC"),
        ("Compensation-APC-Cy7", Role.SINGLE_STAIN, "APC-Cy7"),
        ("S01_Baseline", None, ""),
    ],
)
def test_roles(name, role, control_for):
    words = read_words(name)
    assert (words.role, words.control_for) == (role, control_for)


def test_a_tube_of_no_use_here_is_named():
    assert read_words("Isotype control P01").not_a_role == "Isotype"
    assert read_words("Spherotech 8 peak beads").not_a_role == "peak beads"


def test_numbers_sort_as_numbers():
    assert sorted(["P10", "P2", "p1"], key=natural_key) == ["p1", "P2", "P10"]
