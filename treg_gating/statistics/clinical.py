"""Clinical outcomes of the registered study from clinical.csv: scores by visit, adverse events by subject.

One row a subject and visit: subject, visit, then any of essdai (0-123), patient_vas (0-80, as registered),
physician_vas (0-10), adverse_events (new events since the visit before). An empty cell is a missing value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from treg_gating.sheet_columns import COLUMNS
from treg_gating.sheet_table import Row
from treg_gating.statistics.subject_tables import SubjectTable, read_subject_table
from treg_gating.study import Study

__all__ = ["SCORES", "Clinical", "Score", "read_clinical"]

EVENTS = "adverse_events"


@dataclass(frozen=True, slots=True)
class Score:
    """A clinical score: column, words, least and greatest value, whether only whole numbers exist."""

    column: str
    label: str
    low: float
    high: float
    whole: bool = False
    names: tuple[str, ...] = ()


SCORES: tuple[Score, ...] = (
    Score("essdai", "ESSDAI", 0, 123, whole=True, names=("ESSDAI score", "ESSDAI total")),
    Score("patient_vas", "Patient's global disease activity, VAS", 0, 80, names=("PGA", "PGA VAS", "patient global")),
    Score("physician_vas", "Physician's global disease activity, VAS", 0, 10, names=("physician", "physician global")),
)


@dataclass(frozen=True)
class Clinical:
    """What clinical.csv holds.

    Parameters
    ----------
    scores : column → value by (subject, visit); only columns that are there.
    events : subject → adverse events over all its rows; None where the table has no such column.
    """

    scores: Mapping[str, Mapping[tuple[str, str], float]]
    events: Mapping[str, int] | None
    file: str = ""
    sha256: str = ""


def read_clinical(path: Path, subjects: Sequence[str], study: Study) -> Clinical:
    """Read and check; every fault with its row.

    Raises
    ------
    StudyError : a subject the run does not know, an unplanned visit, a row twice, a value that is no number or lies
        outside its score's range.
    """
    wanted = {
        "subject": COLUMNS["subject"],
        "visit": COLUMNS["visit"],
        **{score.column: score.names for score in SCORES},
        EVENTS: ("AE", "AEs", "number of adverse events"),
    }
    table = read_subject_table(path, wanted, ("subject", "visit"), "clinical table")
    present = [score for score in SCORES if score.column in table.columns]
    scores: dict[str, dict[tuple[str, str], float]] = {score.column: {} for score in present}
    events: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for row in table.rows:
        place = _place(table, row, subjects, study)
        if place is None:
            continue
        if place in seen:
            table.fault(row, "subject and visit stand twice", found=f"{place[0]}, {place[1]}")
        seen.add(place)
        for score in present:
            value = _number(table, row, score)
            if value is not None:
                scores[score.column][place] = value
        if EVENTS in table.columns:
            count = _number(table, row, Score(EVENTS, "adverse events", 0, 1000, whole=True))
            if count is not None:
                events[place[0]] = events.get(place[0], 0) + int(count)
    table.finish()
    return Clinical(scores, events if EVENTS in table.columns else None, path.name, table.sha256)


def _place(table: SubjectTable, row: Row, subjects: Sequence[str], study: Study) -> tuple[str, str] | None:
    subject, written = table.text(row, "subject"), table.text(row, "visit")
    visit = study.find_visit(written)
    if subject not in subjects:
        table.fault(row, "the run knows no such subject", found=repr(subject))
    if visit is None:
        table.fault(row, "no such visit is planned", found=repr(written), expected=", ".join(study.visit_names))
    return (subject, visit) if visit is not None and subject in subjects else None


def _number(table: SubjectTable, row: Row, score: Score) -> float | None:
    text = table.text(row, score.column)
    if not text:
        return None
    expected = f"{'a whole number' if score.whole else 'a number'} from {score.low:g} to {score.high:g}, or empty"
    try:
        value = float(text)
    except ValueError:
        table.fault(row, f"{score.column} is no number", found=repr(text), expected=expected)
        return None
    if not math.isfinite(value) or not score.low <= value <= score.high or (score.whole and value % 1):
        table.fault(row, f"{score.column} cannot be", found=text, expected=expected)
        return None
    return value
