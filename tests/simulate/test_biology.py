"""The cohort's numbers, recovered from a large draw without events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.simulate.biology import composition, draw_biology
from treg_gating.simulate.populations import CD4_LINEAGE, cell_types
from treg_gating.simulate.settings import Biology, CohortSettings, Treatment

LARGE = CohortSettings(seed=5, subjects=3_000)


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str], list[float]]:
    shares: dict[tuple[str, str], list[float]] = {}
    for taken in draw_biology(LARGE):
        shares.setdefault((taken.arm, taken.visit), []).append(taken.treg_share)
    return shares


def test_median_and_between_person_cv(table: dict[tuple[str, str], list[float]]) -> None:
    baseline = np.log(np.concatenate([values for (_, visit), values in table.items() if visit == "Baseline"]))
    # One visit holds both variances: log variances add.
    expected = np.sqrt(np.log1p(0.39**2) + np.log1p(0.145**2))
    assert np.exp(np.median(baseline)) == pytest.approx(0.055, rel=0.03)
    assert baseline.std() == pytest.approx(expected, rel=0.04)


def test_within_person_cv() -> None:
    quiet = replace(LARGE, treatment=Treatment(ratios=(1.0, 1.0, 1.0), response_sd=0.0), subjects=1_500)
    by_subject: dict[str, list[float]] = {}
    for taken in draw_biology(quiet):
        by_subject.setdefault(taken.subject, []).append(taken.treg_share)
    within = np.log(np.array(list(by_subject.values()))).std(axis=1, ddof=1)
    assert np.sqrt((within**2).mean()) == pytest.approx(np.sqrt(np.log1p(0.145**2)), rel=0.03)


def test_arm_ratios_at_week_12_and_their_growth(table: dict[tuple[str, str], list[float]]) -> None:
    for arm, ratio in zip(LARGE.treatment.arms, LARGE.treatment.ratios, strict=True):
        change = {
            visit: np.log(table[arm, visit]) - np.log(table[arm, "Baseline"])
            for visit in ("Week 4", "Week 8", "Week 12")
        }
        error = change["Week 12"].std() / np.sqrt(1_000)
        assert change["Week 12"].mean() == pytest.approx(np.log(ratio), abs=4 * error)
        assert change["Week 4"].mean() == pytest.approx(0.60 * np.log(ratio), abs=4 * error)
        expected = np.sqrt(2 * np.log1p(0.145**2) + 0.25**2)
        assert change["Week 12"].std() == pytest.approx(expected, rel=0.08)


def test_arms_are_balanced_in_blocks_of_three() -> None:
    taken = [t for t in draw_biology(replace(LARGE, subjects=30)) if t.visit == "Baseline"]
    for block in range(10):
        assert len({t.arm for t in taken[3 * block : 3 * block + 3]}) == 3


def test_interaction_multiplies_the_single_effects() -> None:
    treatment = Treatment(interaction=-0.3)
    assert np.exp(treatment.log_ratio(treatment.arms[2])) == pytest.approx(1.6 * 1.15 * np.exp(-0.3))
    assert np.exp(Treatment().log_ratio(treatment.arms[2])) == pytest.approx(1.8)


def test_a_further_subject_leaves_the_others_alone() -> None:
    few, more = (draw_biology(replace(LARGE, subjects=n)) for n in (4, 5))
    assert more[: len(few)] == few


def test_composition_holds_the_treg_share_exactly() -> None:
    types = cell_types()
    shares = composition(LARGE, types, "S01", "Week 4", 0.08)
    cd4 = np.array([t.lineage == CD4_LINEAGE for t in types])
    treg = np.array([t.is_treg for t in types])
    assert shares.sum() == pytest.approx(1.0)
    assert shares[treg].sum() / shares[cd4].sum() == pytest.approx(0.08)


def test_composition_without_spread_is_the_design() -> None:
    still = replace(LARGE, biology=Biology(naive_sd=0.0, composition_sd=0.0, composition_visit_sd=0.0))
    types = cell_types()
    shares = composition(still, types, "S01", "Baseline", 0.055)
    cd4 = {t.name: s for t, s in zip(types, shares, strict=True) if t.lineage == CD4_LINEAGE}
    total = sum(cd4.values())
    expected = {
        "naive_tconv": 0.46,
        "memory_tconv": 0.41,
        "activated_tconv": 0.03,
        "cd127low_cd25neg": 0.045,
        "naive_treg": 0.015,
        "effector_treg": 0.04,
    }
    assert {name: round(share / total, 6) for name, share in cd4.items()} == expected


def test_shares_of_every_lineage_sum_to_one() -> None:
    for profile in ("standard", "hard", "smeared"):
        sums: dict[str, float] = {}
        for cell_type in cell_types(profile):
            sums[cell_type.lineage] = sums.get(cell_type.lineage, 0.0) + cell_type.share
        assert sums == pytest.approx(dict.fromkeys(sums, 1.0))


def test_missing_visits_and_calendar_batches() -> None:
    settings = replace(LARGE, subjects=30, missing_visits=((2, "Week 8"),), batch_layout="calendar", missing_share=0.2)
    taken = draw_biology(settings)
    by_key = {(t.subject, t.visit): t for t in taken}
    assert by_key["S02", "Week 8"].missing
    assert not any(t.missing for t in taken if t.visit == "Baseline")
    assert 8 <= sum(t.missing for t in taken) <= 32
    days = {batch: [t.day for t in taken if t.batch == batch] for batch in ("B1", "B2", "B3", "B4")}
    assert max(days["B1"]) < min(days["B2"])
    assert max(days["B3"]) < min(days["B4"])


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_layout.*; .*at least one subject"):
        CohortSettings(batch_layout="random", subjects=0)
