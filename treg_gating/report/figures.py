"""Study-level figures as inline SVG: endpoint by visit, profiles by subject, gate positions by batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from treg_gating.gating.results import GateStatus
from treg_gating.report import wording
from treg_gating.report.axes import Axis, intensity_axis, log_axis
from treg_gating.report.levels import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treg_gating.report.levels import Level
    from treg_gating.report.series import CutPoint, CutSeries, EndpointPoint

__all__ = ["cut_strip", "endpoint_axis", "endpoint_figure", "forest_cell", "level_shape", "subject_panel"]

Visits = tuple[tuple[str, float | None], ...]


def level_shape(level: Level, size: float = 14) -> Markup:
    """The traffic light's shape; a word always stands beside it or in its place for screen readers."""
    return Markup(
        '<svg class="shape {0}" width="{1}" height="{1}" viewBox="0 0 16 16" aria-hidden="true"><use href="#shape-{0}"/></svg>'
    ).format(level.key, f"{size:g}")


def endpoint_axis(points: Sequence[EndpointPoint], title: str) -> Axis | None:
    """One log axis for every figure of the endpoint; None where there is no positive value to show."""
    values = [v for p in points if p.value for v in (p.low, p.value, p.high) if v is not None and v > 0]
    return log_axis(title, min(values), max(values)) if values else None


def endpoint_figure(points: Sequence[EndpointPoint], visits: Visits, axis: Axis) -> Markup:
    """Every subject's profile over the visits on a log axis, with counting intervals; never an arm."""
    left, top, height = 58, 14, 300
    step = max(110, min(190, 620 // max(len(visits), 1)))
    width = left + step * len(visits) + 14
    subjects = list(dict.fromkeys(point.subject for point in points))
    spread = step * 0.62 / max(len(subjects) - 1, 1)
    columns = {visit: left + step * (i + 0.5) for i, (visit, _) in enumerate(visits)}
    body = [_value_grid(axis, left, top, width - left - 14, height)]
    for i, (visit, day) in enumerate(visits):
        if i % 2:
            body.append(
                Markup('<rect class="stripe" x="{}" y="{}" width="{}" height="{}"/>').format(
                    left + step * i, top, step, height
                )
            )
        body.append(_visit_label(columns[visit], top + height, visit, day))
    for i, subject in enumerate(subjects):
        offset = (i - (len(subjects) - 1) / 2) * min(spread, 12)
        own = [point for point in points if point.subject == subject and point.visit in columns]
        body.append(_profile(subject, own, {v: x + offset for v, x in columns.items()}, axis, top, height))
    body += [_median_bar(points, visit, x, step, axis, top, height) for visit, x in columns.items()]
    body += [_missing_mark(points, visit, x, top + height) for visit, x in columns.items()]
    n = sum(point.value is not None for point in points)
    label = f"{axis.title} by visit, {wording.plural(len(subjects), 'subject')}, {wording.plural(n, 'value')}, log axis"
    return Markup('<svg class="figure" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}</svg>').format(
        width, top + height + 62, label, Markup("").join(body)
    )


def _value_grid(axis: Axis, left: float, top: float, width: float, height: float) -> Markup:
    parts = []
    for tick in axis.ticks:
        y = f"{top + height * (1 - tick.fraction):.1f}"
        parts.append(
            Markup(
                '<path class="grid" d="M{0} {1}h{2}"/><text class="tick" x="{3}" y="{1}" dy=".35em" text-anchor="end">{4}</text>'
            ).format(left, y, width, left - 8, tick.label)
        )
    parts.append(
        Markup('<text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            top + height / 2, axis.title
        )
    )
    return Markup("").join(parts)


def _visit_label(x: float, y: float, visit: str, day: float | None) -> Markup:
    return Markup(
        '<text class="visit" x="{0}" y="{1}" text-anchor="middle">{2}</text><text class="tick" x="{0}" y="{3}" text-anchor="middle">{4}</text>'
    ).format(f"{x:.1f}", y + 38, visit, y + 54, wording.day(day))


def _profile(
    subject: str, points: Sequence[EndpointPoint], x: Mapping[str, float], axis: Axis, top: float, height: float
) -> Markup:
    def place(value: float) -> float:
        return top + height * (1 - float(np.clip(axis.fraction(math.log10(value)), 0, 1)))

    shown = [(point, point.value) for point in points if point.value]
    order = list(x)
    shown.sort(key=lambda pair: order.index(pair[0].visit))
    line = "L".join(f"{x[point.visit]:.1f} {place(value):.1f}" for point, value in shown)
    parts = [Markup('<path class="line" d="M{}"/>').format(line)] if len(shown) > 1 else []
    for point, value in shown:
        at, y = x[point.visit], place(value)
        if point.low and point.high:
            parts.append(
                Markup('<path class="bar" d="M{} {}V{}"/>').format(
                    f"{at:.1f}", f"{place(point.low):.1f}", f"{place(point.high):.1f}"
                )
            )
        text = f"{subject}, {point.visit}: {wording.percent(value)} ({wording.interval(point.low, point.high)})"
        parts.append(_marker(point, at, y, text))
    return Markup('<g class="profile">{}</g>').format(Markup("").join(parts))


def _marker(point: EndpointPoint, x: float, y: float, text: str) -> Markup:
    flagged = point.level.rank < NOTE.rank
    shape = (
        Markup('<path class="point flagged" d="M{} {}l5.2 9h-10.4z"><title>{}</title></path>').format(
            f"{x:.1f}", f"{y - 6:.1f}", f"{text} – {point.level.word.lower()}"
        )
        if flagged
        else Markup('<circle class="point" cx="{}" cy="{}" r="3.4"><title>{}</title></circle>').format(
            f"{x:.1f}", f"{y:.1f}", text
        )
    )
    return Markup('<a href="#{}">{}</a>').format(point.anchor, shape) if point.anchor else shape


def _median_bar(
    points: Sequence[EndpointPoint], visit: str, x: float, step: float, axis: Axis, top: float, height: float
) -> Markup:
    values = [point.value for point in points if point.visit == visit and point.value]
    if len(values) < 3:
        return Markup("")
    median = float(np.median(values))
    y = top + height * (1 - float(axis.fraction(math.log10(median))))
    return Markup('<path class="median" d="M{} {}h{}"><title>{}</title></path>').format(
        f"{x - step * 0.38:.1f}",
        f"{y:.1f}",
        f"{step * 0.76:.1f}",
        f"{visit}: median {wording.percent(median)} of {len(values)}",
    )


def _missing_mark(points: Sequence[EndpointPoint], visit: str, x: float, y: float) -> Markup:
    missing = [point for point in points if point.visit == visit and point.value is None]
    there = sum(point.visit == visit for point in points)
    reasons = "; ".join(f"{point.subject}: {point.reason or 'no value'}" for point in missing)
    text = f"n = {there - len(missing)}" + (f", {len(missing)} missing" if missing else "")
    return Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}<title>{}</title></text>').format(
        f"{x:.1f}", y + 18, text, reasons
    )


def subject_panel(subject: str, points: Sequence[EndpointPoint], visits: Visits, axis: Axis) -> Markup:
    """One subject's profile as a small panel on the axis that all subjects share."""
    left, top, width, height = 34, 22, 118, 92
    step = width / max(len(visits), 1)
    x = {visit: left + step * (i + 0.5) for i, (visit, _) in enumerate(visits)}
    own = [point for point in points if point.subject == subject and point.visit in x]
    body = [Markup('<text class="visit" x="{}" y="12">{}</text>').format(left, subject)]
    for tick in axis.ticks:
        y = f"{top + height * (1 - tick.fraction):.1f}"
        body.append(Markup('<path class="grid" d="M{0} {1}h{2}"/>').format(left, y, width))
        body.append(
            Markup('<text class="tick" x="{0}" y="{1}" dy=".35em" text-anchor="end">{2}</text>').format(
                left - 5, y, tick.label
            )
        )
    body.append(_profile(subject, own, x, axis, top, height))
    for point in own:
        if point.value is None:
            body.append(
                Markup('<text class="absent" x="{}" y="{}" text-anchor="middle">×<title>{}</title></text>').format(
                    f"{x[point.visit]:.1f}", top + height - 3, f"{point.visit}: {point.reason or 'no value'}"
                )
            )
    values = ", ".join(f"{point.visit} {wording.percent(point.value)}" for point in own)
    return Markup('<svg class="figure small" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        left + width + 4, top + height + 6, f"{subject}: {values}", Markup("").join(body)
    )


def forest_cell(point: EndpointPoint, axis: Axis) -> Markup:
    """A value with its interval on the shared axis, small enough for a table's cell; the numbers stand beside it."""
    if not point.value:
        return Markup("")
    at, low, high = (
        float(np.clip(axis.fraction(math.log10(v)), 0, 1)) * 116 + 2
        for v in (point.value, point.low or point.value, point.high or point.value)
    )
    return Markup(
        '<svg class="forest" viewBox="0 0 120 14" width="120" height="14" aria-hidden="true"><path class="grid" d="M2 7h116"/>'
        '<path class="bar" d="M{} 7H{}"/><circle class="point" cx="{}" cy="7" r="3"/></svg>'
    ).format(f"{low:.1f}", f"{high:.1f}", f"{at:.1f}")


def cut_strip(series: CutSeries) -> Markup:
    """Position of one cut in every tube, in batches, between lines at the mean and ± 1, 2, 3 SD of the run."""
    finals = np.array([point.final for point in series.points])
    owns = np.array([point.own for point in series.points if math.isfinite(point.own)])
    mean, sd = float(finals.mean()), float(finals.std(ddof=1)) if len(finals) > 1 else 0.0
    low, high = float(min(finals.min(), owns.min(initial=np.inf))), float(max(finals.max(), owns.max(initial=-np.inf)))
    low, high = min(low, mean - 3 * sd), max(high, mean + 3 * sd)
    air = max((high - low) * 0.08, 0.004 * max(1.0, abs(high)))
    axis = intensity_axis(series.dim, low - air, high + air, series.transform)
    left, top, height = 58, 10, 120
    step = max(5.0, min(26.0, 860 / len(finals)))
    width = left + step * len(finals) + 44

    def place(value: float) -> float:
        return top + height * (1 - float(np.clip(axis.fraction(value), 0, 1)))

    body = [_batch_stripes(series.points, left, top, step, height)]
    body += [_level_line(place(mean + k * sd), left, step * len(finals), k) for k in range(-3, 4) if sd > 0 or k == 0]
    body += [
        Markup(
            '<path class="grid" d="M{0} {1}h-4"/><text class="tick" x="{2}" y="{1}" dy=".35em" text-anchor="end">{3}</text>'
        ).format(left, f"{top + height * (1 - tick.fraction):.1f}", left - 7, tick.label)
        for tick in axis.ticks
        if tick.major and tick.label
    ]
    if math.isfinite(series.consensus):
        body.append(
            Markup('<path class="consensus" d="M{} {}h{}"/>').format(
                left, f"{place(series.consensus):.1f}", step * len(finals)
            )
        )
    body += [_cut_mark(point, left + step * (i + 0.5), place) for i, point in enumerate(series.points)]
    label = (
        f"{wording.population_name(series.population)}, {series.bound} cut on {series.dim} in {len(finals)} tubes: "
        f"mean {mean:.3g}, SD {sd:.2g} in gate units"
    )
    return Markup(
        '<svg class="figure strip" viewBox="0 0 {0} {1}" width="{0}" role="img" aria-label="{2}">{3}</svg>'
    ).format(f"{width:.0f}", top + height + 24, label, Markup("").join(body))


def _batch_stripes(points: Sequence[CutPoint], left: float, top: float, step: float, height: float) -> Markup:
    parts, start = [], 0
    batches = list(dict.fromkeys(point.batch for point in points))
    for i, batch in enumerate(batches):
        n = sum(point.batch == batch for point in points)
        x = left + step * start
        if i % 2 == 0:
            parts.append(
                Markup('<rect class="stripe" x="{}" y="{}" width="{}" height="{}"/>').format(
                    f"{x:.1f}", top, f"{step * n:.1f}", height
                )
            )
        room = int(step * n / 6.2)
        name = batch if len(batch) <= room else batch[: max(room - 1, 0)] + "…"
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}<title>{}</title></text>').format(
                f"{x + step * n / 2:.1f}", top + height + 16, name, f"batch {batch}, {wording.plural(n, 'tube')}"
            )
        )
        start += n
    return Markup("").join(parts)


def _level_line(y: float, left: float, width: float, k: int) -> Markup:
    label = "mean" if k == 0 else f"{k:+d} SD".replace("-", "−")
    text = (
        Markup('<text class="tick" x="{}" y="{}" dy=".35em">{}</text>').format(
            f"{left + width + 5:.1f}", f"{y:.1f}", label
        )
        if k % 2 == 0
        else Markup("")
    )
    return Markup('<path class="sd sd{}" d="M{} {}h{}"/>{}').format(abs(k), left, f"{y:.1f}", f"{width:.1f}", text)


_STATUS_MARKS = {
    GateStatus.FITTED: "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    GateStatus.FALLBACK: "M0 -5l4.6 8h-9.2z",
    GateStatus.CONSENSUS: "M-3.2 -3.2h6.4v6.4h-6.4z",
    GateStatus.OVERRIDDEN: "M0 -4.8l4.8 4.8l-4.8 4.8l-4.8 -4.8z",
}


def _cut_mark(point: CutPoint, x: float, place: object) -> Markup:
    assert callable(place)
    y = place(point.final)
    parts = []
    if math.isfinite(point.error):
        parts.append(
            Markup('<path class="bar" d="M{} {}V{}"/>').format(
                f"{x:.1f}", f"{place(point.final - point.error):.1f}", f"{place(point.final + point.error):.1f}"
            )
        )
    if math.isfinite(point.own):
        parts.append(
            Markup('<circle class="own-point" cx="{}" cy="{}" r="2.6"/>').format(f"{x:.1f}", f"{place(point.own):.1f}")
        )
    shape = _STATUS_MARKS.get(point.status, _STATUS_MARKS[GateStatus.FITTED])
    mark = Markup('<path class="point {}" transform="translate({} {})" d="{}"><title>{}</title></path>').format(
        point.status.value, f"{x:.1f}", f"{y:.1f}", shape, f"{point.tube_id}, batch {point.batch}: {point.status.value}"
    )
    parts.append(Markup('<a href="#{}">{}</a>').format(point.anchor, mark) if point.anchor else mark)
    return Markup("").join(parts)
