"""What one tube says of the endpoint: the value, its intervals, or why there is none.

Which tube counts for which visit is :mod:`treg_gating.endpoint`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from treg_gating.absolute import LYMPHOCYTES, absolute_count
from treg_gating.gating.results import FlagLevel, PopulationCount, SampleResult, TubeReview
from treg_gating.proportion import clopper_pearson, counting_cv_pct, rounded, wilson
from treg_gating.study import Study
from treg_gating.tables import ENDPOINT, names
from treg_gating.tube import Tube

__all__ = ["REPORTABLE", "EndpointPlan", "Row", "RowMaker"]

Row = dict[str, str | int | float | None]

SURFACE = "cd25_cd127low"  # the Treg gate without FOXP3, by the name that shipped templates give it
# A visit is as good as its tube: best first.
REPORTABLE = ("ok", "review")
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


class RowMaker:
    """Makes rows.

    Parameters
    ----------
    study : its limits, and the interval of its endpoint.
    plan : the template's two populations. code_version : goes into every row.
    """

    def __init__(self, study: Study, plan: EndpointPlan, code_version: str) -> None:
        self.limits, self.plan, self.code_version = study.limits, plan, code_version
        exact = study.endpoint.interval == "clopper_pearson"
        self.interval: Callable[[int, int], tuple[float, float] | None] = clopper_pearson if exact else wilson

    def row(self, tube: Tube, result: SampleResult, visit: str, selection: str) -> Row:
        """The row of a tube at a visit; `selection` is what there is to say about why it counts there."""
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
            if status in REPORTABLE:
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
