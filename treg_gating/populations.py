"""From masks to numbers: counts, percentages with intervals, MFI, gate intervals, and pictures of the densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.axes import Column
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Rectangle
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates, selected
from treg_gating.gating.results import FittedGate, GatePicture, GateStatus, PopulationCount
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate
from treg_gating.panel import canonical_marker

__all__ = ["control_densities", "count_populations", "gate_interval", "percentage", "picture_gates"]

Indices = NDArray[np.intp]

PICTURE_BINS = {1: 160, 2: 72}


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
    counts = [_count("root", "", walk, linear), _count("clean", "root", walk, linear)]
    counts += [_count(step.population, step.parent, walk, linear) for step in template.steps]
    reference = template.imported.counts if template.imported else {}
    return tuple(replace(count, reference=reference.get(count.population)) for count in counts)


def _count(population: str, parent: str, walk: Walk, linear: Mapping[str, Column]) -> PopulationCount:
    rows, above = walk.rows[population], walk.rows.get(parent)
    n_parent = len(above) if above is not None else None
    gate = walk.gates.get(population)
    if gate is not None and gate.status is GateStatus.NOT_STAINED:
        return PopulationCount(population, parent, None, n_parent, "not_stained", gate.reason)
    if rows is None:
        return PopulationCount(population, parent, None, n_parent, "not_estimable", walk.why_not[population])
    if n_parent == 0:
        return PopulationCount(population, parent, None, 0, "not_estimable", f"{parent} holds no events")
    mfi = {marker: _median(values(rows)) for marker, values in linear.items()} if len(rows) else {}
    return PopulationCount(population, parent, len(rows), n_parent, mfi=mfi)


def _median(values: NDArray[np.floating[Any]]) -> float:
    """What numpy.median gives, found by one partition instead of two."""
    half = len(values) // 2
    parted = np.partition(values, half)
    if np.isnan(parted[half:].max()):
        return np.nan
    low = parted[half] if len(values) % 2 else parted[:half].max()
    return float((low + parted[half]) / 2)


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
    top, bottom = walk.rows[numerator], walk.rows[denominator]
    if top is None or bottom is None or len(bottom) == 0:
        return None
    value = 100 * len(top) / len(bottom)
    down = up = 0.0
    for name in _gates_behind(template, numerator):
        gate = walk.gates[name]
        if gate.gate is None or not any(gate.standard_error):
            continue
        values = (_moved(template, walk, view, name, sign, numerator, denominator) for sign in (-1.0, 1.0))
        changes = [moved - value for moved in values]
        down += min(0.0, *changes) ** 2
        up += max(0.0, *changes) ** 2
    return max(0.0, value - float(np.sqrt(down))), min(100.0, value + float(np.sqrt(up)))


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


def _moved(
    template: GatingTemplate, walk: Walk, view: EventView, name: str, sign: float, numerator: str, denominator: str
) -> float:
    """The percentage with the gate of `name` moved; the gates below stay."""
    counts: list[int] = []
    changed: tuple[Indices, Indices] | None = None
    for target in (numerator, denominator):
        path = template.path(target)
        if any(isinstance(template.step(population), CombineStep) for population in path):
            counts.append(_counted_anew(template, walk, view, name, sign, target))
            continue
        rows = walk.rows[target]
        counts.append(len(rows) if rows is not None else 0)
        if name in path and rows is not None:
            changed = changed or _changed(template, walk, view, name, sign)
            comes, goes = changed
            counts[-1] -= int(_among(rows, view).take(goes).sum())
            counts[-1] += len(_passing(template, walk, view, path[path.index(name) + 1 :], comes))
    return 100 * counts[0] / counts[1] if counts[1] else np.nan


def _changed(template: GatingTemplate, walk: Walk, view: EventView, name: str, sign: float) -> tuple[Indices, Indices]:
    """Events that a gate takes in when it moves, and those that it loses: few, so that little is asked again."""
    step, parent, rows = template.step(name), walk.rows[template.step(name).parent], walk.rows[name]
    if parent is None or rows is None or not isinstance(step, GateStep):
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing
    before = _among(rows, view)[parent]
    after = selected(_shifted(walk.gates[name], sign), step.sign, parent, view)
    return parent.compress(after & ~before), parent.compress(before & ~after)


def _passing(template: GatingTemplate, walk: Walk, view: EventView, path: Sequence[str], rows: Indices) -> Indices:
    """Those of some events that the gates of a path let through."""
    for population in path:
        step, gate = template.step(population), walk.gates[population].gate
        if isinstance(step, GateStep) and gate is not None and len(rows):
            rows = rows[selected(gate, step.sign, rows, view)]
    return rows


def _among(rows: Indices, view: EventView) -> NDArray[np.bool_]:
    """Mask of all events: those of `rows`."""
    mask = np.zeros(len(view.root), dtype=bool)
    mask[rows] = True
    return mask


def _counted_anew(template: GatingTemplate, walk: Walk, view: EventView, name: str, sign: float, target: str) -> int:
    """Events of a population when the gate of `name` moves, where a combination asks for gates beside its path."""
    gates = dict(walk.gates)
    gates[name] = replace(gates[name], gate=_shifted(gates[name], sign))
    rows = apply_gates(template, gates, view).rows[target]
    return len(rows) if rows is not None else 0


def _shifted(gate: FittedGate, sign: float) -> Gate:
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
        densities[step.population] = _histogram(view.values(step.dims, rows), (low,), (high,))
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
    pictures = []
    for step in template.steps:
        if not isinstance(step, GateStep) or any(name not in view.measured for name in step.dims):
            continue
        if len(step.dims) not in PICTURE_BINS:
            continue
        rows = walk.rows[step.parent]
        if rows is None or len(rows) == 0:
            continue
        low, high = zip(*(limits[name] for name in step.dims), strict=True)
        counts = _histogram(view.values(step.dims, rows), low, high)
        control = (controls or {}).get(step.population)
        pictures.append(GatePicture(step.population, step.parent, step.dims, low, high, counts, control))
    return tuple(pictures)


def _histogram(values: NDArray[np.float64], low: Sequence[float], high: Sequence[float]) -> NDArray[np.uint32]:
    size = values.shape[1]
    bins = PICTURE_BINS[size]
    finite = np.isfinite(values).all(axis=1)
    values = values if finite.all() else values[finite]
    cell = np.zeros(len(values), dtype=np.intp)
    for column, bottom, top in zip(values.T, low, high, strict=True):
        place = (column - bottom) * (bins / (top - bottom))
        np.clip(place, 0, bins - 1, out=place)
        cell *= bins
        cell += place.astype(np.intp)
    return np.bincount(cell, minlength=bins**size).astype(np.uint32).reshape((bins,) * size)
