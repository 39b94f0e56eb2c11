"""Stains that failed: tubes whose bright end of a marker lies far below that of the cohort.

A tube without its stain has no population to find, and a cohort that learns from it finds less in every other tube.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.template import GateStep, GatingTemplate

__all__ = ["weak_stains"]

BRIGHT = 0.995  # quantile: even where Tregs are 1 % it lies among them
REFERENCE = 0.75  # quantile over the tubes: the cohort's usual, though up to two thirds of the tubes failed
TUBE_LIMIT, BATCH_LIMIT = 0.13, 0.085  # gate units below the reference: of one tube, of a batch's median
LEAST_TUBES = 5
LEAST_EVENTS = 500


def weak_stains(
    template: GatingTemplate, tubes: Sequence[tuple[str, str, Mapping[str, Any]]]
) -> dict[str, tuple[str, ...]]:
    """Tubes in which a marker that Tregs are high on hardly rises above its own median.

    Looked at is how far the 99.5 % quantile lies above the median, on the events a cohort's mixture is fitted to (CD4 T
    cells). Gains move both ends alike and cancel; a stain that failed brings them together.

    Parameters
    ----------
    tubes : (tube_id, batch, summaries of pass 1) of stained tubes; fewer than five tell nothing.

    Returns
    -------
    By tube_id, a sentence a marker. In the simulator's cohorts a batch lay at most 0.076 below the reference (stain
    lots of 0.25 decades), a single tube 0.098; where a twenty-fifth of the dye is left a batch lies 0.17 to 0.20 below.
    """
    found: dict[str, list[str]] = {}
    risen: dict[str, dict[tuple[str, str], float]] = {}
    asked = tuple(_markers(template))
    for tube, batch, summaries in tubes:  # tube by tube: what it tells may have to be read anew
        for marker, summary_name in asked:
            rise = _rise(summaries.get(summary_name), marker)
            if rise is not None:
                risen.setdefault(marker, {})[tube, batch] = rise
    for marker, rises in risen.items():
        if len(rises) < LEAST_TUBES:
            continue
        reference = float(np.quantile(list(rises.values()), REFERENCE))
        low = {batch: _low_batch(batch, rises, reference) for batch in {batch for _, batch in rises}}
        for (tube, batch), rise in rises.items():
            if reference - rise > TUBE_LIMIT or low[batch] > BATCH_LIMIT:
                found.setdefault(tube, []).append(_sentence(marker, rise, reference, batch, low[batch]))
    return {tube: tuple(said) for tube, said in found.items()}


def _low_batch(batch: str, rises: Mapping[tuple[str, str], float], reference: float) -> float:
    """How far the median of a batch lies below the reference; 0 where one tube, or every tube, is the batch."""
    own = [rise for (_, name), rise in rises.items() if name == batch]
    return reference - float(np.median(own)) if 1 < len(own) < len(rises) else 0.0


def _markers(template: GatingTemplate) -> Iterator[tuple[str, str]]:
    """Every marker a cohort's mixture is high on, with the name of the summary that holds it; each marker once."""
    seen = set()
    for step in template.steps:
        for rule in step.chain if isinstance(step, GateStep) else ():
            for marker in rule.method.high if isinstance(rule.method, AlignedMixture) else ():
                if marker not in seen:
                    seen.add(marker)
                    yield marker, f"{step.population}/{rule.name}"


def _rise(summary: Mapping[str, Any] | None, marker: str) -> float | None:
    """Distance of the bright end from the median, in gate units; None where there is too little to tell."""
    if summary is None or marker not in summary["columns"]:
        return None
    counts = np.asarray(summary["counts"], dtype=np.float64)
    if counts.sum() < LEAST_EVENTS:
        return None
    values = np.asarray(summary["points"], dtype=np.float64).reshape(len(counts), -1)
    values = values[:, list(summary["columns"]).index(marker)]
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum()
    middle, bright = (float(values[order[int(np.searchsorted(share, q))]]) for q in (0.5, BRIGHT))
    return bright - middle


def _sentence(marker: str, rise: float, reference: float, batch: str, low: float) -> str:
    where = f"{reference - rise:.2f} gate units below the cohort's {reference:.2f}"
    if reference - rise <= TUBE_LIMIT:
        where += f", in batch {batch} {low:.2f} below (limit {BATCH_LIMIT:g})"
    else:
        where += f" (limit {TUBE_LIMIT:g})"
    return (
        f"{marker}: the brightest CD4 T cells rise {rise:.2f} above the median, {where}. The stain may have failed; "
        "the cohort's mixture was learnt without this tube"
    )
