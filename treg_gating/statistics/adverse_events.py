"""Adverse events by arm: exact intervals, no test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from treg_gating.proportion import clopper_pearson
from treg_gating.statistics.arms import ArmList

__all__ = ["EventRate", "event_rates", "poisson_interval"]


@dataclass(frozen=True, slots=True)
class EventRate:
    """Adverse events of one arm.

    Parameters
    ----------
    subjects : with a count. with_event : of these with at least one.
    low_pct, high_pct : Clopper-Pearson interval of their share.
    events : in all. per_subject, low, high : mean number and its exact Poisson interval.
    """

    arm: str
    subjects: int
    with_event: int
    low_pct: float
    high_pct: float
    events: int
    per_subject: float
    low: float
    high: float


def event_rates(events: Mapping[str, int], arms: ArmList) -> list[EventRate]:
    """Rates by arm.

    Parameters
    ----------
    events : adverse events by subject; a subject without a record is not in it.
    """
    rows = []
    nan = float("nan")
    for name in arms.names:
        counts = [count for subject, count in events.items() if arms.arm_of.get(subject) == name]
        n, any_event, total = len(counts), sum(count > 0 for count in counts), sum(counts)
        share = clopper_pearson(any_event, n) or (nan, nan)
        low, high = poisson_interval(total)
        rows.append(
            EventRate(
                name,
                n,
                any_event,
                100 * share[0],
                100 * share[1],
                total,
                *((total / n, low / n, high / n) if n else (nan, nan, nan)),
            )
        )
    return rows


def poisson_interval(events: int) -> tuple[float, float]:
    """Exact 95 % interval of the expected number of events (Garwood, Biometrika 28 (1936) 437).

    >>> [round(bound, 3) for bound in poisson_interval(0)]
    [0.0, 3.689]
    """
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return low, float(chi2.ppf(0.975, 2 * events + 2)) / 2
