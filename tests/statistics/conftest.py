"""A three-arm data set of known shape, and the incomplete sets that R has fitted."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

ORACLES = Path(__file__).parent / "oracles"


@dataclass(frozen=True, eq=False)
class Trial:
    """arm (n,), base (n,) and y (n, v) in percent."""

    arm: NDArray[np.int64]
    base: NDArray[np.float64]
    y: NDArray[np.float64]


def make_trial(seed: int, per_arm: int = 10, visits: int = 3, missing: float = 0.0) -> Trial:
    rng = np.random.default_rng(seed)
    n = 3 * per_arm
    arm = np.arange(n) % 3
    person = rng.normal(np.log(5.5), 0.38, n)
    base = person + rng.normal(0, 0.145, n)
    effect = np.linspace(0.5, 1, visits) * np.array([0.0, 0.2, 0.5])[arm][:, None]
    y = person[:, None] + effect + rng.normal(0, 0.2, (n, 1)) + rng.normal(0, 0.15, (n, visits))
    y[rng.random((n, visits)) < missing] = np.nan
    return Trial(arm, np.exp(base), np.exp(y))


@pytest.fixture
def trial() -> Trial:
    return make_trial(5)


def read_oracle(name: str) -> list[dict[str, str]]:
    with (ORACLES / name).open(newline="") as handle:
        return [{key: cell.strip() for key, cell in row.items()} for row in csv.DictReader(handle)]


def incomplete_set(name: str) -> Trial:
    """One of the sets in oracles/, back on the percent scale."""
    rows = read_oracle(f"mmrm_{name}.csv")
    subjects = sorted({row["subject"] for row in rows})
    y = np.full((len(subjects), max(int(row["visit"]) for row in rows)), np.nan)
    arm, base = np.zeros(len(subjects), dtype=np.int64), np.zeros(len(subjects))
    for row in rows:
        at = subjects.index(row["subject"])
        y[at, int(row["visit"]) - 1] = float(row["ly"])
        arm[at], base[at] = "ABC".index(row["arm"]), float(row["lbase"])
    return Trial(arm, np.exp(base), np.exp(y))


@pytest.fixture
def new_trial():
    """Make a trial: seed, per_arm, visits, missing."""
    return make_trial


@pytest.fixture
def oracle():
    """Read a table that R has left in oracles/."""
    return read_oracle


@pytest.fixture
def incomplete():
    """Read a data set of oracles/ by its letter."""
    return incomplete_set
