"""Levey-Jennings series over a run, and Westgard's rules on the control donor's.

Everything comes from stored results: the medians and robust SDs of a channel's negative and positive events are read
from the density its gate was drawn on, so that the series can be made again without the FCS files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.results import FittedGate, GatePicture, SampleResult

__all__ = ["MIN_POINTS", "Point", "Violation", "control_violations", "series_of", "westgard"]

MIN_POINTS = 6  # fewer points give no limits of their own
MIN_EVENTS = 50  # fewer events give no median
RULES = ("1-3s", "2-2s", "R-4s", "10-x")
_NORMAL_IQR = 1.349
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Point:
    """One quantity of one tube.

    Parameters
    ----------
    tube_id, subject, visit, batch, role, acquired : of the tube.
    quantity : what was measured, such as ``CD3 positive median`` or ``treg % of cd4_t``.
    value : in `unit`; NaN where it is not estimable.
    unit : "gate units", "a.u." or "%".
    n : events it rests on.
    """

    tube_id: str
    subject: str
    visit: str
    batch: str
    role: str
    acquired: str
    quantity: str
    value: float
    unit: str
    n: int


@dataclass(frozen=True, slots=True)
class Violation:
    """A Westgard rule that a series breaks.

    Parameters
    ----------
    rule : one of 1-3s, 2-2s, R-4s, 10-x. quantity : of the series; empty where not said.
    first, last : positions in the series, both included. text : in words and numbers.
    tubes : the tubes of these positions, where they are known.
    """

    rule: str
    first: int
    last: int
    text: str
    quantity: str = ""
    tubes: tuple[str, ...] = ()


def series_of(results: Sequence[SampleResult], numerator: str, denominator: str) -> tuple[Point, ...]:
    """Every quantity of every finished tube, in the order of the results.

    Parameters
    ----------
    results : of a run; failed tubes are passed over.
    numerator, denominator : populations of the primary endpoint.
    """
    return tuple(
        point for result in results if result.status == "done" for point in _points(result, numerator, denominator)
    )


def _points(result: SampleResult, numerator: str, denominator: str) -> Iterable[Point]:
    identity = (result.tube_id, result.subject, result.visit, result.batch, result.role, result.acquired)
    gates = {gate.population: gate for gate in result.gates}
    for picture in result.pictures:
        for (axis, side), counts in _sides(picture, gates.get(picture.population)).items():
            n, where = int(counts.sum()), f"{picture.dims[axis]} {side}"
            middle, spread = _middle_and_spread(counts, picture.low[axis], picture.high[axis])
            yield Point(*identity, f"{where} median", middle, "gate units", n)
            yield Point(*identity, f"{where} robust SD", spread, "gate units", n)
    top, bottom = result.count(numerator), result.count(denominator)
    if top is not None and bottom is not None:
        share = 100 * top.n / bottom.n if top.n is not None and bottom.n else float("nan")
        yield Point(*identity, f"{numerator} % of {denominator}", share, "%", bottom.n or 0)
    for marker, value in {} if top is None else top.mfi.items():
        yield Point(*identity, f"{marker} MFI of {numerator}", value, "a.u.", (top.n or 0) if top else 0)


def _sides(picture: GatePicture, gate: FittedGate | None) -> dict[tuple[int, str], NDArray[np.float64]]:
    """Counts along a dimension, by its place and the side of the gate, of a cut on one marker or a line on two.

    Empty for any other gate, and for scatter.
    """
    if gate is None or picture.dims[0].startswith(("FSC", "SSC")) or getattr(gate.gate, "dims", ()) != picture.dims:
        return {}
    counts = picture.counts.astype(np.float64)
    edges = [np.linspace(a, b, n + 1) for a, b, n in zip(picture.low, picture.high, counts.shape, strict=True)]
    if isinstance(gate.gate, HalfPlane):
        x, y = ((ends[:-1] + ends[1:]) / 2 for ends in edges)
        inside = gate.gate.normal[0] * x[:, np.newaxis] + gate.gate.normal[1] * y >= gate.gate.offset
        names = [("positive", "negative") if part > 0 else ("negative", "positive") for part in gate.gate.normal]
        return {
            (axis, side): np.where(mask, counts, 0.0).sum(axis=1 - axis)
            for axis in (0, 1)
            for side, mask in zip(names[axis], (inside, ~inside), strict=True)
        }
    bounds = (gate.gate.low, gate.gate.high) if isinstance(gate.gate, Interval) else ()
    finite = [bound for bound in bounds if np.isfinite(bound)]
    if len(finite) != 1:
        return {}
    width = edges[0][1] - edges[0][0]
    below = np.clip((finite[0] - edges[0][:-1]) / width, 0.0, 1.0)  # the bin of the cut is divided
    return {(0, "negative"): counts * below, (0, "positive"): counts * (1 - below)}


def _middle_and_spread(counts: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """Median and robust SD (quartile distance / 1.349) of binned values; NaN with few events."""
    if counts.sum() < MIN_EVENTS:
        return float("nan"), float("nan")
    edges = np.linspace(low, high, len(counts) + 1)
    share = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    # Where no event lies the share stands still, and a quantile there has no one place: take its left end.
    rising = np.concatenate([[True], np.diff(share) > 0])
    first, middle, third = np.interp([0.25, 0.5, 0.75], share[rising], edges[rising])
    return float(middle), float((third - first) / _NORMAL_IQR)


def control_violations(points: Sequence[Point]) -> tuple[Violation, ...]:
    """Westgard's rules on every quantity of the control donor, in order of acquisition if every tube tells it.

    Where one does not, the order of the points stands.

    Limits are the series' own: its median and robust SD; with fewer than 6 tubes nothing is said.
    """
    control = [point for point in points if point.role == "control" and np.isfinite(point.value)]
    found: list[Violation] = []
    days = {point.tube_id: _day(point.acquired) for point in control}
    if all(days.values()):
        control = sorted(control, key=lambda point: days[point.tube_id])
    for quantity in dict.fromkeys(point.quantity for point in control):
        series = [point for point in control if point.quantity == quantity]
        if len(series) < MIN_POINTS:
            continue
        for broken in westgard([point.value for point in series]):
            tubes = tuple(point.tube_id for point in series[broken.first : broken.last + 1])
            text = f"{quantity}: {broken.text} ({', '.join(tubes)})"
            found.append(Violation(broken.rule, broken.first, broken.last, text, quantity, tubes))
    return tuple(found)


def _day(acquired: str) -> str:
    """$DATE and $BTIM as text that sorts; empty where the date is not in the form of the standard."""
    date, _, time = acquired.partition(" ")
    parts = date.upper().split("-")
    if len(parts) != 3 or parts[1] not in _MONTHS or not (parts[0].isdecimal() and parts[2].isdecimal()):
        return ""
    return f"{int(parts[2]):04d}-{_MONTHS.index(parts[1]):02d}-{int(parts[0]):02d} {time}"


def westgard(values: Sequence[float], *, centre: float | None = None, sd: float | None = None) -> tuple[Violation, ...]:
    """Rules 1-3s, 2-2s, R-4s and 10-x (Westgard et al., Clin Chem 1981) on a series of control values in order.

    Parameters
    ----------
    values : shape (n,).
    centre, sd : established limits; without them the median and the robust SD of the series itself.

    Raises
    ------
    ValueError : an SD that is not positive was given, or fewer than 6 values and no limits.
    """
    x = np.asarray(values, dtype=np.float64)
    if (centre is None or sd is None) and len(x) < MIN_POINTS:
        msg = f"{len(x)} values give no limits of their own; expected {MIN_POINTS} or established limits"
        raise ValueError(msg)
    if sd is not None and not sd > 0:
        msg = f"SD is {sd:g}; expected above 0"
        raise ValueError(msg)
    middle = float(np.median(x)) if centre is None else centre
    scale = 1.4826 * float(np.median(np.abs(x - middle))) if sd is None else sd
    if not scale > 0:
        return ()  # values that are all alike break no rule
    z = (x - middle) / scale
    return (*_single(z), *_pairs(z), *_one_side(z))


def _single(z: NDArray[np.float64]) -> list[Violation]:
    return [Violation("1-3s", int(i), int(i), f"1-3s: {z[i]:+.1f} SD") for i in np.flatnonzero(np.abs(z) > 3)]


def _pairs(z: NDArray[np.float64]) -> list[Violation]:
    found = []
    for i in range(1, len(z)):
        a, b = float(z[i - 1]), float(z[i])
        if min(abs(a), abs(b)) > 2:
            rule = "2-2s" if a * b > 0 else "R-4s"
            found.append(Violation(rule, i - 1, i, f"{rule}: {a:+.1f} and {b:+.1f} SD"))
    return found


def _one_side(z: NDArray[np.float64]) -> list[Violation]:
    """Runs of ten or more on one side of the centre; each run once."""
    found, first = [], 0
    for i in range(1, len(z) + 1):
        if i < len(z) and z[i] * z[first] > 0:
            continue
        if i - first >= 10 and z[first] != 0:
            side = "above" if z[first] > 0 else "below"
            found.append(Violation("10-x", first, i - 1, f"10-x: {i - first} in a row {side} the centre"))
        first = i
    return found
