"""From masks to numbers: counts and percentages of populations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from treg_gating.gating.hierarchy import Walk
from treg_gating.gating.results import GateStatus, PopulationCount
from treg_gating.gating.template import GatingTemplate

__all__ = ["count_populations", "percentage"]


def percentage(count: PopulationCount | None, denominator: PopulationCount | None) -> float:
    """100 · n / n of the denominator; NaN where either is not estimable or the denominator is empty."""
    if count is None or denominator is None or count.n is None or not denominator.n:
        return np.nan
    return 100 * count.n / denominator.n


def count_populations(
    template: GatingTemplate, walk: Walk, medians: Mapping[str, Mapping[str, float]]
) -> tuple[PopulationCount, ...]:
    """Counts of every population with the median intensity of each stained marker.

    Parameters
    ----------
    medians : by marker, then by population (:mod:`treg_gating.intensities`).
    """
    parents = {"root": "", "clean": "root"} | {step.population: step.parent for step in template.steps}
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
