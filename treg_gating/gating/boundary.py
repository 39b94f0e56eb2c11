"""Where to cut, given each event's probability: lines and thresholds that hold what the mixture expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned
from treg_gating.threads import side_by_side

__all__ = ["Boundary", "balanced_line", "balanced_threshold", "best_boundary", "cut_deviation", "generous_line"]

Array = NDArray[np.float64]
ANGLES = np.deg2rad(np.arange(5.0, 90, 5.0))
SMOOTHING = np.array([1, 2, 3, 2, 1]) / 9  # over neighbouring angles
AS_GOOD = 0.002  # of F1: of lines that differ by less the least generous is taken
RECALLS = (0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)
ERROR_BINS = 1_000
NEAR = 0.02  # gate units, within which the density of events is taken
OVERFULL = 1.1


@dataclass(frozen=True, slots=True)
class Boundary:
    """A line, and how well it can do.

    Parameters
    ----------
    normal : unit vector to the side of the population. offset : distance of the line along it, gate units.
    recall : expected share of the population on that side. f1 : expected F1 of line (and threshold).
    """

    normal: tuple[float, float]
    offset: float
    recall: float
    f1: float


def best_boundary(data: Binned, posterior: Array, signs: Array) -> Boundary:
    """Line on the first two columns of `data` with the best expected F1 under a balanced count.

    With a third column the line is followed by a threshold on it; then the line may be generous, and how
    generous is chosen too.

    Parameters
    ----------
    data : pooled events. posterior : probability of the population at each bin, shape (n,).
    signs : direction of the population on the first two or three columns, +1 or −1 each; the rest is not cut on.
    """
    weight = data.counts
    wanted = weight * posterior
    total = float(wanted.sum())
    if total <= 0:
        msg = "the mixture expects no event of the population"
        raise GateFitError(msg)
    third = np.argsort(-data.points[:, 2], kind="stable") if len(signs) > 2 else None

    def lines(angle: float) -> list[Boundary]:
        normal = np.array([signs[0] * np.cos(angle), signs[1] * np.sin(angle)])
        along = data.points[:, :2] @ normal
        order = np.argsort(-along, kind="stable")
        taken, hits = np.cumsum(weight[order]), np.cumsum(wanted[order])
        last = len(order) - 1
        if third is None:
            at = min(int(np.searchsorted(taken, total)), last)
            found = [(at, float(hits[at] / total))]
        else:
            places = [min(int(at), last) for at in np.searchsorted(hits, np.array(RECALLS) * total)]
            rank = np.empty(len(order), dtype=np.intp)
            rank[order] = np.arange(len(order))
            falling = third[rank[third] <= max(places)]  # those behind every line are neither taken nor hit
            inside = rank[falling], weight[falling], wanted[falling]
            found = [(at, _f1_of_threshold(*inside, at, total)) for at in places]
        x, y = (float(value) for value in normal)
        return [Boundary((x, y), float(along[order[at]]), float(hits[at] / total), f1) for at, f1 in found]

    return _by_trend(side_by_side(lines, ANGLES.tolist()))


def _by_trend(lines: list[list[Boundary]]) -> Boundary:
    """Of lines by angle and, ascending, by recall, the best.

    F1 hardly depends on a few degrees, and cells that change sides with the angle make it uneven: its trend over the
    angles decides. It hardly depends on a few hundredths of recall either; what a generous line lets in is far from the
    population, where the mixture is least sure of itself.
    """
    f1 = np.array([[line.f1 for line in row] for row in lines])
    padded = np.pad(f1, ((len(SMOOTHING) // 2,) * 2, (0, 0)), mode="edge")
    trend = np.array([np.convolve(column, SMOOTHING, mode="valid") for column in padded.T]).T
    recall = int(np.argmax(trend.max(axis=0) >= trend.max() - AS_GOOD))
    return lines[int(np.argmax(trend[:, recall]))][recall]


def _f1_of_threshold(rank: NDArray[np.intp], weight: Array, wanted: Array, last: int, total: float) -> float:
    """Of those whose rank along the line is at most `last`; all are in falling order of what the threshold is on."""
    inside = rank <= last
    taken, hits = np.cumsum(weight * inside), np.cumsum(wanted * inside)
    at = min(int(np.searchsorted(taken, total)), len(taken) - 1)
    return float(2 * hits[at] / (taken[at] + total))


def balanced_line(data: Binned, posterior: Array, normal: Array, unsure: float = 0.0) -> tuple[float, float]:
    """Offset at which the line holds the expected number of events, and its error.

    The error is that of sampling, and how far the line moves for the `unsure` events that the number may be off by.
    """
    along = data.projected(normal)
    order = np.argsort(-along, kind="stable")
    descending, taken = along[order], np.cumsum(data.counts[order])
    wanted = data.counts * posterior
    expected = float(wanted.sum())
    offset = _cut(descending, taken, expected)
    sampling = _error(descending, taken, expected, cut_deviation(along, data.counts, posterior, offset))
    near = float(data.counts[np.abs(along - offset) < NEAR].sum()) / (2 * NEAR)  # events per gate unit
    return offset, float(np.hypot(sampling, unsure / max(near, 1.0)))


def generous_line(data: Binned, posterior: Array, normal: Array, recall: float) -> tuple[float, float]:
    """Offset at which the line has that share of the population on its side, and its sampling error."""
    along, wanted = data.projected(normal), data.counts * posterior
    low, high = float(along.min()), float(along.max())
    bins = ((along - low) * (ERROR_BINS / max(high - low, 1e-9))).astype(np.intp)  # sooner told than by np.histogram
    np.minimum(bins, ERROR_BINS - 1, out=bins)
    mass, edges = np.bincount(bins, wanted, ERROR_BINS), np.linspace(low, high, ERROR_BINS + 1)
    total = float(mass.sum())
    if total <= 0:
        msg = "the mixture expects no event of the population"
        raise GateFitError(msg)
    offset = float(np.interp((1 - recall) * total, np.append(0.0, np.cumsum(mass)), edges))
    near = float(wanted[np.abs(along - offset) < NEAR].sum()) / (2 * NEAR)  # events per gate unit
    return offset, float(np.sqrt(recall * (1 - recall) * total)) / max(near, 1.0)


def balanced_threshold(values: Array, expected: float, deviation: Callable[[float], float]) -> tuple[float, float]:
    """Threshold above which `expected` events of `values` lie, and its sampling error.

    Parameters
    ----------
    deviation : of a cut, see :func:`cut_deviation`.

    Raises
    ------
    GateFitError : fewer than one event is expected, or more than there are by over a tenth. A parent that was cut
        by the same mixture may hold a few less than expected; then all of them are taken.
    """
    if expected < 1 or expected > OVERFULL * len(values):
        msg = f"the mixture expects {expected:.1f} events of the population; the parent holds {len(values)}"
        raise GateFitError(msg)
    expected = min(expected, float(len(values)))
    descending = -np.sort(-values)
    taken = np.arange(1.0, len(values) + 1)
    cut = _cut(descending, taken, expected)
    return cut, _error(descending, taken, expected, deviation(cut))


def cut_deviation(places: Array, counts: Array, posterior: Array, cut: float, width: float = 0.0) -> float:
    """Standard deviation, in events, of what a cut takes less what is expected.

    It is a sum over independent events, of 1 − p for one above the cut and of −p for one below.

    Parameters
    ----------
    places, counts, posterior : of bins on what is cut on, shape (n,). width : of a bin, over which events are spread.
    """
    above = np.clip((places - cut) / width + 0.5, 0, 1) if width else places > cut
    return float(np.sqrt(counts @ (above * (1 - posterior) ** 2 + (1 - above) * posterior**2)))


def _error(descending: Array, taken: Array, expected: float, deviation: float) -> float:
    """Half of what lies between the cuts that take a deviation more and less; no cut is known better than an event."""
    by = max(deviation, 1.0)
    return (_cut(descending, taken, expected - by) - _cut(descending, taken, expected + by)) / 2


def _cut(descending: Array, taken: NDArray[Any], expected: float) -> float:
    """Value halfway between the last event taken and the first left out."""
    at = min(int(taken.searchsorted(expected)), len(descending) - 1)
    after = min(at + 1, len(descending) - 1)
    return float((descending[at] + descending[after]) / 2)
