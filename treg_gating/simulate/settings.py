"""What a simulated cohort is like: every number that can be chosen, with its unit and its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from treg_gating.simulate.disturbances import KINDS
from treg_gating.simulate.panel import PANELS, StainingPanel

__all__ = ["Acquiring", "Biology", "CohortSettings", "Controls", "FailedStain", "Shifts", "Treatment", "VisitPlan"]


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """A planned visit.

    Parameters
    ----------
    name : as in the sample sheet.
    day : target day; 0 is the first dose.
    window : days relative to `day` that still count for the visit, both ends included.
    growth : share of the week-12 treatment effect that is there by this visit.
    """

    name: str
    day: int
    window: tuple[int, int]
    growth: float


NCT05605665_VISITS = (
    VisitPlan("Baseline", 0, (-14, 0), 0.0),
    VisitPlan("Week 4", 28, (-7, 7), 0.60),
    VisitPlan("Week 8", 56, (-7, 7), 0.85),
    VisitPlan("Week 12", 84, (-7, 7), 1.0),
)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What the arms do to the Treg share of CD4 T cells, and IL-2 to the stains.

    Parameters
    ----------
    arms : names, in the order of the block randomisation: IL-2, rapamycin, both.
    ratios : Treg share at week 12 over baseline, per arm (design: 1.6, 1.15, 1.8).
    interaction : if given, the effect of both is the product of the two single ratios times exp(interaction);
        negative where rapamycin opposes IL-2. None keeps the third ratio.
    response_sd : SD of a subject's own response on the log scale at week 12 (design: 0.25).
    il2_treg_cd25 : factor of IL-2 on CD25 per Treg at week 12.
    il2_tconv_cd25 : the same on conventional CD4 T cells.
    il2_activated : factor of IL-2 on the share of activated conventional cells.
    """

    arms: tuple[str, str, str] = ("LD-IL2", "Rapamycin", "LD-IL2+Rapamycin")
    ratios: tuple[float, float, float] = (1.6, 1.15, 1.8)
    interaction: float | None = None
    response_sd: float = 0.25
    il2_treg_cd25: float = 1.5
    il2_tconv_cd25: float = 1.08
    il2_activated: float = 1.2

    def log_ratio(self, arm: str) -> float:
        """Natural log of the arm's week-12 ratio; 0 for a subject outside the arms."""
        if arm not in self.arms:
            return 0.0
        if self.interaction is not None and arm == self.arms[2]:
            return math.log(self.ratios[0]) + math.log(self.ratios[1]) + self.interaction
        return math.log(self.ratios[self.arms.index(arm)])

    def has_il2(self, arm: str) -> bool:
        """Whether the arm gets IL-2."""
        return arm in (self.arms[0], self.arms[2])


@dataclass(frozen=True, slots=True)
class Biology:
    """People: how much they differ.

    Parameters
    ----------
    treg_share : median Treg share of CD4 T cells at baseline.
    between_cv, within_cv : CV between persons and within a person (design: 0.39, 0.145).
    naive_sd : SD on the log scale of a person's naive over effector Treg ratio.
    composition_sd, composition_visit_sd : SD on the log scale of every other population's weight, between
        persons and between visits.
    lineages : shares of live single cells: CD4 T, CD8 T, double-negative T, B, NK, monocytes.
    viability : range of the share of cells that live, per tube.
    """

    treg_share: float = 0.055
    between_cv: float = 0.39
    within_cv: float = 0.145
    naive_sd: float = 0.20
    composition_sd: float = 0.22
    composition_visit_sd: float = 0.08
    lineages: tuple[float, float, float, float, float, float] = (0.45, 0.22, 0.04, 0.09, 0.09, 0.11)
    viability: tuple[float, float] = (0.86, 0.97)


@dataclass(frozen=True, slots=True)
class Shifts:
    """How stains and voltages wander.

    Parameters
    ----------
    batch : SD of the shift of a channel between batches, decades (design: 0.13).
    sample : SD of the shift of a channel between tubes of a batch, decades (design: 0.06).
    gain_share : share of the batch variance that is the detector's gain, which moves negatives and matrix too;
        the rest is the stain, which moves positives alone.
    scatter : SD of the scatter gain between batches, decades.
    spill : relative SD of true spill coefficients between batches.
    matrix_error : relative SD by which the file's matrix misses the batch's true one.
    """

    batch: float = 0.13
    sample: float = 0.06
    gain_share: float = 0.5
    scatter: float = 0.02
    spill: float = 0.03
    matrix_error: float = 0.01


@dataclass(frozen=True, slots=True)
class Acquiring:
    """How a tube is run.

    Parameters
    ----------
    events : events a tube.
    events_spread : relative half width of the uniform spread of that number.
    rate : events per second.
    doublets, debris : ranges of their shares of all events, per tube. margin : share of margin events.
    disturbed_share : share of sample tubes with a disturbance.
    disturbance_time : range of the disturbed share of the time.
    kinds : disturbances that are drawn.
    resolution : step of the digitiser, a.u.
    """

    events: int = 60_000
    events_spread: float = 0.0
    rate: float = 1_500.0
    doublets: tuple[float, float] = (0.04, 0.05)
    debris: tuple[float, float] = (0.03, 0.08)
    margin: float = 0.003
    disturbed_share: float = 0.10
    disturbance_time: tuple[float, float] = (0.03, 0.15)
    kinds: tuple[str, ...] = KINDS
    resolution: float = 0.1


@dataclass(frozen=True, slots=True)
class FailedStain:
    """A stain that failed in one batch.

    Parameters
    ----------
    marker, batch : which and where (batches are B1, B2, ...).
    factor : what is left of the dye.
    """

    marker: str = "FOXP3"
    batch: str = "B2"
    factor: float = 0.04


@dataclass(frozen=True, slots=True)
class Controls:
    """Control tubes, made of one healthy donor's cells that are thawed for every batch.

    Parameters
    ----------
    fmo : ``good``; ``poor`` (few events, a remainder of the stain left in, voltages of another day); ``none``.
    fmo_markers : markers that have an FMO tube in every batch; those the panel lacks are passed over.
    donor : whether each batch has the donor's fully stained tube.
    single_stains : whether each batch has single-stain tubes and an unstained one.
    events : events of an FMO and of the donor's tube; None is as many as a sample's.
    stain_events : events of a single-stain tube.
    subject : the donor's name in the sheet.
    """

    fmo: str = "good"
    fmo_markers: tuple[str, ...] = ("FOXP3",)
    donor: bool = True
    single_stains: bool = False
    events: int | None = None
    stain_events: int = 10_000
    subject: str = "CONTROL"

    def __post_init__(self) -> None:
        if self.fmo not in {"good", "poor", "none"}:
            msg = f"fmo is {self.fmo!r}; expected good, poor or none"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """A whole cohort; two equal settings give equal bytes.

    Parameters
    ----------
    name : of the preset, for the record. seed : of everything that is drawn, 0 or larger.
    subjects : number of subjects; a further one leaves the others as they were.
    visits : planned visits. missing_visits : pairs of subject and visit without a tube, such as (2, "Week 8");
        subject numbers start at 1.
    missing_share : share of tubes after baseline that are missing at random.
    batches : number of batches. batch_layout : ``rotating`` (subjects and visits spread over all batches) or
        ``calendar`` (by date of acquisition, so that batch and visit go together).
    enrol_days, batch_days : days between two subjects, and days a batch lasts (``calendar`` alone).
    profile : stains of the populations: ``standard``, ``hard``, ``smeared``.
    panel : markers, dyes and channels. drop_markers : stains the files lack.
    failed_stain : a stain that failed in one batch.
    """

    name: str = "foxp3"
    seed: int = 1
    subjects: int = 30
    visits: tuple[VisitPlan, ...] = NCT05605665_VISITS
    missing_visits: tuple[tuple[int, str], ...] = ()
    missing_share: float = 0.0
    batches: int = 4
    batch_layout: str = "rotating"
    enrol_days: float = 5.0
    batch_days: float = 60.0
    profile: str = "standard"
    panel: StainingPanel = PANELS["treg8"]
    drop_markers: tuple[str, ...] = ()
    treatment: Treatment = field(default_factory=Treatment)
    biology: Biology = field(default_factory=Biology)
    shifts: Shifts = field(default_factory=Shifts)
    acquiring: Acquiring = field(default_factory=Acquiring)
    controls: Controls = field(default_factory=Controls)
    failed_stain: FailedStain | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.batch_layout not in {"rotating", "calendar"}:
            faults.append(f"batch_layout is {self.batch_layout!r}; expected rotating or calendar")
        if self.subjects < 1 or self.batches < 1 or not self.visits:
            faults.append("a cohort needs at least one subject, one batch and one visit")
        if self.seed < 0:
            faults.append(f"seed is {self.seed}; expected 0 or larger")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def stained_panel(self) -> StainingPanel:
        """The panel without the stains the files lack."""
        return self.panel.without(self.drop_markers)
