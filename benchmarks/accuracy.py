"""Accuracy of Treg percentages against simulated truth, side by side with simpler ways to gate.

    python benchmarks/accuracy.py --kinds foxp3,surface,hard,smeared --seeds 9001 --subjects 30 --events 60000

For every kind of cohort and seed: simulate, run this package's template (the three functions of the pipeline, one tube
after the other), and three comparators on the very same CD4 T cells:

- valley: independent valleys on CD25, CD127 and FOXP3; where one has none, no estimate;
- static: median ± 2 robust SD of the first tube's CD4 T cells on every marker, applied to all tubes;
- gmm: scikit-learn's GaussianMixture per tube (three components), the component with the highest CD25 and FOXP3
  and the lowest CD127 taken for Tregs.

Prints a Markdown table and writes a PNG of estimate against truth. Figures: residual CV = 100 SD(ln ratio), bias =
100 (exp(mean ln ratio) − 1), log-log slope, Lin's concordance, largest difference of bias between arms or visits,
number off by more than a factor of two.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from treg_gating import pipeline
from treg_gating.errors import GateFitError
from treg_gating.gating.method import FitContext
from treg_gating.gating.methods.valley import Valley
from treg_gating.gating.template import load_template
from treg_gating.samplesheet import Role, read_samplesheet
from treg_gating.simulate import simulate_to_folder
from treg_gating.study import read_study

TEMPLATES = {"surface": "treg_surface"}
DIRECTION = {"CD25": 1.0, "CD127": -1.0, "FOXP3": 1.0}


def main() -> None:
    arguments = _arguments()
    rows: list[tuple[str, ...]] = []
    points: dict[str, Any] = {}
    for kind in arguments.kinds.split(","):
        for seed in (int(text) for text in arguments.seeds.split(",")):
            with tempfile.TemporaryDirectory() as scratch:
                found = measure(kind, seed, arguments.subjects, arguments.events, Path(scratch))
            points[f"{kind} {seed}"] = found
            for method in ("treg-gating", "valley", "static", "gmm"):
                rows.append((kind, str(seed), method, *figures(found, method)))
                print("| " + " | ".join(rows[-1]) + " |", flush=True)
    print("\n| cohort | seed | method | tubes | no estimate | CV % | bias % | slope | CCC | diff % | > factor 2 |")
    print("| " + " | ".join(["---"] * 11) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    plot(points, Path(arguments.plot))


def measure(kind: str, seed: int, subjects: int, events: int, folder: Path) -> list[dict[str, Any]]:
    """One row a tube: truth, arm, visit, and the estimate of every method, in percent of CD4 T."""
    made = simulate_to_folder(kind, folder / "cohort", seed=seed, subjects=subjects, events=events)
    study = read_study(made.study)
    sheet = read_samplesheet(made.sheet, study=study)
    settings = pipeline.RunSettings(load_template(TEMPLATES.get(kind, "treg_foxp3")), study)
    taking_part = [tube for tube in sheet.tubes if tube.role in (Role.SAMPLE, Role.CONTROL, Role.FMO)]
    fits = {tube.tube_id: pipeline.first_pass(tube, settings) for tube in taking_part}
    cohort = pipeline.between_passes(sheet.tubes, fits, settings)
    with made.truth.open(encoding="utf-8") as file:
        truth = {(row["subject"], row["visit"]): row for row in csv.DictReader(file)}
    rows: list[dict[str, Any]] = []
    fixed: dict[str, float] = {}
    for tube in taking_part:
        if tube.role is not Role.SAMPLE:
            continue
        true = truth[tube.subject, tube.visit]
        result = pipeline.second_pass(tube, settings, cohort, fits[tube.tube_id])
        top, bottom = result.count("treg"), result.count("cd4_t")
        ours = 100 * top.n / bottom.n if top and bottom and top.n is not None and bottom.n else np.nan
        marked = any(flag.level != "note" for flag in result.flags)
        cells, names = cd4_cells(tube, settings, fits[tube.tube_id])
        fixed = fixed or static_thresholds(cells, names)
        rows.append(
            {
                "truth": float(true["treg_pct_of_cd4"]),
                "arm": true["arm"],
                "visit": tube.visit,
                "flagged": marked,
                "treg-gating": ours,
                "valley": by_thresholds(cells, names, valley_thresholds(cells, names)),
                "static": by_thresholds(cells, names, fixed),
                "gmm": by_mixture(cells, names),
            }
        )
    return rows


def cd4_cells(tube: Any, settings: Any, fit: Any) -> tuple[np.ndarray[Any, Any], list[str]]:
    """CD4 T cells of a tube by its own gates of pass 1, in gate units."""
    ready = pipeline._prepare(tube, settings)
    rows = ready.view.clean
    for name in settings.template.path("cd4_t"):
        gate = fit.gates[name]
        if gate.gate is None:
            continue
        values = ready.view.values(gate.gate.dims, rows)
        inside = gate.gate.contains(values)
        rows = rows[inside if gate.sign == "+" else ~inside]
    names = [name for name in DIRECTION if name in ready.view.measured]
    return ready.view.values(names, rows), names


def valley_thresholds(cells: np.ndarray[Any, Any], names: list[str]) -> dict[str, float]:
    """A valley on each marker; NaN where there is none."""
    cuts = {}
    for at, name in enumerate(names):
        column = cells[:, [at]]
        try:
            cuts[name] = Valley().fit(FitContext((name,), column, lambda _, c=column: c)).gate.low  # type: ignore[attr-defined]
        except GateFitError:
            cuts[name] = np.nan
    return cuts


def static_thresholds(cells: np.ndarray[Any, Any], names: list[str]) -> dict[str, float]:
    """What a person might set on the first tube and leave: median ± 2 robust SD in the marker's direction."""
    centre = np.median(cells, axis=0)
    spread = 1.4826 * np.median(np.abs(cells - centre), axis=0)
    return {name: float(centre[at] + DIRECTION[name] * 2 * spread[at]) for at, name in enumerate(names)}


def by_thresholds(cells: np.ndarray[Any, Any], names: list[str], cuts: dict[str, float]) -> float:
    if not all(np.isfinite(cuts[name]) for name in names):
        return np.nan
    inside = np.all([(cells[:, at] - cuts[name]) * DIRECTION[name] >= 0 for at, name in enumerate(names)], axis=0)
    return 100 * float(inside.mean())


def by_mixture(cells: np.ndarray[Any, Any], names: list[str]) -> float:
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(3, random_state=0, reg_covar=1e-5).fit(cells)
    score = (model.means_ - model.means_.mean(axis=0)) @ np.array([DIRECTION[name] for name in names])
    return 100 * float(model.predict_proba(cells)[:, int(np.argmax(score))].mean())


def figures(rows: list[dict[str, Any]], method: str) -> tuple[str, ...]:
    usable = [row for row in rows if row[method] > 0]
    missing = len(rows) - len(usable)
    if len(usable) < 3:
        return (str(len(rows)), str(missing), "", "", "", "", "", "")
    truth, value = (np.array([row[key] for row in usable]) for key in ("truth", method))
    log = np.log(value / truth)
    slope = np.cov(np.log(truth), np.log(value))[0, 1] / np.var(np.log(truth), ddof=1)
    concordance = 2 * np.cov(truth, value)[0, 1]
    concordance /= truth.var(ddof=1) + value.var(ddof=1) + (truth.mean() - value.mean()) ** 2
    spans = []
    for key in ("arm", "visit"):
        means = [log[[row[key] == level for row in usable]].mean() for level in {row[key] for row in usable}]
        spans.append(max(means) - min(means))
    return (
        str(len(rows)),
        str(missing),
        f"{100 * log.std(ddof=1):.1f}",
        f"{100 * (np.exp(log.mean()) - 1):+.1f}",
        f"{slope:.3f}",
        f"{concordance:.4f}",
        f"{100 * max(spans):.1f}",
        str(int((np.abs(log) > np.log(2)).sum())),
    )


def plot(points: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(points), figsize=(4.2 * len(points), 4.2), squeeze=False, layout="constrained")
    styles = {
        "gmm": ("#c7c7c7", "s"),
        "static": ("#e0b070", "^"),
        "valley": ("#9bb7d4", "v"),
        "treg-gating": ("#1f3d5c", "o"),
    }
    for axis, (title, rows) in zip(axes[0], points.items(), strict=True):
        for method, (colour, marker) in styles.items():
            pairs = [(row["truth"], row[method]) for row in rows if row[method] > 0]
            if pairs:
                axis.scatter(*zip(*pairs, strict=True), s=14, c=colour, marker=marker, label=method, linewidths=0)
        limits = (1, 40)
        axis.plot(limits, limits, color="#555", linewidth=0.8)
        axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits, title=title, xlabel="true Treg, % of CD4 T")
        ticks = [1, 2, 5, 10, 20, 40]
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.set_yticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    axes[0][0].set_ylabel("estimated, %")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)
    print(f"\nPicture: {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="foxp3,surface,hard,smeared")
    parser.add_argument("--seeds", default="9001")
    parser.add_argument("--subjects", type=int, default=30)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--plot", default="accuracy.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
