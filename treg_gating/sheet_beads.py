"""Counting beads in a sample sheet: numbers that must be there together and must not contradict each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["BEAD_COLUMNS", "read_beads"]

BEAD_COLUMNS = ("beads_counted", "beads_added", "beads_per_ul", "bead_volume_ul", "blood_ul")

Report = Callable[..., None]
"""``report(column, problem, found=..., expected=...)``"""


def read_beads(values: Mapping[str, float | None], other_counts: Mapping[str, float | None], report: Report) -> bool:
    """Whether the bead columns of a row can be used; every fault goes to `report`.

    Parameters
    ----------
    values : by name of :data:`BEAD_COLUMNS`. other_counts : absolute counts of the same row from another instrument.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return False
    bad = {name: value for name, value in given.items() if not (math.isfinite(value) and value > 0)}
    for name, value in bad.items():
        report(name, "not usable", found=f"{value:g}", expected="a number above 0, or an empty cell")
    if bad:
        return False
    return _complete(given, report) and _consistent(given, other_counts, report)


def _complete(given: Mapping[str, float], report: Report) -> bool:
    missing = []
    if "beads_added" not in given:
        missing += [name for name in ("beads_per_ul", "bead_volume_ul") if name not in given]
        if len(missing) == 2:
            missing = ["beads_added"]
    if "blood_ul" not in given:
        missing.append("blood_ul")
    for name in missing:
        expected = "beads_added (or beads_per_ul with bead_volume_ul) and blood_ul; beads_counted, or a beads gate"
        report(name, "empty, but other bead columns are filled", found=", ".join(given), expected=expected)
    return not missing


def _consistent(given: Mapping[str, float], other_counts: Mapping[str, float | None], report: Report) -> bool:
    fine = True
    for name, value in other_counts.items():
        if value is not None:
            problem = "a count from another instrument and counting beads: two absolute counts for one tube"
            report(name, problem, found=f"{value:g}", expected="one of them; leave the other's cells empty")
            fine = False
    for name in ("beads_added", "beads_counted"):
        if not float(given.get(name, 1)).is_integer():
            report(name, "beads are whole", found=f"{given[name]:g}", expected="a whole number")
            fine = False
    if {"beads_added", "beads_per_ul", "bead_volume_ul"} <= set(given):
        product = given["beads_per_ul"] * given["bead_volume_ul"]
        if abs(product - given["beads_added"]) > 0.01 * given["beads_added"]:
            report("beads_added", "contradicts concentration × volume", found=f"{given['beads_added']:g}",
                   expected=f"{product:g}")  # fmt: skip
            fine = False
    counted, added = given.get("beads_counted"), given.get("beads_added")
    if added is None and {"beads_per_ul", "bead_volume_ul"} <= set(given):
        added = given["beads_per_ul"] * given["bead_volume_ul"]
    if counted is not None and added is not None and counted > added:
        report("beads_counted", "more beads counted than added", found=f"{counted:g}", expected=f"at most {added:g}")
        fine = False
    return fine
