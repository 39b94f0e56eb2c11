"""From a subject's visit to the plan of a tube: voltages, stain lots, pipetting, disturbances, treatment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from treg_gating.simulate.biology import SubjectVisit, composition
from treg_gating.simulate.disturbances import Disturbance
from treg_gating.simulate.instrument import Instrument
from treg_gating.simulate.populations import CD4_LINEAGE, CellType, cell_types
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.streams import stream
from treg_gating.simulate.tubes import TubePlan

__all__ = ["BatchState", "batch_state", "day_text", "plan_sample"]

FIRST_DAY = date(2026, 1, 5)
# Month names are written out: strftime's depend on the machine's language.
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, eq=False)
class BatchState:
    """One batch: voltages, spill, stain lots.

    Parameters
    ----------
    stain : factor of every marker's stain lot, shape (n_markers,).
    instrument : gains and true spill.
    file_spillover : the matrix the instrument's operator had measured, shape (n_markers, n_markers).
    scatter_gain : factor on scatter.
    """

    stain: NDArray[np.float64]
    instrument: Instrument
    file_spillover: NDArray[np.float64]
    scatter_gain: float


def batch_state(settings: CohortSettings, batch: str) -> BatchState:
    """Draw a batch's voltages, spill and stain lots.

    Streams are named by marker, so that leaving a stain out leaves the others as they were.
    """
    panel, shifts, seed = settings.stained_panel, settings.shifts, settings.seed
    gain_sd = shifts.batch * math.sqrt(shifts.gain_share)
    stain_sd = shifts.batch * math.sqrt(1.0 - shifts.gain_share)
    gains = np.array([10 ** stream(seed, "gain", batch, m).normal(0.0, gain_sd) for m in panel.markers])
    stain = np.array([10 ** stream(seed, "lot", batch, m).normal(0.0, stain_sd) for m in panel.markers])
    pairs = [[(a, b) for b in panel.markers] for a in panel.markers]
    true_error, file_error = (
        np.array([[stream(seed, what, batch, a, b).normal(0.0, sd) for a, b in row] for row in pairs])
        for what, sd in (("spill", shifts.spill), ("matrix", shifts.matrix_error))
    )
    usual = replace(Instrument.of(panel.dyes), resolution=settings.acquiring.resolution)
    instrument = usual.at(gains, true_error)
    file_spillover = instrument.spillover * (1.0 + file_error)
    np.fill_diagonal(file_spillover, 1.0)
    # Six decimals, as acquisition programs write them.
    scatter_gain = 10 ** stream(seed, "scatter", batch).normal(0.0, shifts.scatter)
    return BatchState(stain, instrument, np.round(file_spillover, 6), float(scatter_gain))


def plan_sample(settings: CohortSettings, taken: SubjectVisit, state: BatchState, file: str = "") -> TubePlan:
    """The plan of a subject's fully stained tube at a visit, named by both unless `file` is given."""
    seed, acquiring = settings.seed, settings.acquiring
    file = file or f"fcs/{taken.subject}_{taken.visit.replace(' ', '')}.fcs"
    rng = stream(seed, "plan", taken.subject, taken.visit)
    spread = acquiring.events_spread
    n_events = round(acquiring.events * rng.uniform(1.0 - spread, 1.0 + spread))
    types = cell_types(settings.profile)
    activated = 1.0
    if settings.treatment.has_il2(taken.arm):
        activated = settings.treatment.il2_activated**taken.growth
    shares = composition(settings, types, taken.subject, taken.visit, taken.treg_share, activated)
    return TubePlan(
        file=file,
        subject=taken.subject,
        visit=taken.visit,
        arm=taken.arm,
        batch=taken.batch,
        role="sample",
        control_for="",
        seed=seed,
        n_events=n_events,
        panel=settings.stained_panel,
        types=types,
        shares=shares,
        stain=state.stain * _tube_stain(settings, taken.batch, file),
        instrument=state.instrument,
        file_spillover=state.file_spillover,
        type_stain=_il2_stain(settings, types, taken),
        viability=rng.uniform(*settings.biology.viability),
        doublets=rng.uniform(*acquiring.doublets),
        debris=rng.uniform(*acquiring.debris),
        margin=acquiring.margin,
        rate=acquiring.rate * rng.uniform(0.7, 1.3),
        disturbances=_disturbances(settings, file),
        scatter_gain=state.scatter_gain,
        date=day_text(taken.day),
    )


def _tube_stain(settings: CohortSettings, batch: str, file: str) -> NDArray[np.float64]:
    """Factor on every marker's dye in one tube: pipetting, and a stain that failed."""
    sd, failed = settings.shifts.sample, settings.failed_stain
    factors = []
    for marker in settings.stained_panel.markers:
        factor = 10 ** stream(settings.seed, "pipette", file, marker).normal(0.0, sd)
        if failed is not None and (failed.marker, failed.batch) == (marker, batch):
            factor *= failed.factor
        factors.append(factor)
    return np.array(factors)


def _il2_stain(
    settings: CohortSettings, types: tuple[CellType, ...], taken: SubjectVisit
) -> Mapping[str, Mapping[str, float]]:
    """IL-2 raises CD25 on Tregs and a little on conventional CD4 T cells."""
    treatment = settings.treatment
    if not treatment.has_il2(taken.arm):
        return {}
    factor = {
        True: treatment.il2_treg_cd25**taken.growth,
        False: treatment.il2_tconv_cd25**taken.growth,
    }
    return {t.name: {"CD25": factor[t.is_treg]} for t in types if t.lineage == CD4_LINEAGE}


def _disturbances(settings: CohortSettings, file: str) -> tuple[Disturbance, ...]:
    acquiring = settings.acquiring
    rng = stream(settings.seed, "disturbance", file)
    if rng.random() >= acquiring.disturbed_share or not acquiring.kinds:
        return ()
    kind = acquiring.kinds[int(rng.integers(len(acquiring.kinds)))]
    share = rng.uniform(*acquiring.disturbance_time)
    start = rng.uniform(0.05, 0.95 - share)
    return (Disturbance(kind, share, start),)


def day_text(day: int) -> str:
    """$DATE of a study day."""
    when = FIRST_DAY + timedelta(days=day)
    return f"{when.day:02d}-{MONTHS[when.month - 1]}-{when.year}"
