"""Flags of a finished tube: what a person must look at before its number is used."""

from __future__ import annotations

from collections.abc import Sequence

from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount
from treg_gating.gating.template import GateStep, GatingTemplate
from treg_gating.quality import QualityReport
from treg_gating.study import Study

__all__ = ["flag_result"]


def flag_result(
    template: GatingTemplate,
    study: Study,
    counts: Sequence[PopulationCount],
    gates: Sequence[FittedGate],
    quality: QualityReport,
    interval: tuple[float, float] | None,
) -> tuple[Flag, ...]:
    """Every flag of one tube, quality control's first."""
    by_name = {count.population: count for count in counts}
    flags = list(quality.flags)
    flags += _few_events(template, study, by_name)
    failed = {gate.population for gate in gates if gate.status is GateStatus.FAILED}
    for gate in gates:
        if gate.population in failed and failed & set(_stands_on(template, gate.population)):
            continue  # what lies below a failed gate fails with it: one cause, one flag
        flags += _flags_of_gate(gate, primary=gate.population in template.path(template.primary.numerator))
    flags += _wide_interval(template, by_name, interval)
    flags += _unusual_endpoint(template, study, by_name)
    return tuple(flags)


def _unusual_endpoint(template: GatingTemplate, study: Study, counts: dict[str, PopulationCount]) -> list[Flag]:
    """A value that biology rarely shows: more often a stain that failed or a gate that found another population."""
    limits, primary = study.limits, template.primary
    top, bottom = counts.get(primary.numerator), counts.get(primary.denominator)
    if top is None or bottom is None or top.n is None or not bottom.n:
        return []
    value = 100 * top.n / bottom.n
    if limits.endpoint_low_pct <= value <= limits.endpoint_high_pct:
        return []
    text = f"{value:.2f} % (usual: {limits.endpoint_low_pct:g} to {limits.endpoint_high_pct:g} %)"
    return [Flag("UNUSUAL_VALUE", FlagLevel.REVIEW, text, primary.numerator)]


def _stands_on(template: GatingTemplate, population: str) -> tuple[str, ...]:
    """Populations whose events a gate needs."""
    step = template.step(population)
    return (step.parent, step.fit_on) if isinstance(step, GateStep) else (step.parent, *step.expression.names)


def _few_events(template: GatingTemplate, study: Study, counts: dict[str, PopulationCount]) -> list[Flag]:
    limits, primary = study.limits, template.primary
    flags: list[Flag] = []
    bottom, top = counts.get(primary.denominator), counts.get(primary.numerator)
    if bottom is not None and bottom.n is not None and bottom.n < limits.cd4_warn:
        level = FlagLevel.REVIEW if bottom.n < limits.cd4_fail else FlagLevel.NOTE
        limit = limits.cd4_fail if bottom.n < limits.cd4_fail else limits.cd4_warn
        flags.append(Flag("FEW_CD4", level, f"{bottom.n} CD4 T cells (limit {limit:g})", primary.denominator))
    if top is not None and top.n is not None and top.n < limits.count_flag:
        text = f"{top.n} Tregs: detected, not quantifiable (limit {limits.count_flag:g})"
        if top.n < limits.count_report:
            text = f"{top.n} Tregs: too few to report (limit {limits.count_report:g})"
        flags.append(Flag("FEW_TREG", FlagLevel.REVIEW, text, primary.numerator))
    return flags + _unusual_shares(study, counts)


def _unusual_shares(study: Study, counts: dict[str, PopulationCount]) -> list[Flag]:
    """Shares of the parent outside the limits of the study."""
    limits = study.limits
    expected = {
        "singlets": ("SINGLETS", limits.singlets_low_pct, 100.0),
        "live": ("VIABILITY", limits.live_low_pct, 100.0),
    }
    flags = []
    for population, (code, low, high) in expected.items():
        count = counts.get(population)
        if count is None or not count.n_parent or count.n is None:
            continue
        share = 100 * count.n / count.n_parent
        if not low <= share <= high:
            text = f"{population} are {share:.1f} % of {count.parent} (expected {low:g} to {high:g} %)"
            flags.append(Flag(code, FlagLevel.NOTE, text, population))
    return flags


def _flags_of_gate(gate: FittedGate, *, primary: bool) -> list[Flag]:
    level = FlagLevel.REVIEW if primary else FlagLevel.NOTE
    if gate.status is GateStatus.FAILED:
        return [Flag("GATE_FAILED", level, gate.reason, gate.population)]
    if gate.rule == "consensus_outlier":
        return [Flag("GATE_OUTLIER", level, gate.reason, gate.population)]
    if gate.status is GateStatus.CONSENSUS:
        return [Flag("GATE_CONSENSUS", FlagLevel.NOTE, gate.reason, gate.population)]
    if gate.status is GateStatus.FALLBACK:
        return [Flag("GATE_FALLBACK", level, f"{gate.rule}: {gate.reason}", gate.population)]
    if gate.status is GateStatus.FITTED and gate.caution:
        return [Flag("GATE_UNSTABLE", level, gate.caution, gate.population)]
    return []


def _wide_interval(
    template: GatingTemplate, counts: dict[str, PopulationCount], interval: tuple[float, float] | None
) -> list[Flag]:
    top, bottom = counts.get(template.primary.numerator), counts.get(template.primary.denominator)
    if interval is None or top is None or bottom is None or not top.n or not bottom.n:
        return []
    value = 100 * top.n / bottom.n
    half = max(value - interval[0], interval[1] - value)
    if half <= 0.25 * value:
        return []
    text = f"moving the gates by their standard errors changes {value:.2f} % by {half:.2f} points (limit 25 % of it)"
    return [Flag("GATE_UNCERTAIN", FlagLevel.REVIEW, text, template.primary.numerator)]
