"""Pictures of the densities that gates stand on, binned: enough to draw them, never the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.hierarchy import EventView, Walk
from treg_gating.gating.results import GatePicture
from treg_gating.gating.rows import Indices, PopulationRows
from treg_gating.gating.template import GateStep, GatingTemplate
from treg_gating.panel import canonical_marker
from treg_gating.threads import side_by_side

__all__ = ["control_densities", "drawable", "picture_gate", "picture_gates"]

PICTURE_BINS = {1: 160, 2: 72}
ENOUGH = 50_000  # events; of a population that holds k times as many, every k-th place of the tube is drawn


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
        densities[step.population] = _histogram(view, step.dims, _drawn(walk.rows, step.fit_on), (low,), (high,))
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

    def draw(step: GateStep) -> GatePicture:
        return picture_gate(step, walk, view, limits, (controls or {}).get(step.population))

    return tuple(side_by_side(draw, drawable(template, walk, view)))


def drawable(template: GatingTemplate, walk: Walk, view: EventView) -> list[GateStep]:
    """Steps whose gates can be drawn: on one or two measured dimensions, with a parent that holds events."""
    return [
        step
        for step in template.gate_steps
        if len(step.dims) in PICTURE_BINS
        and all(name in view.measured for name in step.dims)
        and step.parent in walk.rows
        and walk.rows.count(step.parent)
    ]


def picture_gate(
    step: GateStep,
    walk: Walk,
    view: EventView,
    limits: Mapping[str, tuple[float, float]],
    control: NDArray[Any] | None = None,
) -> GatePicture:
    """Density of one gate's parent; as :func:`picture_gates`."""
    low, high = zip(*(limits[name] for name in step.dims), strict=True)
    counts = _histogram(view, step.dims, _drawn(walk.rows, step.parent), low, high)
    return GatePicture(step.population, step.parent, step.dims, low, high, counts, control)


def _drawn(rows: PopulationRows, name: str) -> Indices:
    """The events of a population, or as many of them as look the same."""
    few = rows.few(name)
    if few is not None:
        return few
    step = max(1, (rows.count(name) or 0) // ENOUGH)
    return np.flatnonzero(rows.mask(name)[::step]) * step


def _histogram(
    view: EventView, dims: Sequence[str], rows: Indices, low: Sequence[float], high: Sequence[float]
) -> NDArray[np.uint32]:
    shape = (PICTURE_BINS[len(dims)],) * len(dims)
    cells = int(np.prod(shape))
    numbers = view.placed(dims, rows, low, high, shape)
    return np.bincount(numbers, minlength=cells)[:cells].astype(np.uint32).reshape(shape)
