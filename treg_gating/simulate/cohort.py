"""A cohort: the plans of all its tubes, and the tubes one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from treg_gating.simulate.biology import batch_names, draw_biology
from treg_gating.simulate.controls import plan_controls
from treg_gating.simulate.plans import batch_state, plan_sample
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.tubes import SimulatedTube, TubePlan, simulate_tube

__all__ = ["plan_cohort", "simulate_cohort"]


def plan_cohort(settings: CohortSettings) -> Iterator[TubePlan]:
    """Plans of all tubes: samples by subject and visit, then control tubes by batch."""
    states = {batch: batch_state(settings, batch) for batch in batch_names(settings)}
    first_use: dict[str, int] = {}
    for taken in draw_biology(settings):
        if not taken.missing:
            first_use.setdefault(taken.batch, taken.day)
            yield plan_sample(settings, taken, states[taken.batch])
    for batch in sorted(first_use):
        yield from plan_controls(settings, batch, states, first_use[batch])


def simulate_cohort(settings: CohortSettings) -> Iterator[SimulatedTube]:
    """Every tube of a cohort, one at a time, so that memory holds one.

    Parameters
    ----------
    settings : the cohort.

    Yields
    ------
    Samples by subject and visit, then donor, FMO, single-stain and unstained tubes by batch.
    """
    for plan in plan_cohort(settings):
        yield simulate_tube(plan)
