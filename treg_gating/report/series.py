"""Series behind the study-level figures: endpoint values by subject and visit, gate positions, flags by tube."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treg_gating.gating.gates import Gate, HalfPlane, Interval, gate_from_dict
from treg_gating.gating.results import GateStatus
from treg_gating.report import outline
from treg_gating.report.levels import CLEAN, Level, flag_level, sample_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treg_gating.gating.results import FittedGate, SampleResult
    from treg_gating.run.record import EndpointRow, RunRecord

__all__ = [
    "CutPoint",
    "CutSeries",
    "EndpointPoint",
    "FlagTable",
    "cell_number",
    "cut_series",
    "endpoint_points",
    "flag_table",
    "rows_by_tube",
    "visit_order",
]


@dataclass(frozen=True, slots=True)
class EndpointPoint:
    """One cell of the subject-by-visit table; `value` None where there is none, with its reason."""

    subject: str
    visit: str
    value: float | None
    low: float | None
    high: float | None
    level: Level
    reason: str
    anchor: str


@dataclass(frozen=True, slots=True)
class CutPoint:
    """Position of one cut in one tube, in gate units; `own` NaN where it is the final one."""

    anchor: str
    tube_id: str
    batch: str
    final: float
    error: float
    own: float
    status: GateStatus


@dataclass(frozen=True, slots=True)
class CutSeries:
    """One cut over all tubes, in batches: `bound` is low, high or line; `consensus` NaN where the run has none."""

    population: str
    dim: str
    bound: str
    points: tuple[CutPoint, ...]
    consensus: float
    transform: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class FlagTable:
    """Flags by tube: rows (anchor, tube, level of the tube, level of each code or None), and the codes."""

    codes: tuple[str, ...]
    rows: tuple[tuple[str, SampleResult, Level, tuple[Level | None, ...]], ...]
    without: int


def cell_number(row: EndpointRow, column: str) -> float | None:
    """A cell as a number; None where it is empty, missing, text or not finite."""
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def visit_order(record: RunRecord) -> tuple[tuple[str, float | None], ...]:
    """Visits as planned, then those that stand in the endpoint table only."""
    planned = dict(record.study.visits)
    met = dict.fromkeys(str(row["visit"]) for row in record.endpoint if row.get("visit") not in (None, ""))
    return (*record.study.visits, *((visit, None) for visit in met if visit not in planned))


def rows_by_tube(record: RunRecord) -> dict[str, EndpointRow]:
    """Rows of the endpoint table by the tube they were taken from; a row without a tube is left out."""
    of_file = {tube.file: tube.tube_id for tube in record.tubes}
    known = {tube.tube_id for tube in record.tubes}
    rows = {str(row.get("tube_id") or of_file.get(str(row.get("file") or ""), "")): row for row in record.endpoint}
    return {tube: row for tube, row in rows.items() if tube in known}


def endpoint_points(record: RunRecord, anchors: Mapping[str, str]) -> tuple[EndpointPoint, ...]:
    """The endpoint table as points, in its order; `anchors` leads from a tube to its place on the page."""
    levels = {result.tube_id: sample_level(result, record.template.numerator) for result in record.samples}
    tubes = {id(row): tube for tube, row in rows_by_tube(record).items()}
    points = []
    for row in record.endpoint:
        tube = tubes.get(id(row), "")
        points.append(
            EndpointPoint(
                subject=str(row.get("subject") or ""),
                visit=str(row.get("visit") or ""),
                value=cell_number(row, "treg_pct_of_cd4"),
                low=cell_number(row, "treg_pct_of_cd4_low"),
                high=cell_number(row, "treg_pct_of_cd4_high"),
                level=levels.get(tube, CLEAN),
                reason=str(row.get("reason") or row.get("status") or ""),
                anchor=anchors.get(tube, ""),
            )
        )
    return tuple(points)


def cut_series(record: RunRecord, anchors: Mapping[str, str]) -> tuple[CutSeries, ...]:
    """Every cut of every one-dimensional gate and every line, tubes in the order of batch and sheet."""
    done = [result for result in record.samples if result.status == "done"]
    batches = list(dict.fromkeys(result.batch for result in done))
    done.sort(key=lambda result: batches.index(result.batch))
    series = []
    for row in record.template.rows:
        for bound in ("low", "high", "line"):
            points, dim = _cut_points(done, row.population, bound, anchors)
            if points:
                transform = next((r.transforms[dim] for r in done if dim in r.transforms), None)
                values = record.consensus.get(row.population)
                consensus = _position(gate_from_dict(dict(values)) if values else None, bound)
                series.append(CutSeries(row.population, dim, bound, tuple(points), consensus, transform))
    return tuple(series)


def _position(gate: Gate | None, bound: str) -> float:
    """Where a gate cuts: the bound of an interval, or a line's distance from the origin; NaN without such a cut."""
    found = math.nan
    if isinstance(gate, Interval) and bound != "line":
        found = float(getattr(gate, bound))
    elif isinstance(gate, HalfPlane) and bound == "line":
        found = gate.offset
    return found if math.isfinite(found) else math.nan


def _cut_points(
    results: list[SampleResult], population: str, bound: str, anchors: Mapping[str, str]
) -> tuple[list[CutPoint], str]:
    points: list[CutPoint] = []
    first: Gate | None = None
    for result in results:
        fitted = next((gate for gate in result.gates if gate.population == population), None)
        if fitted is None or fitted.gate is None or math.isnan(final := _position(fitted.gate, bound)):
            continue
        first = first or fitted.gate
        if not _comparable(first, fitted.gate):
            continue
        own = _position(fitted.own, bound) if fitted.own is not None and _comparable(first, fitted.own) else math.nan
        error = _error(fitted, final)
        points.append(
            CutPoint(anchors.get(result.tube_id, ""), result.tube_id, result.batch, final, error, own, fitted.status)
        )
    return points, " × ".join(first.dims) if first is not None else ""


def _comparable(one: Gate, other: Gate) -> bool:
    """Whether two cuts lie on one scale: distances of lines do where the lines are parallel."""
    if isinstance(one, HalfPlane) and isinstance(other, HalfPlane):
        return one.dims == other.dims and math.dist(one.normal, other.normal) < 1e-3
    return type(one) is type(other) and one.dims == other.dims


def _error(fitted: FittedGate, final: float) -> float:
    if isinstance(fitted.gate, Interval):
        errors = outline.cut_errors(fitted.gate, fitted.standard_error)
        return dict(zip(outline.cuts(fitted.gate), errors, strict=True))[final]
    return fitted.standard_error[-1] if fitted.standard_error else math.nan


def flag_table(record: RunRecord, anchors: Mapping[str, str]) -> FlagTable:
    """Worst level of every flag code in every tube that has one; failed tubes carry their own code."""
    numerator = record.template.numerator
    worst: list[tuple[SampleResult, dict[str, Level]]] = []
    for result in record.samples:
        cells: dict[str, Level] = {}
        if result.status != "done":
            cells[result.code or "FAILED"] = sample_level(result, numerator)
        for flag in result.flags:
            level = flag_level(flag.level)
            cells[flag.code] = min(cells.get(flag.code, level), level, key=lambda item: item.rank)
        worst.append((result, cells))
    weight: dict[str, tuple[int, int]] = {}
    for _, cells in worst:
        for code, level in cells.items():
            rank, uses = weight.get(code, (level.rank, 0))
            weight[code] = (min(rank, level.rank), uses - 1)
    codes = tuple(sorted(weight, key=lambda code: (*weight[code], code)))
    rows = [
        (anchors.get(result.tube_id, ""), result, sample_level(result, numerator), tuple(cells.get(c) for c in codes))
        for result, cells in worst
        if cells
    ]
    rows.sort(key=lambda row: row[2].rank)
    return FlagTable(codes, tuple(rows), len(worst) - len(rows))
