"""Figures of the endpoint as inline SVG: profiles over the visits, panels by subject, intervals in table cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from treg_gating.report import svg, wording
from treg_gating.report.axes import Axis, log_axis
from treg_gating.report.levels import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treg_gating.report.levels import Level
    from treg_gating.report.series import EndpointPoint

__all__ = ["endpoint_axis", "endpoint_figure", "forest_cell", "level_shape", "subject_panel"]

Visits = tuple[tuple[str, float | None], ...]


def level_shape(level: Level, size: float = 14) -> Markup:
    """The traffic light's shape; a word always stands beside it, or in its place for screen readers."""
    return Markup(
        '<svg class="shape {0}" width="{1}" height="{1}" viewBox="0 0 16 16" aria-hidden="true">'
        '<use href="#shape-{0}"/></svg>'
    ).format(level.key, svg.num(size))


def endpoint_axis(points: Sequence[EndpointPoint], title: str) -> Axis | None:
    """One log axis for every figure of the endpoint; None where there is no positive value to show."""
    values = [v for p in points if p.value for v in (p.low, p.value, p.high) if v is not None and v > 0]
    return log_axis(title, min(values), max(values)) if values else None


class _Scale:
    """Positions of values on the vertical log axis of one figure."""

    def __init__(self, axis: Axis, top: float, height: float) -> None:
        self.axis, self.top, self.height = axis, top, height

    def y(self, value: float) -> float:
        """Height of a positive value; values beyond the axis stand at its end."""
        return self.at(float(np.clip(self.axis.fraction(math.log10(value)), 0, 1)))

    def at(self, fraction: float) -> float:
        return self.top + self.height * (1 - fraction)

    def grid(self, left: float, width: float) -> list[Markup]:
        """Lines and numbers of the axis."""
        parts, last = [], np.inf
        for tick in self.axis.ticks:
            y = self.at(tick.fraction)
            if last - y < 13:  # a line of figures
                continue
            last = y
            parts.append(svg.path("grid", svg.d("M", left, y, "h", width)))
            parts.append(svg.text(left - 7, y + 3.8, tick.label, "tick", "end"))
        return parts


_LEAST_WIDTH = 480  # of the figure of a run with one visit, or none that may be told


def endpoint_figure(points: Sequence[EndpointPoint], visits: Visits, axis: Axis) -> Markup:
    """Every subject's profile over the visits on a log axis, with counting intervals; never an arm."""
    left, top, height = 58, 14, 300
    wanted = max(110, min(190, 620 // max(len(visits), 1)))
    width = max(wanted * len(visits), _LEAST_WIDTH)
    step = width / max(len(visits), 1)
    scale = _Scale(axis, top, height)
    subjects = list(dict.fromkeys(point.subject for point in points))
    columns = {visit: left + step * (i + 0.5) for i, (visit, _) in enumerate(visits)}
    body = [svg.rect("stripe", left + step * i, top, step, height) for i in range(1, len(visits), 2)]
    body += scale.grid(left, width)
    body.append(svg.text(14, top + height / 2, axis.title, "title", "middle", upright=True))
    for visit, day in visits:
        body.append(svg.text(columns[visit], top + height + 38, visit, "visit", "middle"))
        body.append(svg.text(columns[visit], top + height + 54, wording.day(day), "tick", "middle"))
    # Side by side, so that the intervals of a visit can be told apart.
    apart = min(12, step * 0.62 / max(len(subjects) - 1, 1))
    for i, subject in enumerate(subjects):
        offset = (i - (len(subjects) - 1) / 2) * apart
        own = [point for point in points if point.subject == subject and point.visit in columns]
        body.append(_profile(subject, own, {visit: x + offset for visit, x in columns.items()}, scale))
    for visit, x in columns.items():
        there = [point for point in points if point.visit == visit]
        body += _median_bar(there, visit, x, step, scale)
        body.append(_numbers(there, x, top + height + 18))
    n = sum(point.value is not None for point in points)
    label = f"{axis.title} by visit, {wording.plural(len(subjects), 'subject')}, {wording.plural(n, 'value')}, log axis"
    return svg.figure("figure", left + width + 14, top + height + 62, label, body)


def _profile(subject: str, points: Sequence[EndpointPoint], x: Mapping[str, float], scale: _Scale) -> Markup:
    order = list(x)
    shown = sorted(
        ((point, point.value) for point in points if point.value), key=lambda pair: order.index(pair[0].visit)
    )
    parts = []
    if len(shown) > 1:
        parts.append(svg.path("line", "M" + "L".join(svg.d(x[p.visit], scale.y(value)) for p, value in shown)))
    for point, value in shown:
        at = x[point.visit]
        if point.low and point.high:
            parts.append(svg.path("bar", svg.d("M", at, scale.y(point.low), "V", scale.y(point.high))))
        tip = f"{subject}, {point.visit}: {wording.percent(value)} ({wording.interval(point.low, point.high)})"
        parts.append(_marker(point, at, scale.y(value), tip))
    return Markup('<g class="profile">{}</g>').format(svg.join(parts))


def _marker(point: EndpointPoint, x: float, y: float, tip: str) -> Markup:
    if point.level.rank < NOTE.rank:
        mark = svg.path("point flagged", "M0 -6l5.2 9h-10.4z", f"{tip} – {point.level.word.lower()}", (x, y))
    else:
        mark = svg.path("point", "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z", tip, (x, y))
    return svg.link(point.anchor, mark)


def _median_bar(points: Sequence[EndpointPoint], visit: str, x: float, step: float, scale: _Scale) -> list[Markup]:
    values = [point.value for point in points if point.value]
    if len(values) < 3:
        return []
    median = float(np.median(values))
    tip = f"{visit}: median {wording.percent(median)} of {len(values)}"
    return [svg.path("median", svg.d("M", x - step * 0.38, scale.y(median), "h", step * 0.76), tip)]


def _numbers(points: Sequence[EndpointPoint], x: float, y: float) -> Markup:
    missing = [point for point in points if point.value is None]
    reasons = "; ".join(f"{point.subject}: {point.reason or 'no value'}" for point in missing)
    text = f"n = {len(points) - len(missing)}" + (f", {len(missing)} missing" if missing else "")
    return svg.text(x, y, text, "tick", "middle", tip=reasons)


def subject_panel(subject: str, points: Sequence[EndpointPoint], visits: Visits, axis: Axis) -> Markup:
    """One subject's profile as a small panel on the axis that all subjects share."""
    left, top, width, height = 34, 22, 118, 92
    step = width / max(len(visits), 1)
    x = {visit: left + step * (i + 0.5) for i, (visit, _) in enumerate(visits)}
    own = [point for point in points if point.subject == subject and point.visit in x]
    scale = _Scale(axis, top, height)
    body = [svg.text(left, 12, subject, "visit"), *scale.grid(left, width), _profile(subject, own, x, scale)]
    for point in own:
        if point.value is None:
            tip = f"{point.visit}: {point.reason or 'no value'}"
            body.append(svg.text(x[point.visit], top + height - 3, "×", "absent", "middle", tip=tip))
    values = ", ".join(f"{point.visit} {wording.percent(point.value)}" for point in own)
    return svg.figure("figure small", left + width + 4, top + height + 6, f"{subject}: {values}", body)


def forest_cell(point: EndpointPoint, axis: Axis) -> Markup:
    """A value with its interval on the shared axis, small enough for a table's cell; the numbers stand beside it."""
    if not point.value:
        return Markup("")
    at, low, high = (
        float(np.clip(axis.fraction(math.log10(v)), 0, 1)) * 116 + 2
        for v in (point.value, point.low or point.value, point.high or point.value)
    )
    return Markup(
        '<svg class="forest" viewBox="0 0 120 14" width="120" height="14" aria-hidden="true">{}{}{}</svg>'
    ).format(
        svg.path("grid", "M2 7h116"),
        svg.path("bar", svg.d("M", low, 7, "H", high)),
        svg.path("point", "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", at=(at, 7)),
    )
