"""What the page shows of one tube, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.report import wording
from treg_gating.report.counttable import CountLine, count_lines, endpoint_markers, wilson_percent
from treg_gating.report.gateplot import AxisLibrary, gate_axes, gate_svg
from treg_gating.report.levels import UNUSED, Level, flag_level, headline, sample_level
from treg_gating.report.series import cell_number
from treg_gating.report.timeline import timeline_svg

if TYPE_CHECKING:
    from markupsafe import Markup

    from treg_gating.run.record import EndpointRow, RunRecord, TemplateRow

__all__ = ["STATUS_WORDS", "GateCard", "SampleView", "sample_view"]

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
    fluorescence: tuple[tuple[str, tuple[str, ...]], ...]
    stained: tuple[str, ...]
    flags: tuple[tuple[Level, str, str, str], ...]
    quality: tuple[tuple[str, str], ...]
    search: str
    order: int
    matrix: str = ""
    timeline: Markup | None = None


def sample_view(
    result: SampleResult,
    record: RunRecord,
    order: int,
    library: AxisLibrary,
    matrix: str,
    row: EndpointRow | None = None,
) -> SampleView:
    """Everything the page says of one tube.

    Parameters
    ----------
    result, record : the tube, and the run it belongs to.
    order : its place in the sheet, from 0.
    library : axes shared by all plots of the page.
    matrix : name of its spillover matrix in the appendix; empty where there is none.
    row : its row of the endpoint table. What that table withholds is not shown as the tube's value either.
    """
    template = record.template
    value, low, high = _endpoint_value(result, record, row)
    cards, skipped = _gates(result, record, library)
    stained = tuple(dict.fromkeys(marker for number in result.counts for marker in number.mfi))
    markers = tuple(marker for marker in stained if marker in endpoint_markers(record))
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
        counts=tuple(count_lines(result, record, markers)),
        markers=markers,
        fluorescence=tuple(
            (wording.population_name(number.population), tuple(wording.mfi(number.mfi.get(m)) for m in stained))
            for number in result.counts
            if number.mfi
        ),
        stained=stained,
        flags=tuple(
            sorted(
                ((flag_level(f.level), f.code, f.text, wording.population_name(f.population)) for f in result.flags),
                key=lambda flag: flag[0].rank,
            )
        ),
        quality=tuple(_quality_text(key, value) for key, value in result.quality.items()),
        search=" ".join((*words, level.word, codes, result.code, reason)).lower(),
        order=order,
        matrix=matrix,
        timeline=timeline_svg(result),
    )


def _quality_text(key: str, number: float) -> tuple[str, str]:
    name = _QUALITY_WORDS.get(key, key.removesuffix("_pct").replace("_", " "))
    return name, wording.percent(number) if key.endswith("_pct") else wording.significant(number)


def _endpoint_value(
    result: SampleResult, record: RunRecord, row: EndpointRow | None
) -> tuple[float | None, float | None, float | None]:
    """Endpoint in percent with its Wilson interval: the table's, or for tubes outside it (control donors) counted."""
    if row is not None:
        value, low, high = (cell_number(row, f"treg_pct_of_cd4{end}") for end in ("", "_low", "_high"))
        return value, low, high
    top, bottom = result.count(record.template.numerator), result.count(record.template.denominator)
    withheld = sample_level(result, record.template.numerator).rank <= UNUSED.rank
    if withheld or top is None or bottom is None or top.n is None or not bottom.n:
        return None, None, None
    return (100 * top.n / bottom.n, *wilson_percent(top.n, bottom.n))


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
        counted = result.count(gate.population)
        row = rows.get(gate.population)
        svg = None
        if picture is not None:
            label = _alternative(result, gate, counted, picture.dims)
            axes = gate_axes(picture, result.transforms, channels)
            svg = gate_svg(picture, gate, counted, axes, library, label)
        cards.append(
            GateCard(
                title=title,
                parent=_parent_text(gate, counted),
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
    "landmark": "the study's gate, moved with the peaks of the batch",
    "control": "from its control",
    "cohort": "by one model of the cohort",
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
