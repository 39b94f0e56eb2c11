"""The Bayes ceiling of F1: where it is known by hand, and that the presets have the one they were made for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.simulate import PRESETS, plan_cohort
from treg_gating.simulate.ceiling import _best_threshold, bayes_ceiling, cohort_ceiling
from treg_gating.simulate.populations import Stain

BANDS = {"foxp3": (0.92, 0.96), "surface": (0.86, 0.91), "hard": (0.88, 0.93), "smeared": (0.85, 0.92)}


def test_best_threshold_by_hand() -> None:
    # Calling the first three: 2 hits of 3 called and 2 real, F1 = 4/5; no other cut is better.
    threshold, f1 = _best_threshold(np.array([0.9, 0.1, 0.5, 0.3]), np.array([1.0, 0.0, 0.0, 1.0]))
    assert threshold == 0.3
    assert f1 == pytest.approx(0.8)


def test_ceiling_is_one_where_tregs_are_far_away() -> None:
    plan = next(plan_cohort(PRESETS["foxp3"]))
    far = tuple(t.with_stains(FOXP3=Stain(50_000, 0.05)) if t.is_treg else t for t in plan.types)
    assert bayes_ceiling(replace(plan, types=far), n_reference=60_000, n_test=60_000).f1 > 0.995


def test_ceiling_is_that_of_guessing_where_nothing_separates() -> None:
    plan = next(plan_cohort(PRESETS["surface"]))
    same = tuple(
        t.with_stains(CD25=Stain(500, 0.2), CD127=Stain(500, 0.2)) if t.lineage == "cd4_t" else t for t in plan.types
    )
    alike = bayes_ceiling(replace(plan, types=same), ("CD25", "CD127"), n_reference=20_000, n_test=20_000)
    # Calling every cell a Treg has F1 = 2p/(1 + p) and nothing does better.
    p = plan.treg_share
    assert alike.f1 == pytest.approx(2 * p / (1 + p), abs=0.02)


def test_foxp3_raises_the_ceiling() -> None:
    plan = next(plan_cohort(PRESETS["foxp3"]))
    full, surface = (
        bayes_ceiling(plan, markers, n_reference=40_000, n_test=40_000).f1
        for markers in (("CD25", "CD127", "FOXP3"), ("CD25", "CD127"))
    )
    assert full > surface + 0.02


@pytest.mark.parametrize("name", BANDS)
def test_presets_have_the_ceiling_they_were_made_for(name: str) -> None:
    """On the four tubes of middling Treg share, which decides most of a tube's ceiling."""
    low, high = BANDS[name]
    samples = [plan for plan in plan_cohort(replace(PRESETS[name], seed=12)) if plan.role == "sample"]
    middle = sorted(samples, key=lambda plan: plan.treg_share)[len(samples) // 2 - 2 : len(samples) // 2 + 2]
    found = [bayes_ceiling(plan, n_reference=60_000, n_test=60_000).f1 for plan in middle]
    assert low < np.median(found) < high


@pytest.mark.slow
@pytest.mark.parametrize("name", BANDS)
def test_cohorts_have_the_ceiling_they_were_made_for(name: str) -> None:
    low, high = BANDS[name]
    ceilings = cohort_ceiling(replace(PRESETS[name], seed=300), tubes=16, n_reference=60_000, n_test=60_000)
    assert len({ceiling.file for ceiling in ceilings}) == 16
    assert low < np.median([ceiling.f1 for ceiling in ceilings]) < high
