"""Rows of the sheet Overrides: every decision of a person, what it replaced, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from treg_gating.gating.results import PopulationCount, SampleResult
from treg_gating.proportion import rounded
from treg_gating.run.decisions import OVERRIDE, WITHDRAW, Decision, in_force, staleness
from treg_gating.run.record import EndpointRow, TemplateSummary

__all__ = ["override_rows"]


def override_rows(
    decisions: Sequence[Decision], results: Mapping[str, SampleResult], template: TemplateSummary
) -> tuple[EndpointRow, ...]:
    """One row a decision, columns as in :data:`treg_gating.tables.OVERRIDES`.

    Parameters
    ----------
    decisions : in their order. results : by tube_id.
    """
    standing = {decision.seq for found in in_force(decisions).values() for decision in found}
    return tuple(_row(decision, results.get(decision.tube_id), template, standing) for decision in decisions)


def _row(decision: Decision, result: SampleResult | None, template: TemplateSummary, standing: set[int]) -> EndpointRow:
    row: EndpointRow = {
        "tube_id": decision.tube_id,
        "population": decision.population,
        "decision": decision.action,
        "state": _state(decision, result, template, standing),
        "gate_before": decision.replaced,
        "gate_after": decision.gate,
        "reason": decision.why,
        "who": decision.name,
        "utc": decision.utc,
        "source": decision.source,
    }
    if result is None:
        return row
    row.update(subject=result.subject, visit=result.visit)
    if row["state"] == "in force" and decision.action == OVERRIDE and result.review is not None:
        fitted = result.review.fitted_count
        row["value_before_pct"] = _percent(fitted(template.numerator), fitted(template.denominator))
        row["value_after_pct"] = _percent(result.count(template.numerator), result.count(template.denominator))
    return row


def _state(decision: Decision, result: SampleResult | None, template: TemplateSummary, standing: set[int]) -> str:
    if decision.action == WITHDRAW:
        return "withdrawal"
    if decision.seq not in standing:
        return "replaced by a later decision"
    if result is None:
        return "the tube is not in this run"
    stale = staleness(decision, result, template.sha256)
    return f"not applied: {stale}" if stale else "in force"


def _percent(part: PopulationCount | None, whole: PopulationCount | None) -> float | None:
    if part is None or whole is None or part.n is None or not whole.n:
        return None
    return rounded(100 * part.n / whole.n)
