"""How far a percentage depends on where the gates above it stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Rectangle
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates
from treg_gating.gating.results import FittedGate
from treg_gating.gating.rows import PopulationRows
from treg_gating.gating.selection import between, selected
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate

__all__ = ["Changes", "changes", "gate_interval", "moved_gates", "moving_gates"]

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

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

    moving = {
        name: (known or {}).get(name) or changes(template, walk, view, name)
        for name in moving_gates(template, walk, numerator)
    }
    some = np.unique(np.concatenate([np.empty(0, np.intp), *(comes for both in moving.values() for comes, _ in both)]))

    @cache
    def lets_through(population: str) -> Mask | None:
        """Which of all events that come its gate holds; None of what is no gate."""
        step, gate = template.step(population), walk.gates[population].gate
        return selected(gate, step.sign, some, view) if isinstance(step, GateStep) and gate is not None else None

    def counts(target: str) -> NDArray[np.float64]:
        path = template.path(target)
        if any(isinstance(template.step(population), CombineStep) for population in path):
            moved = [[_counted_anew(template, walk, view, name, sign, target) for sign in (-1, 1)] for name in moving]
            return np.array(moved, float).reshape(-1, 2)
        return _counts(walk.rows, target, path, moving, some, lets_through)

    tops, bottoms = counts(numerator), counts(denominator)
    with np.errstate(invalid="ignore", divide="ignore"):  # nothing may be left of the denominator
        found = np.where(bottoms > 0, 100 * tops / bottoms, np.nan) - value
    down, up = (np.linalg.norm(most.reduce(found, axis=1, initial=0.0)) for most in (np.fmin, np.fmax))
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


def _counts(
    rows: PopulationRows,
    target: str,
    path: Sequence[str],
    moving: Mapping[str, Changes],
    some: Indices,
    lets_through: Callable[[str], Mask | None],
) -> NDArray[np.float64]:
    """Events of a population when each of some gates is moved down, and up; those below it on the path stay.

    Returns
    -------
    Shape (gates, 2).
    """
    names, counts = list(moving), np.full((len(moving), 2), float(rows.count(target) or 0))
    passing = np.ones(len(some), np.bool_)  # the gates below
    for population in reversed(path):
        for side, (comes, goes) in enumerate(moving.get(population, ())):
            gained = np.count_nonzero(passing[np.searchsorted(some, comes)]) if len(comes) else 0
            counts[names.index(population), side] += gained - rows.how_many(target, goes)
        held = lets_through(population)
        if held is not None:
            passing &= held
    return counts


def changes(template: GatingTemplate, walk: Walk, view: EventView, name: str) -> Changes:
    """Events that a gate takes in and those that it loses when it moves down, and up: few, so little is asked again."""
    step, gate = template.step(name), walk.gates[name]
    assert isinstance(step, GateStep) and gate.gate is not None  # noqa: S101, PT018 (it can move)
    shapes = [gate.gate, *moved_gates(gate)]
    rows = walk.close[name] if name in walk.close else between(shapes, walk.rows, step.parent, view)
    before, *after = (selected(shape, step.sign, rows, view) for shape in shapes)
    down, up = ((rows[now & ~before], rows[before & ~now]) for now in after)
    return down, up


def moved_gates(gate: FittedGate) -> list[Gate]:
    """A gate moved down and up by its standard error."""
    return [_shifted(gate, sign) for sign in (-1, 1)]


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
