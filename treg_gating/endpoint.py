"""The primary endpoint by subject and planned visit, missing visits included.

Which tube counts: a tube belongs to the visit whose window holds its study day, where sheet and study tell both, else
to the visit the sheet names. Of several, those with a reportable value go first, then the one nearest the target
day, then the later. Tubes of no planned visit are listed apart. Baseline is the value of the study's baseline visit, or
by the rule last_evaluable of the last planned visit up to it that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from treg_gating.absolute import LYMPHOCYTES, absolute_count
from treg_gating.gating.results import FlagLevel, PopulationCount, SampleResult, TubeReview
from treg_gating.proportion import clopper_pearson, counting_cv_pct, rounded, wilson
from treg_gating.study import Study, Visit
from treg_gating.tables import ENDPOINT, OTHER_TUBES, names
from treg_gating.tube import Role, Tube

__all__ = ["EndpointPlan", "Row", "endpoint_table", "endpoint_tables", "other_tubes"]

Row = dict[str, str | int | float | None]

SURFACE = "cd25_cd127low"  # the Treg gate without FOXP3, by the name that shipped templates give it
# A visit is as good as its tube: best first.
_REPORTABLE = ("ok", "review")
# What an excluded tube does not have; its counts stay.
_VALUES = (
    "treg_pct_of_cd4", "treg_pct_of_cd4_low", "treg_pct_of_cd4_high", "treg_gate_low", "treg_gate_high",
    "counting_cv_pct", "treg_pct_of_lymphocytes", "surface_treg_pct_of_cd4", "foxp3_purity_pct", "cd25_mfi_treg",
    "foxp3_mfi_treg",
)  # fmt: skip


class EndpointPlan(Protocol):
    """What the endpoint needs to know of the template; `TemplateSummary` answers it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def numerator(self) -> str: ...  # noqa: D102
    @property
    def denominator(self) -> str: ...  # noqa: D102


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
    maker = _RowMaker(study, plan, code_version)
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


def _candidate(maker: _RowMaker, tube: Tube, result: SampleResult, study: Study, position: int) -> _Candidate:
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
        return (candidate.row["status"] not in _REPORTABLE, distance, later)

    best, *others = sorted(candidates, key=rank)
    said = [str(best.row["selection"])] if best.row["selection"] else []
    said.append(f"1 of {len(candidates)} tubes: {_why(best, others, visit)}")
    said.append("not counted: " + ", ".join(other.tube.tube_id for other in others))
    return {**best.row, "selection": "; ".join(said)}


def _descending(text: str) -> str:
    """A key that sorts later dates first."""
    return "".join(chr(0x10FFFF - ord(letter)) for letter in text) or chr(0x10FFFF)


def _why(best: _Candidate, others: Sequence[_Candidate], visit: Visit) -> str:
    if best.row["status"] in _REPORTABLE and all(other.row["status"] not in _REPORTABLE for other in others):
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


class _RowMaker:
    """Makes the row of one tube."""

    def __init__(self, study: Study, plan: EndpointPlan, code_version: str) -> None:
        self.limits, self.plan, self.code_version = study.limits, plan, code_version
        exact = study.endpoint.interval == "clopper_pearson"
        self.interval: Callable[[int, int], tuple[float, float] | None] = clopper_pearson if exact else wilson

    def row(self, tube: Tube, result: SampleResult, visit: str, selection: str) -> Row:
        row: Row = dict.fromkeys(names(ENDPOINT))
        row.update(
            subject=tube.subject,
            visit=visit,
            file=tube.file,
            selection=selection,
            batch=tube.batch,
            tube_id=tube.tube_id,
            sha256=result.sha256,
            template=f"{self.plan.name} {self.plan.version}",
            template_sha256=self.plan.sha256,
            code_version=self.code_version,
            flags="",
        )
        if result.status != "done":
            row.update(status="failed", reason=_failure(result))
            return row
        self._fill(row, result)
        if result.review is not None:
            self._reviewed(row, result, result.review)
        self._absolute(row, result, tube)
        if selection and row["status"] == "ok":
            row.update(status="review", reason=selection)
        return row

    def _fill(self, row: Row, result: SampleResult) -> None:
        part, whole = result.count(self.plan.numerator), result.count(self.plan.denominator)
        row.update(n_cd4_t=whole.n if whole else None, n_treg=part.n if part else None)
        codes = [flag.code for flag in result.flags]
        status, reason = self._status(result, part, whole)
        if part is not None and whole is not None and part.n is not None and whole.n:
            k, n = part.n, whole.n
            if status in _REPORTABLE:
                row["treg_pct_of_cd4"] = rounded(100 * k / n)
            row["treg_pct_of_cd4_low"], row["treg_pct_of_cd4_high"] = _percent(self.interval(k, n))
            row["counting_cv_pct"] = rounded(counting_cv_pct(k, n))
            if k < self.limits.count_flag:
                codes.append("FEW_TREG")
                few = f"{k} Treg events, quantifiable from {self.limits.count_flag:g}"
                status, reason = ("review", few) if status == "ok" else (status, reason)
            self._more(row, result, part, n)
        row.update(status=status, reason=reason, flags=";".join(dict.fromkeys(codes)))

    def _reviewed(self, row: Row, result: SampleResult, review: TubeReview) -> None:
        """What persons decided: an excluded tube has no value, an accepted one needs no further look."""
        row.update(
            review=review.verdict or "stale",
            reviewed_by=review.by,
            review_reason="; ".join(filter(None, (review.reason, *review.stale))),
            overridden_gates=";".join(review.overridden),
        )
        before, whole = (review.fitted_count(name) for name in (self.plan.numerator, self.plan.denominator))
        if before is not None and whole is not None and before.n is not None and whole.n:
            row["treg_pct_of_cd4_fitted"] = rounded(100 * before.n / whole.n)
        if review.verdict == "excluded":
            for name in _VALUES:
                row[name] = None
            row.update(status="not_estimable", reason=f"excluded at review by {review.by}: {review.reason}")
        elif review.tube_accepted and row["status"] == "review" and not review.stale:
            row.update(status="ok", reason="")

    def _status(
        self, result: SampleResult, part: PopulationCount | None, whole: PopulationCount | None
    ) -> tuple[str, str]:
        for count, name in ((whole, self.plan.denominator), (part, self.plan.numerator)):
            if count is None or count.n is None:
                return "not_estimable", f"{name}: {count.reason if count and count.reason else 'not in this tube'}"
        assert part is not None  # noqa: S101 (the loop above has seen to it)
        assert whole is not None  # noqa: S101
        assert part.n is not None  # noqa: S101
        if not whole.n:
            return "not_estimable", f"no event in {self.plan.denominator}"
        failing = [flag.text for flag in result.flags if flag.level is FlagLevel.FAIL]
        if failing:
            return "not_estimable", "; ".join(failing)
        if part.n < self.limits.count_report:
            return "not_estimable", f"{part.n} Treg events, not reported below {self.limits.count_report:g}"
        reviews = [flag.text for flag in result.flags if flag.level is FlagLevel.REVIEW]
        return ("review", "; ".join(reviews)) if reviews else ("ok", "")

    def _more(self, row: Row, result: SampleResult, part: PopulationCount, n_whole: int) -> None:
        """Numbers beside the endpoint; given also where the endpoint itself is held back."""
        low, high = result.gate_interval.get(self.plan.numerator, (None, None))
        row.update(treg_gate_low=rounded(low), treg_gate_high=rounded(high))
        lymphocytes = next((count for name in LYMPHOCYTES if (count := result.count(name)) is not None), None)
        surface = result.count(SURFACE)
        if part.n is None or row["treg_pct_of_cd4"] is None:
            return
        if lymphocytes is not None and lymphocytes.n:
            row["treg_pct_of_lymphocytes"] = rounded(100 * part.n / lymphocytes.n)
        if surface is not None and surface.n is not None:
            row["surface_treg_pct_of_cd4"] = rounded(100 * surface.n / n_whole)
            row["foxp3_purity_pct"] = rounded(100 * part.n / surface.n) if surface.n else None
        row["cd25_mfi_treg"] = rounded(part.mfi.get("CD25"))
        row["foxp3_mfi_treg"] = rounded(part.mfi.get("FOXP3"))

    def _absolute(self, row: Row, result: SampleResult, tube: Tube) -> None:
        """Treg per µL, for a tube whose endpoint is reported."""
        if row["treg_pct_of_cd4"] is None:
            return
        count = absolute_count(result, tube, self.plan.numerator, self.plan.denominator, self.limits.beads_min)
        row.update(treg_per_ul=count.per_ul, treg_per_ul_low=count.low, treg_per_ul_high=count.high)
        row.update(absolute_from=count.source or None, absolute_note=count.note or None)


def _failure(result: SampleResult) -> str:
    return result.reason if not result.code or result.code in result.reason else f"[{result.code}] {result.reason}"


def _percent(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (rounded(100 * interval[0]), rounded(100 * interval[1]))
