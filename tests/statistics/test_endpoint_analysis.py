"""From endpoint rows and an arm list to tables: what enters, what is left out and said, and what comes out."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from treg_gating.errors import InputError, StudyError
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.run.record import RunRecord, TemplateSummary
from treg_gating.simulate import PRESETS, draw_biology
from treg_gating.statistics.adverse_events import event_rates, poisson_interval
from treg_gating.statistics.analysis import StudyAnalysis, analyse
from treg_gating.statistics.arms import ArmList, read_arms
from treg_gating.statistics.clinical import read_clinical
from treg_gating.statistics.descriptives import responders, summaries
from treg_gating.statistics.page import write_analysis
from treg_gating.statistics.tables import result_tables
from treg_gating.statistics.tipping import tipping_points
from treg_gating.study import Statistics, Study, Visit
from treg_gating.tables import ENDPOINT, names

VISITS = (
    Visit("Baseline", 0, (-14, 0), baseline=True),
    Visit("Week 4", 28, (-7, 7)),
    Visit("Week 8", 56, (-7, 7)),
    Visit("Week 12", 84, (-7, 7)),
)
ARMS = PRESETS["nct05605665"].treatment.arms
STUDY = Study("NCT05605665", visits=VISITS, statistics=Statistics(arms=ARMS, combination=ARMS[2]))
STUDY = replace(STUDY, endpoint=replace(STUDY.endpoint, visit="Week 12"))
PLAN = TemplateSummary("treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %")


def simulated(seed: int, subjects: int = 30) -> tuple[RunRecord, ArmList]:
    """The registered study's subjects with counting noise, as endpoint rows; no FCS file is made."""
    settings = replace(PRESETS["nct05605665"], seed=seed, subjects=subjects)
    rng, rows, arm_of = np.random.default_rng(seed), [], {}
    for taken in draw_biology(settings):
        row = dict.fromkeys(names(ENDPOINT))
        row.update(subject=taken.subject, visit=taken.visit, status="ok", reason="", flags="", selection="")
        row["tube_id"] = f"{taken.subject}_{taken.visit}"
        if taken.missing:
            row.update(status="missing", reason="no tube of this visit in the sample sheet", tube_id=None)
        else:
            row["treg_pct_of_cd4"] = 100 * rng.binomial(25_000, taken.treg_share) / 25_000
        rows.append(row)
        arm_of[taken.subject] = taken.arm
    record = RunRecord("t", "2026-01-05T10:11:12Z", "0.1.0+x", PLAN, endpoint=tuple(rows))
    return record, ArmList(ARMS, arm_of, dict.fromkeys(arm_of, ()), "arms.csv", "0" * 64)


@pytest.fixture(scope="module")
def analysis() -> StudyAnalysis:
    return analyse(*_with_study(1))


def _with_study(seed: int):
    record, arms = simulated(seed)
    return record, STUDY, arms


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_simulated_arm_effects_lie_within_their_intervals():
    truth = np.log(PRESETS["nct05605665"].treatment.ratios)
    inside = {"primary": [], "mmrm": []}
    for seed in range(40):
        found = analyse(*_with_study(seed), seed=1) if seed == 0 else _models_only(seed)
        for key, result in (("primary", found.primary), ("mmrm", found.mixed_primary)):
            for contrast in result.comparison.contrasts:
                true = truth[contrast.second] - truth[contrast.first]
                inside[key].append(contrast.low <= true <= contrast.high)
    for key, hits in inside.items():
        # 120 intervals of 95 %, three of a trial dependent: fewer than 87 % would be 4 standard errors low.
        assert len(hits) == 120
        assert np.mean(hits) > 0.87, key


def _models_only(seed: int):
    from types import SimpleNamespace

    from treg_gating.statistics.analysis import _at_primary, _trial
    from treg_gating.statistics.sensitivity import answered, mixed_model, primary_ancova

    record, study, arms = _with_study(seed)
    trial = _trial(record.endpoint, tuple(arms.arm_of), arms, study)
    primary = answered("log", "", "primary", lambda: primary_ancova(trial))
    return SimpleNamespace(primary=primary, mixed_primary=_at_primary(*mixed_model(trial, "log"), trial, "secondary"))


def test_everything_is_answered_or_says_why(analysis):
    assert analysis.primary.comparison is not None
    assert analysis.mixed is not None
    assert analysis.mixed.structure == "UN"
    keys = {result.key: result for result in analysis.sensitivity}
    expected = {"logit", "raw", "hc3", "rank", "permutation", "nonparametric", "without_flagged", "without_overrides"}
    assert set(keys) == expected
    assert keys["without_flagged"].reason == "no such sample: the same as the primary analysis"
    assert any(line.startswith("MMRM") and "converged" in line for line in analysis.log)
    assert any(
        "subjects with an arm: 30 (LD-IL2 10, Rapamycin 10, LD-IL2+Rapamycin 10)" in line for line in analysis.log
    )


def test_missing_visits_are_excluded_with_their_reason(analysis):
    reasons = {(e.subject, e.visit): e.reason for e in analysis.trial.excluded}
    absent = [row for row in analysis.rows if row["status"] == "missing"]
    assert absent
    for row in absent:
        assert reasons[str(row["subject"]), str(row["visit"])] == "missing: no tube of this visit in the sample sheet"
    assert len(reasons) == len(absent)


def test_flagged_and_overridden_samples_are_left_out_on_demand():
    record, study, arms = _with_study(3)
    rows = [dict(row) for row in record.endpoint]
    rows[3].update(status="review", reason="look")  # week 12 of the first subject
    rows[7]["tube_id"] = "by hand"
    gate = FittedGate("treg", "cd4_t", "+", None, GateStatus.OVERRIDDEN, "person", "moved")
    sample = SampleResult("by hand", "f", "S02", "Week 12", "1", "sample", "done", gates=(gate,))
    found = analyse(replace(record, endpoint=tuple(rows), samples=(sample,)), study, arms)
    n = found.primary.comparison.n
    keys = {result.key: result.comparison for result in found.sensitivity}
    assert (keys["without_flagged"].n, keys["without_overrides"].n) == (n - 1, n - 1)
    assert keys["without_flagged"].contrasts[0].estimate != found.primary.comparison.contrasts[0].estimate


def test_a_zero_is_never_made_of_a_missing_value():
    record, study, arms = _with_study(3)
    rows = [dict(row) for row in record.endpoint]
    rows[3].update(status="failed", reason="[E_NOT_FCS] no", treg_pct_of_cd4=None)
    found = analyse(replace(record, endpoint=tuple(rows)), study, arms)
    assert np.isnan(found.trial.at_primary[0])
    assert found.dispositions[-3].with_value == 9
    table = next(t for t in result_tables(found) if t.name == "disposition")
    assert any("failed: [E_NOT_FCS] no (1)" in str(row) for row in table.rows)


def test_ratios_of_the_tables_are_exponentials_with_their_scale(analysis):
    table = next(t for t in result_tables(analysis) if t.name == "primary")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    contrast = analysis.primary.comparison.contrasts[1]
    row = next(r for r in rows if r["comparison"] == "LD-IL2+Rapamycin / LD-IL2")
    assert row["estimate"] == pytest.approx(math.exp(contrast.estimate), rel=1e-5)
    assert (row["scale"], row["df"]) == ("ratio", contrast.df)
    points = next(r for r in rows if r["comparison"] == "LD-IL2+Rapamycin vs LD-IL2")
    assert points["scale"] == "difference, percentage points"
    assert points["estimate"] == pytest.approx(analysis.points.comparison.contrasts[1].estimate, rel=1e-5)


def test_pages_and_tables_make_no_claim(analysis, tmp_path):
    files = write_analysis(tmp_path, analysis, ["Run x."])
    html = (tmp_path / "statistics.html").read_text()
    text = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", html, flags=re.DOTALL).casefold()
    for word in ("efficac", "effective", "superior", "placebo", "equivalen", "suppress", "part 11", "caused", "proves"):
        assert word not in text, word
    assert html.count("<svg") == 3
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|"http[^"]*"|http-equiv', "", html)
    assert {"primary.csv", "mmrm.csv", "sensitivity.csv", "disposition.csv", "listing.csv", "model_log.csv"} <= set(
        files
    )
    with (tmp_path / "listing.csv").open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 120
    before = html
    write_analysis(tmp_path, analysis, ["Run x."])
    assert (tmp_path / "statistics.html").read_text() == before


def test_workbook_keeps_text_as_text(tmp_path):
    from openpyxl import load_workbook

    record, study, arms = _with_study(2)
    rows = [dict(row) for row in record.endpoint]
    rows[0]["reason"] = "=1+1"
    write_analysis(tmp_path, analyse(replace(record, endpoint=tuple(rows)), study, arms), [])
    book = load_workbook(tmp_path / "statistics.xlsx")
    cells = [cell for row in book["listing"].iter_rows() for cell in row if cell.value == "=1+1"]
    assert [cell.data_type for cell in cells] == ["s"] or [cell.data_type for cell in cells] == ["inlineStr"]
    assert "'=1+1" in (tmp_path / "listing.csv").read_text()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("subject,arm\nS01,A\nS01,B\n", "row 3: subject 'S01' stands twice"),
        ("subject,arm\nS01,\nS02,B\n", "row 2: subject and arm must both be there"),
        ("subject,arm\nS01,Drug A\nS02,drug  a\n", "row 3: arms 'Drug A' and 'drug  a' look like one arm"),
        ("subject,arm\nS01,A\nS02,A\n", "all subjects are in one arm"),
        ("subject,arm\nX1,A\nX2,B\n", "no subject of the run stands in the arm list"),
        ("subject,arm\ns01,A\nS02,B\n", "row 2: a subject is written otherwise in the sample sheet"),
        ("subject,group of\nS01,A\n", "the arm list has no column 'arm'"),
        ("subject,arm,treatment\nS01,A,B\n", "two columns mean the same"),
    ],
)
def test_arm_list_faults_name_their_row(tmp_path, text, fault):
    with pytest.raises(StudyError) as raised:
        read_arms(write(tmp_path / "arms.csv", text), ("S01", "S02"), Study(visits=VISITS))
    assert f"arms.csv:{fault}" in str(raised.value) or fault in str(raised.value)


def test_arm_list_against_the_study(tmp_path):
    study = replace(STUDY, statistics=Statistics(arms=("A", "B"), strata=("site",)))
    path = write(tmp_path / "arms.csv", "subject,arm,site\nS01,B,x\nS02,A,y\nS03,C,\n")
    with pytest.raises(StudyError) as raised:
        read_arms(path, ("S01", "S02", "S03"), study)
    assert "row 4: the study plans no such arm" in str(raised.value)
    assert "row 4: no value for the stratum 'site'" in str(raised.value)
    good = read_arms(write(path, "subject,arm,site\nS01,B,x\nS02,A,y\n"), ("S01", "S02", "S03"), study)
    assert (good.names, good.strata_of["S02"]) == (("A", "B"), ("y",))


def test_strata_enter_the_model():
    record, arms = simulated(4)
    study = replace(STUDY, statistics=replace(STUDY.statistics, strata=("site",)))
    arms = replace(arms, strata_of={s: (("x", "y", "z")[n % 7 % 3],) for n, s in enumerate(arms.arm_of)})
    found = analyse(record, study, arms)
    assert found.trial.strata.shape == (30, 2)
    assert found.primary.comparison.df == found.primary.comparison.n - 6


def test_the_min_test_is_never_replaced_in_silence():
    record, arms = simulated(4)
    study = replace(STUDY, statistics=replace(STUDY.statistics, multiplicity="min_test"))
    found = analyse(record, study, arms)
    adjusted = [contrast.p_adjusted for contrast in found.primary.comparison.contrasts]
    assert math.isnan(adjusted[0])
    assert adjusted[1] == adjusted[2]
    two = {subject: arm for subject, arm in arms.arm_of.items() if arm != ARMS[2]}
    with pytest.raises(InputError, match="the min test needs the combination's arm"):
        analyse(record, study, replace(arms, names=ARMS[:2], arm_of=two))


def test_two_arms_and_an_unmatched_subject():
    record, arms = simulated(4)
    two = {subject: arm for subject, arm in arms.arm_of.items() if arm != ARMS[2]} | {"S77": ARMS[0]}
    found = analyse(record, STUDY, replace(arms, names=ARMS[:2], arm_of=two, strata_of={}))
    assert len(found.primary.comparison.contrasts) == 1
    reasons = {(e.subject, e.reason) for e in found.trial.excluded}
    assert ("S77", "in the arm list, no tube in the run") in reasons
    assert sum(reason == "not in the arm list" for _, reason in reasons) == 10


def test_an_endpoint_before_the_baseline_is_refused():
    record, arms = simulated(4)
    study = replace(STUDY, endpoint=replace(STUDY.endpoint, visit="Baseline"))
    with pytest.raises(InputError, match="does not come after the baseline"):
        analyse(record, study, arms)


def test_a_study_without_a_baseline_is_refused():
    record, arms = simulated(4, subjects=6)
    with pytest.raises(InputError, match="names no baseline"):
        analyse(record, replace(STUDY, visits=VISITS[1:]), arms)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("S01,Week 12,124,,,", "row 2: essdai cannot be; found 124; expected a whole number from 0 to 123"),
        ("S01,Week 12,3.5,,,", "row 2: essdai cannot be"),
        ("S01,Week 12,,81,,", "row 2: patient_vas cannot be; found 81; expected a number from 0 to 80"),
        ("S01,Week 12,,,10.5,", "row 2: physician_vas cannot be"),
        ("S01,Week 12,,,,-1", "row 2: adverse_events cannot be"),
        ("S01,Week 12,many,,,", "row 2: essdai is no number"),
        ("S01,Week 13,1,,,", "row 2: no such visit is planned"),
        ("S99,Week 12,1,,,", "row 2: the run knows no such subject"),
        ("S01,Week 12,1,,,\nS01,week-12,2,,,", "row 3: subject and visit stand twice"),
    ],
)
def test_clinical_faults_name_their_row(tmp_path, row, fault):
    text = f"subject,visit,essdai,patient_vas,physician_vas,adverse_events\n{row}\n"
    with pytest.raises(StudyError) as raised:
        read_clinical(write(tmp_path / "clinical.csv", text), ("S01",), STUDY)
    assert f"clinical.csv:{fault}" in str(raised.value)


def test_clinical_values_and_scores(tmp_path):
    from treg_gating.simulate.clinical import CLINICAL_COLUMNS, clinical_rows

    settings = replace(PRESETS["nct05605665"], seed=9)
    lines = [",".join(CLINICAL_COLUMNS), *(",".join(row) for row in clinical_rows(settings))]
    record, arms = simulated(9)
    path = write(tmp_path / "clinical.csv", "\n".join(lines))
    clinical = read_clinical(path, tuple(arms.arm_of), STUDY)
    found = analyse(record, STUDY, arms, clinical)
    assert [score.column for score in found.scores] == ["essdai", "patient_vas", "physician_vas"]
    for score in found.scores:
        assert score.primary.comparison.scale == "raw"
        assert score.mixed.comparison is not None
    assert sum(rate.events for rate in found.event_rates) == sum(clinical.events.values())
    assert found.associations[0].n > 20
    table = next(t for t in result_tables(found) if t.name == "association")
    assert table.title.startswith("Exploratory")


def test_event_rates_by_hand():
    arms = ArmList(("A", "B"), {"1": "A", "2": "A", "3": "A", "4": "B"})
    first, second = event_rates({"1": 0, "2": 3, "3": 1, "4": 0}, arms)
    assert (first.subjects, first.with_event, first.events, first.per_subject) == (3, 2, 4, pytest.approx(4 / 3))
    # Exact tables: 2 of 3 is 9.43 to 99.16 %; 4 events 1.0899 to 10.2416.
    assert (first.low_pct, first.high_pct) == (pytest.approx(9.4299, abs=1e-3), pytest.approx(99.1596, abs=1e-3))
    assert (3 * first.low, 3 * first.high) == (pytest.approx(1.0899, abs=1e-3), pytest.approx(10.2416, abs=1e-3))
    assert (second.with_event, second.low_pct, second.low) == (0, 0.0, 0.0)
    assert poisson_interval(0)[1] == pytest.approx(-math.log(0.025))


def test_descriptives_by_hand(analysis):
    trial = replace(
        analysis.trial,
        arm=np.array([0, 0, 0]),
        subjects=("1", "2", "3"),
        arms=("A",),
        baseline=np.array([1.0, 2.0, 4.0]),
        values=np.array([[np.nan] * 3, [1.0, 2.0, 4.0], [1.0, 2.0, 7.9]]),
    )
    base = summaries(trial)[0]
    assert (base.n, base.mean, base.median, base.geometric_mean) == (3, pytest.approx(7 / 3), 2.0, pytest.approx(2.0))
    assert base.geometric_cv_pct == pytest.approx(100 * math.sqrt(math.expm1(math.log(2) ** 2)))
    assert summaries(trial)[1].missing == 1
    found = responders(trial, 2.0)[0]
    assert (found.n, found.responders) == (2, 1)  # 4 / 2 reaches 2, 7.9 / 4 does not, the third is missing


def test_tipping_point_of_nothing_missing_is_the_ancova(trial):
    from treg_gating.statistics.ancova import ancova

    points = tipping_points(trial.arm, np.log(trial.base), np.log(trial.y[:, -1]), 3, imputations=3)
    plain = ancova(trial.arm, trial.base, trial.y[:, -1], 3)
    for point, contrast in zip(points, plain.contrasts, strict=True):
        # Nothing is imputed: the estimate is the ANCOVA's; Barnard and Rubin's df are a little smaller.
        assert point.p == pytest.approx(contrast.p, abs=0.01)
        assert math.isnan(point.factor)


def test_tipping_point_moves_a_result(new_trial):
    trial = new_trial(1, per_arm=12)
    y = trial.y[:, -1].copy()
    y[::5] = np.nan
    points = tipping_points(trial.arm, np.log(trial.base), np.log(y), 3, imputations=10)
    assert points[1].p < 0.05
    assert points[1].factor > 1
    assert points == tipping_points(trial.arm, np.log(trial.base), np.log(y), 3, imputations=10) or math.isnan(
        points[0].factor
    )


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_asks_for_nothing_and_fits(analysis, tmp_path, open_tab, faint_text, width):
    write_analysis(tmp_path, analysis, ["Run x."])
    tab = open_tab(width, 900)
    tab.page.goto((tmp_path / "statistics.html").as_uri())
    assert tab.page.locator("table").count() >= 8
    assert tab.page.locator("figure[aria-label]").count() == 3
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faint_text(tab.page) == []
    # Headings of number columns stand over their numbers.
    aligned = tab.page.locator("#primary thead th").evaluate_all("all => all.map(th => getComputedStyle(th).textAlign)")
    text, number = ["left"], ["right"]
    assert aligned == [*text * 2, *number * 3, *text, *number * 4]
    assert tab.complaints == []
    assert tab.requests == [(tmp_path / "statistics.html").as_uri()]
