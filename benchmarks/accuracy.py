"""Accuracy of Treg percentages against simulated truth, side by side with simpler ways to gate.

    python benchmarks/accuracy.py                             # the four kinds with bars, 30 subjects, 60,000 events
    python benchmarks/accuracy.py --kinds all --seeds 9002,9003 --subjects 12
    python benchmarks/accuracy.py --kinds surface --subjects 4 --methods none --ceiling-tubes 0             # quick

For every kind of cohort and seed: simulate, run this package's template (the three functions of the pipeline), and on
the very same tubes

- valley: a valley of its own on CD25, CD127 and FOXP3 of the CD4 T cells; where one has none, no estimate;
- static: median ± 2 robust SD of the first baseline tube's CD4 T cells on every marker, applied to all tubes;
- gmm: scikit-learn's GaussianMixture per tube, of three components the one highest in CD25 and FOXP3, lowest in CD127;
- flowkit: the gates fitted to the first baseline tube, exported as Gating-ML 2.0 and applied by FlowKit to every file,
  from root to Treg, each file compensated by its own matrix.

F1 counts events that quality control kept: called Treg against truly a live single Treg, so that losses on the way to
CD4 T count too. Its ceiling (``simulate/ceiling.py``) is the median of tubes spread over the cohort. Prints Markdown
(also to ``accuracy.md``), and writes ``accuracy.json`` with every tube and ``accuracy.png``. Exit code 1 where a bar is
missed. On two quiet cores a cohort of 120 tubes of 60,000 events takes some minutes; the last line says how long.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from accuracy_cohort import OURS, Cohort, measure
from accuracy_figures import BARS, COLUMNS, Figures, cells, figures, plot, verdicts
from accuracy_rivals import METHODS
from long_way import go_the_long_way

from treg_gating.simulate import PRESETS

KINDS = (*BARS, "few", "batchy", "no_fmo", "poor_fmo", "missing_visit", "no_cd45ra", "failed_stain")


def main() -> int:
    arguments = _arguments()
    begun = time.perf_counter()
    say = Report(f"`python benchmarks/accuracy.py {' '.join(sys.argv[1:])}`")
    cohorts: list[Cohort] = []
    start_with = go_the_long_way if arguments.long_way else None
    pool = ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn"), initializer=start_with)
    try:
        for kind, seed in ((kind, seed) for kind in arguments.kinds for seed in arguments.seeds):
            start = time.perf_counter()
            cohorts.append(_measured(kind, seed, pool, arguments))
            say(*section(cohorts[-1], arguments.methods, time.perf_counter() - start))
    finally:
        pool.shutdown(cancel_futures=True)  # after a fault nothing that waits is begun
    missed = [
        f"- {cohort.kind}, seed {cohort.seed}: {what} {figure} (bar {bar})"
        for cohort in cohorts
        for what, figure, bar, met in verdicts(cohort.kind, _own(cohort), cohort.ceiling)
        if not met
    ]
    say("", f"Bars missed: {len(missed)}", "", *missed)
    say("", f"Took {(time.perf_counter() - begun) / 60:.1f} min with {arguments.workers} processes.")
    stem: Path = arguments.out
    stem.with_suffix(".md").write_text(say.text, encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(_plain(cohorts, arguments.methods), indent=1), encoding="utf-8")
    plot(cohorts, stem.with_suffix(".png"))
    return 1 if missed else 0


class Report:
    """Lines that are printed as they come, and kept."""

    def __init__(self, first: str) -> None:
        self.text = ""
        self(first)

    def __call__(self, *lines: str) -> None:
        """Print and keep."""
        for line in lines:
            print(line, flush=True)
            self.text += line + "\n"


def _measured(kind: str, seed: int, pool: ProcessPoolExecutor, arguments: argparse.Namespace) -> Cohort:
    with tempfile.TemporaryDirectory() as scratch:
        return measure(
            kind,
            seed,
            Path(scratch) / "cohort",
            pool,
            subjects=arguments.subjects,
            events=None if kind == "few" else arguments.events,
            methods=arguments.methods,
            ceiling_tubes=arguments.ceiling_tubes,
        )


def section(cohort: Cohort, methods: Iterable[str], seconds: float) -> list[str]:
    """Bars with their figures, then every method beside the others."""
    lines = ["", f"## {cohort.kind}, seed {cohort.seed}", "", "| what | figure | bar | |", "| --- | --- | --- | --- |"]
    for what, figure, bar, met in verdicts(cohort.kind, _own(cohort), cohort.ceiling):
        lines.append(f"| {what} | {figure} | {bar} | {'met' if met else '**not met**'} |")
    lines += ["", f"| method | {' | '.join(COLUMNS)} |", f"| --- |{' --- |' * len(COLUMNS)}"]
    for method in (OURS, *methods):
        found = figures(cohort.rows, method, cohort.ceiling, own_flags=method == OURS)
        lines.append(f"| {method} | {' | '.join(cells(found))} |")
    median = (
        f"Bayes ceiling {cohort.ceiling:.3f}, the median of {len(cohort.ceilings)} tubes. " if cohort.ceilings else ""
    )
    return [*lines, "", f"{median}{seconds:.0f} s."]


def _own(cohort: Cohort) -> Figures:
    return figures(cohort.rows, OURS, cohort.ceiling, own_flags=True)


def _plain(cohorts: list[Cohort], methods: list[str]) -> list[dict[str, object]]:
    """What goes into the JSON file; NaN becomes null."""
    return [
        {
            "kind": cohort.kind,
            "seed": cohort.seed,
            "ceiling": cohort.ceiling,
            "ceilings": [asdict(one) for one in cohort.ceilings],
            "bars": [
                dict(zip(("what", "figure", "bar", "met"), line, strict=True))
                for line in verdicts(cohort.kind, _own(cohort), cohort.ceiling)
            ],
            "figures": {
                method: asdict(figures(cohort.rows, method, cohort.ceiling, own_flags=method == OURS))
                for method in (OURS, *methods)
            },
            "tubes": cohort.rows,
        }
        for cohort in cohorts
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(BARS), help=f"all, or of {', '.join(KINDS)}")
    parser.add_argument("--seeds", default="9002")
    parser.add_argument("--subjects", type=int, default=30)
    parser.add_argument("--events", type=int, default=60_000, help="a tube; the kind few has its own number")
    parser.add_argument("--methods", default=",".join(METHODS), help="to compare with; none for this package alone")
    parser.add_argument("--ceiling-tubes", type=int, default=30, help="0 leaves the ceiling out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--long-way", action="store_true", help="without shortcuts that are not exact (long_way.py)")
    parser.add_argument("--out", type=Path, default=Path("accuracy"), help="stem of the .md, .json and .png")
    arguments = parser.parse_args()
    arguments.kinds = list(KINDS) if arguments.kinds == "all" else arguments.kinds.split(",")
    arguments.seeds = [int(text) for text in arguments.seeds.split(",")]
    arguments.methods = [] if arguments.methods == "none" else arguments.methods.split(",")
    for name in arguments.kinds:
        if name not in PRESETS:
            parser.error(f"there is no kind {name!r}; there are {', '.join(KINDS)}")
    for name in arguments.methods:
        if name not in METHODS:
            parser.error(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
