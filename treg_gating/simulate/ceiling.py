"""How well any rule could do: the Bayes ceiling of F1 of a simulated tube.

No gate, model or person that sees only CD25, CD127 and FOXP3 can beat the posterior probability of being a Treg,
cut at the best threshold (for F1 it is half of the best F1 itself: Lipton, Elkan and Naryanaswamy 2014). The
posterior is learnt here from many more cells of the very same tube than a rule ever sees, by gradient-boosted
trees, and its F1 is measured on further cells that it has not seen. What is measured is a rule that exists, so it
is a lower bound, from below within the accuracy given by :class:`Ceiling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.simulate.cohort import plan_cohort
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.tubes import TubePlan, cd4_events

__all__ = [
    "FULL_MARKERS",
    "Ceiling",
    "bayes_ceiling",
    "ceiling_plans",
    "cohort_ceiling",
    "compensated_cd4",
]

FULL_MARKERS = ("CD25", "CD127", "FOXP3")
GOLDEN = 0.6180339887498949
COFACTOR = 150.0  # a.u.; only the nearest-neighbour check depends on it


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best F1 reachable in one tube.

    Parameters
    ----------
    file : the tube.
    f1 : F1 of the learnt posterior on cells it has not seen; a lower bound of the ceiling.
    expected_f1 : F1 that the posterior itself expects; equal to `f1` where the posterior is calibrated, so
        that the difference shows how far the estimate can be trusted.
    se : standard error of `f1` from counting.
    treg_share : expected share of Tregs among CD4 T cells.
    """

    file: str
    f1: float
    expected_f1: float
    se: float
    treg_share: float


def compensated_cd4(
    plan: TubePlan, n: int, name: str, markers: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fresh CD4 T live singlets of a tube, compensated with the file's matrix, on an arcsinh scale.

    Returns
    -------
    Values, shape (n, n_markers of `markers`), and whether each cell is a Treg, shape (n,).
    """
    raw, treg = cd4_events(plan, n, name)
    compensated = raw @ np.linalg.inv(plan.file_spillover)
    columns = [plan.panel.markers.index(marker) for marker in markers]
    return np.arcsinh(compensated[:, columns] / COFACTOR), treg


def bayes_ceiling(
    plan: TubePlan, markers: Sequence[str] | None = None, *, n_reference: int = 200_000, n_test: int = 200_000
) -> Ceiling:
    """The best F1 of any rule that sees the given markers of the tube's CD4 T live singlets.

    Parameters
    ----------
    plan : the tube.
    markers : what the rule sees; by default CD25, CD127 and, where stained, FOXP3.
    n_reference : cells the posterior is learnt from. n_test : cells it is measured on; half of them choose the
        threshold, the other half give F1.

    Notes
    -----
    Measured on one tube of each preset: with the default sizes F1 lay within 0.003 of that from 800,000 reference
    cells and within 0.006 of a 100-nearest-neighbour posterior on 800,000; two to three seconds a tube on one core.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    chosen = markers or tuple(m for m in FULL_MARKERS if m in plan.panel.markers)
    learn, learn_is = compensated_cd4(plan, n_reference, "learn", chosen)
    model = HistGradientBoostingClassifier(
        max_iter=120, learning_rate=0.08, max_leaf_nodes=24, min_samples_leaf=100, l2_regularization=5.0, random_state=0
    ).fit(learn, learn_is)
    test, test_is = compensated_cd4(plan, n_test, "test", chosen)
    posterior = model.predict_proba(test)[:, 1]
    half = n_test // 2
    threshold, _ = _best_threshold(posterior[:half], test_is[:half].astype(float))
    called, truth = posterior[half:] >= threshold, test_is[half:]
    hit, found, real = (int(mask.sum()) for mask in (called & truth, called, truth))
    f1 = 2.0 * hit / max(found + real, 1)
    _, expected = _best_threshold(posterior, posterior)
    # F1 = 2a/(2a + b) with b the number of errors: its relative error is that of two Poisson counts.
    errors = found + real - 2 * hit
    se = f1 * (1.0 - f1) * np.sqrt(1.0 / max(hit, 1) + 1.0 / max(errors, 1))
    return Ceiling(plan.file, f1, expected, float(se), plan.treg_share)


def _best_threshold(posterior: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Threshold of the posterior with the best F1, and that F1; `weight` is truth or expected truth."""
    order = np.argsort(-posterior, kind="stable")
    hits = np.cumsum(weight[order])
    f1 = 2.0 * hits / (np.arange(1, hits.size + 1) + hits[-1])
    best = int(np.argmax(f1))
    return float(posterior[order[best]]), float(f1[best])


def cohort_ceiling(
    settings: CohortSettings, tubes: int = 30, *, n_reference: int = 200_000, n_test: int = 200_000
) -> tuple[Ceiling, ...]:
    """Ceilings of sample tubes spread over a cohort; their median is the cohort's ceiling."""
    return tuple(bayes_ceiling(plan, n_reference=n_reference, n_test=n_test) for plan in ceiling_plans(settings, tubes))


def ceiling_plans(settings: CohortSettings, tubes: int) -> tuple[TubePlan, ...]:
    """Plans of at most so many sample tubes, spread over a cohort."""
    plans = [plan for plan in plan_cohort(settings) if plan.role == "sample"]
    # Golden-ratio steps: an even spacing would fall in with the visits, which differ in their Treg share.
    rows = sorted({int((0.5 + k * GOLDEN) % 1.0 * len(plans)) for k in range(min(tubes, len(plans)))})
    return tuple(plans[row] for row in rows)
