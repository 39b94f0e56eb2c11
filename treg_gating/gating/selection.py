"""Which events gates hold: of populations one after the other, and stretch by stretch where the gates are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Gate
from treg_gating.gating.rows import STRETCH, Indices, PopulationRows
from treg_gating.gating.steps import BEFORE, GateStep, GatingTemplate
from treg_gating.gating.view import EventView
from treg_gating.threads import side_by_side

__all__ = ["Known", "between", "chosen", "held", "known_masks", "selected", "sparse"]

Mask = NDArray[np.bool_]

FEW = 0.25  # share of the events
MANY = 1 << 15  # events that are worth a second thread


class Known(NamedTuple):
    """Of populations that only known gates lead to.

    Parameters
    ----------
    masks : their events. close : by population whose gate was given with others of its kind, its parent's events on
        which these may disagree; left out where any event may be one.
    """

    masks: dict[str, Mask]
    close: dict[str, Indices]


def selected(gate: Gate, sign: str, parent: Indices, view: EventView) -> Mask:
    """Of some events a mask of those on the side of the gate that `sign` names; NaN belongs to neither side."""
    return _asked(gate, (), sign, parent, view)[0]


def _asked(gate: Gate, others: Sequence[Gate], sign: str, parent: Indices, view: EventView) -> tuple[Mask, Mask | None]:
    """:func:`selected`, and a mask of the events on which others of the gate's kind may disagree with it."""
    mask, close = view.inside_and_undecided(gate, others, parent) if others else (view.inside(gate, parent), None)
    if sign == "-":
        np.logical_not(mask, out=mask)
        mask &= view.finite(gate.dims, parent)
    return mask, close


def chosen(
    gate: Gate, others: Sequence[Gate], sign: str, parent: Indices, view: EventView
) -> tuple[Indices, Indices | None]:
    """Of some events those that :func:`selected` tells, and those on which gates of the same kind may disagree.

    Two halves of many side by side. None where any may be one of the latter, or there are no other gates.
    """

    def choose(some: Indices) -> tuple[Indices, Indices | None]:
        mask, close = _asked(gate, others, sign, some, view)
        return some[mask], None if close is None else some[close]

    found = side_by_side(choose, [parent] if len(parent) < MANY else np.array_split(parent, 2))
    close = [part for _, part in found if part is not None]
    return np.concatenate([some for some, _ in found]), np.concatenate(close) if len(close) == len(found) else None


def known_masks(
    template: GatingTemplate,
    gates: Mapping[str, Gate],
    view: EventView,
    others: Mapping[str, Sequence[Gate]] | None = None,
) -> Known:
    """The populations that only known gates lead to, where their dimensions come in stretches.

    A stretch of the tube goes through all of these gates while it is in the processor's cache.

    Parameters
    ----------
    others : by population, gates of the same kind as its own, to be held against that.
    """
    steps: dict[str, GateStep] = {}
    for step in template.gate_steps:
        led_to = step.parent in steps or step.parent in BEFORE
        if led_to and step.population in gates and view.comes_in_stretches(step.dims):
            steps[step.population] = step
    return _through(steps, gates, {"clean": view.kept}, view, others or {})


def held(step: GateStep, gate: Gate, parent: Mask, view: EventView) -> Mask:
    """Mask of the parent's events on the side of the gate that the step wants; NaN belongs to neither side."""
    if not view.comes_in_stretches(step.dims):
        rows = np.flatnonzero(parent)
        return _spread(selected(gate, step.sign, rows, view), rows, len(parent))
    return _through({"": step}, {"": gate}, {step.parent: parent}, view, {}).masks[""]


def between(gates: Sequence[Gate], rows: PopulationRows, name: str, view: EventView) -> Indices:
    """The events of a population on which gates of one kind, that differ in their bounds, may disagree: few.

    Parameters
    ----------
    name : of the population, among `rows`.
    """
    some, dims = sparse(rows, name), gates[0].dims
    if some is not None or not view.comes_in_stretches(dims):
        some = np.flatnonzero(rows.mask(name)) if some is None else some
        return some[view.undecided(gates, some)]
    mask, found = rows.mask(name), []
    for first in range(0, len(mask), STRETCH):
        part = mask[first : first + STRETCH]
        here = view.stretch(first, first + len(part), dims)
        found.append(np.flatnonzero(here.undecided(gates, here.root) & part) + first)
    return np.concatenate(found)


def sparse(rows: PopulationRows, name: str) -> Indices | None:
    """The events of a population, where they are so few that to fetch their values is quicker than to ask all."""
    return rows[name] if (rows.count(name) or 0) < FEW * rows.n_events else None


def _through(
    steps: Mapping[str, GateStep],
    gates: Mapping[str, Gate],
    before: Mapping[str, Mask],
    view: EventView,
    others: Mapping[str, Sequence[Gate]],
) -> Known:
    """Populations, stretch by stretch, from the masks of what stands before them."""
    n = view.n_events
    masks = {name: np.empty(n, bool) for name in steps}
    dims = {name for step in steps.values() for name in step.dims}

    def pass_through(part: slice) -> dict[str, Indices | None]:
        here = view.stretch(part.start, part.stop, dims)
        known = {"root": np.ones(part.stop - part.start, bool)} | {name: mask[part] for name, mask in before.items()}
        close: dict[str, Indices | None] = {}
        for name, step in steps.items():
            parent, known[name] = known[step.parent], masks[name][part]
            known[name][:], there = _select_mask(gates[name], others.get(name, ()), step.sign, parent, here)
            close[name] = None if there is None else np.flatnonzero(there) + part.start
        return close

    found = side_by_side(pass_through, _stretches(n) if steps else [])
    close = {name: [part for one in found if (part := one[name]) is not None] for name in others if name in steps}
    return Known(masks, {name: np.concatenate(some) for name, some in close.items() if len(some) == len(found) > 0})


def _stretches(n: int) -> list[slice]:
    """Of the events of a tube: as many for one thread as for the other, and as long, where they are worth two."""
    size = max(1, n) if n < 2 * MANY else -(-n // (2 * -(-n // (2 * STRETCH))))
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def _select_mask(
    gate: Gate, others: Sequence[Gate], sign: str, parent: Mask, view: EventView
) -> tuple[Mask, Mask | None]:
    """Of the events of a stretch; and on which gates may disagree. Unless few are in the parent, all are asked."""
    few = np.flatnonzero(parent) if np.count_nonzero(parent) < FEW * len(parent) else None
    rows = view.root if few is None else few
    mask, close = _asked(gate, others, sign, rows, view)
    if few is not None:
        return _spread(mask, few, len(parent)), None if close is None else _spread(close, few, len(parent))
    mask &= parent
    if close is not None:
        close &= parent
    return mask, close


def _spread(mask: Mask, rows: Indices, n: int) -> Mask:
    """Of n events, from what it is on some of them."""
    whole = np.zeros(n, bool)
    whole[rows] = mask
    return whole
