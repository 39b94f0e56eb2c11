"""How many tubes an hour a computer does, and what holds it back: a simulated cohort, with one process and with all.

Every tube is simulated, read with its hash, controlled, gated twice and counted, as in a run; the share of time in
which processes did work on tubes comes from the run's own log.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from treg_gating.gating.template import load_template
from treg_gating.run.cohort import run_cohort
from treg_gating.run.order import RunOrder
from treg_gating.run.progress import QuietProgress
from treg_gating.samplesheet import read_samplesheet
from treg_gating.settings import RunSettings
from treg_gating.simulate import PRESETS, write_cohort
from treg_gating.study import read_study

__all__ = ["Capacity", "Timing", "held_back_by", "measure_capacity"]

_SCALES_WELL = 0.75  # of the number of processes
_BUSY = 0.85


@dataclass(frozen=True, slots=True)
class Timing:
    """One run.

    Parameters
    ----------
    workers, tubes : processes, and tubes worked on.
    work : seconds of work on tubes, both passes, all processes together.
    passes : seconds that both passes took on the clock, start-up apart. whole : the whole run.
    """

    workers: int
    tubes: int
    work: float
    passes: float
    whole: float

    @property
    def tubes_an_hour(self) -> float:
        """Tubes through both passes."""
        return 3600 * self.tubes / self.passes

    @property
    def busy(self) -> float:
        """Share of the clock in which processes worked on tubes, 0 to 1."""
        return min(1.0, self.work / (self.workers * self.passes))


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was measured.

    Parameters
    ----------
    events : of a tube. alone, together : with one process, and with all.
    megabytes : of a tube's file. disk : megabytes a second from the folder, past the system's memory where it allows.
    """

    events: int
    alone: Timing
    together: Timing
    megabytes: float
    disk: float

    @property
    def gain(self) -> float:
        """Times the tubes of one process that all of them do."""
        return self.together.tubes_an_hour / self.alone.tubes_an_hour


def measure_capacity(folder: Path, *, events: int, tubes: int, workers: int) -> Capacity:
    """Simulate a cohort in `folder` and run it twice.

    Parameters
    ----------
    folder : on the disk that holds the laboratory's files; what is written there stays.
    tubes : sample tubes, two a subject; an odd number is rounded up.

    Raises
    ------
    DiskError, RunStateError : as for a run.
    """
    preset = PRESETS["foxp3"]
    cohort = replace(
        preset,
        subjects=max(1, (tubes + 1) // 2),
        visits=(preset.visits[0], preset.visits[-1]),
        batches=1,
        acquiring=replace(preset.acquiring, events=events),
    )
    made = write_cohort(cohort, folder / "cohort", event_truth=False)
    disk = _disk_rate(folder / "cohort" / "fcs")
    runs = [_timed(made.sheet, made.study, folder / f"run_{n}", n) for n in dict.fromkeys((1, workers))]
    return Capacity(events, runs[0], runs[-1], made.bytes / made.tubes / 1e6, disk)


def held_back_by(found: Capacity) -> str:
    """The first thing that more tubes an hour would need, in words."""
    together = found.together
    needed = together.tubes_an_hour / 3600 * found.megabytes * 2  # each pass reads the file
    if needed > 0.5 * found.disk:
        return f"the disk: it gives {found.disk:.0f} MB/s, and tubes at this rate take {needed:.0f}"
    if together.workers > 1 and found.gain < _SCALES_WELL * together.workers:
        return (
            f"what the processes share: {together.workers} do {found.gain:.1f} times the tubes of one "
            "(memory bandwidth, other programs, or cores that are threads of one another)"
        )
    if together.busy < _BUSY:
        return f"handing out the tubes: processes wait {100 * (1 - together.busy):.0f} % of the time; tubes are small"
    return f"the processors: {100 * together.busy:.0f} % of the time is work on tubes, so more cores give more tubes"


def _timed(sheet: Path, study_file: Path, out: Path, workers: int) -> Timing:
    study = read_study(study_file)
    settings = RunSettings(load_template("treg_foxp3"), study)
    tubes = read_samplesheet(sheet, study=study)
    begun = time.perf_counter()
    run_cohort(RunOrder(sheet=tubes, settings=settings, out=out, workers=workers), QuietProgress())
    whole = time.perf_counter() - begun
    return _from_log(out / "run.log.jsonl", workers, whole)


def _from_log(log: Path, workers: int, whole: float) -> Timing:
    """Work and clock of both passes, from when each tube was done and how long it took."""
    from datetime import datetime

    passes: dict[str, list[tuple[float, float]]] = {"first": [], "second": []}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("stage") in passes:
            end = datetime.fromisoformat(entry["utc"]).timestamp()
            passes[entry["stage"]].append((end, entry["seconds"]))
    clock = sum(max(end for end, _ in rows) - min(end - s for end, s in rows) for rows in passes.values() if rows)
    work = sum(seconds for rows in passes.values() for _, seconds in rows)
    return Timing(workers, len(passes["second"]), work, max(clock, 1e-3), whole)


def _disk_rate(folder: Path) -> float:
    """Megabytes a second from files that the system was asked to forget (Linux); else from its memory."""
    size, spent = 0, 0.0
    for path in sorted(folder.iterdir()):
        with path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begun = time.perf_counter()
            size += len(file.read())
            spent += time.perf_counter() - begun
    return size / 1e6 / max(spent, 1e-6)
