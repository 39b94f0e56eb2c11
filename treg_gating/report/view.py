"""What the page shows of one tube, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.report import wording
from treg_gating.report.gateplot import AxisLibrary, gate_axes, gate_svg
from treg_gating.report.levels import Level, flag_level, headline, sample_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from treg_gating.run.record import RunRecord, TemplateRow

__all__ = ["STATUS_WORDS", "CountLine", "GateCard", "SampleView", "ancestors", "sample_view", "wilson_percent"]

STATUS_WORDS = {
    GateStatus.FITTED: "fitted",
    GateStatus.FALLBACK: "fall-back",
    GateStatus.CONSENSUS: "consensus",
    GateStatus.FIXED: "fixed",
    GateStatus.OVERRIDDEN: "overridden",
    GateStatus.NOT_STAINED: "not stained",
    GateStatus.FAILED: "failed",
}
_QUALITY_WORDS = {
    "margin_pct": "Events on the margins of the scale",
    "time_removed_pct": "Removed by time and flow-rate control",
    "singlet_pct": "Singlets among clean events",
    "viability_pct": "Viable",
}


@dataclass(frozen=True, slots=True)
class GateCard:
    """One gate: its plot, or why there is none, and where the gate came from."""

    title: str
    parent: str
    status: str
    status_key: str
    rule: str
    reason: str
    method: str
    svg: Markup | None
    drawn_own: bool


@dataclass(frozen=True, slots=True)
class CountLine:
    """One population in the count table; texts are ready for print."""

    depth: int
    name: str
    n: str
    of_parent: str
    of_parent_interval: str
    of_denominator: str
    of_denominator_interval: str
    gate_interval: str
    mfi: tuple[str, ...]
    reason: str
    primary: bool


@dataclass(frozen=True, slots=True)
class SampleView:
    """One tube on the page."""

    anchor: str
    result: SampleResult
    level: Level
    headline: str
    value: float | None
    value_text: str
    interval_text: str
    gates: tuple[GateCard, ...]
    skipped: tuple[str, ...]
    counts: tuple[CountLine, ...]
    markers: tuple[str, ...]
    flags: tuple[tuple[Level, str, str, str], ...]
    quality: tuple[tuple[str, str], ...]
    search: str
    order: int
    matrix: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def ancestors(population: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """Parents of a population from the nearest upwards; stops at a name that was met before."""
    path: list[str] = []
    current = parents.get(population, "")
    while current and current not in path:
        path.append(current)
        current = parents.get(current, "")
    return tuple(path)


def sample_view(result: SampleResult, record: RunRecord, order: int, library: AxisLibrary, matrix: str) -> SampleView:
    """Everything the page says of one tube.

    Parameters
    ----------
    result, record : the tube, and the run it belongs to.
    order : its place in the sheet, from 0.
    library : axes shared by all plots of the page.
    matrix : name of its spillover matrix in the appendix; empty where there is none.
    """
    template = record.template
    low, high = endpoint_interval(result, record)
    value = endpoint_value(result, record)
    cards, skipped = _gates(result, record, library)
    markers = tuple(dict.fromkeys(marker for number in result.counts for marker in number.mfi))
    reason = headline(result, template.numerator)
    level = sample_level(result, template.numerator)
    codes = " ".join(flag.code for flag in result.flags)
    words = (result.tube_id, result.subject, result.visit, result.batch, result.role, result.file)
    return SampleView(
        anchor=f"tube-{order + 1}",
        result=result,
        level=level,
        headline=reason,
        value=value,
        value_text=wording.percent(value),
        interval_text=wording.interval(low, high),
        gates=cards,
        skipped=skipped,
        counts=tuple(_count_lines(result, record, markers)),
        markers=markers,
        flags=tuple(
            sorted(
                ((flag_level(f.level), f.code, f.text, wording.population_name(f.population)) for f in result.flags),
                key=lambda flag: flag[0].rank,
            )
        ),
        quality=tuple(
            (_QUALITY_WORDS.get(key, key), wording.percent(number)) for key, number in result.quality.items()
        ),
        search=" ".join((*words, level.word, codes, result.code, reason)).lower(),
        order=order,
        matrix=matrix,
    )


def endpoint_value(result: SampleResult, record: RunRecord) -> float | None:
    """The primary endpoint of a tube in percent, None where it is not estimable."""
    top, bottom = result.count(record.template.numerator), result.count(record.template.denominator)
    if top is None or bottom is None or top.n is None or not bottom.n or top.status != "ok":
        return None
    return 100 * top.n / bottom.n


def endpoint_interval(result: SampleResult, record: RunRecord) -> tuple[float | None, float | None]:
    """Wilson 95 % interval of :func:`endpoint_value`."""
    top, bottom = result.count(record.template.numerator), result.count(record.template.denominator)
    if endpoint_value(result, record) is None or top is None or bottom is None:
        return None, None
    return wilson_percent(top.n, bottom.n)


def wilson_percent(n: int | None, total: int | None) -> tuple[float | None, float | None]:
    """Wilson 95 % score interval of n of total in percent (Wilson, JASA 1927)."""
    if n is None or not total:
        return None, None
    z = 1.959963984540054
    p = n / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (p * (1 - p) / total + z * z / (4 * total * total)) ** 0.5
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def _gates(
    result: SampleResult, record: RunRecord, library: AxisLibrary
) -> tuple[tuple[GateCard, ...], tuple[str, ...]]:
    rows = {row.population: row for row in record.template.rows}
    channels = {marker: channel for marker, channel, _ in result.panel}
    pictures = {picture.population: picture for picture in result.pictures}
    cards, skipped = [], []
    for gate in result.gates:
        title = wording.population_name(gate.population)
        picture = pictures.get(gate.population)
        if picture is None and gate.status == GateStatus.NOT_STAINED:
            skipped.append(f"{title}: {gate.reason or 'marker not stained in this tube'}")
            continue
        if picture is None and gate.expression:
            skipped.append(f"{title} = {gate.expression}")
            continue
        number = result.count(gate.population)
        row = rows.get(gate.population)
        svg = None
        if picture is not None:
            label = _alternative(result, gate, number, picture.dims)
            axes = gate_axes(picture, result.transforms, channels)
            svg = gate_svg(picture, gate, number, axes, library, label)
        cards.append(
            GateCard(
                title=title,
                parent=_parent_text(gate, number),
                status=STATUS_WORDS[gate.status],
                status_key=gate.status.value,
                rule=gate.rule,
                reason=gate.reason,
                method=_method_text(row, gate.rule),
                svg=svg,
                drawn_own=gate.own is not None,
            )
        )
    return tuple(cards), tuple(skipped)


_SHARE_WORDS = {
    "own": "from this tube alone",
    "shrink": "weighted with the cohort",
    "batch": "one gate for the batch",
    "study": "one gate for the study",
    "control": "from its control",
}


def _method_text(row: TemplateRow | None, rule: str) -> str:
    """The template's method where the rule does not name it, and how the gate is shared among tubes."""
    if row is None:
        return ""
    parts = [row.method] if row.method not in rule else []
    return ", ".join([*parts, *([_SHARE_WORDS.get(row.share, row.share)] if row.share else [])])


def _parent_text(gate: FittedGate, number: PopulationCount | None) -> str:
    parent = wording.population_name(gate.parent)
    if number is None or number.n_parent is None:
        return parent
    return f"{parent}, n {wording.count(number.n_parent)}"


def _alternative(result: SampleResult, gate: FittedGate, number: PopulationCount | None, dims: tuple[str, ...]) -> str:
    """What a reader who cannot see the plot should hear."""
    where = f"{' × '.join(dims)} of {wording.population_name(gate.parent)}, tube {result.tube_id}"
    if number is None or number.n is None:
        return f"{where}: {wording.population_name(gate.population)} not estimable"
    share = wording.percent(100 * number.n / number.n_parent if number.n_parent else None)
    total = f"{wording.count(number.n)} of {wording.count(number.n_parent)} events"
    return f"{where}: {wording.population_name(gate.population)} {share} ({total}), gate {STATUS_WORDS[gate.status]}"


def _count_lines(result: SampleResult, record: RunRecord, markers: tuple[str, ...]) -> list[CountLine]:
    template = record.template
    parents = {number.population: number.parent for number in result.counts}
    known = set(parents)
    bottom = result.count(template.denominator)
    lines = []
    for number in result.counts:
        above = ancestors(number.population, parents)
        inside = template.denominator in above and bottom is not None
        share = 100 * number.n / number.n_parent if number.n is not None and number.n_parent else None
        of_bottom = 100 * number.n / bottom.n if inside and bottom and bottom.n and number.n is not None else None
        low, high = wilson_percent(number.n, bottom.n) if inside and bottom and of_bottom is not None else (None, None)
        gate_low, gate_high = result.gate_interval.get(number.population, (None, None))
        lines.append(
            CountLine(
                depth=sum(parent in known for parent in above),
                name=wording.population_name(number.population),
                n=wording.count(number.n),
                of_parent=wording.percent(share),
                of_parent_interval=wording.interval(*wilson_percent(number.n, number.n_parent))
                if share is not None
                else wording.ABSENT,
                of_denominator=wording.percent(of_bottom),
                of_denominator_interval=wording.interval(low, high),
                gate_interval=wording.interval(gate_low, gate_high),
                mfi=tuple(wording.mfi(number.mfi.get(marker)) for marker in markers),
                reason="" if number.status == "ok" else number.reason or number.status.replace("_", " "),
                primary=number.population == template.numerator,
            )
        )
    return lines
