"""A cohort on disk: FCS files, sample sheet, arm list, study.toml and truth."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import InputError
from treg_gating.fcs.writer import write_fcs
from treg_gating.simulate.biology import draw_biology
from treg_gating.simulate.clinical import CLINICAL_COLUMNS, clinical_rows
from treg_gating.simulate.cohort import plan_cohort
from treg_gating.simulate.presets import PRESETS
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.study_text import REGISTERED, study_toml
from treg_gating.simulate.tubes import TIMESTEP, EventTruth, SimulatedTube, simulate_tube

__all__ = ["SimulationSummary", "read_truth", "simulate_to_folder", "write_cohort"]

SHEET_COLUMNS = ("file", "subject", "visit", "batch", "role", "control_for")
TRUTH_COLUMNS = ("file", "subject", "visit", "arm", "batch", "cd4", "treg", "treg_pct_of_cd4", "clog")
CONTROL_COLUMNS = ("file", "role", "control_for", "batch", "cd4", "treg", "treg_pct_of_cd4", "clog")


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What was written and where.

    Parameters
    ----------
    folder : the cohort's folder. name, seed : the preset and its seed.
    tubes, samples : FCS files in all, and those of subjects. events, bytes : of all FCS files together.
    sheet, arms, truth, study : paths of samples.csv, arms.csv, truth.csv and study.toml.
    """

    folder: Path
    name: str
    seed: int
    tubes: int
    samples: int
    events: int
    bytes: int
    sheet: Path
    arms: Path
    truth: Path
    study: Path


def simulate_to_folder(
    name: str,
    folder: Path,
    *,
    seed: int,
    subjects: int | None = None,
    events: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> SimulationSummary:
    """Write the cohort of a preset.

    Parameters
    ----------
    name : a key of ``PRESETS``, such as ``foxp3``, ``nct05605665`` or ``sample``.
    folder : where to; made if need be.
    seed : 0 or larger; the same seed gives the same bytes.
    subjects, events : instead of the preset's number of subjects and of events a tube.
    overwrite, progress : as in :func:`write_cohort`.

    Raises
    ------
    InputError : no such preset, a number that makes no sense, or the folder holds another cohort.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        problem = "there is no such simulated study" + (f"; did you mean {near[0]!r}?" if near else "")
        raise InputError(
            problem,
            found=repr(name),
            expected=", ".join(PRESETS),
        )
    for what, number, least in (("seed", seed, 0), ("subjects", subjects, 1), ("events", events, 100)):
        if number is not None and number < least:
            problem = f"{what} is too small"
            raise InputError(problem, found=str(number), expected=f"{least} or more")
    settings = replace(PRESETS[name], seed=seed)
    if subjects is not None:
        settings = replace(settings, subjects=subjects)
    if events is not None:
        settings = replace(
            settings,
            acquiring=replace(settings.acquiring, events=events),
            controls=replace(settings.controls, events=None),
        )
    return write_cohort(settings, folder, overwrite=overwrite, progress=progress)


def write_cohort(
    settings: CohortSettings,
    folder: Path,
    *,
    event_truth: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> SimulationSummary:
    """Write a cohort's files.

    ``fcs/`` holds the tubes; ``samples.csv`` is the sheet and names no arm; ``arms.csv`` has subject and arm;
    ``study.toml`` the plan; ``truth.csv`` the truth of every sample tube and ``truth_controls.csv`` that of the
    control tubes, both counted among live single cells; ``clinical.csv`` the scores and adverse events of the
    registered study; ``truth/`` one ``.npz`` a tube for :func:`read_truth`.

    Parameters
    ----------
    settings : the cohort.
    folder : where to; made if need be.
    event_truth : whether to write ``truth/``.
    overwrite : replace a cohort that the folder holds already; its old tubes are removed.
    progress : called after each tube with tubes done, tubes in all, and the file.

    Raises
    ------
    InputError : the folder holds FCS files already and `overwrite` is not set.
    """
    _clear(folder, overwrite)
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    if event_truth:
        (folder / "truth").mkdir(exist_ok=True)
    plans = list(plan_cohort(settings))
    events = size = 0
    samples: list[dict[str, str]] = []
    controls: list[dict[str, str]] = []
    for done, plan in enumerate(plans, start=1):
        tube = simulate_tube(plan)
        path = folder / plan.file
        write_fcs(
            path,
            _whole_ticks(tube),
            tube.channels,
            spillover=tube.spillover,
            keywords=tube.keywords,
            timestep=TIMESTEP,
        )
        if event_truth:
            _write_event_truth(folder / "truth" / f"{path.stem}.npz", tube.truth)
        (samples if plan.role == "sample" else controls).append(_truth_row(tube))
        events, size = events + plan.n_events, size + path.stat().st_size
        if progress is not None:
            progress(done, len(plans), plan.file)
    _write_csv(folder / "samples.csv", SHEET_COLUMNS, ([getattr(p, c) for c in SHEET_COLUMNS] for p in plans))
    arms = {taken.subject: taken.arm for taken in draw_biology(settings)}
    _write_csv(folder / "arms.csv", ("subject", "arm"), arms.items())
    _write_csv(folder / "truth.csv", TRUTH_COLUMNS, ([row[c] for c in TRUTH_COLUMNS] for row in samples))
    _write_csv(folder / "truth_controls.csv", CONTROL_COLUMNS, ([row[c] for c in CONTROL_COLUMNS] for row in controls))
    if settings.name in REGISTERED:
        _write_csv(folder / "clinical.csv", CLINICAL_COLUMNS, clinical_rows(settings))
    (folder / "study.toml").write_text(study_toml(settings), encoding="utf-8", newline="\n")
    return SimulationSummary(
        folder,
        settings.name,
        settings.seed,
        len(plans),
        len(samples),
        events,
        size,
        folder / "samples.csv",
        folder / "arms.csv",
        folder / "truth.csv",
        folder / "study.toml",
    )


def read_truth(path: Path) -> EventTruth:
    """Per-event truth of one tube, from its ``.npz`` in ``truth/``."""
    with np.load(path, allow_pickle=False) as stored:
        return EventTruth(
            stored["population"],
            tuple(str(name) for name in stored["names"]),
            *(stored[mask] for mask in ("live", "singlet", "disturbed", "is_cd4", "is_treg")),
        )


def _clear(folder: Path, overwrite: bool) -> None:
    """Make sure that no tube of another cohort stays among the new ones."""
    old = [*(folder / "fcs").glob("*.fcs"), *(folder / "truth").glob("*.npz")]
    if old and not overwrite:
        problem = "the folder holds a simulated cohort already"
        raise InputError(
            problem,
            file=str(folder),
            found=f"{len(old)} files such as {old[0].name}",
            action="Give another folder, or ask to overwrite it",
        )
    for path in old:
        path.unlink()


def _whole_ticks(tube: SimulatedTube) -> NDArray[np.float64]:
    """Events in double precision, so that Time over its step is a whole number in the file."""
    events = tube.events.astype(np.float64)
    events[:, -1] = np.round(events[:, -1] / TIMESTEP) * TIMESTEP
    return events


def _truth_row(tube: SimulatedTube) -> dict[str, str]:
    plan = tube.plan
    row = {
        name: str(getattr(plan, name)) for name in ("file", "subject", "visit", "arm", "batch", "role", "control_for")
    }
    percent = f"{tube.treg_pct_of_cd4:.4f}" if tube.n_cd4 else ""
    clog = str(int(tube.truth.disturbed.any()))
    return {**row, "cd4": str(tube.n_cd4), "treg": str(tube.n_treg), "treg_pct_of_cd4": percent, "clog": clog}


def _write_event_truth(path: Path, truth: EventTruth) -> None:
    masks = {name: getattr(truth, name) for name in ("live", "singlet", "disturbed", "is_cd4", "is_treg")}
    # numpy stamps the archive with a fixed date, so equal truth gives equal bytes.
    np.savez_compressed(path, population=truth.population, names=np.array(truth.names), **masks)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
