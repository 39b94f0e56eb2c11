"""How far a percentage depends on where the gates above it stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Rectangle
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates
from treg_gating.gating.results import FittedGate
from treg_gating.gating.selection import between, selected
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate

__all__ = ["Changes", "changes", "gate_interval", "moving_gates"]

Indices = NDArray[np.intp]

Change = tuple[Indices, Indices]
Changes = tuple[Change, Change]


def gate_interval(
    template: GatingTemplate,
    walk: Walk,
    view: EventView,
    numerator: str,
    denominator: str,
    known: Mapping[str, Changes] | None = None,
) -> tuple[float, float] | None:
    """Percentage when each gate on the path to the numerator moves by ± its standard error.

    The changes that the gates cause one at a time are added in quadrature, upward and downward apart. Gates above the
    denominator act on both and largely cancel.

    Parameters
    ----------
    known : by population :func:`changes` of its gate, where they are known.

    Returns
    -------
    (low, high) in percent, or None where the percentage itself is not estimable.
    """
    top, bottom = walk.rows.count(numerator), walk.rows.count(denominator)
    if top is None or not bottom:
        return None
    value = 100 * top / bottom

    def moved(name: str) -> tuple[float, float]:
        """Down and up, in percent."""
        both = (known or {}).get(name) or changes(template, walk, view, name)
        found = [
            _percent(template, walk, view, name, sign, change, numerator, denominator) - value
            for sign, change in zip((-1, 1), both, strict=True)
        ]
        return min(0.0, *found), max(0.0, *found)

    found = [moved(name) for name in moving_gates(template, walk, numerator)]
    down, up = (np.linalg.norm(one) for one in np.reshape(found, (-1, 2)).T)
    return max(0.0, value - float(down)), min(100.0, value + float(up))


def moving_gates(template: GatingTemplate, walk: Walk, population: str) -> list[str]:
    """Populations whose gates decide over `population` and have a standard error, of those the walk has come to."""
    gates = ((name, walk.gates.get(name)) for name in _gates_behind(template, population))
    return [name for name, gate in gates if gate is not None and gate.gate is not None and any(gate.standard_error)]


def _gates_behind(template: GatingTemplate, population: str) -> tuple[str, ...]:
    """Populations whose gates decide over `population`: its path, and those of what a combination on it names."""
    names: dict[str, None] = {}
    for name in template.path(population):
        step = template.step(name)
        if isinstance(step, CombineStep):
            for part in step.expression.names:
                names |= dict.fromkeys(_gates_behind(template, part))
        names[name] = None
    return tuple(names)


def _percent(
    template: GatingTemplate,
    walk: Walk,
    view: EventView,
    name: str,
    sign: int,
    change: Change,
    numerator: str,
    denominator: str,
) -> float:
    """The percentage with the gate of `name` moved; the gates below stay."""
    counts: list[int] = []
    comes, goes = change
    for target in (numerator, denominator):
        path = template.path(target)
        if any(isinstance(template.step(population), CombineStep) for population in path):
            counts.append(_counted_anew(template, walk, view, name, sign, target))
            continue
        rows = walk.rows[target]
        counts.append(len(rows) if rows is not None else 0)
        if rows is not None and name in path:
            counts[-1] -= _how_many(goes, rows)
            counts[-1] += len(_passing(template, walk, view, path[path.index(name) + 1 :], comes))
    return 100 * counts[0] / counts[1] if counts[1] else np.nan


def changes(template: GatingTemplate, walk: Walk, view: EventView, name: str) -> Changes:
    """Events that a gate takes in and those that it loses when it moves down, and up: few, so little is asked again."""
    step, gate = template.step(name), walk.gates[name]
    assert isinstance(step, GateStep) and gate.gate is not None  # noqa: S101, PT018 (it can move)
    shapes = [gate.gate, *(_shifted(gate, sign) for sign in (-1, 1))]
    rows = between(shapes, walk.rows, step.parent, view)
    before, *after = (selected(shape, step.sign, rows, view) for shape in shapes)
    down, up = ((rows[now & ~before], rows[before & ~now]) for now in after)
    return down, up


def _how_many(some: Indices, rows: Indices) -> int:
    """How many of some events are among `rows`, which ascend."""
    if not len(some) or not len(rows):
        return 0
    at = np.minimum(np.searchsorted(rows, some), len(rows) - 1)
    return int(np.count_nonzero(rows[at] == some))


def _passing(template: GatingTemplate, walk: Walk, view: EventView, path: Sequence[str], rows: Indices) -> Indices:
    """Those of some events that the gates of a path let through."""
    for population in path:
        step, gate = template.step(population), walk.gates[population].gate
        if isinstance(step, GateStep) and gate is not None and len(rows):
            rows = rows[selected(gate, step.sign, rows, view)]
    return rows


def _counted_anew(template: GatingTemplate, walk: Walk, view: EventView, name: str, sign: int, target: str) -> int:
    """Events of a population when the gate of `name` moves, where a combination asks for gates beside its path."""
    gates = dict(walk.gates)
    gates[name] = replace(gates[name], gate=_shifted(gates[name], sign))
    rows = apply_gates(template, gates, view).rows[target]
    return len(rows) if rows is not None else 0


def _shifted(gate: FittedGate, sign: int) -> Gate:
    shape, error = gate.gate, sign * gate.standard_error[0]
    if isinstance(shape, Interval):
        return Interval(shape.dims, shape.low + error, shape.high + error)
    if isinstance(shape, HalfPlane):
        return replace(shape, offset=shape.offset + error)
    if isinstance(shape, Ellipse):
        # The whole ellipse grows or shrinks: moving its centre sideways hardly changes what it holds.
        scale = max(0.05, 1 + sign * gate.standard_error[0] / np.sqrt(shape.covariance[0][0]))
        return replace(shape, distance_square=shape.distance_square * scale**2)
    if isinstance(shape, Rectangle):  # open to the outside: every bound moves outwards or inwards
        wide = iter(sign * value for value in gate.standard_error)
        low = tuple(bound - next(wide) if np.isfinite(bound) else bound for bound in shape.low)
        high = tuple(bound + next(wide) if np.isfinite(bound) else bound for bound in shape.high)
        return Rectangle(shape.dims, low, high)
    assert shape is not None  # noqa: S101 - callers pass gates with numbers only
    return shape
