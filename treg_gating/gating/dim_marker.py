"""What a marker that no gate is made of tells of a mixture: which of the events it calls the population are of it.

CD25 and CD127 alone hardly tell where Tregs end and activated cells begin: mixtures that fit equally well differ by a
fifth in the Tregs' share. Tregs carry a little less CD4 than other CD4 T cells, far too little to cut on. But over a
cohort the mean of CD4 at each place of the markers says how many of the events there are Tregs. The mixture's
probability is moved along its logit until it explains those means best. Trends of CD4 over the markers, such as
compensation leaves, are taken off first, so that only what falls with the probability itself counts.

Source: means of a marker as a regression on posterior probabilities, a mixture of regressions whose classes are given
(Quandt & Ramsey, JASA 1978); recalibration along the logit, Cox (Biometrika 1958); trends taken off both sides, Frisch
& Waugh (Econometrica 1933); evidence divided by the dispersion, Wedderburn (Biometrika 1974).
Fails: cells on the population's border carry less of the marker, too. Where what it says is out of proportion (a share
a fifth larger or a third smaller, or a probability that should be far less steep), it contradicts the mixture, and is
not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned

__all__ = ["IN_PROPORTION", "UNMOVED", "Correction", "correction", "in_deviations", "recalibrated"]

Array = NDArray[np.float64]
UNMOVED = (0.0, 1.0)
IN_PROPORTION = (0.65, 1.2)  # of the population's share afterwards to that before
STEEP = (0.7, 1.25)
CLIPPED = 4.0  # standard deviations of a tube's events
MAD = 1.4826
PRIOR = np.array([0.5, 0.2])  # SD of the logit's move and of its slope
REACH = np.array([2.5, 0.5])  # farthest from none
GRID, ZOOM, ROUNDS = (7, 5), 0.4, 7
CERTAIN = 1e-6
SEEN = -12.0  # standard errors by which the population must carry less: below, the error of what is said is too large


@dataclass(frozen=True, slots=True)
class Correction:
    """How a probability is to be moved: to the logistic of `move` + `slope` · its logit.

    Parameters
    ----------
    difference : of the marker's mean, population against the others, in standard deviations of a tube's events.
    score : how many standard errors that is from none. share : of the population afterwards, of what it was before.
    """

    move: float
    slope: float
    difference: float
    score: float
    share: float

    @property
    def in_proportion(self) -> bool:
        """Whether it is of a size that a mixture may be wrong by."""
        return IN_PROPORTION[0] < self.share < IN_PROPORTION[1] and STEEP[0] < self.slope < STEEP[1]


def in_deviations(values: Array) -> Array:
    """A tube's marker from its median, in robust standard deviations, clipped; shape (n,)."""
    centred = values - np.median(values)
    spread = MAD * float(np.median(np.abs(centred)))
    return np.asarray(np.clip(centred / max(spread, 1e-9), -CLIPPED, CLIPPED))


def recalibrated(posterior: Array, by: tuple[float, float]) -> Array:
    """Probabilities moved along their logit by (move, slope), shape (n,)."""
    return posterior if by == UNMOVED else _moved(_logit(posterior), np.array([by]))[0]


def correction(cells: Binned, posterior: Array) -> Correction | None:
    """The correction under which the probabilities explain the marker beside the cells best.

    Parameters
    ----------
    cells : pooled events with the marker's mean `beside`, in deviations. posterior : at each of them, shape (n,).

    Returns
    -------
    None where there is no marker, or the population is not seen to carry less of it.
    """
    before = float(cells.counts @ posterior)
    if cells.beside is None or not 0 < before < cells.total:
        return None
    trends, logit = _Trends.of(cells), _logit(posterior)
    given = trends.rest(cells.beside)
    cost, _, score = trends.judge(trends.rest(posterior[None]), given)
    dispersion = max(1.0, 2 * float(cost[0]) / max(len(given) - trends.base.shape[1] - 1, 1))
    if score[0] / np.sqrt(dispersion) > SEEN:
        return None
    none = np.array(UNMOVED)
    best, reach = none, REACH
    for _ in range(ROUNDS):
        axes = [middle + far * np.linspace(-1, 1, n) for middle, far, n in zip(best, reach, GRID, strict=True)]
        asked = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        asked = np.clip(asked, none - REACH, none + REACH)
        cost, _, _ = trends.judge(trends.rest(_moved(logit, asked)), given)
        best = asked[int(np.argmin(cost / dispersion + (((asked - none) / PRIOR) ** 2).sum(axis=1) / 2))]
        reach = reach * ZOOM
    after = _moved(logit, best[None])
    _, difference, score = trends.judge(trends.rest(after), given)
    share = float(cells.counts @ after[0]) / before
    move, slope = (float(value) for value in best)
    return Correction(move, slope, float(difference[0]), float(score[0] / np.sqrt(dispersion)), share)


@dataclass(frozen=True, eq=False)
class _Trends:
    """Constant, slopes and curvatures over the markers, orthonormal under the cells' weights.

    Parameters
    ----------
    root : square roots of the cells' events, shape (n,). base : shape (n, terms).
    """

    root: Array
    base: Array

    @classmethod
    def of(cls, cells: Binned) -> _Trends:
        root = np.sqrt(cells.counts)
        points = cells.points - np.average(cells.points, weights=cells.counts, axis=0)
        rows, columns = np.triu_indices(points.shape[1])
        terms = np.column_stack([np.ones(len(points)), points, points[:, rows] * points[:, columns]])
        return cls(root, np.asarray(np.linalg.qr(terms * root[:, None])[0]))

    def rest(self, values: Array) -> Array:
        """What the trends leave of `values`, shape (…, n), times the roots of the weights."""
        weighted = values * self.root
        return np.asarray(weighted - (weighted @ self.base) @ self.base.T)

    def judge(self, explaining: Array, given: Array) -> tuple[Array, Array, Array]:
        """Half the squares left, slope and its score, for each of `explaining`, shape (m, n)."""
        own = np.maximum((explaining**2).sum(axis=1), 1e-300)
        crossed = explaining @ given
        return (given @ given - crossed**2 / own) / 2, crossed / own, crossed / np.sqrt(own)


def _logit(posterior: Array) -> Array:
    sure = np.clip(posterior, CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(sure / (1 - sure)))


def _moved(logit: Array, by: Array) -> Array:
    """By each of shape (m, 2), shape (m, n)."""
    return np.asarray(1 / (1 + np.exp(-(by[:, :1] + by[:, 1:] * logit))))
