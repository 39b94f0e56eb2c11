"""Tubes for the throughput benchmark, by our simulator: 18 channels, raw, with $SPILLOVER and Time.

The simulator's ten-colour panel has 16 channels; two detectors nobody stained (dark current and a little spill) make
it 18. A large tube is simulated in blocks of 100,000 events of the same biology, so no event occurs twice.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.sample import Channel, Spillover
from treg_gating.simulate import PRESETS, plan_cohort, simulate_tube
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.tubes import TIMESTEP, TubePlan

__all__ = ["CHANNELS", "Cohort", "make_cohort", "make_tube"]

CHANNELS = 18
_BLOCK = 100_000
_DARK = ("BV650-A", "BV711-A")
_VISITS = ("Baseline", "Week 12")


@dataclass(frozen=True)
class Cohort:
    """A sheet with its files.

    Parameters
    ----------
    sheet, study : paths. tubes, events : number, and events a tube.
    """

    sheet: Path
    study: Path
    tubes: int
    events: int


def make_tube(path: Path, n_events: int, *, seed: int = 1) -> Path:
    """One tube of a wide FOXP3 panel; kept if it is there already (same seed, same bytes)."""
    if not path.exists():
        plan = _plans(seed, 1, n_events)[0]
        events, channels, spillover, keywords = _events(plan, n_events)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_fcs(path, events, channels, spillover=spillover, keywords=keywords, timestep=TIMESTEP)
    return path


def make_cohort(folder: Path, tubes: int, n_events: int, *, originals: int = 16, seed: int = 1) -> Cohort:
    """A study of `tubes` tubes, two visits a subject.

    Up to `originals` are simulated, each of another person; the others have the same events and another subject in
    their keywords, so that every file has bytes of its own.
    """
    done = folder / f"made-{tubes}-{n_events}-{originals}-{seed}.json"
    cohort = Cohort(folder / "samples.csv", folder / "study.toml", tubes, n_events)
    if done.exists():
        return cohort
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    n_originals = min(originals, tubes)
    files = [_tube_file(number) for number in range(tubes)]
    for number, plan in enumerate(_plans(seed, n_originals, n_events)):
        events, channels, spillover, keywords = _events(plan, n_events)
        for clone in range(number, tubes, n_originals):
            about = {**keywords, "$SRC": _place(clone)[0], "$FIL": Path(files[clone]).name}
            write_fcs(folder / files[clone], events, channels, spillover=spillover, keywords=about, timestep=TIMESTEP)
    with cohort.sheet.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "subject", "visit", "batch", "role"])
        for number, file in enumerate(files):
            writer.writerow([file, *_place(number), f"B{1 + number // 2 % 4}", "sample"])
    cohort.study.write_text(_STUDY, encoding="utf-8")
    done.write_text(json.dumps({"originals": n_originals}), encoding="utf-8")
    return cohort


_STUDY = """[study]
id = "THROUGHPUT"

[[visit]]
name = "Baseline"
day = 0
baseline = true

[[visit]]
name = "Week 12"
day = 84
"""


def _tube_file(number: int) -> str:
    return f"fcs/T{number:05d}.fcs"


def _place(number: int) -> tuple[str, str]:
    return f"S{number // len(_VISITS):05d}", _VISITS[number % len(_VISITS)]


def _plans(seed: int, tubes: int, n_events: int) -> list[TubePlan]:
    preset = PRESETS["wide"]
    settings: CohortSettings = replace(
        preset,
        seed=seed,
        subjects=tubes,
        visits=preset.visits[:1],
        acquiring=replace(preset.acquiring, events=min(n_events, _BLOCK), disturbed_share=0.0),
    )
    return [plan for plan in plan_cohort(settings) if plan.role == "sample"][:tubes]


def _events(plan: TubePlan, n_events: int) -> tuple[np.ndarray, Sequence[Channel], Spillover, dict[str, str]]:
    """Events, channels, matrix and keywords of one tube, block by block."""
    blocks, start = [], 0.0
    sizes = [_BLOCK] * (n_events // _BLOCK) + [n_events % _BLOCK] * (n_events % _BLOCK > 0)
    for number, size in enumerate(sizes):
        tube = simulate_tube(replace(plan, file=f"{plan.file}#{number}", n_events=size))
        part = tube.events.copy()
        part[:, -1] += start
        start = float(part[-1, -1])
        blocks.append(part)
    events = np.concatenate(blocks)
    rng = np.random.default_rng([plan.seed, 18])
    dark = rng.normal(60.0, 25.0, (n_events, len(_DARK))).astype(np.float32)
    wide = np.concatenate([events[:, :-1], dark, events[:, -1:]], axis=1)
    wide[:, -1] = np.round(wide[:, -1].astype(np.float64) / TIMESTEP) * TIMESTEP
    channels = (*tube.channels[:-1], *(Channel(name, "", 262_144.0) for name in _DARK), tube.channels[-1])
    known = len(tube.spillover.channels)
    matrix = np.eye(known + len(_DARK))
    matrix[:known, :known] = tube.spillover.matrix
    matrix[known:, known - 2 : known] = 0.02
    spillover = Spillover((*tube.spillover.channels, *_DARK), matrix, "$SPILLOVER")
    assert len(channels) == CHANNELS
    return wide, channels, spillover, dict(tube.keywords)


def describe(path: Path) -> str:
    """Size of a tube in words."""
    sample = read_fcs(path, digest=False)
    return f"{sample.n_events:,} events × {len(sample.channels)} channels, {path.stat().st_size / 1e6:.0f} MB"
