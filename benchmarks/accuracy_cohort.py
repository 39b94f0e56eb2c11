"""One simulated cohort through the pipeline: a row a tube with its truth, and what every method says of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import accuracy_rivals as rivals
import numpy as np

from treg_gating import pipeline
from treg_gating.errors import TregGatingError
from treg_gating.gating.hierarchy import apply_gates
from treg_gating.gating.template import load_template
from treg_gating.samplesheet import Role, Tube, read_samplesheet
from treg_gating.simulate import PRESETS, read_truth, simulate_to_folder
from treg_gating.simulate.ceiling import Ceiling, bayes_ceiling, ceiling_plans
from treg_gating.simulate.settings import CohortSettings
from treg_gating.study import read_study

OURS = "treg-gating"


@dataclass(frozen=True)
class Cohort:
    """A cohort that was measured.

    Parameters
    ----------
    kind, seed : the preset and its seed. rows : one a sample tube: truth, arm, visit, flags, and by method its
        Treg % of CD4 T (NaN where there is none) and F1 per event.
    ceilings : of tubes spread over the cohort; empty where they were not asked for.
    """

    kind: str
    seed: int
    rows: list[dict[str, Any]]
    ceilings: list[Ceiling] = field(default_factory=list)

    @property
    def ceiling(self) -> float:
        """Median over the tubes; NaN where not asked for."""
        return float(np.median([one.f1 for one in self.ceilings])) if self.ceilings else np.nan


def template_for(kind: str) -> str:
    """The shipped template of a kind of cohort."""
    return "treg_foxp3" if "FOXP3" in PRESETS[kind].stained_panel.markers else "treg_surface"


def measure(
    kind: str,
    seed: int,
    folder: Path,
    pool: ProcessPoolExecutor,
    *,
    subjects: int,
    events: int | None,
    methods: Iterable[str],
    ceiling_tubes: int,
) -> Cohort:
    """Simulate, run both passes, and let every method say its number for every tube.

    Parameters
    ----------
    events : a tube; None for the preset's own number.
    """
    made = simulate_to_folder(kind, folder, seed=seed, subjects=subjects, events=events)
    study = read_study(made.study)
    tubes = read_samplesheet(made.sheet, study=study).tubes
    settings = pipeline.RunSettings(load_template(template_for(kind)), study)
    taking_part = [tube for tube in tubes if tube.role in (Role.SAMPLE, Role.CONTROL, Role.FMO)]
    fits = dict(zip((t.tube_id for t in taking_part), pool.map(partial(_first, settings), taking_part), strict=True))
    between = pipeline.between_passes(tubes, {name: fit for name, fit in fits.items() if fit is not None}, settings)
    samples = [tube for tube in taking_part if tube.role is Role.SAMPLE]
    judge = Judge(settings, between, fits, folder / "truth", tuple(methods), None)
    judge = replace(judge, fixed=judge.learn_fixed(samples))
    rows = list(pool.map(judge, samples))
    with made.truth.open(encoding="utf-8") as file:
        truth = {(row["subject"], row["visit"]): row for row in csv.DictReader(file)}
    for row in rows:
        true = truth[row["subject"], row["visit"]]
        row |= {"truth": float(true["treg_pct_of_cd4"]), "arm": true["arm"], "disturbed": true["clog"] == "1"}
    cohort = replace(PRESETS[kind], seed=seed, subjects=subjects)
    spread = range(len(ceiling_plans(cohort, ceiling_tubes)))
    return Cohort(kind, seed, rows, list(pool.map(partial(_ceiling, cohort, ceiling_tubes), spread)))


def _ceiling(settings: CohortSettings, tubes: int, at: int) -> Ceiling:
    """Of one of the tubes spread over a cohort; a plan itself cannot be sent to another process."""
    return bayes_ceiling(ceiling_plans(settings, tubes)[at])


def _first(settings: pipeline.RunSettings, tube: Tube) -> Any:
    try:
        return pipeline.first_pass(tube, settings)
    except TregGatingError:
        return None


@dataclass(frozen=True)
class Judge:
    """Everything that is fixed for the second pass of a cohort; called with a tube it gives the tube's row."""

    settings: pipeline.RunSettings
    between: Any
    fits: Mapping[str, Any]
    truth: Path
    methods: tuple[str, ...]
    fixed: rivals.Fixed | None

    def learn_fixed(self, samples: list[Tube]) -> rivals.Fixed | None:
        """What a laboratory would set on its first baseline tube and leave: static cuts, a Gating-ML strategy."""
        baseline = self.settings.study.baseline
        for tube in samples:
            if baseline is not None and tube.visit != baseline.name:
                continue
            result, ready, walk = self._gated(tube)
            top = result.count(self.settings.template.primary.numerator) if result is not None else None
            if top is not None and top.n and walk.rows["cd4_t"] is not None:
                cells, names = rivals.cells_of(ready.view, walk.rows["cd4_t"])
                return rivals.Fixed.learn(cells, names, result)
        return None

    def __call__(self, tube: Tube) -> dict[str, Any]:
        """Flags, and by method the Treg % and F1 of one tube."""
        template, row = self.settings.template, {"subject": tube.subject, "visit": tube.visit, "batch": tube.batch}
        empty = dict.fromkeys((OURS, *self.methods), np.nan)
        row |= {"estimate": dict(empty), "f1": dict(empty), "flags": []}
        result, ready, walk = self._gated(tube)
        if result is None:
            return row | {"flags": ["FAILED"]}
        row["flags"] = sorted({flag.code for flag in result.flags if flag.level != "note"})
        truth = read_truth(self.truth / f"{tube.path.stem}.npz")
        kept = np.zeros(len(truth.is_treg), dtype=bool)
        kept[ready.view.clean] = True
        base, top = walk.rows["cd4_t"], walk.rows[template.primary.numerator]
        calls: dict[str, rivals.Call | None] = {OURS: None if base is None or top is None else (top, base)}
        for method in self.methods:
            calls[method] = rivals.call(method, ready.view, base, self.fixed, tube.path)
        for method, called in calls.items():
            if called is not None and len(called[1]):
                row["estimate"][method] = 100 * len(called[0]) / len(called[1])
                row["f1"][method] = f1(called[0], truth.is_treg & kept)
        return row

    def _gated(self, tube: Tube) -> tuple[Any, Any, Any]:
        """Result of pass 2, and the tube's events under its final gates; None thrice for a tube that failed."""
        fit = self.fits[tube.tube_id]
        if fit is None:
            return None, None, None
        result = pipeline.second_pass(tube, self.settings, self.between, fit)
        ready = pipeline.prepare(tube, self.settings)
        walk = apply_gates(ready.template, {gate.population: gate for gate in result.gates}, ready.view)
        for population in ("cd4_t", self.settings.template.primary.numerator):
            count, rows = result.count(population), walk.rows[population]
            if count is not None and count.n is not None and (rows is None or count.n != len(rows)):
                msg = f"{tube.file}: {population} has {count.n} events in the result, and other events here"
                raise AssertionError(msg)
        return result, ready, walk


def f1(called: np.ndarray[Any, Any], real: np.ndarray[Any, Any]) -> float:
    """F1 of the called rows against a mask of real Tregs, both among the events that quality control kept."""
    hits = int(real[called].sum())
    return 2 * hits / max(len(called) + int(real.sum()), 1)
