"""A tube over its time as inline SVG: flow rate and common shifts, with the stretches that quality control removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from treg_gating.report import svg, wording

if TYPE_CHECKING:
    from markupsafe import Markup

    from treg_gating.gating.results import SampleResult

__all__ = ["timeline_svg"]

_LEFT, _TOP, _WIDTH, _HEIGHT, _GAP = 48, 8, 560, 44, 12
_MOST_POINTS = 160  # a trace: more cannot be told apart at this width
_LEAST_SHIFT = 0.1  # decades shown to either side at least, so that noise looks like noise
_MOST_SHIFT = 0.5
_RATE = "events per second"
_TRACES = (("rate", _RATE), ("fluorescence", "all fluorescence, decades"), ("scatter", "all scatter, decades"))

Values = NDArray[np.float64]


def timeline_svg(result: SampleResult) -> Markup | None:
    """Rate in events per second, common shift of fluorescence and of scatter in decades, removed stretches shaded.

    None where quality control could not look at time, as the result then has no timeline.
    """
    seconds = np.asarray(result.timeline.get("seconds", ()), dtype=np.float64)
    rows = [(title, result.timeline[name]) for name, title in _TRACES if name in result.timeline]
    if len(seconds) < 2 or not rows:
        return None
    start, end = float(seconds[0]), float(seconds[-1])

    def x(value: float) -> float:
        return _LEFT + _WIDTH * float(np.clip((value - start) / max(end - start, 1e-9), 0, 1))

    bottom = _TOP + len(rows) * (_HEIGHT + _GAP) - _GAP
    body = [
        svg.rect("removed", x(first), _TOP, max(x(last) - x(first), 1.0), bottom - _TOP)
        for first, last in result.removed
    ]
    for i, (title, values) in enumerate(rows):
        top = _TOP + i * (_HEIGHT + _GAP)
        at, shown = _thinned(seconds, np.asarray(values, dtype=np.float64))
        body += _trace(title, [x(value) for value in at], shown, top)
    step = _nice_step((end - start) / 6)
    for k in range(int(np.ceil(start / step)), int(end / step) + 1):
        body.append(svg.path("grid", svg.d("M", x(k * step), bottom, "v", 4)))
        body.append(svg.text(x(k * step), bottom + 16, f"{k * step:g}", "tick", "middle"))
    body.append(svg.text(_LEFT + _WIDTH + 8, bottom + 16, "seconds"))
    return svg.figure("figure timeline", _LEFT + _WIDTH + 150, bottom + 22, _label(result), body)


def _trace(title: str, x: Sequence[float], values: Values, top: float) -> list[Markup]:
    """One trace in its frame: a rate from zero up, a shift about zero."""
    if title == _RATE:
        usual = float(np.median(values))
        low, high = 0.0, max(2 * usual, min(float(values.max()), 4 * usual), 1e-9)
        ticks = [(0.0, "0"), (usual, f"{usual:,.0f}")]
    else:
        high = min(max(_LEAST_SHIFT, float(np.abs(values).max())), _MOST_SHIFT)
        low = -high
        ticks = [(high, f"+{high:.2g}"), (0.0, "0"), (low, f"−{high:.2g}")]

    def y(value: float) -> float:
        return top + _HEIGHT * (1 - float(np.clip((value - low) / (high - low), 0, 1)))

    parts = [svg.text(_LEFT + _WIDTH + 8, top + _HEIGHT / 2 + 3.8, title)]
    for value, text in ticks:
        parts.append(svg.path("grid", svg.d("M", _LEFT, y(value), "h", _WIDTH)))
        parts.append(svg.text(_LEFT - 6, y(value) + 3.8, text, "tick", "end"))
    points = "L".join(svg.d(at, y(value)) for at, value in zip(x, values, strict=True))
    return [*parts, svg.path("trace", f"M{points}")]


def _thinned(seconds: Values, values: Values) -> tuple[Values, Values]:
    """At most so many points; of neighbours the one farthest from the trace's middle, so that no spike is lost."""
    centres = (seconds[:-1] + seconds[1:]) / 2
    size = -(-len(values) // _MOST_POINTS)
    away = np.abs(values - np.median(values))
    chosen = np.array([i + int(np.argmax(away[i : i + size])) for i in range(0, len(values), size)])
    return centres[chosen], values[chosen]


def _nice_step(step: float) -> float:
    power = 10.0 ** np.floor(np.log10(max(step, 1e-9)))
    return float(next(nice * power for nice in (1, 2, 5, 10) if nice * power >= step * 0.999))


def _label(result: SampleResult) -> str:
    """What a reader who cannot see the drawing should hear."""
    if not result.removed:
        return f"Flow rate and shifts over time, tube {result.tube_id}: nothing was removed"
    said = ", ".join(f"{first:.3g} to {last:.3g} s" for first, last in result.removed)
    number = wording.plural(len(result.removed), "stretch", "stretches")
    return f"Flow rate and shifts over time, tube {result.tube_id}: {number} removed, {said}"
