"""Landmark shift: the study's gate moved between batches with the peaks of the data. The gate moves, the data do not.

A template asks for it gate by gate (``share = landmark``); the shipped ones do not.

Source: landmarks as in Hahne et al. (Cytometry A 2010), who move the data to common peaks. Moving the gate instead
leaves every measured value, and so every MFI, as it is.
Fails: a batch without the peaks that the study shows keeps the study's gate, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.density import estimate_density, find_peaks
from treg_gating.gating.gates import Interval

__all__ = ["LANDMARKS", "Landmarks", "find_landmarks", "gate_of_batch", "move_by_batch"]

LANDMARKS = "landmarks"  # key among a tube's summaries, behind the population
PROMINENCE = 0.05  # of the highest peak

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Peaks of one tube on the gate's dimension.

    Parameters
    ----------
    batch : of the tube. learns : whether gates may be learnt from it. peaks : one or two positions, ascending.
    """

    batch: str
    learns: bool
    peaks: tuple[float, ...]


def find_landmarks(values: Values, counts: NDArray[Any]) -> tuple[float, ...]:
    """Positions of the two highest peaks, or the one there is, ascending; empty where there are too few events.

    Parameters
    ----------
    values, counts : as for :func:`estimate_density`.
    """
    try:
        density = estimate_density(values, counts)
    except GateFitError:
        return ()
    peaks = sorted(find_peaks(density.smoothed, PROMINENCE), key=lambda peak: -peak.height)[:2]
    return tuple(sorted(float(density.centres[peak.index]) for peak in peaks))


def move_by_batch(gate: Interval, tubes: Sequence[Landmarks]) -> dict[str, Interval]:
    """The gate for every batch in which peaks were found.

    As many landmarks count as most of the tubes that are learnt from show. A batch's landmarks are the medians over
    its tubes that are learnt from, or over all of its tubes where there are none. Between two landmarks a bound moves
    by the weighted mean of both displacements, beyond them with the nearer one.
    """
    learners = [tube for tube in tubes if tube.learns and tube.peaks]
    if not learners:
        return {}
    usual = Counter(len(tube.peaks) for tube in learners).most_common(1)[0][0]
    alike = [tube for tube in tubes if len(tube.peaks) == usual]
    study = np.median([tube.peaks for tube in alike if tube.learns], axis=0)
    moved = {}
    for batch in sorted({tube.batch for tube in alike}):
        own = [tube for tube in alike if tube.batch == batch]
        own = [tube for tube in own if tube.learns] or own
        shift = np.median([tube.peaks for tube in own], axis=0) - study
        low, high = (
            float(bound + np.interp(bound, study, shift)) if np.isfinite(bound) else bound
            for bound in (gate.low, gate.high)
        )
        if low < high:
            moved[batch] = Interval(gate.dims, low, high)
    return moved


def gate_of_batch(gate: Interval, moved: Mapping[str, Interval], batch: str) -> tuple[Interval, str]:
    """The gate of a batch, and how it came about."""
    if batch not in moved:
        return gate, f"landmark shift: the study's gate, for batch {batch} shows no peaks to move it by"
    there = moved[batch]
    steps = [
        f"{there_bound - bound:+.3f}"
        for bound, there_bound in zip((gate.low, gate.high), (there.low, there.high), strict=True)
        if np.isfinite(bound)
    ]
    return there, f"landmark shift: the study's gate moved by {', '.join(steps)} with the peaks of batch {batch}"
