"""The whole analysis of a run after unblinding, as plain values: models, tables' contents, and the model's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from treg_gating.errors import InputError
from treg_gating.gating.results import GateStatus
from treg_gating.run.record import EndpointRow, RunRecord
from treg_gating.statistics.adverse_events import EventRate, event_rates
from treg_gating.statistics.arms import ArmList
from treg_gating.statistics.clinical import SCORES, Clinical
from treg_gating.statistics.descriptives import (
    Disposition,
    Responders,
    Summary,
    dispositions,
    responders,
    summaries,
)
from treg_gating.statistics.linear import NotEstimableError
from treg_gating.statistics.mmrm import MixedModel
from treg_gating.statistics.multiplicity import adjust
from treg_gating.statistics.sensitivity import Result, answered, mixed_model, primary_ancova, sensitivity_set
from treg_gating.statistics.tipping import TippingPoint, is_needed, missing_share, tipping_points
from treg_gating.statistics.trial import TrialData, trial_of_values
from treg_gating.study import Study

__all__ = ["Association", "ScoreAnalysis", "StudyAnalysis", "analyse"]

VALUE = "treg_pct_of_cd4"
DEFAULT_SEED = 20_221_117


@dataclass(frozen=True, slots=True)
class Association:
    """Spearman's correlation of two changes from baseline; exploratory. `n` pairs, interval by Fisher's z."""

    label: str
    n: int
    rho: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class ScoreAnalysis:
    """A clinical score by the same models, on its own scale."""

    column: str
    label: str
    trial: TrialData
    primary: Result
    mixed: Result


@dataclass(frozen=True, eq=False)
class StudyAnalysis:
    """Everything the tables say.

    Parameters
    ----------
    trial : the primary endpoint's numbers. label : its name and unit.
    primary, points : ANCOVA on the log scale (multiplicity adjusted) and on the raw scale (percentage points).
    mixed : MMRM by visit, or None; mixed_primary : its comparison at the endpoint's visit, as a result.
    sensitivity, tipping : see there; `tipping` is empty where at most 10 % are missing.
    log : the models' log, in sentences.
    """

    study: Study
    label: str
    arms: ArmList
    trial: TrialData
    rows: tuple[EndpointRow, ...]
    primary: Result
    points: Result
    mixed: MixedModel | None
    mixed_primary: Result
    sensitivity: tuple[Result, ...]
    tipping: tuple[TippingPoint, ...]
    dispositions: tuple[Disposition, ...]
    summaries: tuple[Summary, ...]
    responders: tuple[Responders, ...]
    scores: tuple[ScoreAnalysis, ...]
    event_rates: tuple[EventRate, ...]
    associations: tuple[Association, ...]
    log: tuple[str, ...]


def analyse(
    record: RunRecord, study: Study, arms: ArmList, clinical: Clinical | None = None, seed: int = DEFAULT_SEED
) -> StudyAnalysis:
    """Analyse a run.

    Parameters
    ----------
    record : of the run. arms : see :func:`treg_gating.statistics.arms.read_arms`.
    seed : of permutations and imputations.

    Raises
    ------
    InputError : the study names no baseline or no endpoint visit after it, or the min test lacks its arm.
    """
    rows = record.endpoint
    subjects = tuple(dict.fromkeys(str(row["subject"]) for row in rows))
    trial = _trial(rows, subjects, arms, study)
    combination = _combination(arms, study)

    def adjusted(scale: str) -> Result:
        return answered(
            scale, f"ANCOVA at {study.endpoint.visit} on the {scale} scale", "primary",
            lambda: adjust(primary_ancova(trial, scale), study.statistics.multiplicity, trial.n_arms, combination),
        )  # fmt: skip

    mixed, reason = mixed_model(trial, "log")
    joint = _at_primary(mixed, reason, trial, "secondary")
    if joint.comparison is not None:
        compared = adjust(joint.comparison, study.statistics.multiplicity, trial.n_arms, combination)
        joint = Result(joint.key, joint.title, joint.role, compared)
    primary, points = adjusted("log"), adjusted("raw")
    sensitivity = sensitivity_set(trial, _reviewed(rows), _overridden(record, rows), seed)
    tipping, said = _tipping(trial, seed)
    scores = _scores(clinical, subjects, arms, study)
    log = _log(trial, study, primary, joint, [*sensitivity, *(part for s in scores for part in (s.primary, s.mixed))])
    return StudyAnalysis(
        study=study,
        label=record.template.label,
        arms=arms,
        trial=trial,
        rows=tuple(rows),
        primary=primary,
        points=points,
        mixed=mixed,
        mixed_primary=joint,
        sensitivity=tuple(sensitivity),
        tipping=tuple(tipping),
        dispositions=tuple(dispositions(trial)),
        summaries=tuple(summaries(trial)),
        responders=tuple(responders(trial, study.statistics.responder_ratio)),
        scores=tuple(scores),
        event_rates=tuple(event_rates(clinical.events, arms)) if clinical and clinical.events is not None else (),
        associations=tuple(_associations(trial, scores)),
        log=(*log, said, f"seed of permutations and imputations: {seed}"),
    )


def _combination(arms: ArmList, study: Study) -> int | None:
    """Number of the combination's arm; the min test cannot do without it."""
    name = study.statistics.combination
    if name in arms.names:
        return arms.names.index(name)
    if study.statistics.multiplicity == "min_test":
        problem = "the min test needs the combination's arm, and no subject is in it"
        raise InputError(problem, file=arms.file, found=", ".join(arms.names), expected=repr(name))
    return None


def _trial(rows: Sequence[EndpointRow], subjects: Sequence[str], arms: ArmList, study: Study) -> TrialData:
    values: dict[tuple[str, str], float | None] = {}
    reasons: dict[tuple[str, str], str] = {}
    for row in rows:
        place, value = (str(row["subject"]), str(row["visit"])), row[VALUE]
        values[place] = float(value) if isinstance(value, int | float) else None
        reasons[place] = f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])
    return _arranged(values, reasons, subjects, arms, study)


def _arranged(
    values: Mapping[tuple[str, str], float | None],
    reasons: Mapping[tuple[str, str], str],
    subjects: Sequence[str],
    arms: ArmList,
    study: Study,
) -> TrialData:
    try:
        return trial_of_values(values, reasons, subjects, arms, study)
    except ValueError as error:
        action = "Write study.toml with the planned visits, one of them the baseline, and run again"
        raise InputError(str(error), file=study.path or "study", action=action) from None


def _reviewed(rows: Sequence[EndpointRow]) -> list[tuple[str, str]]:
    return [(str(row["subject"]), str(row["visit"])) for row in rows if row["status"] == "review"]


def _overridden(record: RunRecord, rows: Sequence[EndpointRow]) -> list[tuple[str, str]]:
    by_hand = {
        sample.tube_id
        for sample in record.samples
        if any(gate.status is GateStatus.OVERRIDDEN for gate in sample.gates)
    }
    return [(str(row["subject"]), str(row["visit"])) for row in rows if row["tube_id"] in by_hand]


def _at_primary(mixed: MixedModel | None, reason: str, trial: TrialData, role: str) -> Result:
    title = f"MMRM, all visits after baseline, contrast at {trial.visits[trial.primary]}"
    if mixed is None:
        return Result("mmrm", title, role, None, reason)
    return answered("mmrm", title, role, lambda: mixed.at(trial.primary))


def _tipping(trial: TrialData, seed: int) -> tuple[list[TippingPoint], str]:
    with np.errstate(divide="ignore", invalid="ignore"):
        base, y = np.log(trial.baseline), np.log(trial.at_primary)
    share = missing_share(base, y)
    where = trial.visits[trial.primary]
    if not is_needed(base, y):
        return (
            [],
            f"tipping point not needed: {100 * share:.0f} % of subjects with a baseline miss {where} (limit 10 %)",
        )
    try:
        points = tipping_points(trial.arm, base, y, trial.n_arms, strata=trial.strata, seed=seed)
    except NotEstimableError as error:
        return [], f"tipping point not estimable: {error}"
    return points, f"tipping point: {100 * share:.0f} % of subjects with a baseline miss {where}; 50 imputations"


def _scores(clinical: Clinical | None, subjects: Sequence[str], arms: ArmList, study: Study) -> list[ScoreAnalysis]:
    found = []
    for score in SCORES:
        values = clinical.scores.get(score.column) if clinical else None
        if not values:
            continue
        trial = _arranged(values, {}, subjects, arms, study)
        title = f"{score.label}: ANCOVA at {study.endpoint.visit}, raw scale"
        primary = answered(f"{score.column}_ancova", title, "secondary", lambda t=trial: primary_ancova(t, "raw"))  # type: ignore[misc]
        mixed = _at_primary(*mixed_model(trial, "raw"), trial, "secondary")
        joint = Result(
            f"{score.column}_mmrm", f"{score.label}: {mixed.title}", "secondary", mixed.comparison, mixed.reason
        )
        found.append(ScoreAnalysis(score.column, score.label, trial, primary, joint))
    return found


def _associations(trial: TrialData, scores: Sequence[ScoreAnalysis]) -> list[Association]:
    from scipy.stats import norm, spearmanr

    found = []
    with np.errstate(divide="ignore", invalid="ignore"):
        treg = np.log(trial.at_primary / trial.baseline)
    for score in scores:
        if score.column != "essdai":
            continue
        change = score.trial.at_primary - score.trial.baseline
        both = np.isfinite(treg) & np.isfinite(change)
        n = int(both.sum())
        label = f"Treg (log ratio to baseline) with {score.label} (change from baseline), all arms together"
        nan = float("nan")
        if n < 6 or np.ptp(change[both]) == 0 or np.ptp(treg[both]) == 0:
            found.append(Association(label, n, nan, nan, nan, nan))
            continue
        rho, p = (float(value) for value in spearmanr(treg[both], change[both]))
        # Standard error of Spearman's z after Bonett & Wright, Psychometrika 65 (2000) 23.
        half = float(norm.ppf(0.975)) * np.sqrt((1 + rho**2 / 2) / (n - 3))
        z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
        found.append(Association(label, n, rho, float(np.tanh(z - half)), float(np.tanh(z + half)), p))
    return found


def _log(trial: TrialData, study: Study, primary: Result, joint: Result, others: Sequence[Result]) -> tuple[str, ...]:
    counts = ", ".join(f"{name} {int(np.sum(trial.arm == at))}" for at, name in enumerate(trial.arms))
    lines = [
        f"subjects with an arm: {len(trial.subjects)} ({counts})",
        f"baseline: {trial.baseline_visit}; endpoint: {trial.visits[trial.primary]}; "
        f"strata: {', '.join(study.statistics.strata) or 'none'}; multiplicity: {study.statistics.multiplicity}",
        "missing values are left out (ANCOVA) or taken as missing at random (MMRM); none is carried forward",
    ]
    earlier = [
        f"{s} {v}" for s, v in zip(trial.subjects, trial.baseline_from, strict=True) if v != trial.baseline_visit
    ]
    if earlier:
        lines.append(f"baseline from an earlier visit (baseline_rule last_evaluable): {', '.join(earlier)}")
    if study.statistics.multiplicity == "closed" and trial.n_arms > 3:
        lines.append("more than three arms: Holm instead of the closed test")
    for result in (primary, joint, *others):
        if result.comparison is None:
            lines.append(f"{result.title}: not estimable: {result.reason}")
        else:
            lines += [f"{result.title}: {note}" for note in result.comparison.notes]
    return tuple(lines)
