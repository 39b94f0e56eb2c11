"""Gate positions over tubes and batches, after Levey and Jennings (Am J Clin Pathol 1950), as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from treg_gating.gating.results import GateStatus
from treg_gating.report import svg, wording
from treg_gating.report.axes import close_axis

if TYPE_CHECKING:
    from markupsafe import Markup

    from treg_gating.report.series import CutPoint, CutSeries

__all__ = ["cut_strip"]

_LEFT, _TOP, _HEIGHT = 58, 10, 120
_MARKS = {
    GateStatus.FITTED: "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    GateStatus.FALLBACK: "M0 -5l4.6 8h-9.2z",
    GateStatus.CONSENSUS: "M-3.2 -3.2h6.4v6.4h-6.4z",
    GateStatus.OVERRIDDEN: "M0 -4.8l4.8 4.8l-4.8 4.8l-4.8 -4.8z",
}


def cut_strip(series: CutSeries) -> Markup:
    """Position of one cut in every tube, in batches, between lines at the mean and ± 1, 2, 3 SD of the run."""
    finals = np.array([point.final for point in series.points])
    owns = np.array([point.own for point in series.points if math.isfinite(point.own)])
    mean, sd = float(finals.mean()), float(finals.std(ddof=1)) if len(finals) > 1 else 0.0
    low = min(float(finals.min()), float(owns.min(initial=np.inf)), mean - 3 * sd)
    high = max(float(finals.max()), float(owns.max(initial=-np.inf)), mean + 3 * sd)
    air = max((high - low) * 0.08, 0.004 * max(1.0, abs(high)))
    axis = close_axis(series.dim, low - air, high + air, series.transform)
    step = max(5.0, min(26.0, 860 / len(finals)))
    width = step * len(finals)

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (1 - float(np.clip(axis.fraction(value), 0, 1)))

    body = _batches(series.points, step)
    for tick in axis.ticks:
        at = _TOP + _HEIGHT * (1 - tick.fraction)
        body.append(svg.path("grid", svg.d("M", _LEFT, at, "h", -4)))
        body.append(svg.text(_LEFT - 7, at + 3.8, tick.label, "tick", "end"))
    for k in range(-3, 4) if sd > 0 else (0,):
        body.append(svg.path(f"sd sd{abs(k)}", svg.d("M", _LEFT, y(mean + k * sd), "h", width)))
        if k == 0 or (abs(k) == 2 and y(mean) - y(mean + 2 * sd) >= 11):
            word = "mean" if k == 0 else f"{'+' if k > 0 else '−'}2 SD"
            body.append(svg.text(_LEFT + width + 5, y(mean + k * sd) + 3.8, word))
    if math.isfinite(series.consensus):
        body.append(svg.path("cohort", svg.d("M", _LEFT, y(series.consensus), "h", width)))
    for i, point in enumerate(series.points):
        body += _mark(point, _LEFT + step * (i + 0.5), y, small=step < 9)
    what = "line" if series.bound == "line" else f"{series.bound} cut"
    label = (
        f"{wording.population_name(series.population)}, {what} on {series.dim} in "
        f"{wording.plural(len(finals), 'tube')}: mean {mean:.3g}, SD {sd:.2g} in gate units"
    )
    return svg.figure("figure strip", _LEFT + width + 44, _TOP + _HEIGHT + 24, label, body, fixed=True)


def _batches(points: Sequence[CutPoint], step: float) -> list[Markup]:
    parts, start = [], 0
    for i, batch in enumerate(dict.fromkeys(point.batch for point in points)):
        n = sum(point.batch == batch for point in points)
        x = _LEFT + step * start
        if i % 2 == 0:
            parts.append(svg.rect("stripe", x, _TOP, step * n, _HEIGHT))
        room = int(step * n / 6.2)
        name = batch if len(batch) <= room else batch[: max(room - 1, 0)] + "…"
        tip = f"batch {batch}, {wording.plural(n, 'tube')}"
        parts.append(svg.text(x + step * n / 2, _TOP + _HEIGHT + 16, name, "tick", "middle", tip=tip))
        start += n
    return parts


def _mark(point: CutPoint, x: float, y: Callable[[float], float], *, small: bool) -> list[Markup]:
    parts = []
    if math.isfinite(point.error):
        parts.append(svg.path("bar", svg.d("M", x, y(point.final - point.error), "V", y(point.final + point.error))))
    if math.isfinite(point.own):
        parts.append(svg.path("own-point", "M-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z", at=(x, y(point.own))))
    tip = f"{point.tube_id}, batch {point.batch}: {point.status.value}"
    shape = _MARKS.get(point.status, _MARKS[GateStatus.FITTED])
    mark = svg.path(f"point {point.status.value}", shape, tip, (x, y(point.final)), 0.7 if small else 1)
    return [*parts, svg.link(point.anchor, mark, tab_stop=False)]
