"""The primary endpoint by subject and planned visit, missing visits included.

Which tube counts: a tube belongs to the visit whose window holds its study day, where sheet and study tell both, else
to the visit the sheet names. Of several, those with a reportable value go first, then the one nearest the target
day, then the later. Tubes of no planned visit are listed apart. Baseline is the value of the study's baseline visit, or
by the rule last_evaluable of the last planned visit up to it that has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from treg_gating.endpoint_row import REPORTABLE, EndpointPlan, Row, RowMaker
from treg_gating.gating.results import SampleResult
from treg_gating.proportion import rounded
from treg_gating.study import Study, Visit
from treg_gating.tables import ENDPOINT, OTHER_TUBES, names
from treg_gating.tube import Role, Tube

__all__ = ["EndpointPlan", "Row", "endpoint_table", "endpoint_tables", "other_tubes"]


@dataclass(frozen=True)
class _Candidate:
    """A tube and the row it would give.

    Parameters
    ----------
    position : in the sheet, samples alone.
    visit, note : the planned visit it belongs to, or None, and what there is to say about it.
    alone : its row without that, for where it counts for no visit.
    """

    tube: Tube
    row: Row
    position: int
    visit: str | None
    note: str
    alone: Row


def endpoint_table(
    results: Mapping[str, SampleResult], tubes: Sequence[Tube], study: Study, plan: EndpointPlan, code_version: str = ""
) -> list[Row]:
    """One row per subject and planned visit, columns as in :data:`treg_gating.tables.ENDPOINT`.

    Parameters
    ----------
    results : by tube_id.
    tubes : of the sheet, in its order; only those of role sample take part.
    study : planned visits, baseline, limits, kind of interval.
    plan : template and the two populations whose ratio is the endpoint.
    """
    return endpoint_tables(results, tubes, study, plan, code_version)[0]


def other_tubes(
    results: Mapping[str, SampleResult], tubes: Sequence[Tube], study: Study, plan: EndpointPlan, code_version: str = ""
) -> list[Row]:
    """Sample tubes that count for no planned visit, columns as in :data:`treg_gating.tables.OTHER_TUBES`.

    They lie outside every window, or another tube of their visit counts; their values are listed and enter nothing.
    """
    return endpoint_tables(results, tubes, study, plan, code_version)[1]


def endpoint_tables(
    results: Mapping[str, SampleResult], tubes: Sequence[Tube], study: Study, plan: EndpointPlan, code_version: str = ""
) -> tuple[list[Row], list[Row]]:
    """Both tables, :func:`endpoint_table` and :func:`other_tubes`; every result is looked at once."""
    maker = RowMaker(study, plan, code_version)
    candidates = [
        _candidate(maker, tube, results[tube.tube_id], study, position)
        for position, tube in enumerate(tube for tube in tubes if tube.role is Role.SAMPLE and tube.tube_id in results)
    ]
    placed: dict[tuple[str, str], list[_Candidate]] = {}
    strays: dict[tuple[str, str], list[str]] = {}
    for found in candidates:
        if found.visit is None:
            strays.setdefault((found.tube.subject, _named(found.tube, study)), []).append(found.note)
        else:
            placed.setdefault((found.tube.subject, found.visit), []).append(found)
    rows: list[Row] = []
    for subject in dict.fromkeys(found.tube.subject for found in candidates):
        chosen = [
            _chosen(placed.get((subject, visit.name), []), visit)
            or _missing(subject, visit.name, strays.get((subject, visit.name), []))
            for visit in study.visits
        ]
        _add_change(chosen, study)
        rows += chosen
    return rows, _others(candidates, rows)


def _others(candidates: Sequence[_Candidate], rows: Sequence[Row]) -> list[Row]:
    """Rows of the tubes that no row of the endpoint was taken from, each with the reason."""
    counted = {row["tube_id"] for row in rows}
    chosen = {(row["subject"], row["visit"]): row["tube_id"] for row in rows if row["tube_id"]}
    others: list[Row] = []
    for found in candidates:
        tube, visit = found.tube, found.visit
        if tube.tube_id in counted:
            continue
        instead = chosen.get((tube.subject, visit or ""))
        placed = f"tube {instead} counts for {visit}" if instead else f"{visit} is not planned"
        why = found.note if visit is None else placed
        row = {**found.alone, "why_not_counted": why, "day": tube.day, "date": tube.date}
        others.append({name: row.get(name) for name in names(OTHER_TUBES)})
    return others


def _candidate(maker: RowMaker, tube: Tube, result: SampleResult, study: Study, position: int) -> _Candidate:
    visit, note = _visit_of(tube, study)
    row = maker.row(tube, result, visit or tube.visit, note)
    alone = maker.row(tube, result, visit or tube.visit, "") if note else row
    return _Candidate(tube, row, position, visit, note, alone)


def _named(tube: Tube, study: Study) -> str:
    return study.find_visit(tube.visit) or tube.visit


def _visit_of(tube: Tube, study: Study) -> tuple[str | None, str]:
    """The planned visit a tube belongs to, or None, and what there is to say about it."""
    named = _named(tube, study)
    windowed = [visit for visit in study.visits if visit.first_day is not None and visit.last_day is not None]
    if tube.day is None or not windowed:
        return named, ""
    fitting = [visit for visit in windowed if _holds(visit, tube.day)]
    if not fitting:
        if named not in {visit.name for visit in windowed}:
            return named, ""
        return None, f"tube {tube.tube_id} of day {tube.day} is outside the window of {named}"
    nearest = min(fitting, key=lambda visit: abs((visit.day or 0) - (tube.day or 0)))
    if nearest.name == named:
        return named, ""
    return nearest.name, f"the sheet says {named}, day {tube.day} lies in the window of {nearest.name}"


def _holds(visit: Visit, day: int) -> bool:
    return visit.first_day is not None and visit.last_day is not None and visit.first_day <= day <= visit.last_day


def _chosen(candidates: Sequence[_Candidate], visit: Visit) -> Row | None:
    if not candidates:
        return None
    if len(candidates) == 1:
        return candidates[0].row

    def rank(candidate: _Candidate) -> tuple[bool, int, tuple[int, str, int]]:
        day = candidate.tube.day
        distance = abs(day - visit.day) if day is not None and visit.day is not None else 0
        later = (-(day or 0), _descending(candidate.tube.date), -candidate.position)
        return (candidate.row["status"] not in REPORTABLE, distance, later)

    best, *others = sorted(candidates, key=rank)
    said = [str(best.row["selection"])] if best.row["selection"] else []
    said.append(f"1 of {len(candidates)} tubes: {_why(best, others, visit)}")
    said.append("not counted: " + ", ".join(other.tube.tube_id for other in others))
    return {**best.row, "selection": "; ".join(said)}


def _descending(text: str) -> str:
    """A key that sorts later dates first."""
    return "".join(chr(0x10FFFF - ord(letter)) for letter in text) or chr(0x10FFFF)


def _why(best: _Candidate, others: Sequence[_Candidate], visit: Visit) -> str:
    if best.row["status"] in REPORTABLE and all(other.row["status"] not in REPORTABLE for other in others):
        return "the only one with a value"
    if best.tube.day is not None and visit.day is not None:
        return f"day {best.tube.day} is nearest to the target day {visit.day}, the later of equals"
    return f"collected last ({best.tube.date})" if best.tube.date else "the last in the sheet, which gives no day"


def _missing(subject: str, visit: str, strays: Sequence[str]) -> Row:
    row: Row = dict.fromkeys(names(ENDPOINT))
    reason = "; ".join(strays) or "no tube of this visit in the sample sheet"
    row.update(subject=subject, visit=visit, status="missing", reason=reason, file="", flags="", selection="")
    return row


def _add_change(rows: Sequence[Row], study: Study) -> None:
    of_visit = {str(row["visit"]): row for row in rows}
    candidates = [of_visit[name] for name in study.baseline_visits if name in of_visit]
    first = next((row for row in candidates if row["treg_pct_of_cd4"] is not None), None)
    before = first["treg_pct_of_cd4"] if first else None
    for row in rows:
        row["baseline_from"] = first["visit"] if first else None
        value = row["treg_pct_of_cd4"]
        if row in candidates or not isinstance(before, int | float) or not isinstance(value, int | float):
            continue
        row["change_from_baseline"] = rounded(value - before)
        row["ratio_to_baseline"] = rounded(value / before) if before > 0 else None
