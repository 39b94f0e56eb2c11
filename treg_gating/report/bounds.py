"""What of a large run the page shows: a browser bears some hundred tubes, not ten thousand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from treg_gating.report.levels import REVIEW, sample_level
from treg_gating.report.wording import plural
from treg_gating.run.shelves import Chosen

if TYPE_CHECKING:
    from treg_gating.run.record import RunRecord

__all__ = ["MOST_TUBES", "shown_part"]

MOST_TUBES = 500


def shown_part(record: RunRecord, most: int = MOST_TUBES) -> RunRecord:
    """The record with at most `most` tubes and a note that says so.

    Subjects are shown whole or not at all, those with the worst tube first, then in the order of the sheet; one with
    more tubes than there is room for, such as a control donor of a large study, is passed over. The tables beside the
    page hold all.
    """
    total = len(record.samples)
    if total <= most:
        return record
    worst: dict[str, int] = {}
    tubes: dict[str, int] = {}
    for result in record.samples:
        rank = sample_level(result, record.template.numerator).rank
        worst[result.subject] = min(rank, worst.get(result.subject, rank))
        tubes[result.subject] = tubes.get(result.subject, 0) + 1
    shown: set[str] = set()
    room = most
    for subject in sorted(worst, key=worst.__getitem__):
        if tubes[subject] <= room:
            shown.add(subject)
            room -= tubes[subject]
    places = [at for at, tube in enumerate(record.tubes) if tube.subject in shown]
    samples = Chosen(record.samples, places)
    left_out = sum(rank <= REVIEW.rank for subject, rank in worst.items() if subject not in shown)
    note = (
        f"This page shows {plural(len(samples), 'tube')} of {total:,}, those of {plural(len(shown), 'subject')} with "
        "the worst tubes. All are in endpoint.csv, gates.csv and populations.parquet"
        + (f"; among those not shown, {plural(left_out, 'subject')} with tubes to look at." if left_out else ".")
    )
    return replace(
        record,
        samples=samples,
        endpoint=tuple(row for row in record.endpoint if row.get("subject") in shown),
        other_tubes=tuple(row for row in record.other_tubes if row.get("subject") in shown),
        notes=(note, *record.notes),
    )
