"""Pictures of the results: throughput against events, workers, share of time by stage, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from speed import fixed_pipelines as fixed

__all__ = ["draw"]

_WAYS = (fixed.FLOOR, fixed.OURS_NO_HASH, fixed.OURS, fixed.BY_HAND, fixed.FLOWKIT, fixed.SESSION)
_ADAPTIVE = "treg-gating, adaptive, both passes"
_PARTS = ("start_up", "first", "learning", "second", "outputs")
_NAMES = ("start-up", "pass 1", "learning", "pass 2", "tables and report")


def draw(results: Mapping[str, Any], folder: Path, *, prefix: str = "") -> list[Path]:
    """Every picture whose modes were run, as SVG."""
    made = []
    for mode, name, picture in (
        ("fixed", "throughput", _throughput),
        ("workers", "workers", _workers),
        ("cohort", "cohort", _cohort),
        ("memory", "memory", _memory),
    ):
        if mode in results:
            path = folder / f"{prefix}{name}.svg"
            figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
            picture(results, axes)
            axes.spines[["top", "right"]].set_visible(False)
            figure.savefig(path, metadata={"Date": None})
            plt.close(figure)
            made.append(path)
    return made


def _throughput(results: Mapping[str, Any], axes: Any) -> None:
    lines = {name: [(row["events"], row["events"] / row["seconds"][name] / 1e6) for row in results["fixed"]]
             for name in _WAYS}  # fmt: skip
    lines[_ADAPTIVE] = [(r["events"], r["events"] / r["seconds"][_ADAPTIVE] / 1e6) for r in results.get("adaptive", ())]
    for name, points in lines.items():
        if points:
            ours = name.startswith("treg-gating")
            axes.plot(*zip(*points, strict=True), marker="o", ms=4, lw=2.2 if ours else 1.2,
                      ls="-" if ours else "--", label=name)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="events of a tube", ylabel="million events a second")
    axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.3))


def _stacked(axes: Any, labels: Sequence[str], runs: Sequence[Mapping[str, Any]], scale: Sequence[float]) -> None:
    left = [0.0] * len(runs)
    for part, name in zip(_PARTS, _NAMES, strict=True):
        values = [run[part] / by for run, by in zip(runs, scale, strict=True)]
        axes.barh(labels, values, left=left, label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))


def _workers(results: Mapping[str, Any], axes: Any) -> None:
    found = results["workers"]
    runs = found["runs"]
    _stacked(axes, list(runs), list(runs.values()), [1.0] * len(runs))
    axes.set_xlabel(f"seconds for {found['tubes']} tubes of {found['events']:,} events")


def _cohort(results: Mapping[str, Any], axes: Any) -> None:
    runs = results["cohort"]["runs"]
    _stacked(axes, [f"{int(n):,} tubes" for n in runs], list(runs.values()), [r["tubes"] / 1e3 for r in runs.values()])
    axes.set_xlabel("milliseconds a tube" + ("" if results["cohort"]["real"] else " (answers from a store)"))


def _memory(results: Mapping[str, Any], axes: Any) -> None:
    found = results["memory"]
    axes.barh(list(found), list(found.values()))
    axes.axvline(1, color="0.4", lw=1, ls=":")
    axes.set_xlabel("peak memory over the import baseline, × DATA")
