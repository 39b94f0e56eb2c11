"""The same bytes on one machine, whatever the number of workers and of threads that the environment asks for."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"
TABLES = ("endpoint.csv", "gates.csv", "populations.parquet", "levey_jennings.csv", "other_tubes.csv")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(sheet: Path, out: Path, workers: int, threads: int) -> dict[str, bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(THREADS, str(threads))}
    command = [sys.executable, "-m", "treg_gating", "run", str(sheet), "-o", str(out), "-q", "--workers", str(workers)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode in {0, 4}, done.stderr
    return {name: (out / name).read_bytes() for name in TABLES}


@pytest.fixture
def sheet(tmp_path) -> Path:
    """Two subjects of the sample data, with the controls of their batch."""
    with (SAMPLE_DATA / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [
        row for row in rows if row["subject"] in {"S01", "S03"} or (row["role"] != "sample" and row["batch"] == "B1")
    ]
    (tmp_path / "fcs").mkdir()
    for row in kept:
        shutil.copy(SAMPLE_DATA / row["file"], tmp_path / row["file"])
    shutil.copy(SAMPLE_DATA / "study.toml", tmp_path)
    with (tmp_path / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(kept)
    return tmp_path / "samples.csv"


@pytest.mark.parametrize(
    "combinations",
    [
        pytest.param([(1, 2, 0), (2, 1, 0)], id="two runs"),
        pytest.param(list(product((1, 2), (1, 2), range(3))), id="twelve runs", marks=pytest.mark.slow),
    ],
)
def test_workers_and_threads_change_no_byte(sheet, tmp_path, combinations):
    first: dict[str, bytes] = {}
    for workers, threads, again in combinations:
        found = run(sheet, tmp_path / f"{workers}-{threads}-{again}", workers, threads)
        first = first or found
        assert found == first, (workers, threads, again)
