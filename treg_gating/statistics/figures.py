"""Three figures as SVG: individual profiles, adjusted geometric means by visit, forest of the contrasts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from treg_gating.statistics.analysis import StudyAnalysis
from treg_gating.statistics.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["adjusted_means", "forest", "profiles"]

# Okabe and Ito's colours are told apart by colour-blind readers; markers differ too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, columns, squeeze=False, sharey=columns > 1)
    return figure, list(axes[0])


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    settings: dict[Any, Any] = {"svg.hashsalt": "treg-gating", "svg.fonttype": "path"}
    with mpl.rc_context(settings):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _log_axis(axes: Axes, which: str) -> None:
    """A log axis with plain numbers at few ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    # The wider the axis, the fewer ticks fit beside each other.
    digits = (
        (1, 1.5, 2, 3, 5, 7)
        if high < 15 * low
        else (1, 2, 5)
        if high < 100 * low
        else (1, 3)
        if high < 500 * low
        else (1,)
    )
    steps = [digit * 10.0**power for power in range(-6, 6) for digit in digits]
    axis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def profiles(analysis: StudyAnalysis) -> str:
    """Every subject's values over the visits, one panel an arm, log axis."""
    trial = analysis.trial
    visits = (trial.baseline_visit, *trial.visits)
    values = np.column_stack([trial.baseline, trial.values])
    values = np.where(values > 0, values, np.nan)
    figure, panels = _figure(3.0 * trial.n_arms, 3.0, trial.n_arms)
    for number, axes in enumerate(panels):
        for row in values[trial.arm == number]:
            axes.plot(range(len(visits)), row, "-o", color=_COLOURS[number % 6], alpha=0.55, markersize=3, linewidth=1)
        axes.set_title(f"{trial.arms[number]} (n {int(np.sum(trial.arm == number))})", fontsize=9)
        axes.set_xticks(range(len(visits)), visits, rotation=30, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    if np.isfinite(values).any():
        panels[0].set_ylim(np.nanmin(values) / 1.15, np.nanmax(values) * 1.15)
        for axes in panels:
            _log_axis(axes, "y")
    panels[0].set_ylabel(analysis.label, fontsize=8)
    return _svg(figure)


def adjusted_means(analysis: StudyAnalysis) -> str:
    """Adjusted geometric means of the MMRM by visit with 95 % intervals; empty where there is no MMRM."""
    model, trial = analysis.mixed, analysis.trial
    if model is None:
        return ""
    figure, (axes,) = _figure(5.2, 3.2)
    for number, name in enumerate(trial.arms):
        means = [comparison.means[number] for comparison in model.by_visit]
        at = np.array(model.visits) + 0.08 * (number - (trial.n_arms - 1) / 2)
        centre = np.exp([mean.estimate for mean in means])
        bars = np.exp([[mean.low for mean in means], [mean.high for mean in means]])
        axes.errorbar(
            at,
            centre,
            yerr=np.abs(bars - centre),
            fmt=f"-{_MARKERS[number % 6]}",
            color=_COLOURS[number % 6],
            label=name,
            capsize=3,
            markersize=5,
            linewidth=1.2,
        )
    axes.set_xticks(list(model.visits), [trial.visits[at] for at in model.visits])
    axes.spines[["top", "right"]].set_visible(False)
    _log_axis(axes, "y")
    axes.set_ylabel(f"{analysis.label}\nadjusted geometric mean", fontsize=8)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def forest(analysis: StudyAnalysis) -> str:
    """Ratios of the arms at the endpoint's visit by every analysis on the log scale."""
    results = [analysis.primary, analysis.mixed_primary, *analysis.sensitivity]
    shown = [(r.title, r.comparison) for r in results if r.comparison is not None and _has_ratios(r.comparison)]
    if not shown:
        return ""
    n_pairs = len(shown[0][1].contrasts)
    height = 0.7 + n_pairs * (0.3 + 0.22 * len(shown))
    figure, (axes,) = _figure(8.0, height)
    labels: list[str] = []
    at = 0
    for pair in range(n_pairs):
        for number, (title, comparison) in enumerate(shown):
            contrast = comparison.contrasts[pair]
            values = np.exp([contrast.estimate, contrast.low, contrast.high])
            bars = [[values[0] - values[1]], [values[2] - values[0]]]
            primary = number == 0
            axes.errorbar(
                values[0],
                -at,
                xerr=bars,
                fmt="s" if primary else "o",
                capsize=2,
                markersize=5 if primary else 3,
                color="black" if primary else "#555555",
                linewidth=1.6 if primary else 0.9,
            )
            arms = analysis.arms.names
            labels.append(f"{arms[contrast.second]} / {arms[contrast.first]}: {title}" if primary else title)
            at += 1
        at += 1
        labels.append("")
    axes.set_yticks([-position for position in range(len(labels))], labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.axvline(1.0, color="#999999", linewidth=0.8)
    _log_axis(axes, "x")
    axes.set_xlabel("ratio with 95 % interval (log axis)", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return _svg(figure)


def _has_ratios(comparison: Comparison) -> bool:
    if comparison.scale != "log":
        return False
    return all(np.isfinite([c.estimate, c.low, c.high]).all() for c in comparison.contrasts)
