"""Pictures of real controls: before and after compensation, both matrices, and why some elements differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.sample import Sample, Spillover
from treg_gating.spillover import SpilloverFit

Array = np.ndarray[Any, Any]
INK, OURS, THEIRS = "#26323d", "#1b6ca8", "#d1495b"
COFACTOR = 150.0
TICKS = (-1_000, 0, 1_000, 10_000, 100_000)
APART = (  # where this fit and the published matrix differ most, with what the picture shows
    ("APC-Cy7-A", "Qdot 605-A"),
    ("Alexa Fluor 700-A", "Alexa Fluor 405-A"),
    ("7-AAD-A", "PE-Cy7-A"),
)


def draw(fit: SpilloverFit, published: Spillover, stained: Sample, folder: Path) -> None:
    """All pictures into `folder`, as compensation_*.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("controls", controls(fit)),
        ("matrices", matrices(fit.spillover, published, [stain.detector for stain in fit.stains])),
        ("apart", apart(fit, published)),
        ("stained", both(stained, fit, published)),
    ):
        figure.savefig(folder / f"compensation_{name}.png", dpi=80)


def controls(fit: SpilloverFit) -> Any:
    """Every control with the detector its dye spills into most: raw above, compensated below."""
    names = list(fit.spillover.channels)
    figure, grid = _figure(2, len(fit.stains), 2.05, 2.2)
    for column, (stain, events) in enumerate(zip(fit.stains, fit.events, strict=True)):
        own = names.index(stain.detector)
        other = names.index(max(stain.before, key=lambda name: abs(stain.before[name])))
        for row, matrix in ((0, np.eye(len(names))), (1, fit.spillover.inverse)):
            axis, middles = grid[row][column], []
            for part, colour, size in ((events.negative, "#9aa5b0", 0.5), (events.positive, OURS, 0.8)):
                shown = _scale((part @ matrix)[:, [own, other]])
                axis.scatter(*shown[:: max(1, len(shown) // 1_500)].T, s=size, c=colour, linewidths=0, rasterized=True)
                middles.append(np.median(shown, axis=0))
            axis.plot(*np.array(middles).T, color=INK, linewidth=1.2, marker="o", markersize=3)
            _axes(axis, names[own] if row else "", names[other])
        grid[0][column].set_title(stain.label, fontsize=9)
    grid[0][0].annotate("raw", (0.03, 0.93), xycoords="axes fraction", fontsize=8, va="top")
    grid[1][0].annotate("compensated", (0.03, 0.93), xycoords="axes fraction", fontsize=8, va="top")
    return figure


def matrices(ours: Spillover, published: Spillover, own: list[str]) -> Any:
    """The rows of the six stains under both matrices, and the difference."""
    names = published.channels
    rows = [names.index(name) for name in own]
    figure, grid = _figure(3, 1, 8.2, 2.3)
    shown = (ours.matrix[rows], published.matrix[rows], (ours.matrix - published.matrix)[rows])
    titles = ("from the controls", "published", "difference; framed: more than 0.02")
    for axis, values, title in zip((row[0] for row in grid), shown, titles, strict=True):
        limit, colours = (0.06, "RdBu_r") if title.startswith("diff") else (0.6, "PuBu")
        axis.imshow(values, cmap=colours, vmin=-limit if limit < 0.1 else 0, vmax=limit, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if names[j] != own[i] and abs(value) >= 0.0005:
                dark = abs(value) > 0.6 * limit
                axis.text(j, i, f"{value:.3f}".replace("0.", ".", 1), ha="center", va="center", fontsize=6,
                          color="white" if dark else INK)  # fmt: skip
            if limit < 0.1 and abs(value) > 0.02 and names[j] != own[i]:
                axis.add_patch(_frame(j, i))
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_yticks(range(len(own)), own, fontsize=7)
        axis.set_xticks(range(len(names)), [], fontsize=7)
    grid[2][0].set_xticks(range(len(names)), names, fontsize=7, rotation=40, ha="right")
    return figure


def apart(fit: SpilloverFit, published: Spillover) -> Any:
    """Where the matrices differ most: the raw control, its medians by stretch, and the line of either matrix.

    Cells that carry the own dye alone lie along the element of the matrix, raw on raw.
    """
    names = list(published.channels)
    figure, grid = _figure(1, len(APART), 3.1, 3.0)
    detectors = [stain.detector for stain in fit.stains]
    for axis, (own, other) in zip(grid[0], APART, strict=True):
        events = fit.events[detectors.index(own)]
        a, b = names.index(own), names.index(other)
        every = np.concatenate([events.negative, events.positive])[:, [a, b]]
        axis.scatter(*every[:: max(1, len(every) // 2_500)].T, s=0.8, c="#b8c1ca", linewidths=0, rasterized=True)
        start = np.median(events.negative[:, [a, b]], axis=0)
        parts = np.array_split(events.positive[np.argsort(events.positive[:, a])][:, [a, b]], 12)
        medians = np.array([np.median(part, axis=0) for part in parts])
        axis.plot(*medians.T, "o", color=INK, markersize=3.5)
        end, heights = 1.15 * float(medians[-1, 0]), [*medians[:, 1]]
        for matrix, colour, word in ((fit.spillover, OURS, "ours"), (published, THEIRS, "published")):
            line = [start[1], start[1] + float(matrix.matrix[a, b]) * (end - start[0])]
            heights.append(line[1])
            axis.plot([start[0], end], line, color=colour, linewidth=1.4, label=f"{word} {matrix.matrix[a, b]:.3f}")
        low, high = min(heights), max(heights)
        axis.set(xlim=(min(0, start[0]), end), ylim=(low - 0.3 * (high - low), high + 0.3 * (high - low)))
        axis.set_xlabel(f"{own}, raw", fontsize=8)
        axis.set_ylabel(f"{other}, raw", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(frameon=False, fontsize=7, loc="upper left")
    return figure


def both(sample: Sample, fit: SpilloverFit, published: Spillover) -> Any:
    """The stained sample on every pair of neighbouring stained detectors, under this matrix and the published one."""
    names = published.channels
    raw = np.stack([sample.column(name).astype(np.float64) for name in names], axis=1)
    own = [names.index(stain.detector) for stain in fit.stains]
    pairs = [(a, b) for k, a in enumerate(own) for b in own[k + 1 : k + 2]] + [(own[0], own[-1])]
    figure, grid = _figure(2, len(pairs), 2.05, 2.2)
    for axes, matrix, title in zip(grid, (fit.spillover, published), ("ours", "published"), strict=True):
        shown = _scale(raw @ matrix.inverse)
        for axis, (a, b) in zip(axes, pairs, strict=True):
            axis.hist2d(shown[:, a], shown[:, b], bins=90, range=[(-4, 8)] * 2, norm="log", cmap="viridis")
            _axes(axis, names[a], names[b])
        axes[0].annotate(title, (0.03, 0.95), xycoords="axes fraction", fontsize=8, va="top")
    return figure


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1)


def _scale(values: Array) -> Array:
    return np.arcsinh(values / COFACTOR)


def _axes(axis: Any, x: str, y: str) -> None:
    places, labels = _scale(np.array(TICKS, dtype=float)), ("-1k", "0", "1k", "10k", "100k")
    axis.set_xticks(places, labels, fontsize=6)
    axis.set_yticks(places, labels, fontsize=6)
    axis.set(xlim=(-4, 8), ylim=(-4, 8))
    axis.set_xlabel(x, fontsize=7)
    axis.set_ylabel(y, fontsize=7)
    axis.spines[["top", "right"]].set_visible(False)
