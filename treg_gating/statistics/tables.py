"""The analysis as tables: every number with its scale and unit, every gap with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from treg_gating.proportion import rounded
from treg_gating.statistics.analysis import StudyAnalysis
from treg_gating.statistics.comparison import Comparison
from treg_gating.statistics.sensitivity import Result

__all__ = ["ResultTable", "result_tables"]

Cell = str | int | float | None
_UNITS = {
    "log": ("ratio", True),
    "logit": ("odds ratio", True),
    "raw": ("difference, percentage points", False),
    "rank": ("p value only", False),
}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """One table.

    Parameters
    ----------
    name : of its CSV file and sheet. title : heading. notes : below it.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def result_tables(analysis: StudyAnalysis) -> tuple[ResultTable, ...]:
    """All tables, in the order of the report; those without a row but with nothing to say are left out."""
    tables = [
        _primary(analysis),
        _means(analysis),
        _visits(analysis),
        _sensitivity(analysis),
        _tipping(analysis),
        _disposition(analysis),
        _descriptives(analysis),
        _responders(analysis),
        *_clinical(analysis),
        _listing(analysis),
        _excluded(analysis),
        ResultTable("model_log", "The models' log", ("entry",), tuple((line,) for line in analysis.log)),
    ]
    return tuple(table for table in tables if table.rows)


_CONTRAST = ("comparison", "estimate", "low_95", "high_95", "scale", "p", "p_adjusted", "df", "n")


def _contrasts(arms: Sequence[str], comparison: Comparison, difference_unit: str = "") -> list[tuple[Cell, ...]]:
    unit, exponential = _UNITS[comparison.scale]
    unit = difference_unit if difference_unit and comparison.scale == "raw" else unit
    rows = []
    for contrast in comparison.contrasts:
        numbers = (contrast.estimate, contrast.low, contrast.high)
        shown = [rounded(float(np.exp(value)) if exponential else value) for value in numbers]
        if not exponential and comparison.scale == "rank":
            shown = [None, None, None]
        named = f"{arms[contrast.second]} {'/' if exponential else 'vs'} {arms[contrast.first]}"
        p_values = (rounded(contrast.p), rounded(contrast.p_adjusted))
        rows.append((named, *shown, unit, *p_values, rounded(contrast.df), comparison.n))
    return rows


def _overall(comparison: Comparison) -> tuple[Cell, ...]:
    return (
        "all arms alike",
        None,
        None,
        None,
        "overall test",
        rounded(comparison.p),
        None,
        rounded(comparison.df),
        comparison.n,
    )


def _answer(arms: Sequence[str], result: Result, unit: str = "") -> list[tuple[Cell, ...]]:
    if result.comparison is None:
        return [("not estimable", None, None, None, result.reason, None, None, None, None)]
    return [_overall(result.comparison), *_contrasts(arms, result.comparison, unit)]


def _primary(a: StudyAnalysis) -> ResultTable:
    rows = [("ratio of adjusted geometric means", *row) for row in _answer(a.arms.names, a.primary)]
    rows += [("difference of adjusted means", *row) for row in _answer(a.arms.names, a.points)]
    notes = (
        f"{a.label} at {a.study.endpoint.visit}. ANCOVA: ln(value) on arm and ln(baseline)"
        + (f" and {', '.join(a.study.statistics.strata)}" if a.study.statistics.strata else "")
        + ", t based. The differences come from the same model on the raw scale.",
        f"Adjusted p: {a.study.statistics.multiplicity}, within each scale. Intervals are not adjusted.",
        "A p value above 0.05 does not show that arms are alike. Without an untreated arm, change within an arm cannot "
        "be told from change over time.",
    )
    return ResultTable("primary", "Primary endpoint: contrasts", ("measure", *_CONTRAST), tuple(rows), notes)


def _means(a: StudyAnalysis) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    for result, what in ((a.primary, "adjusted geometric mean, %"), (a.points, "adjusted mean, %")):
        for mean in result.comparison.means if result.comparison else ():
            numbers = (mean.estimate, mean.low, mean.high)
            shown = [rounded(float(np.exp(v)) if result.key == "log" else v) for v in numbers]
            rows.append((a.arms.names[mean.arm], what, mean.n, *shown))
    title = f"Adjusted means at {a.study.endpoint.visit}, at the mean baseline of all subjects in the model"
    return ResultTable("adjusted_means", title, ("arm", "measure", "n", "estimate", "low_95", "high_95"), tuple(rows))


def _visits(a: StudyAnalysis) -> ResultTable:
    columns = ("visit", *_CONTRAST)
    title = "Secondary: mixed model for repeated measures (MMRM), ratios by visit"
    if a.mixed is None:
        rows = [(a.study.endpoint.visit, *row) for row in _answer(a.arms.names, a.mixed_primary)]
        return ResultTable("mmrm", title, columns, tuple(rows))
    rows = []
    for number, comparison in zip(a.mixed.visits, a.mixed.by_visit, strict=True):
        at_primary = number == a.trial.primary and a.mixed_primary.comparison is not None
        shown = a.mixed_primary.comparison if at_primary else comparison
        assert shown is not None  # noqa: S101 (just seen)
        rows += [(a.trial.visits[number], *row) for row in (_overall(shown), *_contrasts(a.arms.names, shown))]
    notes = (*a.mixed.notes, "Adjusted p stands at the endpoint's visit alone.")
    return ResultTable("mmrm", title, columns, tuple(rows), notes)


def _sensitivity(a: StudyAnalysis) -> ResultTable:
    rows = [(r.title, *row) for r in a.sensitivity for row in _answer(a.arms.names, r)]
    notes = [f"{r.title}: {note}" for r in a.sensitivity if r.comparison for note in r.comparison.notes]
    bounds = [bound for r in a.sensitivity if r.comparison for c in r.comparison.contrasts for bound in (c.low, c.high)]
    if any(np.isinf(bound) for bound in bounds):
        notes.append("A bound of 0 beside an empty one: the subjects are too few for an interval with an end.")
    return ResultTable(
        "sensitivity", "Sensitivity analyses, p not adjusted", ("analysis", *_CONTRAST), tuple(rows), tuple(notes)
    )


def _tipping(a: StudyAnalysis) -> ResultTable:
    rows = tuple(
        (f"{a.arms.names[t.second]} / {a.arms.names[t.first]}", rounded(t.p), rounded(t.factor)) for t in a.tipping
    )
    notes = (
        "factor: the missing values of the higher arm divided and those of the lower multiplied by this bring p to the "
        "other side of 0.05; empty: none up to 4 does.",
    )
    return ResultTable("tipping_point", "Tipping point of missing values", ("comparison", "p", "factor"), rows, notes)


def _disposition(a: StudyAnalysis) -> ResultTable:
    rows = tuple(
        (
            d.visit,
            d.arm,
            d.subjects,
            d.with_value,
            d.subjects - d.with_value,
            "; ".join(f"{reason} ({n})" for reason, n in d.reasons),
        )
        for d in a.dispositions
    )
    columns = ("visit", "arm", "subjects", "with_value", "without", "reasons")
    return ResultTable("disposition", "Disposition: subjects with a value", columns, rows)


_DESCRIPTIVE = (
    *("visit", "arm", "n", "missing", "mean", "sd", "median", "q1", "q3", "min", "max"),
    *("geometric_mean", "geometric_cv_pct"),
)


def _descriptives(a: StudyAnalysis) -> ResultTable:
    rows = tuple(
        (
            s.visit,
            s.arm,
            s.n,
            s.missing,
            *map(rounded, (s.mean, s.sd, s.median, s.q1, s.q3, s.least, s.most, s.geometric_mean, s.geometric_cv_pct)),
        )
        for s in a.summaries
    )
    return ResultTable("descriptives", f"{a.label}: descriptives by arm and visit", _DESCRIPTIVE, rows)


def _responders(a: StudyAnalysis) -> ResultTable:
    ratio = a.study.statistics.responder_ratio
    rows = tuple(
        (
            r.arm,
            r.n,
            r.responders,
            rounded(100 * r.responders / r.n) if r.n else None,
            rounded(r.low_pct),
            rounded(r.high_pct),
        )
        for r in a.responders
    )
    title = f"Subjects at {ratio:g} × baseline or more at {a.study.endpoint.visit}"
    columns = ("arm", "n", "responders", "pct", "low_95", "high_95")
    return ResultTable("responders", title, columns, rows, ("Descriptive only: exact intervals, no test.",))


def _clinical(a: StudyAnalysis) -> list[ResultTable]:
    rows = [
        (result.title, *row)
        for score in a.scores
        for result in (score.primary, score.mixed)
        for row in _answer(a.arms.names, result, "difference, points")
    ]
    events = tuple(
        (
            e.arm,
            e.subjects,
            e.with_event,
            rounded(100 * e.with_event / e.subjects) if e.subjects else None,
            rounded(e.low_pct),
            rounded(e.high_pct),
            e.events,
            rounded(e.per_subject),
            rounded(e.low),
            rounded(e.high),
        )
        for e in a.event_rates
    )
    heads = (
        *("arm", "subjects", "with_event", "pct", "pct_low_95", "pct_high_95"),
        *("events", "per_subject", "low_95", "high_95"),
    )
    pairs = tuple((x.label, x.n, *map(rounded, (x.rho, x.low, x.high, x.p))) for x in a.associations)
    return [
        ResultTable("scores", "Secondary: clinical scores, p not adjusted", ("analysis", *_CONTRAST), tuple(rows)),
        ResultTable(
            "adverse_events",
            "Adverse events",
            heads,
            events,
            ("Clopper-Pearson for subjects, exact Poisson for events per subject; no test.",),
        ),
        ResultTable(
            "association",
            "Exploratory: association of changes",
            ("pair", "n", "rho", "low_95", "high_95", "p"),
            pairs,
            ("Exploratory: Spearman's correlation, arms together; it says nothing of cause.",),
        ),
    ]


_LISTED = (
    *(
        "subject",
        "visit",
        "status",
        "treg_pct_of_cd4",
        "change_from_baseline",
        "ratio_to_baseline",
        "n_treg",
        "n_cd4_t",
    ),
    *("flags", "reason", "selection", "tube_id"),
)


def _listing(a: StudyAnalysis) -> ResultTable:
    rows = tuple(
        (a.arms.arm_of.get(str(row["subject"]), "not in the arm list"), *(row.get(name) for name in _LISTED))
        for row in a.rows
    )
    return ResultTable("listing", "Listing of all planned visits", ("arm", *_LISTED), rows)


def _excluded(a: StudyAnalysis) -> ResultTable:
    rows = tuple((e.subject, e.visit or "all", e.reason) for e in a.trial.excluded)
    return ResultTable("excluded", "What did not enter, and why", ("subject", "visit", "reason"), rows)
