"""Slopes of every detector on the stained one, refined on compensated data.

For each single stain the positives are cut into stretches of the own detector; medians of every detector in each
stretch, with that of the negatives, lie on a line whose slope is the spill. A median does not feel the minority of
events that are bright everywhere. The slopes make a first matrix; then each control is compensated with it, slopes
are fitted to what is left, and the matrix takes them up, until nothing is left (the idea of iterative refinement is
AutoSpill's, Roca et al. 2021; the fit is another one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import CompensationError
from treg_gating.sample import Sample, Spillover
from treg_gating.spillover.stains import MIN_POSITIVES, SingleStain, StainEvents, fluorescence_detectors, stain_events

__all__ = ["FitRecord", "SpilloverFit", "StainFit", "fit_spillover"]

Values = NDArray[np.float64]

STRETCHES = 12
SMALLEST_STRETCH = 25
ENOUGH = 1e-4  # largest residual slope at which the refinement ends
ROUNDS = 20
AUTOFLUORESCENT = 1.5  # SD above the middle, in the median over the other detectors
FEWEST_OTHERS = 3


@dataclass(frozen=True, eq=False)
class StainFit:
    """What one single stain told.

    Parameters
    ----------
    detector, label : whose it is. n_positive, n_negative : events used. own_negatives : of the same tube.
    before, after : by detector, slope on the own detector before compensation and after; 0 for the own.
    standard_error : by detector, of the slope.
    left : by detector, median of the positives minus that of the negatives after compensation, as a share of the
        positives' own median.
    spreading : by detector, growth of the robust SD of the compensated detector from negatives to positives, per
        square root of the own signal (a.u.); what compensation cannot take away.
    """

    detector: str
    label: str
    n_positive: int
    n_negative: int
    own_negatives: bool
    before: Mapping[str, float]
    after: Mapping[str, float]
    standard_error: Mapping[str, float]
    left: Mapping[str, float]
    spreading: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class FitRecord:
    """How the fit went: largest residual slope after each round, condition number, detectors without a stain."""

    residuals: tuple[float, ...]
    condition: float
    without_stain: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SpilloverFit:
    """A matrix from single stains and what it rests on; `events` are those used, for drawings, one entry a stain."""

    spillover: Spillover
    stains: tuple[StainFit, ...]
    record: FitRecord
    events: tuple[StainEvents, ...] = ()


def fit_spillover(
    stains: Sequence[SingleStain], unstained: Sample | None = None, *, channels: Sequence[str] | None = None
) -> SpilloverFit:
    """Spillover matrix from single stains, one a dye.

    Parameters
    ----------
    stains : one tube a detector; raw events.
    unstained : the same cells or beads without dye; without it each tube's own negatives serve.
    channels : detectors of the matrix; all fluorescence areas by default. A detector without a stain keeps an empty
        row: what its dye spills is not known.

    Raises
    ------
    CompensationError : few positives, a stain whose brightest detector is not its own, two stains for one detector,
        a detector that is not in every file, or a matrix that fails the checks of :class:`Spillover`.
    """
    if not stains:
        msg = "no single stain was given; expected one tube a dye"
        raise CompensationError(msg)
    names = tuple(channels) if channels is not None else fluorescence_detectors(stains[0].sample)
    _check_inputs(stains, unstained, names)
    events = [stain_events(stain, names, unstained) for stain in stains]
    identity: Values = np.eye(len(names))
    raw = [_lines(item, identity) for item in events]
    for stain, (slopes, _) in zip(stains, raw, strict=True):
        _check_label(stain, names, slopes)
    matrix, _ = _refine(identity, events)
    events = [_without_autofluorescent(item, _inverse(matrix)) for item in events]
    matrix, residuals = _refine(matrix, events)
    spillover = Spillover(names, matrix, "single stains")
    inverse = spillover.inverse
    fits = tuple(
        _stain_fit(stain, item, before, inverse) for stain, item, before in zip(stains, events, raw, strict=True)
    )
    stained = {stain.detector for stain in stains}
    without = tuple(name for name in names if name not in stained)
    return SpilloverFit(spillover, fits, FitRecord(residuals, spillover.condition, without), tuple(events))


def _refine(matrix: Values, events: Sequence[StainEvents]) -> tuple[Values, tuple[float, ...]]:
    """Take up slopes until none is left; the largest that was left, by round."""
    residuals: list[float] = []
    while True:
        left = [_lines(item, _inverse(matrix))[0] for item in events]
        residuals.append(max(float(np.abs(slopes).max()) for slopes in left))
        if residuals[-1] < ENOUGH or len(residuals) > ROUNDS:
            return matrix, tuple(residuals)
        matrix = _update(matrix, events, left)


def _inverse(matrix: Values) -> Values:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _without_autofluorescent(events: StainEvents, inverse: Values) -> StainEvents:
    """Without the events that are too bright in most of the other detectors at once, after compensation.

    A dye that is still under-compensated is so in a few detectors, for all events alike.
    """
    own = events.channels.index(events.detector)
    others = [i for i in range(len(events.channels)) if i != own]
    if len(others) < FEWEST_OTHERS:
        return events
    kept = []
    for part in (events.positive, events.negative):
        values = (part @ inverse)[:, others]
        spread = np.maximum(1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0), 1e-9)
        score = np.median((values - np.median(values, axis=0)) / spread, axis=1)
        kept.append(part[score < AUTOFLUORESCENT])
    positive, negative = (
        new if len(new) >= MIN_POSITIVES else old
        for new, old in zip(kept, (events.positive, events.negative), strict=True)
    )
    return replace(events, positive=positive, negative=negative)


def _check_inputs(stains: Sequence[SingleStain], unstained: Sample | None, names: Sequence[str]) -> None:
    own = [stain.detector for stain in stains]
    for detector in own:
        if own.count(detector) > 1:
            msg = f"{own.count(detector)} single stains for {detector}; expected one"
            raise CompensationError(msg)
        if detector not in names:
            msg = f"single stain for {detector}, which is not among the detectors {', '.join(names)}"
            raise CompensationError(msg)
    for sample in [stain.sample for stain in stains] + ([unstained] if unstained is not None else []):
        absent = [name for name in names if name not in sample.channel_names]
        if absent:
            msg = f"{sample.path or 'sample'}: no channel {', '.join(absent)}; all controls need the same detectors"
            raise CompensationError(msg)


def _check_label(stain: SingleStain, names: Sequence[str], slopes: Values) -> None:
    brightest = int(np.argmax(slopes))
    if slopes[brightest] >= 1.0:
        msg = (
            f"{stain.name}: its brightest detector is {names[brightest]}, {slopes[brightest]:.2f} times as bright as "
            f"{stain.detector}. Correct the label in the sheet, or use another control"
        )
        raise CompensationError(msg)


def _update(matrix: Values, events: Sequence[StainEvents], slopes: Sequence[Values]) -> Values:
    """The matrix that takes up slopes left after compensation: row i becomes (unit row i + slopes of i) · matrix."""
    result = matrix.copy()
    for item, left in zip(events, slopes, strict=True):
        own = item.channels.index(item.detector)
        row = matrix[own] + left @ matrix
        result[own] = row / row[own]
    return result


def _lines(events: StainEvents, inverse: Values) -> tuple[Values, Values]:
    """Slope of every detector on the own one after ``raw @ inverse``, and its standard error, shape (n_channels,)."""
    own = events.channels.index(events.detector)
    positive, negative = events.positive @ inverse, events.negative @ inverse
    count = max(1, min(STRETCHES, len(positive) // SMALLEST_STRETCH))
    order = np.argsort(events.positive[:, own], kind="stable")
    parts = [negative, *(positive[rows] for rows in np.array_split(order, count))]
    middle = np.array([np.median(part, axis=0) for part in parts])
    spread = np.array([np.median(np.abs(part - m), axis=0) for part, m in zip(parts, middle, strict=True)])
    # 1.4826 turns the median deviation into an SD; a median's standard error is 1.2533 SD / √n.
    error = 1.4826 * 1.2533 * np.maximum(spread, 1e-9) / np.sqrt([[len(part)] for part in parts])
    x = middle[:, own]
    weight = 1 / error**2
    centre = (weight * x[:, None]).sum(0) / weight.sum(0)
    off = x[:, None] - centre
    slopes = (weight * off * middle).sum(0) / (weight * off**2).sum(0)
    slopes[own] = 0.0
    return slopes, 1 / np.sqrt((weight * off**2).sum(0))


def _stain_fit(stain: SingleStain, item: StainEvents, raw: tuple[Values, Values], inverse: Values) -> StainFit:
    own = item.channels.index(item.detector)
    positive, negative = item.positive @ inverse, item.negative @ inverse
    top, bottom = np.median(positive, axis=0), np.median(negative, axis=0)
    spread = [1.4826 * np.median(np.abs(part - np.median(part, axis=0)), axis=0) for part in (negative, positive)]
    growth = np.sqrt(np.maximum(spread[1] ** 2 - spread[0] ** 2, 0.0) / max(top[own], 1e-9))

    def by_detector(values: Values) -> dict[str, float]:
        return {
            name: float(v) if i != own else 0.0 for i, (name, v) in enumerate(zip(item.channels, values, strict=True))
        }

    return StainFit(
        stain.detector,
        stain.label,
        len(item.positive),
        len(item.negative),
        item.own_negatives,
        before=by_detector(raw[0]),
        after=by_detector(_lines(item, inverse)[0]),
        standard_error=by_detector(raw[1]),
        left=by_detector((top - bottom) / top[own]),
        spreading=by_detector(growth),
    )
