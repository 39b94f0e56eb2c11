"""From masks to numbers: counts, percentages with intervals, MFI, gate intervals, and pictures of the densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.axes import Column
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Rectangle
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates
from treg_gating.gating.results import FittedGate, GatePicture, GateStatus, PopulationCount
from treg_gating.gating.selection import held, selected
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate
from treg_gating.intensities import median_intensities
from treg_gating.panel import canonical_marker
from treg_gating.threads import side_by_side

__all__ = ["control_densities", "count_populations", "gate_interval", "percentage", "picture_gates"]

Indices = NDArray[np.intp]
Change = tuple[Indices, Indices]

PICTURE_BINS = {1: 160, 2: 72}
TOGETHER = 1 << 16  # events; what is made of them stays in the processor's cache


def percentage(count: PopulationCount | None, denominator: PopulationCount | None) -> float:
    """100 · n / n of the denominator; NaN where either is not estimable or the denominator is empty."""
    if count is None or denominator is None or count.n is None or not denominator.n:
        return np.nan
    return 100 * count.n / denominator.n


def count_populations(
    template: GatingTemplate, walk: Walk, linear: Mapping[str, Column]
) -> tuple[PopulationCount, ...]:
    """Counts of every population with the median intensity of each stained marker.

    Parameters
    ----------
    linear : by marker, what gives the compensated linear values of some events.
    """
    parents = {"root": "", "clean": "root"} | {step.population: step.parent for step in template.steps}
    medians = median_intensities(template, walk, linear)
    reference = template.imported.counts if template.imported else {}
    counts = []
    for population, parent in parents.items():
        mfi = {marker: found[population] for marker, found in medians.items() if population in found}
        counts.append(replace(_count(population, parent, walk, mfi), reference=reference.get(population)))
    return tuple(counts)


def _count(population: str, parent: str, walk: Walk, mfi: Mapping[str, float]) -> PopulationCount:
    n, n_parent = walk.rows.count(population), walk.rows.count(parent) if parent else None
    gate = walk.gates.get(population)
    if gate is not None and gate.status is GateStatus.NOT_STAINED:
        return PopulationCount(population, parent, None, n_parent, "not_stained", gate.reason)
    if n is None:
        return PopulationCount(population, parent, None, n_parent, "not_estimable", walk.why_not[population])
    if n_parent == 0:
        return PopulationCount(population, parent, None, 0, "not_estimable", f"{parent} holds no events")
    return PopulationCount(population, parent, n, n_parent, mfi=mfi)


def gate_interval(
    template: GatingTemplate, walk: Walk, view: EventView, numerator: str, denominator: str
) -> tuple[float, float] | None:
    """Percentage when each gate on the path to the numerator moves by ± its standard error.

    The changes that the gates cause one at a time are added in quadrature, upward and downward apart. Gates above the
    denominator act on both and largely cancel.

    Returns
    -------
    (low, high) in percent, or None where the percentage itself is not estimable.
    """
    top, bottom = walk.rows.count(numerator), walk.rows.count(denominator)
    if top is None or not bottom:
        return None
    value = 100 * top / bottom
    moving = [name for name in _gates_behind(template, numerator) if _can_move(walk.gates[name])]

    def changes(name: str) -> tuple[float, float]:
        """Down and up, in percent."""
        moved = [
            _percent(template, walk, view, name, sign, change, numerator, denominator) - value
            for sign, change in zip((-1, 1), _changes(template, walk, view, name), strict=True)
        ]
        return min(0.0, *moved), max(0.0, *moved)

    down, up = (np.linalg.norm(found) for found in np.reshape([changes(name) for name in moving], (-1, 2)).T)
    return max(0.0, value - float(down)), min(100.0, value + float(up))


def _can_move(gate: FittedGate) -> bool:
    return gate.gate is not None and any(gate.standard_error)


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


def _changes(template: GatingTemplate, walk: Walk, view: EventView, name: str) -> tuple[Change, Change]:
    """Events that a gate takes in and those that it loses when it moves down, and up: few, so little is asked again."""
    step, gate = template.step(name), walk.gates[name]
    assert isinstance(step, GateStep)  # noqa: S101 (it can move)
    parent, before = walk.rows.mask(step.parent), walk.rows.mask(name)

    def change(sign: int) -> Change:
        other = np.flatnonzero(held(step, _shifted(gate, sign), parent, view) != before)
        left = before[other]
        return other[~left], other[left]

    return change(-1), change(1)


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


def control_densities(
    template: GatingTemplate, walk: Walk, view: EventView, limits: Mapping[str, tuple[float, float]], marker: str
) -> dict[str, NDArray[np.uint32]]:
    """What a control tube shows of the marker it leaves out, by population whose gate stands on that marker alone.

    Parameters
    ----------
    limits : as for :func:`picture_gates`, so that its pictures can show the control on the same axis.
    marker : what the control leaves out, in any usual spelling.

    Returns
    -------
    Events per bin, shape (bins,), of the population each gate is fitted on; absent where the control has none.
    """
    densities, wanted = {}, canonical_marker(marker).casefold()
    for step in template.steps:
        if not isinstance(step, GateStep) or len(step.dims) != 1 or step.dims[0] not in view.measured:
            continue
        rows = walk.rows[step.fit_on]
        if canonical_marker(step.dims[0]).casefold() != wanted or rows is None or len(rows) == 0:
            continue
        low, high = limits[step.dims[0]]
        densities[step.population] = _histogram(view, step.dims, walk.rows.mask(step.fit_on), (low,), (high,))
    return densities


def picture_gates(
    template: GatingTemplate,
    walk: Walk,
    view: EventView,
    limits: Mapping[str, tuple[float, float]],
    controls: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[GatePicture, ...]:
    """Density of every gate's parent on fixed axes.

    Parameters
    ----------
    limits : (low, high) in gate units by dimension; the same for every tube of a run.
    controls : densities of the matching control tubes by population, from :func:`control_densities`.
    """
    drawn = [
        step
        for step in template.gate_steps
        if len(step.dims) in PICTURE_BINS
        and all(name in view.measured for name in step.dims)
        and walk.rows.count(step.parent)
    ]

    def draw(step: GateStep) -> GatePicture:
        low, high = zip(*(limits[name] for name in step.dims), strict=True)
        control = (controls or {}).get(step.population)
        counts = _histogram(view, step.dims, walk.rows.mask(step.parent), low, high)
        return GatePicture(step.population, step.parent, step.dims, low, high, counts, control)

    return tuple(side_by_side(draw, drawn))


def _histogram(
    view: EventView, dims: Sequence[str], mask: NDArray[np.bool_], low: Sequence[float], high: Sequence[float]
) -> NDArray[np.uint32]:
    bins = PICTURE_BINS[len(dims)]
    shape = (bins,) * len(dims)
    cells = np.zeros(int(np.prod(shape)), np.int64)
    for first in range(0, len(mask), TOGETHER):
        numbers = view.placed(dims, np.flatnonzero(mask[first : first + TOGETHER]) + first, low, high, shape)
        cells += np.bincount(numbers, minlength=len(cells))[: len(cells)]
    return cells.astype(np.uint32).reshape(shape)
