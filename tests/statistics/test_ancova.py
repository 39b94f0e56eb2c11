"""ANCOVA against hand-sized arrays, statsmodels and scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from treg_gating.proportion import wilson
from treg_gating.statistics.ancova import ancova, compare, rank_ancova
from treg_gating.statistics.linear import NotEstimableError
from treg_gating.statistics.mmrm import mmrm
from treg_gating.statistics.multiplicity import adjust, closed, holm, min_test, tukey
from treg_gating.statistics.nonparametric import hodges_lehmann, mann_whitney_p, nonparametric
from treg_gating.statistics.permutation import freedman_lane

sm = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed (extra 'test')")

PAIRS = ((0, 1), (0, 2), (1, 2))


def reference(trial, scale="log", strata=None, **fit):
    move = {"log": np.log, "raw": np.asarray, "logit": lambda v: np.log(v / (100 - v))}[scale]
    columns = [(trial.arm == a).astype(float) for a in range(3)] + [move(trial.base)]
    x = np.column_stack(columns if strata is None else [*columns, strata])
    return sm.OLS(move(trial.y[:, -1]), x).fit(**fit)


@pytest.mark.parametrize("scale", ["log", "raw", "logit"])
@pytest.mark.parametrize("robust", [False, True])
def test_contrasts_equal_statsmodels(trial, scale, robust):
    found = ancova(trial.arm, trial.base, trial.y[:, -1], 3, scale=scale, robust=robust)
    model = reference(trial, scale, **({"cov_type": "HC3", "use_t": True} if robust else {}))
    for contrast, (first, second) in zip(found.contrasts, PAIRS, strict=True):
        row = np.zeros(4)
        row[first], row[second] = -1, 1
        test = model.t_test(row)
        low, high = test.conf_int()[0]
        theirs = [test.effect[0], test.sd[0, 0], float(test.pvalue), low, high]
        ours = [contrast.estimate, contrast.se, contrast.p, contrast.low, contrast.high]
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-12)
        assert contrast.df == 26
    f = model.f_test([[-1, 1, 0, 0], [-1, 0, 1, 0]])
    np.testing.assert_allclose([found.statistic, found.p], [float(f.fvalue), float(f.pvalue)], rtol=1e-8)


def test_adjusted_means_are_at_the_mean_baseline_and_strata(trial):
    strata = (np.arange(30) % 4 == 0).astype(float)[:, None]
    found = ancova(trial.arm, trial.base, trial.y[:, -1], 3, strata=strata)
    model = reference(trial, strata=strata)
    for mean in found.means:
        row = np.concatenate([np.eye(3)[mean.arm], [np.log(trial.base).mean(), strata.mean()]])
        test = model.t_test(row)
        np.testing.assert_allclose(
            [mean.estimate, mean.low, mean.high], [test.effect[0], *test.conf_int()[0]], rtol=1e-8
        )
    assert [mean.n for mean in found.means] == [10, 10, 10]


def test_by_hand_without_a_slope():
    # Baselines alike in every arm: the adjusted difference is the plain one.
    arm = np.array([0, 0, 1, 1])
    found = compare(arm, np.array([1.0, 2.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0, 8.0]), 2, scale="raw")
    assert found.contrasts[0].estimate == pytest.approx(4.5)
    assert found.df == 1


def test_rank_ancova_is_least_squares_on_ranks(trial):
    found = rank_ancova(trial.arm, trial.base, trial.y[:, -1], 3)
    x = np.column_stack([*((trial.arm == a).astype(float) for a in range(3)), stats.rankdata(trial.base)])
    f = sm.OLS(stats.rankdata(trial.y[:, -1]), x).fit().f_test([[-1, 1, 0, 0], [-1, 0, 1, 0]])
    np.testing.assert_allclose([found.statistic, found.p], [float(f.fvalue), float(f.pvalue)], rtol=1e-8)


def test_a_missing_value_leaves_the_subject_out_and_zero_percent_has_no_logarithm(trial):
    y = trial.y[:, -1].copy()
    y[:3] = [np.nan, 0.0, 5.0]
    found = ancova(trial.arm, trial.base, y, 3)
    assert (found.n, found.df) == (28, 24)


@pytest.mark.parametrize(("keep", "reason"), [(slice(0, 2), "no subject"), (slice(0, 4), "cannot carry")])
def test_too_little_is_refused_with_its_reason(trial, keep, reason):
    with pytest.raises(NotEstimableError, match=reason):
        ancova(trial.arm[keep], trial.base[keep], trial.y[keep, -1], 3)


def test_values_that_are_all_alike_are_refused_whatever_the_model(trial):
    constant = np.full_like(trial.y, 7.3)
    for ask in (
        lambda: ancova(trial.arm, trial.base, constant[:, -1], 3),
        lambda: ancova(trial.arm, trial.base, constant[:, -1], 3, robust=True),
        lambda: rank_ancova(trial.arm, trial.base, constant[:, -1], 3),
        lambda: freedman_lane(trial.arm, trial.base, constant[:, -1], 3),
        lambda: mmrm(trial.arm, trial.base, constant, 3),
    ):
        with pytest.raises(NotEstimableError, match="no residual variance"):
            ask()
    with pytest.raises(NotEstimableError, match="all values are equal"):
        nonparametric(trial.arm, constant[:, -1], 3)


def test_an_arm_that_is_its_own_stratum_is_refused(trial):
    with pytest.raises(NotEstimableError, match="rank deficient"):
        ancova(trial.arm, trial.base, trial.y[:, -1], 3, strata=(trial.arm == 0).astype(float)[:, None])


def test_holm_equals_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(2)
    for _ in range(50):
        p = rng.random(rng.integers(2, 7)) ** 3
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_tukey_equals_scipy_where_there_is_no_covariate(trial):
    groups = [np.log(trial.y[trial.arm == a, -1]) for a in range(3)]
    theirs = stats.tukey_hsd(*groups).pvalue
    pooled = np.sqrt(sum(((g - g.mean()) ** 2).sum() for g in groups) / 27)
    t = [(groups[b].mean() - groups[a].mean()) / (pooled * np.sqrt(2 / 10)) for a, b in PAIRS]
    np.testing.assert_allclose(tukey(t, 3, 27), [theirs[a, b] for a, b in PAIRS], rtol=1e-8)


def test_closed_test_is_every_intersection():
    assert closed([0.01, 0.04, 0.2], 0.03) == [0.03, 0.04, 0.2]


def test_closed_test_declares_nothing_without_the_overall_test(trial):
    found = replace(ancova(trial.arm, trial.base, trial.y[:, -1], 3), p=float("nan"))
    assert all(np.isnan(contrast.p_adjusted) for contrast in adjust(found, "closed", 3).contrasts)


def test_min_test_asks_for_both_components(trial):
    found = ancova(trial.arm, trial.base, trial.y[:, -1], 3)
    greater = [1 - stats.t.cdf(c.statistic, c.df) for c in found.contrasts if c.second == 2]
    assert min_test(found, 2) == pytest.approx(min(1, 2 * max(greater)), rel=1e-9)
    # Arm 0 lies lowest: as a combination it is above nothing.
    assert min_test(found, 0) == 1.0
    adjusted = adjust(found, "min_test", 3, 2).contrasts
    assert np.isnan(adjusted[0].p_adjusted)
    assert adjusted[1].p_adjusted == adjusted[2].p_adjusted == min_test(found, 2)


@pytest.mark.parametrize("method", ["closed", "holm", "tukey"])
def test_adjusted_is_never_below_unadjusted(trial, method):
    found = adjust(ancova(trial.arm, trial.base, trial.y[:, -1], 3), method, 3)
    assert all(contrast.p <= contrast.p_adjusted <= 1 for contrast in found.contrasts)
    assert np.isnan(adjust(found.with_adjusted([np.nan] * 3), "none", 3).contrasts[0].p_adjusted)


def test_wilson_equals_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for k, n in ((0, 10), (3, 10), (10, 10), (130, 2968)):
        np.testing.assert_allclose(wilson(k, n), proportion_confint(k, n, method="wilson"), atol=1e-12)


def test_nonparametric_equals_scipy(trial):
    change = np.log(trial.y[:, -1] / trial.base)
    groups = [change[trial.arm == a] for a in range(3)]
    found = nonparametric(trial.arm, change, 3)
    assert found.p == pytest.approx(stats.kruskal(*groups).pvalue, rel=1e-12)
    for contrast in found.contrasts:
        a, b = groups[contrast.first], groups[contrast.second]
        assert contrast.p == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, rel=1e-12)
        assert contrast.estimate == np.median(b[:, None] - a[None, :])
        # The interval inverts the test: at its ends the shifted groups are on the edge of p = 5 %.
        inside = mann_whitney_p(a + contrast.low + 1e-9, b)
        outside = mann_whitney_p(a + contrast.low - 1e-9, b)
        assert outside <= 0.05 < inside


def test_hodges_lehmann_bounds_as_r_gives_them():
    # R 4.2.2: wilcox.test(c(1.1,2.3,3.9,4.2,5.8,6.1,7.7), c(0.4,1.9,2.2,3.1,4.5), conf.int = TRUE)
    found = hodges_lehmann(np.array([0.4, 1.9, 2.2, 3.1, 4.5]), np.array([1.1, 2.3, 3.9, 4.2, 5.8, 6.1, 7.7]))
    np.testing.assert_allclose(found, R_WILCOX, rtol=1e-12)


R_WILCOX = (2.0, -0.8, 4.6)


def test_groups_too_small_for_95_percent_have_no_bounds():
    _, low, high = hodges_lehmann(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert (low, high) == (float("-inf"), float("inf"))


def test_permutation_is_seeded_and_near_the_t_test(trial):
    y, base = np.log(trial.y[:, -1]), np.log(trial.base)
    found = freedman_lane(trial.arm, base, y, 3, seed=7, permutations=4999)
    again = freedman_lane(trial.arm, base, y, 3, seed=7, permutations=4999)
    assert [found.p, *(c.p for c in found.contrasts)] == [again.p, *(c.p for c in again.contrasts)]
    parametric = ancova(trial.arm, trial.base, trial.y[:, -1], 3)
    for ours, theirs in zip((found, *found.contrasts), (parametric, *parametric.contrasts), strict=True):
        assert ours.p == pytest.approx(theirs.p, abs=4 * np.sqrt(theirs.p / 4999) + 0.01)


def test_permutation_of_few_subjects_counts_every_order():
    # One covariate that is constant apart from two subjects: all 5! orders are drawn again and again.
    arm, base = np.array([0, 0, 0, 1, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    y = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2])
    p = freedman_lane(arm, base, y, 2, permutations=2000).p
    assert 1 / 2001 <= p < 0.12  # 72 of 720 orders keep the arms apart
