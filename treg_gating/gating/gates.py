"""Gates: numbers that say which events are inside. Frozen, comparable, exportable.

A gate knows its dimensions by name (marker, or scatter channel) and works on values in the units the
template gives them: transformed for fluorescence, linear for scatter. Lower bounds belong to a gate, upper
bounds do not, as in Gating-ML 2.0 (rectangle gates: min ≤ x < max).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GATES",
    "Ellipse",
    "Gate",
    "HalfPlane",
    "Interval",
    "Polygon",
    "Rectangle",
    "gate_from_dict",
    "gate_to_dict",
]

TOGETHER = 1 << 15  # events; what is made of them stays in the cache, and two threads take turns seldom

Events = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


class Gate(Protocol):
    """What every gate offers."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions, in the order of the columns `contains` expects."""

    def contains(self, events: Events) -> Mask:
        """Mask of shape (n_events,) for `events` of shape (n_events, len(dims))."""


@dataclass(frozen=True, slots=True)
class Interval:
    """low ≤ x < high on one dimension; either bound may be infinite."""

    dims: tuple[str, ...]
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        _check_dims(self, 1)
        if not self.low < self.high:
            msg = f"interval on {self.dims[0]}: low {self.low:g} is not below high {self.high:g}"
            raise ValueError(msg)

    def contains(self, events: Events) -> Mask:
        """Mask of the events inside; NaN is outside."""
        x = np.asarray(events[:, 0], dtype=np.float64)  # float32 would round the bounds
        inside: Mask = (x >= self.low) & (x < self.high)
        return inside


@dataclass(frozen=True, slots=True)
class Rectangle:
    """low ≤ x < high on each of two dimensions, or more."""

    dims: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.dims) < 2 or not len(self.dims) == len(self.low) == len(self.high):
            msg = f"rectangle on {self.dims}: low {self.low} and high {self.high} do not fit two dimensions or more"
            raise ValueError(msg)
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            msg = f"rectangle on {self.dims}: low {self.low} is not below high {self.high}"
            raise ValueError(msg)

    def contains(self, events: Events) -> Mask:
        """Mask of the events inside; NaN is outside."""
        inside: Mask = np.all((events >= np.array(self.low)) & (events < np.array(self.high)), axis=1)
        return inside


@dataclass(frozen=True, slots=True)
class Polygon:
    """Inside a closed polygon, by the even-odd rule.

    On which side of an edge an event lies is asked by the sign of a cross product in float64, as Gating-ML's
    implementations ask it, so that a gate applied elsewhere selects the same events, those on an edge included.
    """

    dims: tuple[str, ...]
    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        _check_dims(self, 2)
        if len(self.vertices) < 3:
            msg = f"polygon on {self.dims} has {len(self.vertices)} vertices; expected at least 3"
            raise ValueError(msg)
        if not np.isfinite(self.vertices).all():
            msg = f"polygon on {self.dims} has a vertex that is not a finite number"
            raise ValueError(msg)

    def contains(self, events: Events) -> Mask:
        """Mask of the events inside; NaN is outside."""
        inside = np.zeros(len(events), dtype=bool)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values
            for first in range(0, len(events), TOGETHER):
                part = slice(first, first + TOGETHER)
                x, y = (np.asarray(events[part, i], dtype=np.float64) for i in (0, 1))
                self._cross(x, y, inside[part])
                inside[part] &= ~(np.isnan(x) | np.isnan(y))
        return inside

    def _cross(self, x: NDArray[np.float64], y: NDArray[np.float64], inside: Mask) -> None:
        """Flip `inside` for every edge that a line from the point to the left meets."""
        along, across = np.empty_like(x), np.empty_like(x)
        above = [y1 <= y for _, y1 in self.vertices]
        for ((x1, y1), (x2, y2)), below, beyond in zip(self.edges, above, [*above[1:], above[0]], strict=True):
            if y1 == y2:
                continue
            up = 1.0 if y2 > y1 else -1.0
            np.subtract(y, y1, out=along)
            along *= up * (x2 - x1)
            np.subtract(x, x1, out=across)
            across *= up * (y2 - y1)
            met = along > across
            met &= below != beyond
            inside ^= met

    @property
    def edges(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """Where each edge begins, and where it ends."""
        return list(zip(self.vertices, (*self.vertices[1:], self.vertices[0]), strict=True))


@dataclass(frozen=True, slots=True)
class Ellipse:
    """(x − mean)ᵀ covariance⁻¹ (x − mean) ≤ distance_square."""

    dims: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.dims) or np.shape(self.covariance) != (len(self.dims),) * 2:
            msg = f"ellipse on {self.dims}: mean and covariance do not fit {len(self.dims)} dimensions"
            raise ValueError(msg)
        if not np.isfinite([*self.mean, *np.ravel(self.covariance), self.distance_square]).all():
            msg = f"ellipse on {self.dims} holds a number that is not finite"
            raise ValueError(msg)
        if not np.allclose(self.covariance, np.transpose(self.covariance), rtol=1e-9, atol=0):
            msg = f"ellipse on {self.dims}: covariance {self.covariance} is not symmetric"
            raise ValueError(msg)
        if not self.distance_square > 0 or np.linalg.eigvalsh(np.array(self.covariance)).min() <= 0:
            msg = f"ellipse on {self.dims}: covariance is not positive definite or distance is not positive"
            raise ValueError(msg)

    def contains(self, events: Events) -> Mask:
        """Mask of the events inside; NaN is outside."""
        inside: Mask = self.levels(events) >= self.bound
        return inside

    def levels(self, events: Events) -> NDArray[np.float64]:
        """What grows towards the inside, shape (n_events,): minus the squared distance from the middle."""
        levels = np.empty(len(events))
        inverse, mean = -np.linalg.inv(np.array(self.covariance)), np.array(self.mean)[:, None]
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values
            for first in range(0, len(events), TOGETHER):
                part = slice(first, first + TOGETHER)
                centred = np.asarray(events[part], dtype=np.float64).T - mean
                pulled = inverse @ centred
                pulled *= centred
                pulled.sum(axis=0, out=levels[part])
        return levels

    @property
    def bound(self) -> float:
        """Events of this level and higher are inside."""
        return -self.distance_square


@dataclass(frozen=True, slots=True)
class HalfPlane:
    """normal · (x, y) ≥ offset: the side of a line that its normal points to.

    `normal` is a unit vector; `offset` is the line's distance from the origin along it, in the units of
    the dimensions.
    """

    dims: tuple[str, ...]
    normal: tuple[float, float]
    offset: float

    def __post_init__(self) -> None:
        _check_dims(self, 2)
        if not np.isfinite([*self.normal, self.offset]).all() or abs(np.hypot(*self.normal) - 1) > 1e-9:
            msg = f"line on {self.dims}: normal {self.normal} is not a unit vector or offset {self.offset:g} not finite"
            raise ValueError(msg)

    def contains(self, events: Events) -> Mask:
        """Mask of the events inside; NaN is outside."""
        inside: Mask = self.levels(events) >= self.bound
        return inside

    def levels(self, events: Events) -> NDArray[np.float64]:
        """What grows towards the inside, shape (n_events,): how far along the normal an event lies."""
        x, y = (np.asarray(events[:, i], dtype=np.float64) for i in (0, 1))
        with np.errstate(invalid="ignore"):  # infinite values
            return np.asarray(self.normal[0] * x + self.normal[1] * y)

    @property
    def bound(self) -> float:
        """Events of this level and higher are inside."""
        return self.offset


GATES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Interval, Rectangle, Polygon, Ellipse, HalfPlane)}


def gate_to_dict(gate: Gate) -> dict[str, Any]:
    """Plain values of a gate, with its kind under ``gate``; the inverse of :func:`gate_from_dict`."""
    return {"gate": type(gate).__name__, **asdict(gate)}  # type: ignore[call-overload]


def gate_from_dict(values: dict[str, Any]) -> Gate:
    """Rebuild a gate from :func:`gate_to_dict`, also after a trip through JSON (lists for tuples)."""
    fields = {key: _frozen(value) for key, value in values.items() if key != "gate"}
    gate: Gate = GATES[values["gate"]](**fields)
    return gate


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _check_dims(gate: Interval | Polygon | HalfPlane, n: int) -> None:
    if len(gate.dims) != n:
        msg = f"{type(gate).__name__} takes {n} dimension(s), got {gate.dims}"
        raise ValueError(msg)
