"""A tube's final gate: how far its own estimate is followed, and when the cohort's gate takes its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.consensus import FEW_TUBES, OUTLIER_SD, SHARED, Consensus, errors_of
from treg_gating.gating.gate_numbers import from_vector, to_vector
from treg_gating.gating.gates import Gate, Interval
from treg_gating.gating.landmarks import gate_of_batch
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.template import GateStep

__all__ = ["settle"]


def settle(step: GateStep, own: FittedGate, consensus: Consensus | None, batch: str) -> FittedGate:
    """Final gate of one tube: its own, drawn to the consensus by its standard error, or the consensus itself.

    With weight w = τ² / (τ² + SE²) on the tube's own estimate. Beyond three robust SD of the cohort, and of its batch,
    the consensus is used and the reason says so.
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
    centre, off = _held_against(vector, consensus, batch)
    if consensus.tubes >= FEW_TUBES and off > OUTLIER_SD:
        of = f"the consensus of {consensus.tubes} tubes"
        of = of if centre is consensus.vector else f"the tubes of its batch, which lie off {of}"
        reason = f"outlier: own estimate is {off:.1f} robust SD from {of} ({own.reason})"
        gate = from_vector(consensus.gate, centre)
        return replace(_by_consensus(own, gate, reason, consensus), rule="consensus_outlier")
    errors = errors_of(own, len(vector))
    known = np.isfinite(consensus.tau2)  # one tube tells nothing of the variance between tubes
    tau2 = np.where(known, consensus.tau2, 0.0)
    weight = np.where(known & (errors > 0), tau2 / np.maximum(tau2 + errors**2, 1e-300), 1.0)
    final = from_vector(own.gate, weight * vector + (1 - weight) * centre)
    shrunk = f"{own.reason}; own weight {weight.min():.2f}" if weight.min() < 0.995 else own.reason
    error = tuple(float(value) for value in np.sqrt(weight) * errors) if own.standard_error else ()
    return replace(own, gate=final, own=own.gate if weight.min() < 0.995 else None, reason=shrunk, standard_error=error)


def _held_against(vector: NDArray[np.float64], consensus: Consensus, batch: str) -> tuple[NDArray[np.float64], float]:
    """The cohort's numbers, or its batch's for a tube that lies off the cohort together with its batch.

    A batch is stained and measured in its own way, which its control donor and baseline tubes show. What a tube itself
    taught is not asked where the batch has few.

    Returns
    -------
    The numbers, shape (p,), and how far the tube is from them in robust SD.
    """
    off = consensus.distance(vector)
    if off <= OUTLIER_SD or batch not in consensus.by_batch:
        return consensus.vector, off
    home, wider = to_vector(consensus.by_batch[batch]), 1.0
    if batch in consensus.few:
        others = consensus.few[batch]
        others = others[(others != vector).any(axis=1)]
        if not len(others):
            return consensus.vector, off
        home, wider = np.median(others, axis=0), float(np.sqrt(1 + 1 / len(others)))  # they too lie about its middle
    beyond = consensus.distance(vector, home) / wider
    together = beyond <= OUTLIER_SD or consensus.distance(home) > OUTLIER_SD
    return (home, beyond) if together else (consensus.vector, off)


def _by_consensus(own: FittedGate, gate: Gate, reason: str, consensus: Consensus) -> FittedGate:
    error = tuple(float(value) for value in np.sqrt(np.where(np.isfinite(consensus.tau2), consensus.tau2, 0.0)))
    return replace(
        own, gate=gate, own=own.gate, status=GateStatus.CONSENSUS, rule="consensus", reason=reason, standard_error=error
    )
