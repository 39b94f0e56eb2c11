"""Median intensity of every marker on every population of a tube."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.axes import Column
from treg_gating.gating.hierarchy import Walk
from treg_gating.gating.template import GatingTemplate
from treg_gating.threads import side_by_side

__all__ = ["median_intensities"]

Place = slice | NDArray[np.bool_]
TOGETHER = 1 << 16  # events; what is made of them stays in the processor's cache


def median_intensities(
    template: GatingTemplate, walk: Walk, linear: Mapping[str, Column]
) -> dict[str, dict[str, float]]:
    """By marker, then by population that holds events, the median of its linear values.

    Parameters
    ----------
    linear : by marker, what gives the compensated linear values of some events.
    """
    order, places = _nested(template, walk)

    def medians_of(column: NDArray[np.floating[Any]]) -> dict[str, float]:
        nested = np.empty_like(column)
        for first in range(0, len(order), TOGETHER):
            nested[first : first + TOGETHER] = column[order[first : first + TOGETHER]]
        # To find its median puts a piece in disorder; the pieces that it holds were asked before.
        return {name: _median(nested[at] if isinstance(at, slice) else column[at]) for name, at in places}

    columns = [values(np.arange(walk.rows.n_events)) for values in linear.values()]
    return dict(zip(linear, side_by_side(medians_of, columns), strict=True))


def _nested(template: GatingTemplate, walk: Walk) -> tuple[NDArray[np.uint32], list[tuple[str, Place]]]:
    """An order of all events in which populations lie together, and where each does that holds events.

    A population's own events come before those of its children, so that a tree of populations is made of pieces, and
    values are put into this order once for all. A population that shares events with one beside it is no such piece;
    its events are given by a mask. Smaller populations come first.
    """
    counts = {name: found for name in walk.rows if (found := walk.rows.count(name))}
    parents = {"clean": "root"} | {step.population: step.parent for step in template.steps}
    names = _downwards("root", parents)
    smallest = np.zeros(walk.rows.n_events, np.uint16)
    for at, name in enumerate(names):
        if name in counts and at:
            np.maximum(smallest, walk.rows.mask(name) * np.uint16(at), out=smallest)
    ends = np.cumsum(np.bincount(smallest, minlength=len(names)))
    pieces = {}
    for at, name in enumerate(names):
        last = at + len(_downwards(name, parents)) - 1
        pieces[name] = slice(int(ends[at - 1]) if at else 0, int(ends[last]))
    order = np.concatenate([np.flatnonzero(smallest == at).astype(np.uint32) for at in range(len(names))])
    whole = {name: pieces[name].stop - pieces[name].start == n for name, n in counts.items()}
    places = {name: pieces[name] if whole[name] else walk.rows.mask(name) for name in counts}
    return order, sorted(places.items(), key=lambda one: counts[one[0]])


def _downwards(population: str, parents: Mapping[str, str]) -> list[str]:
    """The population and all below it, every one before its children."""
    children = [name for name, parent in parents.items() if parent == population]
    return [population, *(name for child in children for name in _downwards(child, parents))]


def _median(values: NDArray[np.floating[Any]]) -> float:
    """What numpy.median gives, found by one partition in place instead of two."""
    half = len(values) // 2
    values.partition(half)
    if np.isnan(values[half:].max()):
        return np.nan
    low = values[half] if len(values) % 2 else values[:half].max()
    return float((low + values[half]) / 2)
