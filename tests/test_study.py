"""study.toml is understood, or refused with every fault."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.errors import StudyError
from treg_gating.study import Limits, Study, Visit, default_study, fold_visit, limit_meanings, read_study

GOOD = """\
[study]
id = "NCT05605665"
title = "Low-dose IL-2 and rapamycin"
[endpoint]
population = "treg"
denominator = "cd4_t"
visit = "week 12"
[[visit]]
name = "Week 12"
day = 84
window = [-7, 7]
synonyms = ["W12", "Wk12"]
[[visit]]
name = "Baseline"
day = 0
window = [-14, 0]
baseline = true
[[visit]]
name = "Week 4"
day = 28
window = [-3, 3]
[limits]
cd4_warn = 10000
cd4_fail = 500
[statistics]
multiplicity = "holm"
strata = ["site"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        read_study(write(folder, text))
    return [str(fault) for fault in caught.value.faults]


def test_a_study_is_read_in_order_of_its_days(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, GOOD))
    assert study.id == "NCT05605665"
    assert study.visit_names == ("Baseline", "Week 4", "Week 12")
    assert study.endpoint.visit == "Week 12"
    assert (study.endpoint.population, study.endpoint.denominator) == ("treg", "cd4_t")
    assert study.baseline == Visit("Baseline", 0, (-14, 0), True)
    assert (study.visit("Week 12").first_day, study.visit("Week 12").last_day) == (77, 91)
    assert (study.limits.cd4_warn, study.limits.cd4_fail) == (10000, 500)
    assert study.limits.live_low_pct == 80
    assert study.statistics.multiplicity == "holm"
    assert study.statistics.strata == ("site",)
    assert not study.assumed
    assert not study.notes
    assert len(study.sha256) == 64
    assert pickle.loads(pickle.dumps(study)) == study


@pytest.mark.parametrize("written", ["Week 12", "week 12", "WEEK12", "week_12", " Week-12 ", "w12", "Wk 12"])
def test_visits_are_found_by_name_and_synonym(tmp_path: Path, written: str) -> None:
    assert read_study(write(tmp_path, GOOD)).find_visit(written) == "Week 12"


@pytest.mark.parametrize("written", ["Week 1", "Week 2", "12", "Week 120", "", "W4"])
def test_visits_are_not_found_by_likeness(tmp_path: Path, written: str) -> None:
    assert read_study(write(tmp_path, GOOD)).find_visit(written) is None


def test_every_fault_is_reported_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("title =", "titel =").replace("denominator =", "denominater =")
    text = text.replace("day = 84", 'day = "84"').replace("cd4_warn = 10000", "cd4_warm = 10000")
    text = text.replace('"holm"', '"holms"').replace("window = [-3, 3]", "window = [25, 31]")
    text += "[limit]\nx = 1\n"
    faults = faults_of(tmp_path, text)
    expected = [
        ("line 3, [study] titel", "did you mean 'title'"),
        ("line 6, [endpoint] denominater", "did you mean 'denominator'"),
        ("line 10, [[visit]] 1 day", "found '84'"),
        ("line 21, [[visit]] 3 window", "write [-3, 3]"),
        ("line 23, [limits] cd4_warm", "did you mean 'cd4_warn'"),
        ("line 26, [statistics] multiplicity", "did you mean 'holm'"),
        ("line 28, [limit]", "did you mean 'limits'"),
    ]
    for where, hint in expected:
        assert sum(where in fault and hint in fault for fault in faults) == 1, (where, faults)
    assert len(faults) == len(expected)
    assert all(fault.startswith("study.toml:") for fault in faults)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("baseline = true\n", "", "no visit is the baseline"),
        ("day = 28\n", "day = 28\nbaseline = true\n", "a second baseline beside 'Baseline'"),
        ("baseline = true", 'baseline = "yes"', "expected true or false"),
        ('name = "Week 4"\n', "", "the visit has no name"),
        ('name = "Week 4"', 'name = "W12"', "also belongs to visit 'Week 12'"),
        ('name = "Week 4"', "name = 4", "not a text"),
        ('visit = "week 12"', 'visit = "week 13"', "did you mean 'Week 12'"),
        ('visit = "week 12"', 'visit = "Baseline"', "the baseline cannot be the endpoint visit"),
        ("window = [-7, 7]", "window = 7", "two whole numbers"),
        ("window = [-7, 7]", "window = [7, -7]", "leaves out its target day"),
        ("window = [-7, 7]", "window = [true, 7]", "two whole numbers"),
        ("day = 28", "day = true", "no target day"),
        ("day = 28\n", "", "no target day"),
        ('strata = ["site"]', 'strata = "site"', "not a list of texts"),
        ("cd4_fail = 500", "cd4_fail = 50000", "cd4_fail is above cd4_warn"),
        ("cd4_fail = 500", 'cd4_fail = "500"', "not a usable number"),
        ("cd4_fail = 500", "live_low_pct = 180", "more than 100 %"),
        ("cd4_fail = 500", "cd4_fail = -1", "not a usable number"),
        ("cd4_fail = 500", "cd4_fail = nan", "not a usable number"),
    ],
)
def test_one_fault(tmp_path: Path, old: str, new: str, hint: str) -> None:
    assert old in GOOD
    faults = faults_of(tmp_path, GOOD.replace(old, new, 1))
    assert len(faults) == 1, faults
    assert hint in faults[0]
    assert "line" in faults[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "no visit is planned"),
        ("[study\n", "not valid TOML"),
        ("visit = 3\n", "not a list of visits"),
        ('study = "x"\n[[visit]]\nname = "B"\nday = 0\nbaseline = true\n', "not a table"),
    ],
)
def test_a_broken_file(tmp_path: Path, text: str, hint: str) -> None:
    assert any(hint in fault for fault in faults_of(tmp_path, text))


def test_files_that_are_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such file"):
        read_study(tmp_path / "absent.toml")
    with pytest.raises(StudyError, match="no such file"):
        read_study(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b'[study]\nid = "Sj\xf6gren"\n')
    with pytest.raises(StudyError, match=r"line 2: not UTF-8"):
        read_study(path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_study(path).id == "NCT05605665"


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, GOOD.replace('visit = "week 12"\n', "").replace("[-3, 3]", "[-30, 30]")))
    assert study.endpoint.visit == "Week 12"
    assert any("names no endpoint visit" in note for note in study.notes)
    assert any("'Baseline' and 'Week 4' overlap on days -2 to 0" in note for note in study.notes)


def test_limits_have_meanings_and_the_design_values() -> None:
    meanings = {name: (value, meaning) for name, value, meaning in limit_meanings()}
    assert meanings["cd4_warn"][0] == Limits().cd4_warn == 20000
    assert meanings["time_fail_pct"][0] == 50
    assert all(meaning for _, meaning in meanings.values())


@pytest.mark.parametrize(
    ("sheet", "ordered", "baseline", "endpoint"),
    [
        (("Week 12", "Baseline", "Week 4"), ("Baseline", "Week 4", "Week 12"), "Baseline", "Week 12"),
        (("W12", "W0", "W4"), ("W0", "W4", "W12"), "W0", "W12"),
        (("V10", "V0", "V2"), ("V0", "V2", "V10"), "V0", "V10"),
        (("Week 12", "Screening"), ("Screening", "Week 12"), "Screening", "Week 12"),
        (("Day 0", "Screening", "Day 28"), ("Screening", "Day 0", "Day 28"), "Day 0", "Day 28"),
        (("BL", "Follow-up", "Week 2"), ("BL", "Week 2", "Follow-up"), "BL", "Follow-up"),
        (("baseline", "Week 1", "Day 3"), ("baseline", "Day 3", "Week 1"), "baseline", "Week 1"),
        (("Blood",), ("Blood",), None, "Blood"),
        (("Baseline",), ("Baseline",), "Baseline", None),
        ((), (), None, None),
    ],
)
def test_a_study_is_assumed_from_the_sheet(
    sheet: tuple[str, ...], ordered: tuple[str, ...], baseline: str | None, endpoint: str | None
) -> None:
    study = default_study(sheet)
    assert study.visit_names == ordered
    assert (study.baseline.name if study.baseline else None) == baseline
    assert study.endpoint.visit == endpoint
    assert study.assumed
    assert "No study.toml" in study.notes[0]
    assert all(name in study.notes[0] for name in ordered)


def test_an_assumed_day_comes_from_the_name_alone() -> None:
    days = {visit.name: visit.day for visit in default_study(("Baseline", "Week 12", "D7", "V3", "12W")).visits}
    assert days == {"Baseline": 0, "Week 12": 84, "D7": 7, "V3": None, "12W": 84}


def test_names_that_look_like_one_visit_are_refused() -> None:
    with pytest.raises(StudyError, match="'W12' and 'Week 12' look like one visit"):
        default_study(("Baseline", "W12", "Week 12"))
    with pytest.raises(StudyError, match="'Week 4' and 'Week 04'"):
        default_study(("Week 4", "Week 04"))
    assert default_study(("Week 4", "week 4", " WEEK_4")).visit_names == ("Week 4",)


@given(st.lists(st.from_regex(r"\A(Week|Day|Visit) [1-9][0-9]?\Z"), unique=True, max_size=8), st.randoms())
def test_the_order_of_the_sheet_does_not_matter(names: list[str], random: object) -> None:
    first = default_study(["Baseline", *names])
    shuffled = [*names, "Baseline"]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = default_study(shuffled)
    assert first.baseline == again.baseline
    assert set(first.visit_names) == set(again.visit_names)
    weeks = [name for name in again.visit_names if name.startswith("Week")]
    assert weeks == sorted(weeks, key=lambda name: int(name.split()[1]))
    assert all(again.find_visit(name.upper()) == name for name in names)


@given(st.text(max_size=20))
def test_any_name_is_looked_up_without_failing(written: str) -> None:
    found = Study(visits=(Visit("Baseline"),)).find_visit(written)
    assert (found == "Baseline") == (fold_visit(written) == "baseline")


ARMS = GOOD.replace('multiplicity = "holm"', 'multiplicity = "min_test"\narms = ["IL-2", "Both"]\ncombination = "Both"')


def test_arms_and_combination_are_read(tmp_path: Path) -> None:
    statistics = read_study(write(tmp_path, ARMS)).statistics
    assert (statistics.arms, statistics.combination, statistics.strata) == (("IL-2", "Both"), "Both", ("site",))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'combination = "Both"',
            'combination = "Bth"',
            "not among the arms; found 'Bth'; expected one of arms: IL-2, Both",
        ),
        ('combination = "Both"', "", "the min test needs the combination's arm"),
        ('"IL-2", "Both"', '"IL-2", "Both", "Both"', "an arm is named twice"),
        ('strata = ["site"]', "responder_ratio = 0", "every subject would respond"),
    ],
)
def test_faults_of_the_statistics_name_their_line(tmp_path: Path, old: str, new: str, fault: str) -> None:
    faults = faults_of(tmp_path, ARMS.replace(old, new))
    assert len(faults) == 1
    assert fault in faults[0]
    assert "study.toml:line " in faults[0]
