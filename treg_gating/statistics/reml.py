"""Restricted maximum likelihood of y ~ N(Xβ, Σ(θ)) with visits missing at random; exact derivatives.

Likelihood and derivatives after Jennrich & Schluchter, Biometrics 42 (1986) 805. Subjects are stacked with all planned
visits; a missing visit has weight zero in W, the padded inverse of Σ's observed block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.covariance import Structure
from treg_gating.statistics.linear import NotEstimableError

__all__ = ["RemlFit", "fit_reml", "satterthwaite_df"]

Floats = NDArray[np.float64]
_STEPS, _HALVINGS, _TOLERANCE = 200, 40, 1e-12


@dataclass(frozen=True, eq=False)
class RemlFit:
    """A converged fit.

    Parameters
    ----------
    theta, sigma : covariance parameters and Σ.
    beta, covariance : coefficients (p,) and (X'V⁻¹X)⁻¹.
    minus2 : −2 × restricted log-likelihood, with its constant.
    theta_covariance : inverse of the observed information of θ, shape (k, k).
    covariance_slopes : ∂(X'V⁻¹X)⁻¹/∂θ, shape (k, p, p).
    steps : scoring steps taken.
    """

    theta: Floats
    sigma: Floats
    beta: Floats
    covariance: Floats
    minus2: float
    theta_covariance: Floats
    covariance_slopes: Floats
    steps: int


@dataclass(frozen=True, eq=False)
class _State:
    """Likelihood at one θ with what its derivatives need."""

    minus2: float
    weights: Floats
    covariance: Floats
    beta: Floats
    residuals: Floats


class _Problem:
    """Data in stacked form.

    Parameters
    ----------
    x : (n, v, p). y : (n, v), NaN where missing.
    """

    def __init__(self, x: Floats, y: Floats) -> None:
        self.seen = np.isfinite(y)
        self.x = np.where(self.seen[:, :, None], x, 0.0)
        self.y = np.where(self.seen, y, 0.0)
        patterns, self.pattern_of = np.unique(self.seen, axis=0, return_inverse=True)
        self.patterns = [np.flatnonzero(pattern) for pattern in patterns]
        self.counts = np.bincount(self.pattern_of, minlength=len(self.patterns))
        self.constant = (int(self.seen.sum()) - x.shape[2]) * np.log(2.0 * np.pi)

    def state(self, sigma: Floats) -> _State | None:
        """Likelihood at Σ; None where Σ is not positive definite."""
        padded, log_determinant = np.zeros((len(self.patterns), *sigma.shape)), 0.0
        try:
            np.linalg.cholesky(sigma)
            for at, kept in enumerate(self.patterns):
                lower = np.linalg.cholesky(sigma[np.ix_(kept, kept)])
                log_determinant += 2.0 * self.counts[at] * float(np.log(np.diag(lower)).sum())
                inverse = np.linalg.inv(lower)
                padded[at][np.ix_(kept, kept)] = inverse.T @ inverse
            weights = padded[self.pattern_of]
            weighted = weights @ self.x
            information = np.einsum("nvp,nvq->pq", self.x, weighted)
            lower = np.linalg.cholesky(information)
        except np.linalg.LinAlgError:
            return None
        log_determinant += 2.0 * float(np.log(np.diag(lower)).sum())
        inverse = np.linalg.inv(lower)
        covariance = inverse.T @ inverse
        beta = covariance @ np.einsum("nvp,nv->p", weighted, self.y)
        residuals = np.where(self.seen, self.y - self.x @ beta, 0.0)
        quadratic = float(np.einsum("nv,nvw,nw->", residuals, weights, residuals))
        return _State(log_determinant + quadratic + self.constant, weights, covariance, beta, residuals)

    def derivatives(self, state: _State, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Score, observed and expected information of θ, and the slopes of the covariance of β."""
        w, c = state.weights, state.covariance
        k, p = len(first), self.x.shape[2]
        wx, wr = w @ self.x, np.einsum("nab,nb->na", w, state.residuals)
        wd = np.matmul(w[None], first[:, None])  # (k, n, v, v)
        dwx = np.matmul(first[:, None], wx[None])  # (k, n, v, p)
        dwr = np.einsum("kvw,nw->knv", first, wr)
        a = np.matmul(wx.reshape(-1, p).T, dwx.reshape(k, -1, p))
        ca = c @ a
        score = -0.5 * (np.einsum("knaa->k", wd) - np.einsum("kpp->k", ca) - np.einsum("nv,knv->k", wr, dwr))
        xdwr = np.einsum("nvp,knv->kp", wx, dwr)
        turned = wd.transpose(0, 1, 3, 2).reshape(k, -1)
        traces = wd.reshape(k, -1) @ turned.T + ca.reshape(k, -1) @ ca.transpose(0, 2, 1).reshape(k, -1).T
        traces -= 2.0 * (dwx @ c).reshape(k, -1) @ np.matmul(w[None], dwx).reshape(k, -1).T
        quadratic = dwr.reshape(k, -1) @ np.einsum("nvw,knw->knv", w, dwr).reshape(k, -1).T - xdwr @ c @ xdwr.T
        curved = np.zeros((k, k))
        if second.any():  # Σ is not linear in θ
            # tr(P D) − y'P D P y, with D the second derivative and P = V⁻¹ − V⁻¹X C X'V⁻¹
            spread = w.sum(axis=0) - np.einsum("nvp,pq,nwq->vw", wx, c, wx, optimize=True) - wr.T @ wr
            curved = np.einsum("vw,klwv->kl", spread, second)
        observed = -0.5 * traces + quadratic + 0.5 * curved
        slopes = c @ a @ c
        return score, observed, 0.5 * traces, slopes


def fit_reml(x: Floats, y: Floats, structure: Structure, variances: Floats) -> RemlFit:
    """Maximise the restricted likelihood by scoring with step halving; Newton steps where they are safe.

    Parameters
    ----------
    x : design, shape (n, v, p); y : (n, v), NaN where a visit is missing.
    variances : one a visit, to begin with.

    Raises
    ------
    NotEstimableError : no convergence, a singular covariance, or information that is not positive definite.
    """
    problem = _Problem(x, y)
    theta = structure.start(variances)
    state = problem.state(structure.sigma(theta))
    if state is None:
        msg = "the fixed effects are not estimable from these visits"
        raise NotEstimableError(msg)
    for step in range(1, _STEPS + 1):
        score, observed, expected, slopes = problem.derivatives(state, structure.first(theta), structure.second(theta))
        move, gain = _move(score, observed, expected)
        if gain < _TOLERANCE:
            return _finished(structure, theta, state, observed, slopes, step)
        found = _halved(problem, structure, theta, move, state)
        if found is None:
            if gain < 1e-8:  # no more to gain in double precision
                return _finished(structure, theta, state, observed, slopes, step)
            break
        theta, state = found
    msg = f"{structure.label} covariance: the restricted likelihood did not converge"
    raise NotEstimableError(msg)


def _move(score: Floats, observed: Floats, expected: Floats) -> tuple[Floats, float]:
    """Newton's step where the observed information is positive definite, else Fisher's; and the gain it promises."""
    for information in (observed, expected):
        try:
            np.linalg.cholesky(information)
        except np.linalg.LinAlgError:
            continue
        move = np.asarray(np.linalg.solve(information, score), dtype=np.float64)
        return move, float(score @ move)
    msg = "the information on the covariance is singular"
    raise NotEstimableError(msg)


def _halved(
    problem: _Problem, structure: Structure, theta: Floats, move: Floats, state: _State
) -> tuple[Floats, _State] | None:
    for halving in range(_HALVINGS):
        tried = theta + move * 0.5**halving
        found = problem.state(structure.sigma(tried))
        if found is not None and found.minus2 < state.minus2:
            return tried, found
    return None


def _finished(
    structure: Structure, theta: Floats, state: _State, observed: Floats, slopes: Floats, steps: int
) -> RemlFit:
    sigma = structure.sigma(theta)
    spread = np.sqrt(np.diag(sigma))
    smallest = float(np.linalg.eigvalsh(sigma / np.outer(spread, spread))[0])
    if smallest < 1e-6:
        msg = f"{structure.label} covariance: singular (smallest eigenvalue of the correlations {smallest:.2g})"
        raise NotEstimableError(msg)
    try:
        np.linalg.cholesky(observed)
    except np.linalg.LinAlgError:
        msg = f"{structure.label} covariance: the information at the maximum is not positive definite"
        raise NotEstimableError(msg) from None
    inverse = np.asarray(np.linalg.inv(observed), dtype=np.float64)
    return RemlFit(theta, sigma, state.beta, state.covariance, state.minus2, inverse, slopes, steps)


def satterthwaite_df(fit: RemlFit, row: Floats) -> float:
    """Degrees of freedom of the contrast `row` @ β: 2 v² / (g' A g).

    v is the contrast's variance, g its slopes in θ, A the covariance of θ.

    Source: Giesbrecht & Burns, Biometrics 41 (1985) 477; Fai & Cornelius, J. Stat. Comput. Simul. 54 (1996) 363.
    """
    variance = float(row @ fit.covariance @ row)
    slopes = np.einsum("p,kpq,q->k", row, fit.covariance_slopes, row)
    spread = float(slopes @ fit.theta_covariance @ slopes)
    return 2.0 * variance**2 / spread if spread > 0 else float("inf")
