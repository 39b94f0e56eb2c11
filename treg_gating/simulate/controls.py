"""Control tubes of a batch: FMO, the control donor, single stains, unstained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from treg_gating.simulate.biology import SubjectVisit, batch_names
from treg_gating.simulate.plans import BatchState, batch_state, plan_sample
from treg_gating.simulate.populations import CellType, Stain
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.tubes import SimulatedTube, TubePlan, simulate_tube

__all__ = ["plan_controls", "plan_single_stains", "simulate_single_stains"]

POOR_FMO_EVENTS = 6_000
POOR_FMO_REMAINDER = 0.25  # share of the stain carried over into a poor FMO
POSITIVE = 12_000.0  # a.u. of dye on the positives of a single stain


def plan_controls(
    settings: CohortSettings, batch: str, states: Mapping[str, BatchState], day: int
) -> Iterator[TubePlan]:
    """Plans of one batch's control tubes."""
    controls = settings.controls
    donor = _donor(settings, batch, states[batch], day)
    if controls.donor:
        yield donor
    if controls.fmo != "none":
        for marker in controls.fmo_markers:
            if marker in donor.panel.markers:
                yield _fmo(settings, donor, marker, states)
    if controls.single_stains:
        yield from plan_single_stains(settings, batch, n_events=controls.stain_events, state=states[batch])


def _donor(settings: CohortSettings, batch: str, state: BatchState, day: int) -> TubePlan:
    """The control donor's fully stained tube: the same cells in every batch."""
    name = settings.controls.subject
    taken = SubjectVisit(name, "", "", batch, day, settings.biology.treg_share, 0.0, missing=False)
    events = settings.controls.events or settings.acquiring.events
    plan = plan_sample(
        replace(settings, acquiring=replace(settings.acquiring, events=events, events_spread=0.0, disturbed_share=0.0)),
        taken,
        state,
        file=f"fcs/{name}_{batch}.fcs",
    )
    return replace(plan, role="control")


def _fmo(settings: CohortSettings, donor: TubePlan, marker: str, states: Mapping[str, BatchState]) -> TubePlan:
    """The donor's tube without one stain."""
    stain = donor.stain.copy()
    column = donor.panel.markers.index(marker)
    file = f"fcs/FMO_{marker}_{donor.batch}.fcs"
    if settings.controls.fmo == "good":
        stain[column] = 0.0
        return replace(donor, file=file, role="fmo", control_for=marker, stain=stain)
    stain[column] *= POOR_FMO_REMAINDER
    names = batch_names(settings)
    other = states[names[(names.index(donor.batch) + 1) % len(names)]]
    return replace(
        donor,
        file=file,
        role="fmo",
        control_for=marker,
        stain=stain,
        instrument=other.instrument,
        n_events=min(POOR_FMO_EVENTS, donor.n_events),
    )


def plan_single_stains(
    settings: CohortSettings,
    batch: str,
    *,
    n_events: int,
    positive_share: float = 0.5,
    state: BatchState | None = None,
) -> Iterator[TubePlan]:
    """Plans of one single-stain tube a dye, then an unstained tube.

    Parameters
    ----------
    settings : the cohort whose panel and instrument are used.
    batch : the batch whose voltages are used.
    n_events : events a tube.
    positive_share : share of single cells that carry the dye.
    state : the batch, where it was drawn already.
    """
    here = batch_state(settings, batch) if state is None else state
    panel = settings.stained_panel
    bright = Stain(POSITIVE, 0.18)
    for marker in (*panel.markers, ""):
        stains = {marker: bright} if marker else {}
        types = (
            CellType("stained", "cells", positive_share, stains),
            CellType("not_stained", "cells", 1.0 - positive_share, {marker: Stain(5.0, 0.2)}),
        )
        stain = np.array([here.stain[i] if m == marker else 0.0 for i, m in enumerate(panel.markers)])
        yield TubePlan(
            file=f"fcs/Stain_{marker}_{batch}.fcs" if marker else f"fcs/Unstained_{batch}.fcs",
            subject="",
            visit="",
            arm="",
            batch=batch,
            role="single_stain" if marker else "unstained",
            control_for=marker,
            seed=settings.seed,
            n_events=n_events,
            panel=panel,
            types=types,
            shares=np.array([positive_share, 1.0 - positive_share]),
            stain=stain,
            instrument=here.instrument,
            file_spillover=here.file_spillover,
            viability=1.0,
            scatter_gain=here.scatter_gain,
        )


def simulate_single_stains(
    settings: CohortSettings, batch: str = "B1", *, n_events: int = 10_000, positive_share: float = 0.5
) -> Iterator[SimulatedTube]:
    """Single-stain tubes of every dye of the panel and an unstained tube, at one batch's voltages.

    Parameters
    ----------
    settings : the cohort whose panel and instrument are used.
    batch : the batch.
    n_events : events a tube.
    positive_share : share of single cells that carry the dye; 0 makes a tube without positives.

    Yields
    ------
    One tube a marker, then the unstained one; each knows its ``true_spillover``.
    """
    for plan in plan_single_stains(settings, batch, n_events=n_events, positive_share=positive_share):
        yield simulate_tube(plan)
