"""One gate as a small SVG: density, axes with real intensities, gate, uncertainty, percentage and count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from treg_gating.gating.gates import Interval
from treg_gating.report import outline, raster, wording
from treg_gating.report.axes import Axis, intensity_axis

if TYPE_CHECKING:
    from treg_gating.gating.results import FittedGate, GatePicture, PopulationCount

__all__ = ["PLOT_SIDE", "AxisLibrary", "gate_svg"]

PLOT_SIDE = 188  # user units of the square the events are drawn in
LEFT, TOP = 44, 6
WIDTH, HEIGHT = LEFT + PLOT_SIDE + 8, TOP + PLOT_SIDE + 38
_PEAK = 0.74  # height of the tallest bin: the headroom is the percentages'


@dataclass
class AxisLibrary:
    """Frames and axes drawn once and used by every plot that shares them.

    Axes are the same for all samples of a run, so a hundred samples need the same dozen drawings; each is
    kept as a group with an id that plots refer to.
    """

    groups: dict[tuple[Any, ...], Markup] = field(default_factory=dict)

    def use(self, x: Axis, y: Axis | None) -> Markup:
        """A reference to the drawing of these axes, made on first use; y None is the scale of a histogram."""
        key = (x, y)
        if key not in self.groups:
            self.groups[key] = _axes_group(f"ax{len(self.groups)}", x, y)
        return Markup('<use href="#ax{}"/>').format(list(self.groups).index(key))

    def definitions(self) -> Markup:
        """All groups, for one ``<defs>``."""
        return Markup("").join(self.groups.values())


def gate_svg(
    picture: GatePicture,
    fitted: FittedGate,
    number: PopulationCount | None,
    transforms: Mapping[str, Mapping[str, Any]],
    channels: Mapping[str, str],
    library: AxisLibrary,
    label: str,
) -> Markup:
    """The plot of one gate.

    Parameters
    ----------
    picture : the binned density.
    fitted : the gate; its `gate` may be None (failed), then only the density is drawn.
    number : the count of the population, for the figures in the plot.
    transforms : by dimension, plain values.
    channels : by marker, the detector.
    library : axes shared with other plots.
    label : text alternative.
    """
    axes = [
        intensity_axis(dim, low, high, transforms.get(dim), channels.get(dim, ""))
        for dim, low, high in zip(picture.dims, picture.low, picture.high, strict=True)
    ]
    draw = _histogram if len(axes) == 1 else _density
    y = None if len(axes) == 1 else axes[1]
    return Markup(
        '<svg class="gate" viewBox="0 0 {} {}" role="img" aria-label="{}"><g transform="translate({} {})">{}</g>{}</svg>'
    ).format(WIDTH, HEIGHT, label, LEFT, TOP, draw(picture, fitted, number, axes), library.use(axes[0], y))


def _density(picture: GatePicture, fitted: FittedGate, number: PopulationCount | None, axes: list[Axis]) -> Markup:
    parts = [
        Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>').format(
            raster.density_uri(picture.counts), PLOT_SIDE, PLOT_SIDE
        )
    ]
    box = ((axes[0].low, axes[1].low), (axes[0].high, axes[1].high))
    gate = fitted.gate
    if gate is not None and outline.drawable(gate, picture.dims):
        lines = [Markup("")]
        for points in outline.bands(gate, fitted.standard_error, picture.dims, box):
            lines.append(Markup('<path class="band" d="{}"/>').format(_path(points, axes, closed=True)))
        for points, closed in outline.outline(gate, picture.dims, box):
            path = _path(points, axes, closed=closed)
            lines.append(Markup('<path class="halo" d="{0}"/><path class="cut" d="{0}"/>').format(path))
        if fitted.own is not None and outline.drawable(fitted.own, picture.dims):
            for points, closed in outline.outline(fitted.own, picture.dims, box):
                path = _path(points, axes, closed=closed)
                lines.append(Markup('<path class="halo" d="{0}"/><path class="own" d="{0}"/>').format(path))
        parts.append(Markup('<g clip-path="url(#frame)">{}</g>').format(Markup("").join(lines)))
    parts.append(_corner_label(picture, number))
    return Markup("").join(parts)


def _path(points: Any, axes: list[Axis], *, closed: bool) -> str:
    x = axes[0].fraction(points[:, 0]) * PLOT_SIDE
    y = (1 - axes[1].fraction(points[:, 1])) * PLOT_SIDE
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) + ("Z" if closed else "")


def _figures(number: PopulationCount | None) -> tuple[str, str]:
    if number is None or number.n is None:
        return "not estimable", ""
    share = 100 * number.n / number.n_parent if number.n_parent else None
    return wording.percent(share), f"n {wording.count(number.n)}"


def _corner_label(picture: GatePicture, number: PopulationCount | None) -> Markup:
    """Percentage and count in the corner with the fewest events; the top right where that is as good."""
    counts = np.asarray(picture.counts, dtype=np.float64)
    wide, high = int(np.ceil(0.4 * counts.shape[0])), int(np.ceil(0.17 * counts.shape[1]))
    corners = {
        ("end", "top"): counts[-wide:, -high:],
        ("start", "top"): counts[:wide, -high:],
        ("end", "bottom"): counts[-wide:, :high],
        ("start", "bottom"): counts[:wide, :high],
    }
    anchor, edge = min(corners, key=lambda corner: float(np.count_nonzero(corners[corner])))
    share, n = _figures(number)
    x = PLOT_SIDE - 6 if anchor == "end" else 6
    y = 15 if edge == "top" else PLOT_SIDE - 19
    return Markup(
        '<text class="share halo-text" x="{0}" y="{1}" text-anchor="{2}">{3}</text>'
        '<text class="n halo-text" x="{0}" y="{4}" text-anchor="{2}">{5}</text>'
    ).format(x, y, anchor, share, y + 13, n)


def _histogram(picture: GatePicture, fitted: FittedGate, number: PopulationCount | None, axes: list[Axis]) -> Markup:
    parts = [Markup('<path class="hist" d="{}"/>').format(_curve(picture.counts))]
    if picture.control is not None and picture.control.sum() > 0:
        parts.append(Markup('<path class="control" d="{}"/>').format(_curve(picture.control)))
    gate = fitted.gate
    if not isinstance(gate, Interval) or gate.dims != picture.dims:
        parts.append(_label_at(PLOT_SIDE / 2, "middle", number))
        return Markup("").join(parts)
    axis = axes[0]
    for low, high in outline.segments(gate, fitted.sign, axis.low, axis.high):
        parts.append(_bracket(axis, low, high))
    for cut, error in zip(outline.cuts(gate), outline.cut_errors(gate, fitted.standard_error), strict=True):
        if np.isfinite(error):
            left, right = (float(v) * PLOT_SIDE for v in np.clip(axis.fraction([cut - error, cut + error]), 0, 1))
            parts.append(
                Markup('<rect class="band" x="{}" y="0" width="{}" height="{}"/>').format(
                    f"{left:.1f}", f"{max(right - left, 0.6):.1f}", PLOT_SIDE
                )
            )
        parts.append(_upright("cut", axis, cut))
    if isinstance(fitted.own, Interval):
        parts.extend(_upright("own", axis, cut) for cut in outline.cuts(fitted.own))
    parts.append(_bracket_label(axis, gate, fitted.sign, number))
    return Markup("").join(parts)


def _curve(counts: Any) -> str:
    """A closed path under the smoothed histogram, scaled to its own peak (FlowJo's modal scale)."""
    bins = len(counts)
    step = -(-bins // raster.MAX_BINS)
    coarse = np.add.reduceat(np.asarray(counts, dtype=np.float64), np.arange(0, bins, step))
    heights = raster.smooth(coarse)
    y = PLOT_SIDE * (1 - _PEAK * heights / max(heights.max(), 1e-12))
    x = (np.arange(len(coarse)) + 0.5) * PLOT_SIDE / len(coarse)
    points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return f"M0 {PLOT_SIDE}L{points}L{PLOT_SIDE} {PLOT_SIDE}"


def _upright(kind: str, axis: Axis, at: float) -> Markup:
    fraction = float(axis.fraction(at))
    if not 0 <= fraction <= 1:
        return Markup("")
    return Markup('<path class="{}" d="M{} 0V{}"/>').format(kind, f"{fraction * PLOT_SIDE:.1f}", PLOT_SIDE)


def _bracket(axis: Axis, low: float, high: float) -> Markup:
    left, right = (float(v) * PLOT_SIDE for v in np.clip(axis.fraction([low, high]), 0, 1))
    return Markup(
        '<rect class="inside" x="{0}" y="0" width="{1}" height="{2}"/><path class="bracket" d="M{0} 40H{3}"/>'
    ).format(f"{left:.1f}", f"{right - left:.1f}", PLOT_SIDE, f"{right:.1f}")


def _bracket_label(axis: Axis, gate: Interval, sign: str, number: PopulationCount | None) -> Markup:
    stretches = outline.segments(gate, sign, axis.low, axis.high)
    if not stretches:
        return _label_at(PLOT_SIDE / 2, "middle", number)
    low, high = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
    left, right = (float(v) * PLOT_SIDE for v in axis.fraction([low, high]))
    if right - left >= 66:
        return _label_at((left + right) / 2, "middle", number)
    # Too narrow for the figures: they hang from the plot's edge and may reach beyond the cut.
    return _label_at(PLOT_SIDE - 6, "end", number) if left + right > PLOT_SIDE else _label_at(6, "start", number)


def _label_at(x: float, anchor: str, number: PopulationCount | None) -> Markup:
    share, n = _figures(number)
    return Markup(
        '<text class="share halo-text" x="{0}" y="17" text-anchor="{1}">{2}</text>'
        '<text class="n halo-text" x="{0}" y="31" text-anchor="{1}">{3}</text>'
    ).format(f"{x:.1f}", anchor, share, n)


def _axes_group(name: str, x: Axis, y: Axis | None) -> Markup:
    bottom = TOP + PLOT_SIDE
    marks = "".join(f"M{LEFT + tick.fraction * PLOT_SIDE:.1f} {bottom}v{5 if tick.major else 3}" for tick in x.ticks)
    text = [
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            f"{LEFT + tick.fraction * PLOT_SIDE:.1f}", bottom + 16, tick.label
        )
        for tick in x.ticks
        if tick.label
    ]
    if y is not None:
        marks += "".join(
            f"M{LEFT} {bottom - tick.fraction * PLOT_SIDE:.1f}h{-5 if tick.major else -3}" for tick in y.ticks
        )
        text += [
            Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
                LEFT - 8, f"{bottom - tick.fraction * PLOT_SIDE + 3.5:.1f}", tick.label
            )
            for tick in y.ticks
            if tick.label
        ]
    title_x = LEFT + PLOT_SIDE / 2
    return Markup(
        '<g id="{}" class="axes"><rect class="box" x="{}" y="{}" width="{}" height="{}"/><path d="{}"/>{}'
        '<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text class="title" transform="translate(11 {}) rotate(-90)" text-anchor="middle">{}</text></g>'
    ).format(
        name, LEFT, TOP, PLOT_SIDE, PLOT_SIDE, marks, Markup("").join(text),
        title_x, bottom + 33, escape(x.title),
        TOP + PLOT_SIDE / 2, "Events, % of peak" if y is None else escape(y.title),
    )  # fmt: skip
