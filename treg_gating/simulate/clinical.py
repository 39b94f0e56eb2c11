"""clinical.csv of the registered study: scores and adverse events of simulated subjects.

Values are made up in the registered ranges: they exercise the analysis and say nothing about the disease.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from treg_gating.simulate.biology import SubjectVisit, draw_biology
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.streams import stream

__all__ = ["CLINICAL_COLUMNS", "ESSDAI_EFFECT", "clinical_rows"]

CLINICAL_COLUMNS = ("subject", "visit", "essdai", "patient_vas", "physician_vas", "adverse_events")
ESSDAI_EFFECT = (-2.0, -1.0, -3.0)
"""Points by which ESSDAI falls to the last visit, by arm in the order of `Treatment.arms`."""


def clinical_rows(settings: CohortSettings) -> Iterator[tuple[str, ...]]:
    """One row a subject and visit that took place, in the order of `CLINICAL_COLUMNS`."""
    for taken in draw_biology(settings):
        if not taken.missing:
            yield _row(settings, taken)


def _row(settings: CohortSettings, taken: SubjectVisit) -> tuple[str, ...]:
    person = stream(settings.seed, "clinical", taken.subject)
    activity, own = person.gamma(4.0, 2.0), person.normal(0.0, 1.0)
    today = stream(settings.seed, "clinical", taken.subject, taken.visit)
    arms = settings.treatment.arms
    fall = taken.growth * ((ESSDAI_EFFECT[arms.index(taken.arm)] if taken.arm in arms else 0.0) + own)
    essdai = int(np.clip(round(activity + fall + today.normal(0.0, 1.2)), 0, 123))
    patient = float(np.clip(35.0 + 2.0 * (activity - 8.0) + 3.0 * fall + today.normal(0.0, 8.0), 0.0, 80.0))
    physician = float(np.clip(4.0 + 0.3 * (activity - 8.0) + 0.4 * fall + today.normal(0.0, 0.8), 0.0, 10.0))
    events = int(today.poisson(0.5)) if taken.growth > 0 else 0
    return taken.subject, taken.visit, str(essdai), f"{patient:.0f}", f"{physician:.1f}", str(events)
