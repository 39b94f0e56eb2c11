"""Spillover from single stains against known and published matrices.

    python benchmarks/spillover.py [--shared ../shared] [--picture folder] [--docs docs]

Simulated: single stains of several panels, batches and numbers of positives; the largest error of any element. Real:
the six mouse stains of ``compensation_controls`` against the matrix published with them, every element that is more
than 0.02 apart, and what either matrix leaves between the medians of positives and negatives. ``--docs`` draws the
controls before and after, both matrices, where they differ and why, and the stained sample under both.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from spillover_pictures import draw

from treg_gating.compensation import read_spillover_csv
from treg_gating.fcs import read_fcs
from treg_gating.report.spillover_page import spillover_page
from treg_gating.simulate import PRESETS, simulate_single_stains
from treg_gating.spillover import SingleStain, fit_spillover

REAL = {
    "FITC": "Alexa Fluor 488-A",
    "PE": "PE-A",
    "7AAD": "7-AAD-A",
    "APC": "Alexa Fluor 647-A",
    "AF700": "Alexa Fluor 700-A",
    "APC-Cy7": "APC-Cy7-A",
}


def simulated() -> None:
    """Largest error against the known matrix."""
    print("| cohort, seed | positives a stain | largest error | with no unstained tube |")
    print("| --- | --- | --- | --- |")
    for preset in ("foxp3", "wide", "batchy"):
        for seed, events, share in ((1, 15_000, 0.5), (2, 15_000, 0.5), (3, 15_000, 0.05), (4, 3_000, 0.25)):
            settings = replace(PRESETS[preset], seed=seed)
            tubes = list(simulate_single_stains(settings, f"B{1 + seed % 3}", n_events=events, positive_share=share))
            detector = dict(zip(tubes[0].plan.panel.markers, tubes[0].plan.panel.detectors, strict=True))
            stains = [SingleStain(t.sample(), detector[t.plan.control_for], t.plan.control_for) for t in tubes[:-1]]
            truth = tubes[0].true_spillover
            errors = []
            for blank in (tubes[-1].sample(), None):
                fit = fit_spillover(stains, blank, channels=truth.channels)
                errors.append(float(np.abs(fit.spillover.matrix - truth.matrix).max()))
            counts = [stain.n_positive for stain in fit.stains]
            print(f"| {preset}, {seed} | {min(counts)}–{max(counts)} | {errors[0]:.4f} | {errors[1]:.4f} |")


def real(folder: Path, picture: Path | None, docs: Path | None) -> None:
    """The mouse controls against the published matrix."""
    published = read_spillover_csv(folder / "Compensation-Spillover-Matrix.csv")
    names = published.channels
    stains = [SingleStain(read_fcs(folder / f"Compensation-{name}.fcs"), own, name) for name, own in REAL.items()]
    fit = fit_spillover(stains, read_fcs(folder / "Compensation-Unstained.fcs"), channels=names)
    print("\n| stain | positives | left between medians % | the same under the published matrix % |")
    print("| --- | --- | --- | --- |")
    for stain, events in zip(fit.stains, fit.events, strict=True):
        own = names.index(stain.detector)
        top, bottom = (np.median(part @ published.inverse, axis=0) for part in (events.positive, events.negative))
        theirs = np.abs(np.delete((top - bottom) / top[own], own)).max()
        ours = max(abs(value) for value in stain.left.values())
        print(f"| {stain.label} | {stain.n_positive} | {100 * ours:.2f} | {100 * theirs:.2f} |")
    difference = fit.spillover.matrix - published.matrix
    off = ~np.eye(len(names), dtype=bool)
    within = np.mean(np.abs(difference[[names.index(own) for own in REAL.values()]]) <= 0.02)
    print(f"\n{100 * within:.0f} % of the elements of the six rows within 0.02; the others:")
    for i, j in zip(*np.nonzero((np.abs(difference) > 0.02) & off), strict=True):
        ours, theirs = fit.spillover.matrix[i, j], published.matrix[i, j]
        print(f"  {names[i]} into {names[j]}: {ours:.3f}, published {theirs:.3f}")
    if picture is not None:
        picture.mkdir(parents=True, exist_ok=True)
        (picture / "controls.html").write_text(spillover_page(fit, "Mouse single stains"), encoding="utf-8")
    if docs is not None:
        draw(fit, published, read_fcs(folder / "stained_Activation_1.fcs"), docs / "images")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[1].parent / "shared")
    parser.add_argument("--picture", type=Path, help="folder for the page of 'compensate --report'")
    parser.add_argument("--docs", type=Path, help="folder of the documentation, for images/compensation_*.png")
    parser.add_argument("--real", action="store_true", help="the real controls alone")
    arguments = parser.parse_args()
    if not arguments.real:
        simulated()
    folder = arguments.shared / "data" / "compensation_controls"
    if folder.is_dir():
        real(folder, arguments.picture, arguments.docs)
    else:
        print(f"\nNo real controls: {folder} is not there.")


if __name__ == "__main__":
    main()
