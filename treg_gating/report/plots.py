"""Gates of one sample as one figure for print: PNG, SVG or PDF by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treg_gating.gating.gates import Interval
from treg_gating.report import outline, raster, wording
from treg_gating.report.gateplot import best_corner, gate_axes, share_and_count

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from treg_gating.gating.results import FittedGate, GatePicture, PopulationCount, SampleResult
    from treg_gating.report.axes import Axis
    from treg_gating.run.record import RunRecord

__all__ = ["sample_figure", "write_sample_figure"]

_INK, _SOFT, _RULE, _DATA, _BAND, _OWN = "#101820", "#586675", "#8b98a5", "#2c5d8a", "#e07b1a", "#b4500a"
_COLUMNS = 4
_SIDE = 1.55  # inches of a plot's square
_PEAK = 0.74


def sample_figure(result: SampleResult, record: RunRecord, columns: int = _COLUMNS) -> Figure:
    """All gates of one sample, in the order of the template.

    Parameters
    ----------
    result : a tube that was processed, with its pictures.
    record : the run it belongs to.
    columns : plots a row.

    Raises
    ------
    ValueError
        The tube has no picture: it failed, or the run kept none.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not result.pictures:
        msg = f"tube {result.tube_id} has no gate pictures (status {result.status}): nothing to draw"
        raise ValueError(msg)
    rows = -(-len(result.pictures) // columns)
    width, height = columns * (_SIDE + 0.72) + 0.1, rows * (_SIDE + 0.98) + 0.42
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    gates = {gate.population: gate for gate in result.gates}
    channels = {marker: channel for marker, channel, _ in result.panel}
    for i, picture in enumerate(result.pictures):
        row, column = divmod(i, columns)
        left, bottom = 0.6 + column * (_SIDE + 0.72), height - 0.86 - row * (_SIDE + 0.98) - _SIDE
        panel = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
        axes = gate_axes(picture, result.transforms, channels)
        _frame(panel, axes)
        number, gate = result.count(picture.population), gates.get(picture.population)
        draw = _histogram if len(axes) == 1 else _density
        draw(panel, picture, gate, number, axes)
        _headings(panel, picture, number)
    head = " · ".join(part for part in (result.subject or result.tube_id, result.visit, result.file) if part)
    foot = f"{record.template.name} {record.template.version}"
    figure.text(0.6 / width, 1 - 0.14 / height, _plain(head), size=9, weight="bold", color=_INK, va="top")
    figure.text(1 - 0.1 / width, 1 - 0.14 / height, _plain(foot), size=7.5, color=_SOFT, va="top", ha="right")
    return figure


def write_sample_figure(result: SampleResult, record: RunRecord, path: Path, dpi: int = 300) -> None:
    """Write :func:`sample_figure` to `path`; the ending (.png, .svg, .pdf) says as what."""
    from matplotlib import rc_context

    # Text stays text in SVG and PDF, and the same figure gives the same bytes.
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "treg-gating"}):
        stamp = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None} if path.suffix == ".pdf" else None
        sample_figure(result, record).savefig(path, dpi=dpi, metadata=stamp)


def _plain(text: str) -> str:
    """Text in which no dollar sign starts a formula."""
    return text.replace("$", r"\$")


def _frame(panel: Axes, axes: list[Axis]) -> None:
    panel.tick_params(colors=_RULE, labelcolor=_SOFT, labelsize=6.5, length=3, width=0.6, pad=2)
    panel.tick_params(which="minor", length=1.8, width=0.5, color=_RULE)
    for spine in panel.spines.values():
        spine.set(color=_RULE, linewidth=0.7)
    for axis, side in zip(axes, ("x", "y"), strict=False):
        ticker = panel.xaxis if side == "x" else panel.yaxis
        major, minor = ([t for t in axis.ticks if t.major == kind] for kind in (True, False))
        ticker.set_ticks([_at(axis, t.fraction) for t in major], [_label(t.label, t.power) for t in major])
        ticker.set_ticks([_at(axis, t.fraction) for t in minor], minor=True)
        ticker.set_label_text(_plain(axis.title), size=7, color=_INK)
        ticker.labelpad = 2
    panel.set_xlim(axes[0].low, axes[0].high)
    if len(axes) == 1:
        panel.set_ylim(0, 1)
        panel.set_yticks([])
        panel.set_ylabel("Events, % of peak", size=7, color=_INK)
    else:
        panel.set_ylim(axes[1].low, axes[1].high)


def _at(axis: Axis, fraction: float) -> float:
    return axis.low + fraction * (axis.high - axis.low)


def _label(base: str, power: str) -> str:
    return rf"{base}$^{{{power}}}$" if power else base


def _headings(panel: Axes, picture: GatePicture, number: PopulationCount | None) -> None:
    parent = f"of {wording.population_name(picture.parent)}"
    if number is not None and number.n_parent is not None:
        parent += f", n {wording.count(number.n_parent)}"
    title = _plain(wording.population_name(picture.population))
    panel.text(0, 1.12, title, size=7.5, weight="bold", color=_INK, transform=panel.transAxes)
    panel.text(0, 1.03, _plain(parent), size=6.5, color=_SOFT, transform=panel.transAxes)


def _figures(panel: Axes, x: float, y: float, align: str, number: PopulationCount | None) -> None:
    from matplotlib.patheffects import withStroke

    share, n = share_and_count(number)
    halo = [withStroke(linewidth=2, foreground="white", alpha=0.9)]
    style: dict[str, Any] = {"ha": align, "color": _INK, "transform": panel.transAxes, "path_effects": halo}
    panel.text(x, y, share, size=7.5, weight="bold", va="top", **style)
    panel.text(x, y - 0.085, n, size=6.2, va="top", **style)


def _density(
    panel: Axes, picture: GatePicture, fitted: FittedGate | None, number: PopulationCount | None, axes: list[Axis]
) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patheffects import withStroke

    levels = raster.density_levels(picture.counts)
    extent = (axes[0].low, axes[0].high, axes[1].low, axes[1].high)
    panel.imshow(
        levels.T, origin="lower", extent=extent, aspect="auto", interpolation="nearest",
        cmap=ListedColormap(raster.palette() / 255), vmin=0, vmax=raster.LEVELS,
    )  # fmt: skip
    drawn = []
    box = ((axes[0].low, axes[1].low), (axes[0].high, axes[1].high))
    if fitted is not None and fitted.gate is not None and outline.drawable(fitted.gate, picture.dims):
        for points in outline.bands(fitted.gate, fitted.standard_error, picture.dims, box):
            panel.fill(points[:, 0], points[:, 1], color=_BAND, alpha=0.32, linewidth=0)
        for gate, colour, dash in ((fitted.gate, _INK, "-"), (fitted.own, _OWN, (0, (3, 2)))):
            if gate is None or not outline.drawable(gate, picture.dims):
                continue
            for points, closed in outline.outline(gate, picture.dims, box):
                line = np.vstack([points, points[:1]]) if closed else points
                halo = [withStroke(linewidth=2.4, foreground="white", alpha=0.85)]
                panel.plot(line[:, 0], line[:, 1], color=colour, linestyle=dash, linewidth=1, path_effects=halo)
                drawn.append(np.column_stack([axis.fraction(line[:, i]) for i, axis in enumerate(axes)]))
    right, top = best_corner(picture, drawn)
    _figures(panel, 0.97 if right else 0.03, 0.97 if top else 0.18, "right" if right else "left", number)


def _histogram(
    panel: Axes, picture: GatePicture, fitted: FittedGate | None, number: PopulationCount | None, axes: list[Axis]
) -> None:
    axis = axes[0]
    heights = _PEAK * raster.display_histogram(picture.counts)
    x = axis.low + (np.arange(len(heights)) + 0.5) * (axis.high - axis.low) / len(heights)
    panel.fill_between(x, heights, color="#c3d3e2", linewidth=0)
    panel.plot(x, heights, color=_DATA, linewidth=0.8)
    if picture.control is not None and picture.control.sum() > 0:
        control = _PEAK * raster.display_histogram(picture.control)
        grid = axis.low + (np.arange(len(control)) + 0.5) * (axis.high - axis.low) / len(control)
        panel.plot(grid, control, color="#545f6a", linewidth=0.8, linestyle=(0, (1.5, 1.5)))
    gate = fitted.gate if fitted is not None else None
    if fitted is None or not isinstance(gate, Interval) or gate.dims != picture.dims:
        _figures(panel, 0.5, 0.97, "center", number)
        return
    stretches = outline.segments(gate, fitted.sign, axis.low, axis.high)
    for low, high in stretches:
        panel.axvspan(low, high, color=_DATA, alpha=0.07, linewidth=0)
        panel.plot([low, high], [0.787, 0.787], color=_INK, linewidth=0.7)
    for cut, error in zip(outline.cuts(gate), outline.cut_errors(gate, fitted.standard_error), strict=True):
        if np.isfinite(error):
            panel.axvspan(cut - error, cut + error, color=_BAND, alpha=0.32, linewidth=0)
        panel.axvline(cut, color=_INK, linewidth=1)
    for cut in outline.cuts(fitted.own) if isinstance(fitted.own, Interval) else ():
        panel.axvline(cut, color=_OWN, linewidth=0.9, linestyle=(0, (3, 2)))
    low, high = max(stretches, key=lambda stretch: stretch[1] - stretch[0], default=(axis.low, axis.high))
    left, right = (float(axis.fraction(v)) for v in (low, high))
    if right - left >= 0.35:
        _figures(panel, (left + right) / 2, 0.97, "center", number)
    else:
        beyond = left + right > 1
        _figures(panel, 0.97 if beyond else 0.03, 0.97, "right" if beyond else "left", number)
