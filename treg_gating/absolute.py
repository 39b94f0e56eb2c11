"""Treg per microlitre of blood: from a haematology count (dual platform) or from counting beads (single platform).

Beads: cells/µL = cells counted × beads added ÷ (beads counted × µL of blood in the tube). Cells and beads must come
from the same stretch of acquisition: time that quality control takes out is taken from the beads in the same share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from treg_gating.gating.results import SampleResult
from treg_gating.proportion import rounded, wilson
from treg_gating.tube import Tube

__all__ = ["BEADS", "LYMPHOCYTES", "AbsoluteCount", "absolute_count"]

BEADS = "beads"
"""Population of gates.csv that holds the counting beads; its parent is root, because beads may be out of range."""
CD4 = "cd4_t"
LYMPHOCYTES = ("live", "lymphocytes")  # live lymphocytes, by the names that shipped templates give them
SINGLETS = "singlets"
# Two counts of the same beads that differ by more are not the same beads.
_AGREE = 0.05
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class AbsoluteCount:
    """Cells per µL of blood.

    Parameters
    ----------
    per_ul : None where there is none; `note` says why.
    low, high : 95 % interval from counting alone (cells, and beads where there are any).
    source : what it rests on: cd4_per_ul, lymphocytes_per_ul, beads_counted, beads gate; empty without a count.
    note : what to know before use.
    """

    per_ul: float | None = None
    low: float | None = None
    high: float | None = None
    source: str = ""
    note: str = ""


def absolute_count(
    result: SampleResult, tube: Tube, numerator: str, denominator: str, beads_min: float = 1000
) -> AbsoluteCount:
    """Cells of `numerator` per µL of blood, where the sheet gives what it takes.

    Parameters
    ----------
    denominator : a count of CD4 T cells in the sheet serves where this is ``cd4_t``; it goes before the lymphocytes,
        because fewer gates stand between it and the Treg.
    beads_min : fewer bead events give no count; 1000 have a coefficient of variation of 3.2 %.
    """
    part = result.count(numerator)
    if part is None or part.n is None:
        return AbsoluteCount()
    if tube.beads_added is not None and tube.blood_ul is not None:
        return _from_beads(result, tube, part.n, beads_min)
    if tube.cd4_per_ul is not None and denominator == CD4:
        return _from_share(result, part.n, (CD4,), tube.cd4_per_ul, "cd4_per_ul")
    if tube.lymphocytes_per_ul is not None:
        return _from_share(result, part.n, LYMPHOCYTES, tube.lymphocytes_per_ul, "lymphocytes_per_ul")
    return AbsoluteCount()


def _from_share(
    result: SampleResult, k: int, wholes: tuple[str, ...], whole_per_ul: float, source: str
) -> AbsoluteCount:
    whole = next((count for name in wholes if (count := result.count(name)) is not None), None)
    if whole is None or not whole.n:
        return AbsoluteCount(source=source, note="the population that the sheet's count is of was not gated")
    fractions = (k / whole.n, *(wilson(k, whole.n) or (math.nan, math.nan)))
    per_ul, low, high = (rounded(whole_per_ul * fraction) for fraction in fractions)
    return AbsoluteCount(per_ul, low, high, source)


def _from_beads(result: SampleResult, tube: Tube, k: int, beads_min: float) -> AbsoluteCount:
    assert tube.beads_added is not None  # noqa: S101 (the caller has seen to it)
    assert tube.blood_ul is not None  # noqa: S101
    beads, source, problem = _beads(result, tube)
    kept = 1 - result.quality.get("time_removed_pct", 0.0) / 100
    if not problem and beads * kept < beads_min:
        problem = f"{beads * kept:.0f} bead events, no count below {beads_min:g}"
    if problem or k == 0:
        value = None if problem else 0.0
        return AbsoluteCount(value, source=source, note=problem)
    beads *= kept
    value = k * tube.beads_added / (beads * tube.blood_ul)
    factor = math.exp(_Z95 * math.sqrt(1 / k + 1 / beads))
    return AbsoluteCount(
        rounded(value), rounded(value / factor), rounded(value * factor), source, _losses(result, beads, kept)
    )


def _beads(result: SampleResult, tube: Tube) -> tuple[float, str, str]:
    """Bead events of the whole acquisition, which count was taken, and what forbids it."""
    gated = result.count(BEADS)
    if gated is not None and gated.parent != "root":
        return 0.0, "beads gate", f"the population {BEADS} is gated from {gated.parent}; beads are counted from root"
    inside = gated.n if gated is not None else None
    stated = tube.beads_counted
    if stated is None and inside is None:
        reason = gated.reason or gated.status if gated is not None else f"no population {BEADS} in the template"
        return 0.0, "", f"beads_counted is empty, and {reason}"
    if stated is not None and stated > result.n_events:
        return 0.0, "beads_counted", f"beads_counted is {stated:g}, the file holds {result.n_events} events"
    if stated is not None and inside is not None and abs(inside - stated) > _AGREE * stated:
        return 0.0, "beads_counted", f"beads_counted is {stated:g}, the beads gate holds {inside}"
    return (stated, "beads_counted", "") if stated is not None else (float(inside or 0), "beads gate", "")


def _losses(result: SampleResult, beads: float, kept: float) -> str:
    """Cells that range and singlet gate leave out are missing from the count; their share is told, not made up for."""
    singlets = result.count(SINGLETS)
    cells = result.n_events * kept - beads
    if singlets is None or singlets.n is None or cells <= 0:
        return ""
    lost = 100 * min(1.0, max(0.0, result.n_events * kept - singlets.n) / cells)
    return f"ends of the range and singlet gate leave out up to {lost:.1f} % of cells; the count is low by that share"
