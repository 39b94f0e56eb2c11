"""levey_jennings.csv: the series of every tube, and what Westgard's rules say of the control donor's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from treg_gating.gating.results import SampleResult
from treg_gating.levey_jennings import Point, Violation, control_violations, series_of
from treg_gating.proportion import rounded
from treg_gating.run.files import write_bytes
from treg_gating.run.outputs import Row, csv_bytes
from treg_gating.tables import LEVEY_JENNINGS

__all__ = ["write_control_charts"]

NAME = "levey_jennings.csv"


def write_control_charts(
    folder: Path, results: Sequence[SampleResult], numerator: str, denominator: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Write levey_jennings.csv.

    Parameters
    ----------
    results : in the order of the sheet.
    numerator, denominator : populations of the primary endpoint.

    Returns
    -------
    Digest by file name, and a sentence for each rule that the control donor's tubes break.

    Raises
    ------
    DiskError : the file that was there before is untouched.
    """
    points = series_of(results, numerator, denominator)
    broken = control_violations(points)
    content = csv_bytes(LEVEY_JENNINGS, _rows(points, broken))
    write_bytes(folder / NAME, content)
    return {NAME: hashlib.sha256(content).hexdigest()}, tuple(violation.text for violation in broken)


def _rows(points: Sequence[Point], broken: Sequence[Violation]) -> Iterator[Row]:
    for point in points:
        rules = [v.rule for v in broken if v.quantity == point.quantity and point.tube_id in v.tubes]
        yield {
            "tube_id": point.tube_id,
            "subject": point.subject,
            "visit": point.visit,
            "batch": point.batch,
            "role": point.role,
            "acquired": point.acquired,
            "quantity": point.quantity,
            "value": rounded(point.value),
            "unit": point.unit,
            "n_events": point.n,
            "rules": ";".join(dict.fromkeys(rules)),
        }
