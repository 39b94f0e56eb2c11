"""levey_jennings.csv: the series of every tube, and what Westgard's rules say of the control donor's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from treg_gating.gating.results import SampleResult
from treg_gating.levey_jennings import Point, control_violations, series_of
from treg_gating.proportion import rounded
from treg_gating.run.files import write_pieces
from treg_gating.run.outputs import Row, csv_bytes, csv_lines
from treg_gating.tables import LEVEY_JENNINGS

__all__ = ["ControlCharts"]

NAME = "levey_jennings.csv"


class ControlCharts:
    """levey_jennings.csv of results that are given one by one, none of which is held.

    Parameters
    ----------
    numerator, denominator : populations of the primary endpoint.
    """

    def __init__(self, numerator: str, denominator: str) -> None:
        self._endpoint = numerator, denominator
        self._tubes: list[bytes | tuple[Point, ...]] = []  # lines; the control donor's wait for its rules

    def add(self, result: SampleResult) -> None:
        """The next tube, in the order of the sheet."""
        points = series_of([result], *self._endpoint)
        self._tubes.append(points if result.role == "control" else _lines(points, {}))

    def write(self, folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
        """Write the file.

        Returns
        -------
        Digest by file name, and a sentence for each rule that the control donor's tubes break.

        Raises
        ------
        DiskError : the file that was there before is untouched.
        """
        controls = [point for tube in self._tubes if not isinstance(tube, bytes) for point in tube]
        broken = control_violations(controls)
        rules: dict[tuple[str, str], list[str]] = {}
        for violation in broken:
            for tube_id in violation.tubes:
                rules.setdefault((violation.quantity, tube_id), []).append(violation.rule)
        lines = (tube if isinstance(tube, bytes) else _lines(tube, rules) for tube in self._tubes)
        write_pieces(folder / NAME, chain([csv_bytes(LEVEY_JENNINGS, ())], lines))
        digest = hashlib.sha256((folder / NAME).read_bytes()).hexdigest()
        return {NAME: digest}, tuple(violation.text for violation in broken)


def _lines(points: Iterable[Point], rules: Mapping[tuple[str, str], Sequence[str]]) -> bytes:
    return csv_lines(LEVEY_JENNINGS, (_row(point, rules.get((point.quantity, point.tube_id), ())) for point in points))


def _row(point: Point, rules: Iterable[str]) -> Row:
    return {
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
