"""Between the passes: what the cohort says of each gate, and how far a tube's own estimate is followed.

The consensus is learnt on baseline samples and control donors only, so that treatment cannot drag it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.gate_numbers import from_vector, scale_of, to_vector
from treg_gating.gating.gates import Gate, Interval
from treg_gating.gating.landmarks import LANDMARKS, Landmarks, gate_of_batch, move_by_batch
from treg_gating.gating.method import Learner
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.stains import weak_stains
from treg_gating.gating.template import GateStep, GatingTemplate

__all__ = ["CONTROL_DENSITIES", "CohortGates", "Consensus", "Member", "learn_cohort", "settle"]

SHARED = frozenset({"shrink", "batch", "study", "landmark"})  # shares that have a consensus gate
OUTLIER_SD = 3.0
LEAST_TUBES_FOR_OUTLIERS = 5
MOST_TEACHERS = 120  # a mixture of more tubes costs time and hardly moves
CONTROL_DENSITIES = "control densities"  # key among a tube's summaries; the others are population/rule
FLOOR = 0.01  # gate units (ellipses: of their own size): closer than this is never an outlier


@dataclass(frozen=True, eq=False)
class Member:
    """One tube of the cohort after pass 1.

    Parameters
    ----------
    learns : whether gates may be learnt from it (baseline sample or control donor).
    """

    tube_id: str
    batch: str
    role: str
    control_for: str
    learns: bool
    gates: Mapping[str, FittedGate]
    summaries: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Consensus:
    """The cohort's gate for one population.

    Parameters
    ----------
    gate : median gate over the tubes it was learnt on. by_batch : the same within batches.
    vector, spread : its free numbers, and their robust SD over tubes, shape (p,).
    tau2 : variance between tubes beyond their standard errors (DerSimonian-Laird), shape (p,).
    tubes : how many it was learnt on.
    """

    gate: Gate
    by_batch: Mapping[str, Gate]
    vector: NDArray[np.float64]
    spread: NDArray[np.float64]
    tau2: NDArray[np.float64]
    tubes: int


@dataclass(frozen=True, eq=False)
class CohortGates:
    """What pass 1 taught.

    Parameters
    ----------
    consensus : by population. models : by ``population/rule``, for methods that learn.
    controls : by population, then batch: density of the control tubes on the axis of the gate's picture.
    notes : sentences the run must say.
    flags : by tube_id, what only a comparison with the cohort shows.
    """

    consensus: Mapping[str, Consensus] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    controls: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    flags: Mapping[str, tuple[Flag, ...]] = field(default_factory=dict)


def learn_cohort(template: GatingTemplate, members: Sequence[Member]) -> CohortGates:
    """Consensus of every gate that is shared, and a model for every method that learns."""
    ordered = sorted(members, key=lambda member: member.tube_id)
    learners = [member for member in ordered if member.learns]
    notes: list[str] = []
    if not learners:
        learners = [member for member in ordered if member.role in {"sample", "control"}]
        notes.append(
            "no baseline sample and no control donor: "
            f"gates were learnt on all {len(learners)} tube(s), treatment included"
        )
    stained = [(m.tube_id, m.batch, m.summaries) for m in ordered if m.role in {"sample", "control"}]
    weak = weak_stains(template, stained)
    teachers = [member for member in learners if member.tube_id not in weak] or learners
    if len(teachers) > MOST_TEACHERS:
        notes.append(f"mixtures were learnt on {MOST_TEACHERS} of {len(teachers)} tubes, chosen by lot")
        teachers = sorted(teachers, key=_lot)[:MOST_TEACHERS]
    if weak:
        notes.append(f"a stain may have failed in {len(weak)} tube(s): {', '.join(sorted(weak))}")
    consensus: dict[str, Consensus] = {}
    models: dict[str, Mapping[str, Any]] = {}
    pools: dict[Any, Mapping[str, Any] | GateFitError] = {}
    for step in template.steps:
        if not isinstance(step, GateStep):
            continue
        if step.share in SHARED:
            found = _consensus(step, learners)
            if found is not None:
                consensus[step.population] = _moved(step, found, ordered, learners)
        for rule in step.chain:
            if getattr(rule.method, "learns_from", None) is None:
                continue
            model = _model(step, rule.name, rule.method, teachers, ordered, pools)
            if isinstance(model, GateFitError):
                notes.append(f"{step.population}: {rule.name} learnt nothing: {model}")
            else:
                models[f"{step.population}/{rule.name}"] = model
                notes += [f"{step.population}: {text}" for text in model.get("notes", ())]
    if len(learners) == 1:
        notes.append("one tube to learn from: its own gates are the consensus")
    flags = {
        tube: tuple(Flag("STAIN_WEAK", FlagLevel.REVIEW, text, template.primary.numerator) for text in said)
        for tube, said in weak.items()
    }
    return CohortGates(consensus, models, tuple(dict.fromkeys(notes)), _controls(ordered), flags)


def _lot(member: Member) -> str:
    """The same for the same tube, and blind to how tubes are numbered, batches and visits."""
    return hashlib.sha256(member.tube_id.encode()).hexdigest()


def _controls(members: Sequence[Member]) -> dict[str, dict[str, NDArray[Any]]]:
    """Densities of the control tubes, those of one batch added up."""
    densities: dict[str, dict[str, NDArray[Any]]] = {}
    for member in members:
        for population, counts in member.summaries.get(CONTROL_DENSITIES, {}).items():
            batches = densities.setdefault(population, {})
            batches[member.batch] = counts + batches[member.batch] if member.batch in batches else counts
    return densities


def _model(
    step: GateStep,
    rule: str,
    method: Any,
    learners: Sequence[Member],
    everyone: Sequence[Member],
    pools: dict[Any, Mapping[str, Any] | GateFitError],
) -> Mapping[str, Any] | GateFitError:
    """Pool the summaries; two steps that learn the same from the same events share one model.

    What is learnt from controls is a number on the step's own dimension.
    """
    key = (step.fit_on, method, step.dims if method.learns_from == "controls" else ())
    if key not in pools:
        source = (
            [member for member in everyone if member.role == "fmo"] if method.learns_from == "controls" else learners
        )
        name = f"{step.population}/{rule}"
        given = [
            Learner(member.tube_id, member.batch, member.role, member.control_for, member.summaries[name])
            for member in source
            if name in member.summaries
        ]
        try:
            pools[key] = method.pool(given)
        except GateFitError as error:
            pools[key] = error
    return pools[key]


def _consensus(step: GateStep, learners: Sequence[Member]) -> Consensus | None:
    own = [
        (member.batch, member.gates[step.population])
        for member in learners
        if step.population in member.gates
        and member.gates[step.population].status is GateStatus.FITTED
        and member.gates[step.population].gate is not None
    ]
    if not own:
        return None
    vectors = np.array([to_vector(gate.gate) for _, gate in own])
    errors = np.array([_errors(gate, vectors.shape[1]) for _, gate in own])
    centre = np.median(vectors, axis=0)
    spread = 1.4826 * np.median(np.abs(vectors - centre), axis=0)
    pattern = own[0][1].gate
    batches = sorted({batch for batch, _ in own})
    by_batch = {
        name: from_vector(pattern, np.median(vectors[[batch == name for batch, _ in own]], axis=0)) for name in batches
    }
    return Consensus(
        from_vector(pattern, centre), by_batch, centre, spread, _between_variance(vectors, errors), len(own)
    )


def _moved(step: GateStep, found: Consensus, members: Sequence[Member], learners: Sequence[Member]) -> Consensus:
    """The consensus with its gates of batches moved by landmarks, where the template asks for that."""
    if step.share != "landmark" or not isinstance(found.gate, Interval):
        return found
    name, teaching = f"{step.population}/{LANDMARKS}", {member.tube_id for member in learners}
    tubes = [
        Landmarks(member.batch, member.tube_id in teaching, tuple(member.summaries[name]["peaks"]))
        for member in members
        if name in member.summaries and member.role in {"sample", "control"}
    ]
    return replace(found, by_batch=move_by_batch(found.gate, tubes))


def _between_variance(vectors: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """DerSimonian-Laird (Control Clin Trials 1986) estimate of the variance between tubes, by free number."""
    k = len(vectors)
    if k < 2:
        return np.full(vectors.shape[1], np.inf)
    weight = 1 / np.maximum(errors, 1e-6) ** 2
    mean = (weight * vectors).sum(axis=0) / weight.sum(axis=0)
    q = (weight * (vectors - mean) ** 2).sum(axis=0)
    scale = weight.sum(axis=0) - (weight**2).sum(axis=0) / weight.sum(axis=0)
    result: NDArray[np.float64] = np.maximum(0.0, (q - (k - 1)) / scale)
    return result


def settle(step: GateStep, own: FittedGate, consensus: Consensus | None, batch: str) -> FittedGate:
    """Final gate of one tube: its own, drawn to the consensus by its standard error, or the consensus itself.

    With weight w = τ² / (τ² + SE²) on the tube's own estimate. Beyond three robust SD of the cohort the
    consensus is used and the reason says so.
    """
    if consensus is None or step.share not in SHARED:
        return own
    if own.status in {GateStatus.FAILED, GateStatus.NOT_STAINED, GateStatus.OVERRIDDEN, GateStatus.FIXED}:
        return own
    if step.share == "study":
        return _by_consensus(own, consensus.gate, "the study's gate, by the template", consensus)
    if step.share == "landmark" and isinstance(consensus.gate, Interval):
        moved, reason = gate_of_batch(consensus.gate, consensus.by_batch, batch)  # type: ignore[arg-type]
        return replace(_by_consensus(own, moved, reason, consensus), rule="landmark_shift")
    if step.share == "batch":
        gate = consensus.by_batch.get(batch, consensus.gate)
        reason = f"the gate of batch {batch}, by the template"
        if batch not in consensus.by_batch:
            reason = f"the gate of all batches, as nothing was learnt from batch {batch}"
        return _by_consensus(own, gate, reason, consensus)
    if own.gate is None:
        reason = f"{own.reason}; consensus of {consensus.tubes} tube(s)"
        return _by_consensus(own, consensus.by_batch.get(batch, consensus.gate), reason, consensus)
    vector = to_vector(own.gate)
    distance = np.abs(vector - consensus.vector)
    known = np.isfinite(consensus.tau2)  # one tube tells nothing of the variance between tubes
    tau2 = np.where(known, consensus.tau2, 0.0)
    limit = OUTLIER_SD * np.maximum(consensus.spread, np.sqrt(tau2))
    limit = np.maximum(limit, OUTLIER_SD * FLOOR * scale_of(own.gate, len(vector)))
    if consensus.tubes >= LEAST_TUBES_FOR_OUTLIERS and (distance > limit).any():
        worst = int(np.argmax(distance / limit))
        reason = (
            f"outlier: own estimate is {OUTLIER_SD * distance[worst] / limit[worst]:.1f} robust SD from the consensus "
            f"of {consensus.tubes} tubes ({own.reason})"
        )
        return replace(_by_consensus(own, consensus.gate, reason, consensus), rule="consensus_outlier")
    errors = _errors(own, len(vector))
    weight = np.where(known & (errors > 0), tau2 / np.maximum(tau2 + errors**2, 1e-300), 1.0)
    final = from_vector(own.gate, weight * vector + (1 - weight) * consensus.vector)
    shrunk = f"{own.reason}; own weight {weight.min():.2f}" if weight.min() < 0.995 else own.reason
    error = tuple(float(value) for value in np.sqrt(weight) * errors) if own.standard_error else ()
    return replace(own, gate=final, own=own.gate if weight.min() < 0.995 else None, reason=shrunk, standard_error=error)


def _by_consensus(own: FittedGate, gate: Gate, reason: str, consensus: Consensus) -> FittedGate:
    error = tuple(float(value) for value in np.sqrt(np.where(np.isfinite(consensus.tau2), consensus.tau2, 0.0)))
    return replace(
        own, gate=gate, own=own.gate, status=GateStatus.CONSENSUS, rule="consensus", reason=reason, standard_error=error
    )


def _errors(gate: FittedGate, size: int) -> NDArray[np.float64]:
    errors = np.zeros(size)
    errors[: len(gate.standard_error)] = gate.standard_error
    return errors
