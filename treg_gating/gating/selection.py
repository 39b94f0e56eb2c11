"""Which events gates hold: of populations one after the other, and stretch by stretch where the gates are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Gate
from treg_gating.gating.rows import STRETCH, Indices, PopulationRows
from treg_gating.gating.steps import BEFORE, GateStep, GatingTemplate
from treg_gating.gating.view import EventView
from treg_gating.threads import side_by_side

__all__ = ["between", "chosen", "held", "known_masks", "selected", "sparse"]

Mask = NDArray[np.bool_]

FEW = 0.25  # share of the events
MANY = 1 << 15  # events that are worth a second thread


def selected(gate: Gate, sign: str, parent: Indices, view: EventView) -> Mask:
    """Of some events a mask of those on the side of the gate that `sign` names; NaN belongs to neither side."""
    mask = view.inside(gate, parent)
    if sign == "-":
        np.logical_not(mask, out=mask)
        mask &= view.finite(gate.dims, parent)
    return mask


def chosen(gate: Gate, sign: str, parent: Indices, view: EventView) -> Indices:
    """Of some events those that :func:`selected` tells, two halves of many side by side."""
    halves = [parent] if len(parent) < MANY else np.array_split(parent, 2)
    return np.concatenate(side_by_side(lambda half: half[selected(gate, sign, half, view)], halves))


def known_masks(template: GatingTemplate, gates: Mapping[str, Gate], view: EventView) -> dict[str, Mask]:
    """Masks of the populations that only known gates lead to, where their dimensions come in stretches.

    A stretch of the tube goes through all of these gates while it is in the processor's cache.
    """
    steps: dict[str, GateStep] = {}
    for step in template.gate_steps:
        led_to = step.parent in steps or step.parent in BEFORE
        if led_to and step.population in gates and view.comes_in_stretches(step.dims):
            steps[step.population] = step
    return _through(steps, gates, {"clean": view.kept}, view)


def held(step: GateStep, gate: Gate, parent: Mask, view: EventView) -> Mask:
    """Mask of the parent's events on the side of the gate that the step wants; NaN belongs to neither side."""
    if not view.comes_in_stretches(step.dims):
        return _held(gate, step.sign, np.flatnonzero(parent), view)
    return _through({"": step}, {"": gate}, {step.parent: parent}, view)[""]


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
    steps: Mapping[str, GateStep], gates: Mapping[str, Gate], before: Mapping[str, Mask], view: EventView
) -> dict[str, Mask]:
    """Masks of populations, stretch by stretch, from those of what stands before them."""
    n = view.n_events
    masks = {name: np.empty(n, bool) for name in steps}
    dims = {name for step in steps.values() for name in step.dims}

    def pass_through(part: slice) -> None:
        here = view.stretch(part.start, part.stop, dims)
        known = {"root": np.ones(part.stop - part.start, bool)} | {name: mask[part] for name, mask in before.items()}
        for name, step in steps.items():
            known[name] = masks[name][part]
            known[name][:] = _select_mask(gates[name], step.sign, known[step.parent], here)

    side_by_side(pass_through, _stretches(n) if steps else [])
    return masks


def _stretches(n: int) -> list[slice]:
    """Of the events of a tube: as many for one thread as for the other, and as long, where they are worth two."""
    size = max(1, n) if n < 2 * MANY else -(-n // (2 * -(-n // (2 * STRETCH))))
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def _select_mask(gate: Gate, sign: str, parent: Mask, view: EventView) -> Mask:
    """Of the events of a stretch. Unless few are in the parent, it is quicker to ask the gate of all."""
    if np.count_nonzero(parent) < FEW * len(parent):
        return _held(gate, sign, np.flatnonzero(parent), view)
    mask = selected(gate, sign, view.root, view)
    mask &= parent
    return mask


def _held(gate: Gate, sign: str, rows: Indices, view: EventView) -> Mask:
    mask = np.zeros(view.n_events, bool)
    mask[rows] = selected(gate, sign, rows, view)
    return mask
