"""The picture beside a matrix from single stains: one page with its diagnostics, complete in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from treg_gating.spillover import SpilloverFit

__all__ = ["spillover_page"]

_COFACTOR = 150.0
_SHOWN = 4_000  # events a panel
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.25em .6em;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child"
    "{text-align:left}img{max-width:100%}"
)


def spillover_page(fit: SpilloverFit, title: str) -> str:
    """HTML of one page: what each stain gave, the matrix, and every control before and after compensation."""
    record = fit.record
    said = [
        f"Condition number {record.condition:.2f}; largest residual slope by round: "
        + ", ".join(f"{value:.2g}" for value in record.residuals)
        + "."
    ]
    if record.without_stain:
        said.append(
            f"No single stain for {', '.join(record.without_stain)}: their rows are empty, and what a dye there spills "
            "is not compensated."
        )
    body = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in said),
        "<h2>Single stains</h2>",
        _stain_table(fit),
        "<h2>Matrix</h2><p>Row: dye; column: detector.</p>",
        _matrix_table(fit),
        "<h2>Controls</h2><p>Each row is a single stain, each column a detector against the stain's own; grey before, "
        "blue after compensation. After it the cloud lies level.</p>",
        f'<img alt="Every control before and after compensation" src="data:image/png;base64,{_picture(fit)}">',
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _stain_table(fit: SpilloverFit) -> str:
    head = (
        *("Stain", "Detector", "Positives", "Negatives", "Largest slope before", "and after"),
        *("Left between medians", "Largest spreading"),
    )
    rows = [
        (
            stain.label,
            stain.detector,
            f"{stain.n_positive:,}",
            f"{stain.n_negative:,} ({'same tube' if stain.own_negatives else 'unstained'})",
            _largest(stain.before, "{:.3f}"),
            _largest(stain.after, "{:.4f}"),
            f"{100 * max(abs(value) for value in stain.left.values()):.2f} %",
            _largest(stain.spreading, "{:.2f}"),
        )
        for stain in fit.stains
    ]
    return _table(head, rows)


def _largest(values: Any, form: str) -> str:
    name = max(values, key=lambda key: abs(values[key]))
    return f"{form.format(values[name])} ({name})"


def _matrix_table(fit: SpilloverFit) -> str:
    names = fit.spillover.channels
    rows = [(name, *(f"{value:.4f}" for value in row)) for name, row in zip(names, fit.spillover.matrix, strict=True)]
    return _table(("", *names), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _picture(fit: SpilloverFit) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, inverse = fit.spillover.channels, fit.spillover.inverse
    n = len(names)
    figure = Figure(figsize=(1.5 * n, 1.5 * len(fit.events)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(fit.events), n, squeeze=False)
    for axes, item in zip(grid, fit.events, strict=True):
        own = names.index(item.detector)
        raw = np.concatenate([part[:: max(1, len(part) // _SHOWN)] for part in (item.negative, item.positive)])
        clean = raw @ inverse
        for column, axis in enumerate(axes):
            for values, colour in ((raw, "#999999"), (clean, "#1f5fa8")):
                shown = np.arcsinh(values / _COFACTOR)
                axis.plot(shown[:, own], shown[:, column], ",", color=colour, rasterized=True)
            axis.set(xticks=[], yticks=[], xlim=(-3, 9), ylim=(-3, 9))
            axis.set_title(names[column], fontsize=6)
        axes[0].set_ylabel(item.detector, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
