"""The endpoint in the two layouts that GraphPad Prism takes by copy and paste. No arm is known here."""

from __future__ import annotations

from treg_gating.report.xlsx import Cell, Heading, Line
from treg_gating.run.record import RunRecord

__all__ = ["prism_lines"]

_MEASURES = (
    ("treg_pct_of_cd4", "Treg, % of CD4 T cells"),
    ("ratio_to_baseline", "Ratio to baseline"),
)
_HOW = (
    "Column or repeated-measures tables (subjects in rows): copy a block with its header. Grouped tables: copy the "
    "block below it, whose visits are rows and whose subjects are the replicates (subcolumns) of one group.",
    "An empty cell is a value that is not there; Prism leaves it out. Values to be reviewed are in here: see the sheet "
    "Treg endpoint. After unblinding, 'treg-gating endpoint' makes the analysis by arm.",
)


def prism_lines(record: RunRecord) -> list[Line]:
    """Lines of the sheet: for each measure subjects × visits, then visits × subjects; what to do with them last."""
    lines: list[Line] = []
    for name, words in _MEASURES:
        lines += _blocks(record, name, words)
    return [*lines, *([text] for text in _HOW)]


def _blocks(record: RunRecord, name: str, words: str) -> list[Line]:
    visits = [visit for visit, _ in record.study.visits]
    subjects = list(dict.fromkeys(str(row["subject"]) for row in record.endpoint))
    values = {(str(row["subject"]), str(row["visit"])): row.get(name) for row in record.endpoint}

    def value(subject: str, visit: str) -> Cell:
        found = values.get((subject, visit))
        return float(found) if isinstance(found, int | float) else None

    by_subject: list[Line] = [[subject, *(value(subject, v) for v in visits)] for subject in subjects]
    by_visit: list[Line] = [[visit, *(value(s, visit) for s in subjects)] for visit in visits]
    return [
        Heading(f"{words}: subjects in rows"),
        ["subject", *visits],
        *by_subject,
        [],
        Heading(f"{words}: grouped, visits in rows"),
        ["visit", *subjects],
        *by_visit,
        [],
    ]
