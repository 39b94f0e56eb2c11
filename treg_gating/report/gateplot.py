"""One gate as a small SVG: density, axes with real intensities, gate, uncertainty, percentage and count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from treg_gating.gating.gates import Interval
from treg_gating.report import outline, raster, svg, wording
from treg_gating.report.axes import Axis, intensity_axis

if TYPE_CHECKING:
    from treg_gating.gating.results import FittedGate, GatePicture, PopulationCount

__all__ = ["PLOT_SIDE", "AxisLibrary", "best_corner", "gate_axes", "gate_svg", "share_and_count"]

PLOT_SIDE = 188  # user units of the square the events are drawn in
LEFT, TOP = 44, 6
WIDTH, HEIGHT = LEFT + PLOT_SIDE + 8, TOP + PLOT_SIDE + 38
_PEAK = 0.74  # height of the tallest bin: the headroom is the percentages'
_BRACKET = 40  # user units from the top to the bracket over the population's side of a cut
_LABEL = (0.38, 0.19)  # width and height of the figures in a corner, as fractions of the plot


@dataclass
class AxisLibrary:
    """Frames and axes drawn once and used by every plot that shares them.

    Axes are the same for all samples of a run, so a hundred samples need the same dozen drawings; each is
    kept as a group with an id that plots refer to.
    """

    groups: dict[tuple[Axis, Axis | None], Markup] = field(default_factory=dict)

    def use(self, x: Axis, y: Axis | None) -> Markup:
        """A reference to the drawing of these axes, made on first use; y None is the scale of a histogram."""
        key = (x, y)
        if key not in self.groups:
            self.groups[key] = _axes_group(f"ax{len(self.groups)}", x, y)
        return Markup('<use href="#ax{}"/>').format(list(self.groups).index(key))

    def definitions(self) -> Markup:
        """All groups, for one ``<defs>``."""
        return svg.join(self.groups.values())


def gate_axes(
    picture: GatePicture, transforms: Mapping[str, Mapping[str, Any]], channels: Mapping[str, str]
) -> list[Axis]:
    """The one or two axes of a gate's plot."""
    return [
        intensity_axis(dim, low, high, transforms.get(dim), channels.get(dim, ""))
        for dim, low, high in zip(picture.dims, picture.low, picture.high, strict=True)
    ]


def share_and_count(number: PopulationCount | None) -> tuple[str, str]:
    """The two figures that stand in a plot: percentage of the parent, and count."""
    if number is None or number.n is None:
        return "not estimable", ""
    share = 100 * number.n / number.n_parent if number.n_parent else None
    return wording.percent(share), f"n {wording.count(number.n)}"


def gate_svg(
    picture: GatePicture,
    fitted: FittedGate,
    number: PopulationCount | None,
    axes: list[Axis],
    library: AxisLibrary,
    label: str,
) -> Markup:
    """The plot of one gate.

    Parameters
    ----------
    picture : the binned density.
    fitted : the gate; its `gate` may be None (failed), then only the density is drawn.
    number : the count of the population, for the figures in the plot.
    axes : from :func:`gate_axes`.
    library : drawings of axes shared with other plots.
    label : text alternative.
    """
    draw = _histogram if len(axes) == 1 else _density
    content = Markup('<g transform="translate({} {})">{}</g>').format(
        LEFT, TOP, svg.join(draw(picture, fitted, number, axes))
    )
    frame = library.use(axes[0], axes[1] if len(axes) == 2 else None)
    return svg.figure("gate", WIDTH, HEIGHT, label, [content, frame])


def _density(
    picture: GatePicture, fitted: FittedGate, number: PopulationCount | None, axes: list[Axis]
) -> list[Markup]:
    image = Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>').format(
        raster.density_uri(picture.counts), PLOT_SIDE, PLOT_SIDE
    )
    box = ((axes[0].low, axes[1].low), (axes[0].high, axes[1].high))
    parts, drawn = [], []
    if fitted.gate is not None and outline.drawable(fitted.gate, picture.dims):
        for points in outline.bands(fitted.gate, fitted.standard_error, picture.dims, box):
            parts.append(svg.path("band", _line(points, axes, closed=True)))
        for kind, gate in (("cut", fitted.gate), ("own", fitted.own)):
            if gate is None or not outline.drawable(gate, picture.dims):
                continue
            for points, closed in outline.outline(gate, picture.dims, box):
                data = _line(points, axes, closed=closed)
                parts += [svg.path("halo", data), svg.path(kind, data)]
                drawn.append(np.vstack([points, points[:1]]) if closed else points)
    corner = best_corner(picture, [np.column_stack([a.fraction(p[:, i]) for i, a in enumerate(axes)]) for p in drawn])
    gate_lines = Markup('<g clip-path="url(#frame)">{}</g>').format(svg.join(parts))
    return [image, gate_lines, _corner_label(corner, number)]


def _line(points: Any, axes: list[Axis], *, closed: bool) -> str:
    x = axes[0].fraction(points[:, 0]) * PLOT_SIDE
    y = (1 - axes[1].fraction(points[:, 1])) * PLOT_SIDE
    return "M" + "L".join(svg.d(float(a), float(b)) for a, b in zip(x, y, strict=True)) + ("Z" if closed else "")


def best_corner(picture: GatePicture, lines: list[Any]) -> tuple[bool, bool]:
    """The corner for the figures, as (right, top): where they hide the fewest events and no line of the gate.

    Parameters
    ----------
    picture : a two-dimensional density.
    lines : points of the gate's lines as fractions of the axes, each of shape (n, 2).
    """
    counts = np.asarray(picture.counts)
    wide, high = (int(np.ceil(part * bins)) for part, bins in zip(_LABEL, counts.shape, strict=True))
    steps = np.linspace(0, 1, 60)[:, None]
    dense = [a + (b - a) * steps for line in lines for a, b in pairwise(line)]
    trace = np.vstack(dense) if dense else np.empty((0, 2))

    def hidden(corner: tuple[bool, bool]) -> float:
        right, top = corner
        bins = counts[-wide:] if right else counts[:wide]
        bins = bins[:, -high:] if top else bins[:, :high]
        x = 1 - trace[:, 0] if right else trace[:, 0]
        y = 1 - trace[:, 1] if top else trace[:, 1]
        crossed = np.any((x >= 0) & (x < _LABEL[0]) & (y >= 0) & (y < _LABEL[1]))
        return np.count_nonzero(bins) / bins.size + 0.2 * float(crossed)

    return min(((True, True), (False, True), (True, False), (False, False)), key=hidden)


def _corner_label(corner: tuple[bool, bool], number: PopulationCount | None) -> Markup:
    right, top = corner
    return _label_at(PLOT_SIDE - 6 if right else 6, "end" if right else "start", number, 17 if top else PLOT_SIDE - 20)


def _histogram(
    picture: GatePicture, fitted: FittedGate, number: PopulationCount | None, axes: list[Axis]
) -> list[Markup]:
    axis, gate = axes[0], fitted.gate
    parts = [svg.path("hist", _curve(picture.counts))]
    if picture.control is not None and picture.control.sum() > 0:
        parts.append(svg.path("control", _curve(picture.control)))
    if not isinstance(gate, Interval) or gate.dims != picture.dims:
        return [*parts, _label_at(PLOT_SIDE / 2, "middle", number)]
    stretches = outline.segments(gate, fitted.sign, axis.low, axis.high)
    for low, high in stretches:
        left, right = _across(axis, low, high)
        parts.append(svg.rect("inside", left, 0, right - left, PLOT_SIDE))
        parts.append(svg.path("bracket", svg.d("M", left, _BRACKET, "H", right)))
    for cut, error in zip(outline.cuts(gate), outline.cut_errors(gate, fitted.standard_error), strict=True):
        if np.isfinite(error):
            left, right = _across(axis, cut - error, cut + error)
            parts.append(svg.rect("band", left, 0, max(right - left, 0.6), PLOT_SIDE))
        parts += _upright("cut", axis, cut)
    if isinstance(fitted.own, Interval):
        for cut in outline.cuts(fitted.own):
            parts += _upright("own", axis, cut)
    return [*parts, _bracket_label(axis, stretches, number)]


def _across(axis: Axis, low: float, high: float) -> tuple[float, float]:
    left, right = np.clip(axis.fraction([low, high]), 0, 1) * PLOT_SIDE
    return float(left), float(right)


def _curve(counts: Any) -> str:
    """A closed path under the smoothed histogram, scaled to its own peak (FlowJo's modal scale)."""
    heights = raster.display_histogram(counts)
    y = PLOT_SIDE * (1 - _PEAK * heights)
    x = (np.arange(len(heights)) + 0.5) * PLOT_SIDE / len(heights)
    points = "L".join(svg.d(float(a), float(b)) for a, b in zip(x, y, strict=True))
    return f"M0 {PLOT_SIDE}L{points}L{PLOT_SIDE} {PLOT_SIDE}"


def _upright(kind: str, axis: Axis, at: float) -> list[Markup]:
    fraction = float(axis.fraction(at))
    if not 0 <= fraction <= 1:
        return []
    return [svg.path(kind, svg.d("M", fraction * PLOT_SIDE, 0.0, "V", PLOT_SIDE))]


def _bracket_label(axis: Axis, stretches: list[tuple[float, float]], number: PopulationCount | None) -> Markup:
    if not stretches:
        return _label_at(PLOT_SIDE / 2, "middle", number)
    left, right = _across(axis, *max(stretches, key=lambda stretch: stretch[1] - stretch[0]))
    if right - left >= 66:
        return _label_at((left + right) / 2, "middle", number)
    # Too narrow for the figures: they hang from the plot's edge and may reach beyond the cut.
    return _label_at(PLOT_SIDE - 6, "end", number) if left + right > PLOT_SIDE else _label_at(6, "start", number)


def _label_at(x: float, anchor: str, number: PopulationCount | None, y: float = 17) -> Markup:
    share, n = share_and_count(number)
    return svg.text(x, y, share, "share", anchor) + svg.text(x, y + 14, n, "n", anchor)


def _axes_group(name: str, x: Axis, y: Axis | None) -> Markup:
    bottom = TOP + PLOT_SIDE
    marks, words = "", []
    for tick in x.ticks:
        at = LEFT + tick.fraction * PLOT_SIDE
        marks += svg.d("M", at, bottom, "v", 5 if tick.major else 3)
        if tick.label:
            words.append(svg.text(at, bottom + 17, tick.label, "tick", "middle", power=tick.power))
    for tick in y.ticks if y else ():
        at = bottom - tick.fraction * PLOT_SIDE
        marks += svg.d("M", LEFT, at, "h", -5 if tick.major else -3)
        if tick.label:
            words.append(svg.text(LEFT - 8, at + 3.5, tick.label, "tick", "end", power=tick.power))
    middle = LEFT + PLOT_SIDE / 2
    words.append(svg.text(middle, bottom + 34, x.title, "title", "middle"))
    side = y.title if y else "Events, % of peak"
    words.append(svg.text(11, TOP + PLOT_SIDE / 2, side, "title", "middle", upright=True))
    frame = svg.rect("box", LEFT, TOP, PLOT_SIDE, PLOT_SIDE)
    return Markup('<g id="{}" class="axes">{}{}{}</g>').format(name, frame, svg.path("ticks", marks), svg.join(words))
