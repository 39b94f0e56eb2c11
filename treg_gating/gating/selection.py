"""Which events gates hold: of populations one after the other, and stretch by stretch where the gates are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Gate
from treg_gating.gating.steps import BEFORE, GateStep, GatingTemplate
from treg_gating.gating.view import EventView, Indices
from treg_gating.threads import side_by_side

__all__ = ["among", "known_rows", "select", "selected"]

STRETCH = 1 << 17  # events; numpy's own time hardly counts
FEW = 0.25  # share of a stretch


def select(gate: Gate, sign: str, parent: Indices, view: EventView) -> Indices:
    """Indices of the parent's events on the side of the gate that `sign` names; NaN belongs to neither side."""
    return parent.compress(selected(gate, sign, parent, view))


def selected(gate: Gate, sign: str, parent: Indices, view: EventView) -> NDArray[np.bool_]:
    """Mask of these events of the parent."""
    inside = view.inside(gate, parent)
    return inside if sign == "+" else ~inside & view.finite(gate.dims, parent)


def among(rows: Indices, view: EventView) -> NDArray[np.bool_]:
    """Mask of all events: those of `rows`."""
    mask = np.zeros(len(view.root), dtype=bool)
    mask[rows] = True
    return mask


def known_rows(template: GatingTemplate, gates: Mapping[str, Gate], view: EventView) -> dict[str, Indices]:
    """Events of the populations that only known gates lead to, where their dimensions come in stretches.

    A stretch of the tube goes through all of these gates while it is in the processor's cache.
    """
    steps: dict[str, GateStep] = {}
    for step in template.gate_steps:
        led_to = step.parent in steps or step.parent in BEFORE
        if led_to and step.population in gates and view.comes_in_stretches(step.dims):
            steps[step.population] = step
    n = len(view.root)
    masks = {name: np.empty(n, bool) for name in steps}
    clean = np.zeros(n, bool)
    clean[view.clean] = True

    def pass_through(first: int) -> None:
        part = slice(first, min(first + STRETCH, n))
        here = view.stretch(part.start, part.stop)
        known = {"root": np.ones(part.stop - first, bool), "clean": clean[part]}
        for name, step in steps.items():
            known[name] = masks[name][part]
            known[name][:] = _select_mask(gates[name], step.sign, known[step.parent], here)

    side_by_side(pass_through, range(0, n if steps else 0, STRETCH))
    return dict(zip(masks, side_by_side(np.flatnonzero, list(masks.values())), strict=True))


def _select_mask(gate: Gate, sign: str, parent: NDArray[np.bool_], view: EventView) -> NDArray[np.bool_]:
    """As :func:`select`, masks for indices. Unless few are in the parent, it is quicker to ask the gate of all."""
    if np.count_nonzero(parent) < FEW * len(parent):
        mask = np.zeros(len(parent), bool)
        mask[select(gate, sign, np.flatnonzero(parent), view)] = True
        return mask
    return selected(gate, sign, view.root, view) & parent
