"""Figures of a cohort, the bars they are held to, and their picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FACTOR = 2.0  # a number further from the truth than this, without a flag, is silently absurd


@dataclass(frozen=True)
class Bars:
    """What a kind of cohort is held to: percent, except slope, CCC and the ceiling."""

    ceiling: tuple[float, float]
    cv: float
    bias: float
    slope: float
    ccc: float
    difference: float
    f1_share: float


BARS = {
    "foxp3": Bars((0.92, 0.96), 3.5, 4, 0.03, 0.99, 2, 96),
    "surface": Bars((0.86, 0.91), 6, 8, 0.06, 0.97, 4, 95),
    "hard": Bars((0.88, 0.93), 5, 6, 0.04, 0.985, 3, 95),
    "smeared": Bars((0.85, 0.92), 7, 8, 0.06, 0.97, 5, 93),
}


@dataclass(frozen=True)
class Figures:
    """One method on one cohort; NaN where fewer than three tubes have a number.

    Parameters
    ----------
    tubes, missing : sample tubes, and those without a number. flagged : tubes with a flag that asks for review.
    absurd : tubes off by more than a factor of two. silent : those of them that carry no flag.
    cv : 100 SD of ln(estimate / truth), percent. bias : 100 (exp(mean of it) − 1). slope : of ln estimate on ln truth.
    ccc : Lin's concordance of the percentages. difference : largest difference of mean ln ratio between two arms or two
        visits, times 100. f1 : median over tubes. f1_share : of the cohort's Bayes ceiling, percent.
    """

    tubes: int
    missing: int
    flagged: int
    absurd: int
    silent: int
    cv: float
    bias: float
    slope: float
    ccc: float
    difference: float
    f1: float
    f1_share: float


def figures(rows: list[dict[str, Any]], method: str, ceiling: float, *, own_flags: bool) -> Figures:
    """Figures of a method; `own_flags` says whether the rows' flags are those of this method (others have none)."""
    usable = [row for row in rows if row["estimate"][method] >= 0]
    flags = [bool(row["flags"]) and own_flags for row in usable]
    truth = np.array([row["truth"] for row in usable])
    value = np.array([row["estimate"][method] for row in usable])
    with np.errstate(divide="ignore"):
        off = np.abs(np.log(value / truth)) > np.log(FACTOR)  # 0 % is infinitely far off
    silent = int((off & ~np.array(flags, dtype=bool)).sum())
    scores = [row["f1"][method] for row in usable if np.isfinite(row["f1"][method])]
    f1 = float(np.median(scores)) if scores else np.nan
    counts = (len(rows), len(rows) - len(usable), sum(flags), int(off.sum()), silent)
    ratio = _ratio([row for row, number in zip(usable, value, strict=True) if number > 0], method)
    return Figures(*counts, *ratio, f1, 100 * f1 / ceiling)


def _ratio(rows: list[dict[str, Any]], method: str) -> tuple[float, float, float, float, float]:
    """CV, bias, slope, CCC and greatest difference of bias, of tubes whose number is above 0."""
    if len(rows) < 3:
        return (np.nan,) * 5
    truth = np.array([row["truth"] for row in rows])
    value = np.array([row["estimate"][method] for row in rows])
    log = np.log(value / truth)
    slope = np.cov(np.log(truth), np.log(value))[0, 1] / np.var(np.log(truth), ddof=1)
    concordance = 2 * np.cov(truth, value)[0, 1]
    concordance /= truth.var(ddof=1) + value.var(ddof=1) + (truth.mean() - value.mean()) ** 2
    spans = []
    for key in ("arm", "visit"):
        means = [log[[row[key] == level for row in rows]].mean() for level in {row[key] for row in rows}]
        spans.append(max(means) - min(means))
    bias = 100 * (np.exp(log.mean()) - 1)
    return 100 * float(log.std(ddof=1)), float(bias), float(slope), float(concordance), 100 * float(max(spans))


def verdicts(kind: str, found: Figures, ceiling: float) -> list[tuple[str, str, str, bool]]:
    """(what, figure, bar, met) of a cohort; kinds without bars of their own are held to the last line alone."""
    lines: list[tuple[str, str, str, bool]] = []
    bars = BARS.get(kind)
    if bars is not None:
        low, high = bars.ceiling
        if np.isfinite(ceiling):
            lines.append(("Bayes ceiling of F1", f"{ceiling:.3f}", f"{low:.2f}–{high:.2f}", low <= ceiling <= high))
        lines += [
            ("residual CV", f"{found.cv:.1f} %", f"≤ {bars.cv:g} %", found.cv <= bars.cv),
            ("mean bias", f"{found.bias:+.1f} %", f"≤ {bars.bias:g} %", abs(found.bias) <= bars.bias),
            (
                "log-log slope",
                f"{found.slope:.3f}",
                f"{1 - bars.slope:.2f}–{1 + bars.slope:.2f}",
                abs(found.slope - 1) <= bars.slope,
            ),
            ("Lin's CCC", f"{found.ccc:.4f}", f"≥ {bars.ccc:g}", found.ccc >= bars.ccc),
            (
                "difference of bias between arms or visits",
                f"{found.difference:.1f} %",
                f"≤ {bars.difference:g} %",
                found.difference <= bars.difference,
            ),
        ]
        if np.isfinite(ceiling):
            share = f"{found.f1_share:.1f} % ({found.f1:.3f})"
            lines.append(("F1, share of the ceiling", share, f"≥ {bars.f1_share:g} %", found.f1_share >= bars.f1_share))
    lines.append(("silently absurd", str(found.silent), "0", found.silent == 0))
    return lines


COLUMNS = (
    "tubes",
    "no estimate",
    "flagged",
    "CV %",
    "bias %",
    "slope",
    "CCC",
    "diff %",
    "F1",
    "of ceiling %",
    "absurd",
)


def cells(found: Figures) -> tuple[str, ...]:
    """A method's figures in the order of ``COLUMNS``; blank where there is none."""
    numbers = (
        (found.cv, ".1f"),
        (found.bias, "+.1f"),
        (found.slope, ".3f"),
        (found.ccc, ".4f"),
        (found.difference, ".1f"),
        (found.f1, ".3f"),
        (found.f1_share, ".1f"),
    )
    middle = [format(number, form) if np.isfinite(number) else "" for number, form in numbers]
    absurd = f"{found.silent} of {found.absurd} silent" if found.absurd else "0"
    return (str(found.tubes), str(found.missing), str(found.flagged), *middle, absurd)


STYLES = {
    "gmm": ("#c7c7c7", "s"),
    "flowkit": ("#c99bb8", "D"),
    "static": ("#e0b070", "^"),
    "valley": ("#9bb7d4", "v"),
    "treg-gating": ("#1f3d5c", "o"),
}


def plot(cohorts: list[Any], path: Path) -> None:
    """Estimate against truth, a panel a cohort."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    wide = min(4, len(cohorts))
    high = -(-len(cohorts) // wide)
    figure, axes = plt.subplots(high, wide, figsize=(4 * wide, 4 * high), squeeze=False, layout="constrained")
    limits, ticks = (0.5, 50), [0.5, 1, 2, 5, 10, 20, 50]
    seen: dict[str, Any] = {}
    for axis in axes.flat[len(cohorts) :]:
        axis.set_visible(False)
    for axis, cohort in zip(axes.flat, cohorts, strict=False):
        for method, (colour, marker) in STYLES.items():
            pairs = [(row["truth"], row["estimate"].get(method, np.nan)) for row in cohort.rows]
            pairs = [(true, max(number, limits[0])) for true, number in pairs if number >= 0]
            if pairs:
                x, y = zip(*pairs, strict=True)
                dots = axis.scatter(x, y, s=14, c=colour, marker=marker, linewidths=0, clip_on=False)
                seen.setdefault(method, dots)
        axis.plot(limits, limits, color="#555", linewidth=0.8, zorder=0)
        axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits, title=f"{cohort.kind}, seed {cohort.seed}")
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("true Treg, % of CD4 T")
    figure.supylabel("estimated, % of CD4 T")
    axes[0][0].legend(seen.values(), seen, loc="upper left", frameon=False, fontsize=8, handletextpad=0.2)
    figure.savefig(path, dpi=110)
    plt.close(figure)
