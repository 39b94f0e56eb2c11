"""The mixed model against ANCOVA on complete data and against R on incomplete data."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.statistics.ancova import ancova
from treg_gating.statistics.covariance import STRUCTURES, HeterogeneousSymmetry, Unstructured
from treg_gating.statistics.linear import NotEstimableError
from treg_gating.statistics.mmrm import mmrm, stacked_design
from treg_gating.statistics.reml import _Problem, fit_reml


@pytest.mark.parametrize("visits", [1, 2, 3, 4])
def test_on_complete_data_the_last_visit_is_the_ancova(new_trial, visits):
    trial = new_trial(visits, visits=visits)
    model = mmrm(trial.arm, trial.base, trial.y, 3)
    plain = ancova(trial.arm, trial.base, trial.y[:, -1], 3)
    assert model.structure == "UN"
    for ours, theirs in zip(model.at(visits - 1).contrasts, plain.contrasts, strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate, abs=1e-9)
        assert ours.se == pytest.approx(theirs.se, rel=1e-6)
        assert ours.df == pytest.approx(30 - 4, rel=1e-6)
        assert ours.p == pytest.approx(theirs.p, rel=1e-5)
    joint = model.at(visits - 1)
    assert joint.statistic == pytest.approx(plain.statistic, rel=1e-6)
    assert joint.df == pytest.approx(26, rel=1e-5)


def test_the_same_with_strata(new_trial):
    trial = new_trial(8)
    strata = (np.arange(30) % 2 == 0).astype(float)[:, None]
    model = mmrm(trial.arm, trial.base, trial.y, 3, strata=strata)
    plain = ancova(trial.arm, trial.base, trial.y[:, -1], 3, strata=strata)
    for ours, theirs in zip(model.at(2).contrasts, plain.contrasts, strict=True):
        np.testing.assert_allclose([ours.estimate, ours.se, ours.df], [theirs.estimate, theirs.se, 25], rtol=1e-6)


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_incomplete_data_as_r_fits_them(name, kind, incomplete, oracle):
    trial = incomplete(name)
    model = mmrm(trial.arm, trial.base, trial.y, 3, structures=(kind,))
    theirs = [row for row in oracle("mmrm_R.csv") if (row["set"], row["covariance"]) == (name, kind.name)]
    assert len(theirs) == 3
    for ours, row in zip(model.by_visit[-1].contrasts, theirs, strict=True):
        assert ours.estimate == pytest.approx(float(row["estimate"]), abs=5e-6)
        assert ours.se == pytest.approx(float(row["se"]), rel=2e-5)
        assert model.fit.minus2 == pytest.approx(float(row["minus2"]), abs=1e-6)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_satterthwaite_as_lmertest_has_it(name, incomplete, oracle):
    trial = incomplete(name)
    found = mmrm(trial.arm, trial.base, trial.y, 3, structures=(STRUCTURES[2],)).by_visit[-1]
    row = next(row for row in oracle("satterthwaite_R.csv") if row["set"] == name)
    ours = [found.contrasts[0].df, found.contrasts[1].df, found.statistic, found.df]
    np.testing.assert_allclose(ours, [float(row[key]) for key in ("df_ab", "df_ac", "f", "ddf")], rtol=1e-4)


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.name)
def test_derivatives_are_those_of_the_likelihood(kind, incomplete):
    trial = incomplete("a")
    structure = kind(3)
    problem = _Problem(stacked_design(trial.arm, 3, np.log(trial.base)[:, None], 3), np.log(trial.y))
    theta = structure.start(np.array([0.1, 0.15, 0.2])) * 1.1

    def minus_log_likelihood(at):
        return problem.state(structure.sigma(at)).minus2 / 2

    def all_at(at):
        return problem.derivatives(problem.state(structure.sigma(at)), structure.first(at), structure.second(at))

    score, observed, _, slopes = all_at(theta)
    for k in range(len(theta)):
        step = np.zeros(len(theta))
        step[k] = 1e-5 * max(abs(theta[k]), 0.1)
        two = 2 * step[k]
        slope = (minus_log_likelihood(theta + step) - minus_log_likelihood(theta - step)) / two
        assert score[k] == pytest.approx(-slope, rel=1e-5, abs=1e-6)
        up, down = all_at(theta + step), all_at(theta - step)
        np.testing.assert_allclose(observed[k], -(up[0] - down[0]) / two, rtol=1e-5, atol=1e-4)
        covariances = [problem.state(structure.sigma(theta + sign * step)).covariance for sign in (1, -1)]
        np.testing.assert_allclose(slopes[k], (covariances[0] - covariances[1]) / two, rtol=1e-4, atol=1e-7)


def test_falls_back_and_says_so(new_trial):
    trial = new_trial(3, per_arm=4, visits=4)
    # Two visits are never seen in the same subject: their covariance cannot be told.
    y = trial.y.copy()
    y[::2, 0], y[1::2, 1] = np.nan, np.nan
    model = mmrm(trial.arm, trial.base, y, 3)
    assert model.structure in {"CSH", "CS"}
    assert any(note.startswith(("unstructured", "the information")) for note in model.notes)
    assert any("heterogeneous compound symmetry" in note or "(CS)" in note for note in model.notes)


def test_a_visit_without_an_arm_is_left_out(new_trial):
    trial = new_trial(4)
    y = trial.y.copy()
    y[trial.arm == 1, 0] = np.nan
    model = mmrm(trial.arm, trial.base, y, 3)
    assert model.visits == (1, 2)
    assert "visit 1 after baseline left out" in model.notes[0]
    with pytest.raises(NotEstimableError, match="no value at this visit"):
        model.at(0)


def test_order_and_units_do_not_matter(new_trial):
    trial = new_trial(6, missing=0.15)
    found = mmrm(trial.arm, trial.base, trial.y, 3).at(2)
    order = np.random.default_rng(1).permutation(30)
    again = mmrm(trial.arm[order], 7 * trial.base[order], 7 * trial.y[order], 3).at(2)
    for one, other in zip(found.contrasts, again.contrasts, strict=True):
        np.testing.assert_allclose([one.estimate, one.se, one.df], [other.estimate, other.se, other.df], rtol=1e-6)


def test_no_convergence_is_refused(new_trial):
    trial = new_trial(6, per_arm=2, visits=4)
    with pytest.raises(NotEstimableError):
        mmrm(trial.arm, trial.base, trial.y, 3, structures=(Unstructured,))
    assert HeterogeneousSymmetry(4).start(np.ones(4)).shape == (5,)
    with pytest.raises(NotEstimableError, match="not estimable"):
        fit_reml(np.ones((3, 2, 2)), np.ones((3, 2)), Unstructured(2), np.ones(2))


def test_a_tiny_trial_still_has_its_overall_test(new_trial):
    """Six subjects: two degrees of freedom in every direction, where Fai and Cornelius's formula has no value."""
    trial = new_trial(5, visits=2)
    keep = [0, 1, 10, 11, 20, 21]
    model = mmrm(trial.arm[keep], trial.base[keep], trial.y[keep], 3)
    plain = ancova(trial.arm[keep], trial.base[keep], trial.y[keep, -1], 3)
    assert model.at(1).df == pytest.approx(2, rel=1e-5)
    assert model.at(1).p == pytest.approx(plain.p, rel=1e-5)
