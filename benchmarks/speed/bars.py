"""The bars, and the figure that stands beside each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speed import cohorts, single
from speed import fixed_pipelines as fixed

__all__ = ["BARS", "Bar", "judged"]

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """One line of the table.

    Parameters
    ----------
    what : in words. unit : behind the figure. reach, beyond : the two bars.
    figure : from the results of all modes; KeyError or None where its mode was not run.
    more : whether more is better.
    """

    what: str
    unit: str
    reach: float
    beyond: float
    figure: Callable[[Results], float | None]
    more: bool = True

    def verdict(self, value: float) -> str:
        """In a word."""

        def met(bar: float) -> bool:
            return value >= bar if self.more else value <= bar

        return "beyond" if met(self.beyond) else "met" if met(self.reach) else "not met"


def _size(rows: Sequence[Mapping[str, Any]], n: int) -> Mapping[str, float]:
    found: Mapping[str, float] = next(row["seconds"] for row in rows if row["events"] == n)
    return found


def _fixed(n: int, slow: str, fast: str) -> Callable[[Results], float]:
    return lambda r: _size(r["fixed"], n)[slow] / _size(r["fixed"], n)[fast]


def _fixed_bars(n: int) -> tuple[Bar, ...]:
    size = f"{n:,} events"
    return (
        Bar(f"fixed gates, strict read and hash, against FlowKit load + gate_sample, {size}", "×", 20, 40,
            _fixed(n, fixed.FLOWKIT, fixed.OURS)),
        Bar(f"the same, hash apart, {size}", "×", 20, 40, _fixed(n, fixed.FLOWKIT, fixed.OURS_NO_HASH)),
        Bar(f"fixed gates as a multiple of readinto, hash apart, {size}", "× readinto", 10, 5,
            _fixed(n, fixed.OURS_NO_HASH, fixed.FLOOR), more=False),
        Bar(f"the same, with the hash, against readinto, {size}", "× readinto", 10, 5,
            _fixed(n, fixed.OURS, fixed.FLOOR), more=False),
        Bar(f"the same, with the hash, against readinto and hash, {size}", "× readinto and sha256", 10, 5,
            _fixed(n, fixed.OURS, fixed.FLOOR_HASH), more=False),
    )  # fmt: skip


def _adaptive(r: Results, fast: str) -> float:
    seconds = _size(r["adaptive"], 500_000)
    return seconds[fixed.FLOWKIT] / seconds[fast]


def _reader(r: Results, fast: str) -> float:
    seconds = r["reader"]["seconds"]
    return float(seconds["FlowIO, as_array"] / seconds[fast])


def _workers(r: Results, one: str) -> float:
    seconds = r["workers"]["seconds"]
    return float(seconds[one] / seconds[cohorts.TWO_WORKERS])


def _cold(r: Results, way: str) -> float:
    seconds = r["cold"]["seconds"]
    return float(seconds[single.COLD_FLOWKIT] / seconds[single.COLD[way]])


BARS: tuple[Bar, ...] = (
    *_fixed_bars(500_000),
    *_fixed_bars(2_000_000),
    Bar("adaptive pipeline, both passes, against FlowKit's fixed gates, 500,000 events", "×", 8, 15,
        lambda r: _adaptive(r, single.ADAPTIVE)),
    Bar("the same, in a cohort of five", "×", 8, 15, lambda r: _adaptive(r, single.IN_COHORT)),
    Bar("strict reader with hash against FlowIO as_array, 500,000 float events", "×", 6, 12,
        lambda r: _reader(r, "treg-gating")),
    Bar("the same, hash apart", "×", 6, 12, lambda r: _reader(r, "treg-gating, hash apart")),
    Bar("peak memory over the import baseline, fixed gates, 2M", "× DATA", 2.0, 1.2,
        lambda r: r["memory"]["fixed gates"], more=False),
    Bar("the same, adaptive pipeline", "× DATA", 2.0, 1.2, lambda r: r["memory"]["adaptive, both passes"], more=False),
    Bar("2 workers on two cores against 1 on one core, 64 tubes of 500,000", "×", 1.7, 1.9,
        lambda r: _workers(r, cohorts.ONE_CORE)),
    Bar("2 workers against 1 that uses both cores too, 64 tubes of 500,000", "×", 1.7, 1.9,
        lambda r: _workers(r, cohorts.ONE_WORKER)),
    Bar("share of Dask and ledger in the wall time, 64 tubes of 100,000, start-up apart", "%", 15, 5,
        lambda r: r["dask"]["overhead_pct"], more=False),
    Bar("cold start to first tube done against FlowKit's, 100,000 events, adaptive", "×", 3, 8,
        lambda r: _cold(r, "adaptive")),
    Bar("the same, fixed gates on both sides, ours kept as a template", "×", 3, 8, lambda r: _cold(r, "kept")),
    Bar("the same, fixed gates on both sides, ours read from Gating-ML through FlowKit", "×", 3, 8,
        lambda r: _cold(r, "gatingml")),
    Bar("10,000 tubes of 5,000 events: growth of the coordinator's memory", "MB", 300, 100,
        lambda r: r["cohort"]["growth_mb"].get("10000"), more=False),
    Bar("10,000 tubes: time per tube against 100 tubes", "×", 1.2, 1.05,
        lambda r: r["cohort"]["time_ratio"].get("10000"), more=False),
    Bar("decisions that differ from FlowKit's, events", "of %d", 0, 0, lambda r: r["decisions"]["differ"], more=False),
)  # fmt: skip


def judged(results: Results) -> list[dict[str, Any]]:
    """Every bar whose mode was run, with its figure and verdict."""
    rows = []
    for bar in BARS:
        try:
            value = bar.figure(results)
        except (KeyError, StopIteration):
            continue
        if value is None:
            continue
        unit = bar.unit % results["decisions"]["decisions"] if "%d" in bar.unit else bar.unit
        rows.append({"what": bar.what, "value": value, "unit": unit, "reach": bar.reach, "beyond": bar.beyond,
                     "verdict": bar.verdict(value)})  # fmt: skip
    return rows
