"""The count table of one tube: populations with their shares, intervals and fluorescence, ready for print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treg_gating.proportion import wilson
from treg_gating.report import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treg_gating.gating.results import SampleResult
    from treg_gating.run.record import RunRecord

__all__ = ["CountLine", "ancestors", "count_lines", "endpoint_markers", "wilson_percent"]


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


def ancestors(population: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """Parents of a population from the nearest upwards; stops at a name that was met before."""
    path: list[str] = []
    current = parents.get(population, "")
    while current and current not in path:
        path.append(current)
        current = parents.get(current, "")
    return tuple(path)


def endpoint_markers(record: RunRecord) -> frozenset[str]:
    """Markers of the gates between the endpoint's denominator and its numerator."""
    rows = {row.population: row for row in record.template.rows}
    parents = {population: row.parent for population, row in rows.items()}
    path = [record.template.numerator, *ancestors(record.template.numerator, parents)]
    if record.template.denominator in path:
        path = path[: path.index(record.template.denominator)]
    return frozenset(dim for population in path if population in rows for dim in rows[population].dims)


def wilson_percent(n: int | None, total: int | None) -> tuple[float | None, float | None]:
    """Wilson 95 % interval of n of total, in percent; None where there is nothing to count."""
    bounds = wilson(n, total) if n is not None and total else None
    return (None, None) if bounds is None else (100 * bounds[0], 100 * bounds[1])


def count_lines(result: SampleResult, record: RunRecord, markers: tuple[str, ...]) -> list[CountLine]:
    """Every population of a tube, in the order of the template; `markers` are the columns of fluorescence."""
    template = record.template
    parents = {counted.population: counted.parent for counted in result.counts}
    known = set(parents)
    bottom = result.count(template.denominator)
    lines = []
    for counted in result.counts:
        above = ancestors(counted.population, parents)
        inside = template.denominator in above and bottom is not None
        share = 100 * counted.n / counted.n_parent if counted.n is not None and counted.n_parent else None
        of_bottom = 100 * counted.n / bottom.n if inside and bottom and bottom.n and counted.n is not None else None
        low, high = wilson_percent(counted.n, bottom.n) if inside and bottom and of_bottom is not None else (None, None)
        gate_low, gate_high = result.gate_interval.get(counted.population, (None, None))
        lines.append(
            CountLine(
                depth=sum(parent in known for parent in above),
                name=wording.population_name(counted.population),
                n=wording.count(counted.n),
                of_parent=wording.percent(share),
                of_parent_interval=wording.interval(*wilson_percent(counted.n, counted.n_parent))
                if share is not None
                else wording.ABSENT,
                of_denominator=wording.percent(of_bottom),
                of_denominator_interval=wording.interval(low, high),
                gate_interval=wording.interval(gate_low, gate_high),
                mfi=tuple(wording.mfi(counted.mfi.get(marker)) for marker in markers),
                reason="" if counted.status == "ok" else counted.reason or counted.status.replace("_", " "),
                primary=counted.population == template.numerator,
            )
        )
    return lines
