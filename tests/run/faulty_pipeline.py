"""A pipeline whose tubes misbehave on command: what the engine must survive, without the science.

A tube's "file" is text: ``value <n>`` and, on more lines, what to do in pass 1 (``first``) or pass 2 (``second``).
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.errors import FCSError
from treg_gating.gating.results import Flag, FlagLevel, PopulationCount, SampleFit, SampleResult
from treg_gating.samplesheet import Role, Tube


@dataclass(frozen=True)
class FaultySettings:
    template: Any
    study: Any
    offset: float = 0.0


@dataclass(frozen=True)
class FaultyCohort:
    mean: float
    notes: tuple[str, ...] = ()


def _read(tube: Tube, stage: str) -> tuple[float, str]:
    raw = Path(tube.path).read_bytes()
    if not raw.startswith(b"value "):
        raise FCSError("E_NOT_FCS", "not an FCS file", file=str(tube.path))
    lines = raw.decode().splitlines()
    for line in lines[1:]:
        when, what, *more = line.split()
        if when == stage:
            _misbehave(what, more)
    note = os.environ.get("FAULTY_DIARY")
    if note:
        with Path(note).open("a") as diary:
            diary.write(f"{tube.tube_id} {stage}\n")
    return float(lines[0].split()[1]), hashlib.sha256(raw).hexdigest()


def _misbehave(what: str, more: list[str]) -> None:
    if what == "hang":
        while True:
            time.sleep(3600)
    elif what == "sleep":
        time.sleep(float(more[0]))
    elif what == "touch":
        Path(more[0]).touch()
    elif what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "crash_once":  # the first time only: a stranger's kill
        marker = Path(more[0])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif what == "eat":
        eaten = [np.ones(1_000_000) for _ in range(200)]
        time.sleep(3600 + len(eaten))
    elif what == "bug":
        raise ZeroDivisionError("division by a thing that is zero")
    elif what == "print":
        print("noise on standard output", flush=True)  # noqa: T201


def first_pass(tube: Tube, settings: FaultySettings) -> SampleFit:
    value, sha256 = _read(tube, "first")
    return SampleFit(tube.tube_id, sha256, {}, {"value": value, "array": np.arange(3)})


def between_passes(tubes: Sequence[Tube], fits: Mapping[str, SampleFit], settings: FaultySettings) -> FaultyCohort:
    values = [fits[t.tube_id].summaries["value"] for t in tubes if t.visit == "Baseline" and t.role is Role.SAMPLE]
    return FaultyCohort(float(np.mean(values)) if values else 0.0, ("a note of the cohort",))


def second_pass(tube: Tube, settings: FaultySettings, cohort: FaultyCohort, fit: SampleFit) -> SampleResult:
    value, sha256 = _read(tube, "second")
    n = int(value + cohort.mean + settings.offset)
    counts = (
        PopulationCount("root", "", 10_000, None),
        PopulationCount("cd4_t", "root", 1000, 10_000),
        PopulationCount("treg", "cd4_t", n, 1000, mfi={"CD25": 1234.5678, "FOXP3": 100.0}),
    )
    flags = (Flag("LOOK", FlagLevel.REVIEW, "look at it"),) if value == 99 else ()
    return SampleResult(**_identity(tube), status="done", sha256=sha256, n_events=10_000, counts=counts, flags=flags)


def failed_result(tube: Tube, error: BaseException, stage: str) -> SampleResult:
    return SampleResult(**_identity(tube), status="failed", stage=stage, reason=str(error))


def _identity(tube: Tube) -> dict[str, str]:
    names = ("tube_id", "file", "subject", "visit", "batch")
    return {**{name: getattr(tube, name) for name in names}, "role": str(tube.role)}


def slow_report(record: Any, path: Path) -> None:
    """A report that takes a minute, and says beside the diary that it has begun."""
    path.write_text("half")
    Path(os.environ["FAULTY_DIARY"]).with_name("begun").touch()
    time.sleep(60)


def quick_report(record: Any, path: Path) -> None:
    path.write_text(f"{len(record.samples)} tubes")
