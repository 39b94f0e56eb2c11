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
from treg_gating.gating.landmarks import LANDMARKS, Landmarks, move_by_batch
from treg_gating.gating.method import UNTOLD, Learner
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.stains import weak_stains
from treg_gating.gating.template import GateStep, GatingTemplate

__all__ = [
    "CONTROL_DENSITIES",
    "FEW_TUBES",
    "OUTLIER_SD",
    "SHARED",
    "CohortGates",
    "Consensus",
    "Member",
    "errors_of",
    "learn_cohort",
]

SHARED = frozenset({"shrink", "batch", "study", "landmark"})  # shares that have a consensus gate
OUTLIER_SD = 3.0
FEW_TUBES = 5  # fewer do not say what is usual
MOST_TEACHERS = 120  # a mixture of more tubes costs time and hardly moves
SAID = 3  # tubes that a note names
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
    few : by batch of fewer than five of these tubes, the numbers of each, shape (tubes of the batch, p).
    """

    gate: Gate
    by_batch: Mapping[str, Gate]
    vector: NDArray[np.float64]
    spread: NDArray[np.float64]
    tau2: NDArray[np.float64]
    tubes: int
    few: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def limit(self) -> NDArray[np.float64]:
        """How far from it an own estimate may lie, shape (p,)."""
        tau2 = np.where(np.isfinite(self.tau2), self.tau2, 0.0)  # one tube tells nothing of the variance between tubes
        limit = OUTLIER_SD * np.maximum(self.spread, np.sqrt(tau2))
        return np.asarray(np.maximum(limit, OUTLIER_SD * FLOOR * scale_of(self.gate, len(self.vector))))

    def distance(self, vector: NDArray[np.float64], centre: NDArray[np.float64] | None = None) -> float:
        """From the consensus, or another centre, in robust SD, by the number that is farthest."""
        off = np.abs(vector - (self.vector if centre is None else centre))
        return OUTLIER_SD * float((off / self.limit).max())


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
                notes += _displaced_batches(step, found)
        for rule in step.chain:
            if getattr(rule.method, "learns_from", None) is None:
                continue
            source = [m for m in ordered if m.role == "fmo"] if rule.method.learns_from == "controls" else teachers
            notes += _silent(f"{step.population}/{rule.name}", source)
            model = _model(step, rule.name, rule.method, source, pools)
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


def _silent(name: str, source: Sequence[Member]) -> list[str]:
    """What must be said of tubes that a method was meant to learn from and could not."""
    key = f"{name}/{UNTOLD}"
    said = [f"{member.tube_id} ({member.summaries[key]['reason']})" for member in source if key in member.summaries]
    if not said:
        return []
    more = f" and {len(said) - SAID} more" if len(said) > SAID else ""
    return [f"{name} was learnt without {', '.join(said[:SAID])}{more}"]


def _model(
    step: GateStep,
    rule: str,
    method: Any,
    source: Sequence[Member],
    pools: dict[Any, Mapping[str, Any] | GateFitError],
) -> Mapping[str, Any] | GateFitError:
    """Pool the summaries; two steps that learn the same from the same events share one model.

    What is learnt from controls is a number on the step's own dimension.
    """
    key = (step.fit_on, method, step.dims if method.learns_from == "controls" else ())
    if key not in pools:
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
    errors = np.array([errors_of(gate, vectors.shape[1]) for _, gate in own])
    centre = np.median(vectors, axis=0)
    spread = 1.4826 * np.median(np.abs(vectors - centre), axis=0)
    pattern = own[0][1].gate
    of_batch = {name: vectors[[batch == name for batch, _ in own]] for name in sorted({batch for batch, _ in own})}
    by_batch = {name: from_vector(pattern, np.median(rows, axis=0)) for name, rows in of_batch.items()}
    few = {name: rows for name, rows in of_batch.items() if len(rows) < FEW_TUBES}
    variance = _between_variance(vectors, errors)
    return Consensus(from_vector(pattern, centre), by_batch, centre, spread, variance, len(own), few)


def _displaced_batches(step: GateStep, found: Consensus) -> list[str]:
    """What must be said of batches whose tubes lie off the cohort together: their tubes are held against each other."""
    if step.share != "shrink" or found.tubes < FEW_TUBES:
        return []
    notes = []
    for batch, gate in found.by_batch.items():
        off = found.distance(to_vector(gate))
        if off > OUTLIER_SD:
            notes.append(
                f"{step.population}: the gates of batch {batch} lie {off:.1f} robust SD from the cohort's; "
                "its tubes are held against their own batch. Look at one of them"
            )
    return notes


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


def errors_of(gate: FittedGate, size: int) -> NDArray[np.float64]:
    """Standard errors of a gate's free numbers, shape (size,); 0 where there is none."""
    errors = np.zeros(size)
    errors[: len(gate.standard_error)] = gate.standard_error
    return errors
