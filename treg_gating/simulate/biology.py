"""Who has how many Tregs when: subjects, visits, arms, batches, and the make-up of their blood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.simulate.populations import CD4_LINEAGE, CellType
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.streams import stream

__all__ = ["SubjectVisit", "batch_names", "composition", "draw_biology"]

MAX_TREG_SHARE = 0.45
LINEAGES = ("cd4_t", "cd8_t", "dn_t", "b", "nk", "monocyte")


@dataclass(frozen=True, slots=True)
class SubjectVisit:
    """What is true of one subject at one visit, before any tube is taken.

    Parameters
    ----------
    subject, visit, arm, batch : whose and when; batches are B1, B2, ...
    day : days since the study's first subject was enrolled.
    treg_share : expected share of Tregs among CD4 T cells.
    growth : share of the week-12 treatment effect present (0 at baseline).
    missing : whether the visit has no tube.
    """

    subject: str
    visit: str
    arm: str
    batch: str
    day: int
    treg_share: float
    growth: float
    missing: bool


def batch_names(settings: CohortSettings) -> tuple[str, ...]:
    """B1, B2, ..."""
    return tuple(f"B{number}" for number in range(1, settings.batches + 1))


def draw_biology(settings: CohortSettings) -> tuple[SubjectVisit, ...]:
    """Treg share of every subject at every visit: no events, thousands of subjects in a second.

    The person's level is log-normal with the between-person CV, every visit adds the within-person CV, and the
    arm's effect grows over the visits towards a person's own response.
    """
    return tuple(
        _subject_visit(settings, number, index)
        for number in range(settings.subjects)
        for index in range(len(settings.visits))
    )


def _subject_visit(settings: CohortSettings, number: int, index: int) -> SubjectVisit:
    biology, treatment = settings.biology, settings.treatment
    subject, visit = _subject(number), settings.visits[index]
    person = stream(settings.seed, "person", subject)
    level = person.normal(0.0, math.sqrt(math.log1p(biology.between_cv**2)))
    response = person.normal(0.0, treatment.response_sd)
    wobble = stream(settings.seed, "day", subject, visit.name).normal(0.0, math.sqrt(math.log1p(biology.within_cv**2)))
    arm = _arm(settings, number)
    effect = visit.growth * (treatment.log_ratio(arm) + response)
    share = biology.treg_share * math.exp(level + wobble + effect)
    day = round(number * settings.enrol_days) + visit.day
    chance = stream(settings.seed, "missing", subject, visit.name).random()
    missing = (number + 1, visit.name) in settings.missing_visits or (index > 0 and chance < settings.missing_share)
    batch = _batch(settings, number, index, day)
    return SubjectVisit(subject, visit.name, arm, batch, day, min(share, MAX_TREG_SHARE), visit.growth, missing)


def _subject(number: int) -> str:
    return f"S{number + 1:02d}"


def _arm(settings: CohortSettings, number: int) -> str:
    """Blocks of three in random order, one subject an arm."""
    arms = settings.treatment.arms
    block, place = divmod(number, len(arms))
    return arms[int(stream(settings.seed, "block", block).permutation(len(arms))[place])]


def _batch(settings: CohortSettings, number: int, index: int, day: int) -> str:
    if settings.batch_layout == "calendar":
        return batch_names(settings)[min(int(day // settings.batch_days), settings.batches - 1)]
    return batch_names(settings)[(number + index) % settings.batches]


def composition(
    settings: CohortSettings,
    types: tuple[CellType, ...],
    subject: str,
    visit: str,
    treg_share: float,
    activated: float = 1.0,
) -> NDArray[np.float64]:
    """Share of each population among live single cells, shape (n_types,).

    Lineages and the conventional CD4 T populations wander between persons and visits; the Tregs' share of CD4 T
    cells is exactly `treg_share`.
    """
    biology, seed = settings.biology, settings.seed

    def weight(name: str, sd: float, visit_sd: float) -> float:
        own = stream(seed, "composition", subject, name).normal(0.0, sd)
        today = stream(seed, "composition", subject, visit, name).normal(0.0, visit_sd)
        return math.exp(own + today)

    sd, visit_sd = biology.composition_sd, biology.composition_visit_sd
    lineage = {name: share * weight(name, sd, visit_sd) for name, share in zip(LINEAGES, biology.lineages, strict=True)}
    within = {
        t.name: t.share * (weight(t.name, biology.naive_sd, visit_sd) if t.is_treg else weight(t.name, sd, visit_sd))
        for t in types
    }
    within["activated_tconv"] *= activated
    groups: dict[tuple[str, bool], float] = {}
    for t in types:
        groups[t.lineage, t.is_treg] = groups.get((t.lineage, t.is_treg), 0.0) + within[t.name]
    shares = []
    for t in types:
        part = within[t.name] / groups[t.lineage, t.is_treg]
        if t.lineage == CD4_LINEAGE:
            part *= treg_share if t.is_treg else 1.0 - treg_share
        shares.append(lineage[t.lineage] * part)
    return np.array(shares) / sum(shares)
