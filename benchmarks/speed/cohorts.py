"""Modes that look at whole cohorts: workers, Dask, and how the coordinator bears thousands of tubes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from speed import replay
from speed.runs import loopback_cluster, whole_run
from speed.tubes import Cohort, make_cohort
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings
from treg_gating.run.keys import code_version
from treg_gating.samplesheet import read_samplesheet
from treg_gating.study import read_study

__all__ = ["ONE_CORE", "ONE_WORKER", "TWO_WORKERS", "cohort", "dask", "workers"]

ONE_CORE, ONE_WORKER, TWO_WORKERS = "1 worker on one core", "1 worker, both cores", "2 workers, both cores"


def workers(data: Path, tubes: int, events: int) -> dict[str, Any]:
    """The whole run, start-up and outputs included, with one process and with two.

    How work scales is told by one worker that is held to one core: left free, it uses the second one too, for the hash
    and for parts of a tube, which is what a user with one worker gets.
    """
    made = _made(data, tubes, events)
    ways = {
        ONE_CORE: {"workers": 1, "cores": 1},
        ONE_WORKER: {"workers": 1},
        TWO_WORKERS: {"workers": 2, "cores": 2},
    }
    runs = {name: whole_run(made.sheet.parent, data / "out", **options) for name, options in ways.items()}
    return {"tubes": tubes, "events": events, "seconds": {n: run["wall"] for n, run in runs.items()}, "runs": runs}


def dask(data: Path, tubes: int, events: int) -> dict[str, Any]:
    """Overhead of Dask and ledger on real tubes, and on tubes whose work is a known sleep."""
    made = _made(data, tubes, events)
    main = whole_run(made.sheet.parent, data / "out", workers=2)
    texts, store = _texts(data, 200), _store(data)
    known: list[dict[str, Any]] = []
    for seconds in (0.005, 0.05):
        for how in ("one process", "threads", "cluster"):
            for most in (1, 4, 16) if how == "threads" else (16,):
                options = {"store": str(store), "seconds": seconds, "most_in_batch": most, "report": False}
                run = _one_way(texts, data / "out", how, options)
                known.append({"how": how, "seconds": seconds, "most_in_batch": most, **run})
    return {"tubes": tubes, "events": events, "run": main, "overhead_pct": main["overhead_pct"], "known": known}


def _one_way(folder: Path, out: Path, how: str, options: dict[str, Any]) -> dict[str, Any]:
    if how == "cluster":
        with loopback_cluster(2) as address:
            return whole_run(folder, out, workers=2, scheduler=address, **options)
    return whole_run(folder, out, workers=1 if how == "one process" else 2, **options)


def cohort(data: Path, numbers: list[int], events: int, *, real: bool) -> dict[str, Any]:
    """Time per tube and the coordinator's memory as the cohort grows.

    With `real`, every tube is read and gated; else answers come from a store, and time per tube is the coordinator's
    and the engine's own.
    """
    runs: dict[str, dict[str, Any]] = {}
    for number in numbers:
        if real:
            runs[str(number)] = whole_run(_made(data, number, events).sheet.parent, data / "out", workers=2)
        else:
            options = {"store": str(_store(data)), "workers": 2}
            runs[str(number)] = whole_run(_texts(data, number), data / "out", **options)
    each = {number: run["wall"] / run["tubes"] for number, run in runs.items()}
    least = each[str(min(numbers))]
    return {
        "real": real,
        "events": events,
        "runs": runs,
        "growth_mb": {number: run["growth_mb"] for number, run in runs.items()},
        "time_ratio": {number: seconds / least for number, seconds in each.items()},
    }


def _made(data: Path, tubes: int, events: int) -> Cohort:
    return make_cohort(data / f"cohort-{tubes}-{events}", tubes, events)


def _store(data: Path) -> Path:
    """What the real pipeline of this very code answers for eight tubes of 5,000 events."""
    store = data / f"replay-{code_version()}.pickle"
    if not store.exists():
        made = make_cohort(data / "originals", 8, 5_000)
        study = read_study(made.study)
        tubes = read_samplesheet(made.sheet, study=study).tubes
        replay.record(tubes, RunSettings(load_template("treg_foxp3"), study), store)
    return store


def _texts(data: Path, tubes: int) -> Path:
    """A study whose files are a line of text each, for :mod:`speed.replay`."""
    folder = data / f"texts-{tubes}"
    if (folder / "samples.csv").exists():
        return folder
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    study = make_cohort(data / "originals", 8, 5_000).study
    (folder / "study.toml").write_bytes(study.read_bytes())
    rows = []
    for number in range(tubes):
        name = f"fcs/T{number:05d}.fcs"
        (folder / name).write_text(f"tube {number}\n")
        visit = ("Baseline", "Week 12")[number % 2]
        rows.append((name, f"S{number // 2:05d}", visit, f"B{1 + number // 2 % 4}", "sample"))
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("file", "subject", "visit", "batch", "role"))
        writer.writerows(rows)
    return folder
