"""What single precision says of gates that ask how high something is: on which side most events lie.

A line, an ellipse and a convex polygon hold the events on which a level, made of linear forms of two dimensions, is at
least the gate's bound. A level in single precision errs by less than a margin that follows from the gate's numbers, so
events that lie farther from the bound than that are decided, and only the others have to be asked exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Polygon
from treg_gating.gating.grids import coarse_error
from treg_gating.transforms import Transform

__all__ = ["Levels", "levels_of"]

CHUNK = 1 << 15  # events; what is made of them stays in the processor's cache
ROUNDING = 2.0**-22  # more than a linear form in single precision errs, as a share of the sum of its parts
ENDLESS = 1e-4  # gate units; more than single precision errs on transformed dimensions, whose values stay below 100
SHELL, WIDEST = 1e-3, 0.2  # margin of an ellipse, as a share of its bound: at least, and at most
FLAT = 1e-3  # a polygon's depth as a share of its length; of one that is flatter, events far away are hard to tell
_KINDS = (HalfPlane, Ellipse, Polygon)


class Form(NamedTuple):
    """The linear form sign · u + slope · v − offset of a dimension u and the other one, v."""

    of: int
    sign: int
    slope: np.float32
    offset: np.float32

    def put(self, events: Sequence[NDArray[np.float32]], out: NDArray[np.float32]) -> None:
        """Values of events, which are given by dimension."""
        one, other = events[self.of], events[1 - self.of]
        if self.slope:
            np.multiply(other, self.slope, out=out)
            (np.add if self.sign > 0 else np.subtract)(out, one, out=out)
            np.subtract(out, self.offset, out=out)
        elif self.sign > 0:
            np.subtract(one, self.offset, out=out)
        else:
            np.subtract(-self.offset, one, out=out)


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of events in single precision.

    Parameters
    ----------
    forms : of the two dimensions.
    weight : None where the level is the least of the forms; else there are two, and it is minus the sum of their
        squares, the first with this weight.
    bound : events of this level and higher are in the gate. margin : by how much a level may err near to it.
    scale : what a gate's own bound is multiplied with to be one of these.
    """

    forms: tuple[Form, ...]
    weight: np.float32 | None
    bound: float
    margin: float
    scale: float = 1.0

    def decide(
        self, x: NDArray[np.float32], y: NDArray[np.float32], low: float, high: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Masks of the events that lie above both bounds for sure, and of those of which it cannot be told."""
        above, doubtful = np.empty((2, len(x)), np.bool_)
        surely, hardly = np.float32(high + self.margin), np.float32(low - self.margin)
        rooms = np.empty((2, min(CHUNK, len(x))), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values
            for first in range(0, len(x), CHUNK):
                part = slice(first, first + CHUNK)
                into, ask = above[part], doubtful[part]
                levels, room = rooms[:, : len(into)]
                self._fill((x[part], y[part]), levels, room)
                np.greater(levels, surely, out=into)
                np.less(levels, hardly, out=ask)
                np.equal(ask, into, out=ask)  # neither, for no event is both; with those that are no number
        return above, doubtful

    def _fill(
        self, events: Sequence[NDArray[np.float32]], levels: NDArray[np.float32], room: NDArray[np.float32]
    ) -> None:
        first, *others = self.forms
        first.put(events, levels)
        if self.weight is not None:
            levels *= levels
            levels *= -self.weight
        for form in others:
            form.put(events, room)
            if self.weight is None:
                np.minimum(levels, room, out=levels)
            else:
                room *= room
                levels -= room


def levels_of(gate: Gate, transforms: tuple[Transform, ...]) -> Levels | None:
    """How the levels of a gate on two dimensions are told; None where there are none or single precision would not do.

    Parameters
    ----------
    transforms : of the dimensions. Levels are told from what :func:`treg_gating.gating.grids.coarsely` gives.
    """
    return _found(gate, transforms) if isinstance(gate, _KINDS) and len(gate.dims) == 2 else None


@lru_cache(maxsize=64)
def _found(gate: HalfPlane | Ellipse | Polygon, transforms: tuple[Transform, ...]) -> Levels | None:
    doubt = np.array([coarse_error(transform) for transform in transforms])
    if isinstance(gate, HalfPlane):  # values on linear dimensions have no end, which would bound the error
        return _of_line(gate, doubt) if (doubt > 0).all() else None
    return _of_ellipse(gate, doubt) if isinstance(gate, Ellipse) else _of_polygon(gate, doubt)


def _of_line(gate: HalfPlane, doubt: NDArray[np.float64]) -> Levels:
    forms, scales = _forms(np.array([[*gate.normal, 0.0]]))
    margin = (np.abs(gate.normal) @ doubt + ENDLESS) * scales[0]
    return Levels(forms, None, gate.offset * scales[0], float(margin), scales[0])


def _of_ellipse(gate: Ellipse, doubt: NDArray[np.float64]) -> Levels | None:
    """Squared distance: with the inverse of the covariance's Cholesky factor, the sum of the squares of two forms."""
    mean, covariance = np.array(gate.mean), np.array(gate.covariance)
    slopes = np.linalg.inv(np.linalg.cholesky(covariance))
    numbers = np.column_stack([slopes, slopes @ mean])
    # Where an event may be taken for one near to the edge, its distance is at most twice that of the edge.
    farthest = np.abs(mean) + 2 * np.sqrt(np.diag(covariance) * gate.distance_square)
    errors = _errors(numbers, farthest, doubt)
    wrong = 4 * np.sqrt(gate.distance_square) * np.linalg.norm(errors) + 8 * ROUNDING * gate.distance_square
    margin = max(SHELL * gate.distance_square, float(wrong))
    if margin > WIDEST * gate.distance_square:
        return None
    forms, scales = _forms(numbers)
    scale, weight = scales[1] ** 2, np.float32((scales[1] / scales[0]) ** 2)
    return Levels(forms, weight, gate.bound * scale, margin * scale, scale)


def _of_polygon(gate: Polygon, doubt: NDArray[np.float64]) -> Levels | None:
    """How far an event lies within the nearest of the edges' lines, of a convex polygon of three or four corners."""
    before = (gate.vertices[-1], *gate.vertices)
    corners = [corner for corner, last in zip(gate.vertices, before, strict=False) if corner != last]
    if not 3 <= len(corners) == len(set(corners)) <= 4:
        return None  # one with more may turn round twice
    vertices, size = np.array(corners), np.ptp(corners, axis=0)
    along = np.roll(vertices, -1, axis=0) - vertices
    normals = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
    offsets, middle = (normals * vertices).sum(axis=1), vertices.mean(axis=0)
    if (normals @ middle < offsets).all():
        normals, offsets = -normals, -offsets
    convex = (normals @ vertices.T - offsets[:, None] >= -1e-9 * size.max()).all()
    if not convex or (normals @ middle - offsets).min() < FLAT * np.hypot(*size):
        return None
    numbers = np.column_stack([normals, offsets])
    forms, scales = _forms(numbers)
    margin = 4 * (_errors(numbers, np.abs(vertices).max(axis=0) + size, doubt) * scales).max()
    return Levels(forms, None, 0.0, float(margin))


def _forms(numbers: NDArray[np.float64]) -> tuple[tuple[Form, ...], list[float]]:
    """Forms a · x + b · y − c, by rows of (a, b, c), and the factor of each by which its larger slope became ±1."""
    forms, scales = [], []
    for a, b, c in numbers.tolist():
        of = int(abs(b) > abs(a))
        one, other = (b, a) if of else (a, b)
        scales.append(1 / abs(one))
        forms.append(Form(of, int(np.sign(one)), np.float32(other / abs(one)), np.float32(c / abs(one))))
    return tuple(forms), scales


def _errors(
    numbers: NDArray[np.float64], farthest: NDArray[np.float64], doubt: NDArray[np.float64]
) -> NDArray[np.float64]:
    """By how much each form may err where coordinates are at most `farthest` and err by `doubt`."""
    slopes, offsets = np.abs(numbers[:, :2]), np.abs(numbers[:, 2])
    errors: NDArray[np.float64] = ROUNDING * (slopes @ farthest + offsets) + slopes @ doubt
    return errors
